"""Some seconds of what `python -m tests.fuzz` does for minutes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.server.frames import BrokenFrame, Frames

from . import front, messages


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Callable[..., Path]) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("fuzz")
    root = folder / "work"
    root.mkdir()
    for name in ("a.py", "b.py"):
        (root / name).write_text(messages.TEXT)
    tokenizer = CodeLlamaTokenizer.from_pretrained(tokenizer_folder("7b"), chat_format="inst")
    with pytest.MonkeyPatch.context() as patch, front.scripted(tokenizer):
        patch.setenv("CODELLAMA_LS_DATA", str(folder / "data"))
        patch.setenv("CODELLAMA_LS_RUNTIME", str(folder / "run"))
        yield root


@pytest.mark.parametrize("number", range(15))
def test_a_session_of_messages_that_are_wrong(root: Path, number: int) -> None:
    asyncio.run(front.run(root, Random(number), 60))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers())
def test_a_session_that_is_drawn(root: Path, seed: int) -> None:
    """Another one each time, and again the one that failed last."""
    asyncio.run(front.run(root, Random(seed), 10))


def test_a_session_as_it_should_be(root: Path) -> None:
    """Or the others would prove little: nothing is refused, and what the editor answers is understood."""
    recorded, random = messages.session(root), Random(0)
    random.random = lambda: 0.5  # type: ignore[method-assign]  # nothing of it is wrong
    refused: list[Any] = []
    complaints: list[str] = []
    asked: set[str] = set()

    class Kept(front.Front):
        def write(self, data: bytes) -> None:
            message = json.loads(data.partition(b"\r\n\r\n")[2])
            if message.get("error"):
                refused.append(message)
            asked.add(str(message.get("method")))
            if message.get("method") == "window/showMessage":
                complaints.append(message["params"]["message"])
            super().write(data)

    async def session() -> None:
        whole = Kept(random, [])
        for number, each in enumerate(recorded[:-2]):
            if not str(each.get("method")).startswith("codellama/chat/") or "conversationId" not in each["params"]:
                message = {"jsonrpc": "2.0", **each} | ({"id": number} if each.get("id") == 0 else {})
                await whole.feed(messages.framed(message, random))
        await whole.end()
        assert whole.wrong == []

    edit = '```python\ndef area(w, h):\n    """The area of it."""\n    return w * h\n```'
    with mock.patch.object(front, "ANSWERS", (edit,)):
        asyncio.run(session())
    assert asked > {"workspace/configuration", "workspace/applyEdit", "window/showMessageRequest"}
    said = [each["error"]["message"] for each in refused if each["id"] is not None and "probe" not in str(each["id"])]
    assert [each for each in said if "git" not in each] == []
    assert [each for each in complaints if "editor" in each] == []


def test_an_editor_that_never_says_initialized(root: Path) -> None:
    """What waits for its settings does not wait for ever."""

    async def session() -> None:
        half = front.Front(Random(0), [])
        recorded = messages.session(root)
        half._protocol._initialized = True  # so that the harness does not say it
        asked = [recorded[0], {"id": 5, "method": "codellama/chat/send", "params": {"message": "hello"}}]
        await half.feed(b"".join(messages.framed({"jsonrpc": "2.0", **each}, Random(0)) for each in asked))
        await half.end()

    with mock.patch("lsp_server.server.session.CONFIGURED_SECONDS", 0.2):
        asyncio.run(session())


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=5), st.lists(st.integers(1, 30), min_size=1, max_size=30))
def test_bodies_come_out_as_they_went_in_however_they_are_cut(bodies: list[bytes], cuts: list[int]) -> None:
    data = b"".join(b"Content-Length: %d\r\n\r\n%b" % (len(body), body) for body in bodies)
    frames, come, at, turn = Frames(), [], 0, 0
    while at < len(data):
        frames.feed(data[at : at + cuts[turn % len(cuts)]])
        at, turn = at + cuts[turn % len(cuts)], turn + 1
        try:
            while (body := frames.next()) is not None:
                come.append(body)
        except BrokenFrame:  # a header within a body, which no JSON has, ends the session
            assert any(b"Content-Length:" in each for each in bodies)
            return
    assert come == bodies
    assert not frames.is_half_way


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300) | st.text(alphabet="Content-Length: 0123\r\n{}", max_size=80).map(str.encode))
def test_any_bytes_are_bodies_or_a_broken_frame(data: bytes) -> None:
    frames = Frames()
    frames.feed(data)
    with contextlib.suppress(BrokenFrame):
        while frames.next() is not None:
            pass
