"""A chat about a long file begins in seconds on a machine that reads slowly, and says what it left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lsp_server.chat.attachments import Wanted
from lsp_server.chat.chats import Ask, Chats
from lsp_server.context.buffer import Buffer
from lsp_server.context.uris import uri_of
from lsp_server.engine.generating.request import Prefill
from lsp_server.engine.generating.speed import Speed
from lsp_server.model.prefill import told

Talk = Callable[..., tuple[Chats, Any]]
FUNCTIONS = "".join(f"def step_{n}(value):\n    return value * {n} + {n + 1}\n\n\n" for n in range(125))


def ignored(part: dict[str, Any]) -> None: ...


@pytest.fixture
def file(tmp_path: Path, talk: Talk) -> str:
    """The URI of a file of 500 lines, which has some 2,500 tokens."""
    path = tmp_path / "work" / "steps.py"
    path.write_text(FUNCTIONS)
    return uri_of(path)


def asked(script: Any) -> str:
    return str(script.tokenizer.decode(script.prompts[-1]))


async def test_a_file_is_sent_as_far_as_it_is_read_in_time(talk: Talk, file: str) -> None:
    chats, script = talk(context=16384)
    whole = await chats.send(Ask("What is this?", attachments=(Wanted(file, "file"),)), ignored)
    assert whole.left_out == ()
    script.speed = Speed(100.0)
    ask = Ask("What does `step_90` do?", attachments=(Wanted(file, "file"),))
    preview = await chats.preview(ask)
    assert preview.fitted is not None
    assert preview.estimate is not None
    assert 500 < preview.estimate.tokens < 700
    assert preview.estimate.seconds == pytest.approx((preview.estimate.tokens - preview.estimate.known) / 100, abs=0.1)
    reply = await chats.send(ask, ignored)
    assert script.prompts[-1] == preview.fitted.ids
    assert "return value * 90 + 91" in asked(script), "what the question names stays"
    assert "return value * 2 + 3" not in asked(script)
    assert "of 1-500 were sent" in reply.left_out[0]
    assert reply.left_out[1].endswith("times as long (codellama.chatReadSeconds).")


async def test_however_slow_a_model_is_something_is_sent(talk: Talk, file: str) -> None:
    chats, script = talk()
    script.speed = Speed(1.0)
    await chats.send(Ask("What is this?", attachments=(Wanted(file, "file"),)), ignored)
    assert 200 < len(script.prompts[-1]) < 320


async def test_a_file_that_was_sent_before_begins_the_next_prompt_as_it_was(talk: Talk, file: str) -> None:
    chats, script = talk()
    script.speed = Speed(100.0)
    first = Ask("What does `step_90` do?", attachments=(Wanted(file, "file"),))
    await chats.send(first, ignored)
    script.speed = Speed(80.0)  # as measured the next time: there is nothing to read, so that it is not cut anew
    around = Wanted(file.replace("steps", "other"), "around", (0, 0))
    other = Ask("And `step_91`?", attachments=(around, Wanted(file, "file")))
    reply = await chats.send(other, ignored)
    assert reply.usage["reusedTokens"] > 0.9 * len(script.prompts[0])
    script.speed = Speed(1000.0)  # much more can be read: it is
    reply = await chats.send(first, ignored)
    assert "step_2(" in asked(script)


async def test_what_is_around_the_cursor_goes_along(talk: Talk, file: str) -> None:
    chats, script = talk()
    await chats.send(Ask("What is this?", attachments=(Wanted(file, "around", (321, 321), 4),)), ignored)
    assert "The cursor is in `steps.py`, lines 321-322 of 500:\n```python\ndef step_80(value):\n" in asked(script)
    assert "step_79" not in asked(script)
    assert "step_81" not in asked(script)
    await chats.send(Ask("What is this?", attachments=(Wanted(file, "around", (323, 323)),)), ignored)
    assert "lines 309-339 of 500:" in asked(script), "between functions: some lines on both sides"
    whole = Ask("What is this?", attachments=(Wanted(file, "around", (321, 321)), Wanted(file, "file")))
    script.speed = Speed(50.0)
    await chats.send(whole, ignored)
    assert "The cursor is in" not in asked(script), "the file has it"
    assert "return value * 80 + 81" in asked(script), "and those lines stay when it shrinks"
    selected = Ask("What?", attachments=(Wanted(file, "around", (321, 321)), Wanted(file, "selection", (0, 1))))
    await chats.send(selected, ignored)
    assert "The cursor is in" not in asked(script)


async def test_nothing_is_around_the_cursor_of_an_empty_document(talk: Talk) -> None:
    chats, _ = talk(buffers=lambda: (Buffer("untitled:one", "\n", language_id="python"),))
    reply = await chats.send(Ask("What is this?", attachments=(Wanted("untitled:one", "around", (7, 7)),)), ignored)
    assert reply.left_out == ()


async def test_one_is_told_how_far_the_question_is_read(talk: Talk) -> None:
    chats, _ = talk()
    parts: list[dict[str, Any]] = []
    await chats.send(Ask("Hello?"), parts.append)
    assert [part["reading"]["percent"] for part in parts if "reading" in part] == [96]


def test_what_one_is_told_of_reading() -> None:
    speed = Speed(100.0)
    first = told(Prefill(1000), speed, 0.1)
    assert first == {"percent": 0, "message": "Reading 0% of 1,000 tokens, about 10 s more."}
    assert told(Prefill(1000, 400), speed, 4.0)["message"] == "Reading 40% of 1,000 tokens, about 6 s more."
    assert told(Prefill(1000, 400), speed, 8.0)["message"].endswith(", about 12 s more."), "something else computes too"
    assert told(Prefill(1000, 550, 100), Speed(1e6), 0.0)["message"] == "Reading 50% of 900 tokens."
    shared = told(Prefill(10, others=1), None, 0.0)["message"]
    assert shared == "Reading 0% of 10 tokens. The model is shared: another answer is being written."
    assert told(Prefill(10, others=2), None, 0.0)["message"].endswith("2 other answers are being written.")
