"""Over the wire: what a slow model is asked at a place that it has not seen, and what it computes meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from editor import Editor, editor
from lsprotocol import types

from lsp_server import __version__
from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.engine import address

pytestmark = pytest.mark.usefixtures("engines")

TEXT = "".join(f"value_{number} = compute({number}, scale={number % 7})\n" for number in range(600))


class OwnEngine:
    """An engine of this machine, that says how fast it is. `asked`: the completions; those made ahead of time are held
    back until `idle` is set."""

    def __init__(self, folder: Path, speed: float | None) -> None:
        self.folder, self.speed = folder, speed
        self.asked: list[dict[str, Any]] = []
        self.done: list[dict[str, Any]] = []
        self.idle = asyncio.Event()
        self.idle.set()

    @property
    def ahead(self) -> list[dict[str, Any]]:
        """The windows computed ahead."""
        return [each for each in self.asked if each["priority"] == 20 and each["max_tokens"] == 1]

    def end_of(self, asked: dict[str, Any]) -> str:
        """The end of a prompt, as text."""
        return CodeLlamaTokenizer.from_pretrained(self.folder).shown(asked["prompt"][-40:])

    @property
    def at_keys(self) -> list[int]:
        """Tokens of the prompts that somebody waited for."""
        return [len(each["prompt"]) for each in self.asked if each["priority"] == 0]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            if head.startswith("GET"):
                health = {"status": "ready", "path": str(self.folder), "model": "starter", "context_length": 8192}
                content = {
                    **{"version": __version__, "prefill_tokens_per_second": self.speed, "pid": 1},
                    **({"data": [{"id": "starter"}]} if "/v1/models" in head else health),
                }
                body = json.dumps(content).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
            else:
                length = int(head.lower().partition("content-length:")[2].split()[0])
                await self._complete(json.loads(await reader.readexactly(length)), writer)
            await writer.drain()
        writer.close()

    async def _complete(self, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        self.asked.append(asked)
        if asked["priority"] == 20:
            await self.idle.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for event in ({"choices": [{"text": "9"}]}, {"choices": [{"text": "", "finish_reason": "stop"}]}):
            writer.write(f"data: {json.dumps(event)}\n\n".encode())
        writer.write(b"data: [DONE]\n\n")
        self.done.append(asked)


@contextlib.asynccontextmanager
async def engine(tokenizer: Path, speed: float | None) -> AsyncIterator[OwnEngine]:
    """One that is found where the engine of this machine is: a process by whose name and number it is known, and a
    socket, at which the test answers."""
    made, files = OwnEngine(tokenizer, speed), address.files("starter")
    command = [sys.executable, "-c", "import time; time.sleep(600)", "lsp_server"]
    process = subprocess.Popen(command)  # noqa: ASYNC220
    try:
        path = files.socket(process.pid)
        async with await asyncio.start_unix_server(made.serve, path):
            address.write(files.address, address.Address(process.pid, __version__, "starter", socket=str(path)))
            yield made
    finally:
        made.idle.set()
        process.kill()
        process.wait()


@pytest.fixture
def tokenizer(tokenizer_folder: Callable[..., Path]) -> Path:
    return tokenizer_folder("7b")


async def key(window: Editor, uri: str, row: int, column: int) -> None:
    """A key that no suggestion said."""
    window.insert(uri, row, column, "q")
    await window.suggest(uri, row, column + 1, typed=True)


async def rest(window: Editor, uri: str, row: int, column: int) -> None:
    at = types.Position(row, column)
    context = types.CodeActionContext([], trigger_kind=types.CodeActionTriggerKind.Automatic)
    params = types.CodeActionParams(types.TextDocumentIdentifier(uri), types.Range(at, at), context)
    await window.client.text_document_code_action_async(params)


async def test_half_a_second_at_a_new_place_and_the_whole_window_once_it_is_computed(tokenizer: Path) -> None:
    async with engine(tokenizer, 300.0) as made, editor() as window:
        made.idle.clear()
        uri = window.open("untitled:a.py", TEXT)
        await window.ready()
        window.insert(uri, 300, 0, "\n")
        await key(window, uri, 300, 0)
        await key(window, uri, 300, 1)
        assert len(made.at_keys) == 2
        assert all(78 <= tokens <= 144 for tokens in made.at_keys), made.at_keys
        await window.until(lambda: made.ahead and "value_299" in made.end_of(made.ahead[-1]))
        long = made.ahead[-1]["prompt"]
        assert 620 <= len(long) <= 1040
        made.idle.set()
        await window.until(lambda: any(each["prompt"] == long for each in made.done))
        await asyncio.sleep(0.1)
        await key(window, uri, 300, 2)
        assert len(made.at_keys) == 3
        assert made.at_keys[-1] >= len(long), "with all that was computed"
        whole = [each for each in made.asked if each["priority"] == 0][-1]["prompt"]
        assert whole[: len(long) - 8] == long[: len(long) - 8], "of which nothing is computed again"
        window.insert(uri, 100, 0, "\n")
        await key(window, uri, 100, 0)
        assert made.at_keys[-1] <= 144, "another place"


@pytest.mark.parametrize(
    ("speed", "options", "least"),
    [
        (10_000.0, {}, 2500),  # a GPU has time for four times as much
        (10_000.0, {"windowTokens": 600}, 360),
        (None, {}, 620),  # not known
        (300.0, {"prefetch": False}, 620),  # nothing is computed later
    ],
)
async def test_the_whole_window_at_once(
    speed: float | None, options: dict[str, Any], least: int, tokenizer: Path
) -> None:
    async with engine(tokenizer, speed) as made, editor(options) as window:
        uri = window.open("untitled:a.py", TEXT)
        await window.ready()
        window.insert(uri, 300, 0, "\n")
        await key(window, uri, 300, 0)
        assert made.at_keys[0] >= least
        assert made.at_keys[0] <= (options.get("windowTokens") or 4096) + 16


async def test_a_file_that_is_opened_is_computed_from_the_start(tokenizer: Path) -> None:
    async with engine(tokenizer, 300.0) as made, editor() as window:
        window.open("untitled:a.py", TEXT)
        await window.until(lambda: made.ahead)
        assert len(made.ahead[0]["prompt"]) >= 620
        assert not made.at_keys


async def test_what_is_asked_at_a_key_goes_before_the_cursor_that_rests(tokenizer: Path) -> None:
    """A window that is still being computed is not computed from its beginning for each key typed at its place."""
    async with engine(tokenizer, 300.0) as made, editor() as window:
        made.idle.clear()
        uri = window.open("untitled:a.py", TEXT)
        await window.ready()
        line = "value_400 = compute(400, scale=1)"
        await rest(window, uri, 400, len(line))
        await window.until(lambda: made.ahead and "compute(400" in made.end_of(made.ahead[-1]))
        before = len(made.ahead)
        for column in range(8):
            await key(window, uri, 400, len(line) + column)
        assert len(made.at_keys) == 8
        assert len(made.ahead) == before
