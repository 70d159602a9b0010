"""Over the wire: a model that was trained for next edits, at a server of others that answers in its format."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from actions.stand_in import StandIn, stand_in
from editor import Editor, editor
from server.next_edits import ask, put, tell

pytestmark = pytest.mark.usefixtures("engines")

TEXT = "alpha = 1\nbeta = 2\ngamma = 3\nprint(alpha, beta)\n"
CHANGED = "alpha = 1\nbeta = 2\ngamma = 30\nprint(alpha, beta)"
BETTER = CHANGED.replace("beta)", "beta, gamma)")
ZETA = "<|editable_region_start|>\n{}\n\n<|editable_region_end|>\n"


@pytest.fixture
async def writer(tokenizer_folder: Callable[..., Path]) -> AsyncIterator[StandIn]:
    """The server that has the model for next edits."""
    async with stand_in() as made:
        made.tokenizer = tokenizer_folder("7b")
        yield made


@pytest.fixture
def asking(options: dict[str, object], writer: StandIn) -> dict[str, object]:
    return {
        **options,
        "nextEditModel": str(writer.tokenizer),
        "nextEditUrl": writer.url,
        "nextEditFormat": "zeta",
    }


async def change(window: Editor, uri: str = "untitled:a", text: str = TEXT) -> str:
    """A change from which nothing follows by itself, and the model for next edits within reach."""
    uri = window.open(uri, text)
    await window.ready()
    await ask(window, uri, 0)
    put(window, uri, 2, 9, 9, "0")
    return uri


async def first(window: Editor, uri: str, row: int = 2) -> object:
    """The first offer, once the model is reached."""
    for _ in range(100):
        if edit := (await ask(window, uri, row))["edit"]:
            return edit
        await asyncio.sleep(0.05)
    return None


async def test_the_region_is_rewritten(asking: dict[str, object], engine: StandIn, writer: StandIn) -> None:
    writer.answers = [ZETA.format(BETTER)]
    async with editor(asking) as window:
        uri = await change(window)
        edit = await first(window, uri)
        assert isinstance(edit, dict)
        assert (edit["oldText"], edit["newText"], edit["kind"]) == ("", ", gamma", "rewritten")
        assert edit["range"]["start"] == {"line": 3, "character": 17}
        assert edit["textDocument"] == {"uri": uri, "version": 2}
        assert writer.prompt.startswith("<s> ### Instruction:\n") or "### Instruction:\n" in writer.prompt
        assert "-gamma = 3\n+gamma = 30\n" in writer.prompt
        assert "\n<|user_cursor_is_here|>gamma = 30\n" in writer.prompt
        assert writer.prompt.endswith("\n```\n\n### Response:\n")
        assert not engine.asked, "that of the suggestions has another"
        asked = len(writer.asked)
        assert (await ask(window, uri, 2))["edit"]["newText"] == ", gamma"
        assert len(writer.asked) == asked, "the same is not asked twice"
        tell(window, edit["id"], "rejected")
        assert await ask(window, uri, 2) == {"edit": None}


async def test_in_another_format_at_the_server_of_the_suggestions(
    options: dict[str, object], engine: StandIn, tokenizer_folder: Callable[..., Path]
) -> None:
    engine.answers, engine.tokenizer = [f"\n{BETTER}\n"], tokenizer_folder("7b")
    own = {"nextEditModel": str(tokenizer_folder("7b")), "nextEditFormat": "sweep"}
    async with editor({**options, **own}) as window:
        uri = await change(window)
        edit = await first(window, uri)
        assert isinstance(edit, dict)
        assert edit["newText"] == ", gamma"
        assert "original:\ngamma = 3\nupdated:\ngamma = 30\n" in engine.prompt
        assert engine.prompt.endswith(f"current/untitled:a\n{CHANGED}\n\n<|file_sep|>updated/untitled:a")


QUIET = {
    "the same text": ZETA.format(CHANGED),
    "no markers": CHANGED,
    "garbage": "### Response: I would suggest to\x00 rename it.",
    "the end without the beginning": f"{BETTER}\n<|editable_region_end|>",
    "what does not parse": ZETA.format(CHANGED.replace("beta)", "beta, (")),
    "too many lines": ZETA.format(CHANGED + "\nx = 1" * 20),
    "the user's change taken back": ZETA.format(CHANGED.replace("30", "3")),
    "nothing": "",
}


@pytest.mark.parametrize("why", QUIET)
async def test_what_is_not_offered(
    asking: dict[str, object], writer: StandIn, capfd: pytest.CaptureFixture[str], why: str
) -> None:
    writer.answers = [QUIET[why]]
    async with editor(asking) as window:
        assert await first_asked(window, await change(window), writer) == {"edit": None}
        assert not window.messages
    if "<|editable_region_start|>" not in QUIET[why]:
        said_once(capfd, "the answer is not in the format of the model")


async def test_more_than_was_asked_for_is_not_offered(
    asking: dict[str, object], writer: StandIn, capfd: pytest.CaptureFixture[str]
) -> None:
    writer.answers, writer.finish_reason = ["<|editable_region_start|>\n" + "x = 1\n" * 50], "length"
    async with editor(asking) as window:
        assert await first_asked(window, await change(window), writer) == {"edit": None}
        assert not window.messages
    said_once(capfd, "the model wrote more than was asked for")


def said_once(capfd: pytest.CaptureFixture[str], why: str) -> None:
    """The log has one sentence, and nothing of the text."""
    log = capfd.readouterr().err
    assert [line.partition("No next edit: ")[2] for line in log.splitlines() if "No next edit" in line] == [why]
    assert "gamma" not in log


async def first_asked(window: Editor, uri: str, writer: StandIn) -> object:
    """The answer to a request for which the model was asked."""
    for _ in range(100):
        found = await ask(window, uri, 2)
        if writer.asked:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("the model was not asked")


async def test_a_server_that_refuses_is_quiet(
    asking: dict[str, object], writer: StandIn, capfd: pytest.CaptureFixture[str]
) -> None:
    writer.error = "no room"
    async with editor(asking) as window:
        assert await first_asked(window, await change(window), writer) == {"edit": None}
        assert not window.messages
    assert capfd.readouterr().err.count("no room") == 1


async def test_who_types_on_ends_it(asking: dict[str, object], writer: StandIn) -> None:
    writer.answers = [ZETA.format(BETTER)]
    writer.hold.clear()
    async with editor(asking) as window:
        uri = await change(window)
        asked = asyncio.ensure_future(first_asked(window, uri, writer))
        await window.until(lambda: writer.asked)
        put(window, uri, 2, 9, 9, "0")
        assert await asyncio.wait_for(asked, 10) == {"edit": None}
        await window.until(lambda: writer.ended)


async def test_one_that_takes_too_long_is_given_up(
    asking: dict[str, object], writer: StandIn, capfd: pytest.CaptureFixture[str]
) -> None:
    writer.hold.clear()
    async with editor(asking) as window:
        uri = await change(window)
        assert await asyncio.wait_for(first_asked(window, uri, writer), 15) == {"edit": None}
        await window.until(lambda: writer.ended)
    said_once(capfd, "the model took more than 5 s.")


async def test_what_follows_by_itself_goes_first(asking: dict[str, object], writer: StandIn) -> None:
    async with editor(asking) as window:
        uri = await change(window)
        await first_asked(window, uri, writer)
        asked = len(writer.asked)
        put(window, uri, 0, 0, 5, "first")
        assert (await ask(window, uri, 0))["edit"]["kind"] == "rename"
        assert len(writer.asked) == asked


async def test_text_with_a_mark_of_the_format_is_not_sent(asking: dict[str, object], writer: StandIn) -> None:
    async with editor(asking) as window:
        uri = await change(window, text=TEXT + "# <|editable_region_end|>\n")
        for _ in range(10):
            assert await ask(window, uri, 2) == {"edit": None}
            await asyncio.sleep(0.05)
        assert not writer.asked


async def test_a_secret_is_not_sent(asking: dict[str, object], writer: StandIn) -> None:
    async with editor(asking) as window:
        uri = await change(window, text=TEXT + 'password = "hunter2hunter2"\n')
        for _ in range(10):
            assert await ask(window, uri, 2) == {"edit": None}
            await asyncio.sleep(0.05)
        assert not writer.asked


async def test_a_server_that_is_not_there_is_told_once_and_holds_nothing_up(
    options: dict[str, object], engine: StandIn, tokenizer_folder: Callable[..., Path]
) -> None:
    engine.answers, engine.probability = ["1"], 0.9
    own = {
        "nextEditModel": str(tokenizer_folder("7b")),
        "nextEditUrl": "http://127.0.0.1:9",
        "nextEditFormat": "zeta",
    }
    async with editor({**options, **own}) as window:
        uri = await change(window)
        assert await ask(window, uri, 2) == {"edit": None}
        await window.until(lambda: window.messages)
        for _ in range(3):
            assert await ask(window, uri, 2) == {"edit": None}
        assert [item.insert_text for item in await window.suggest(uri, 2, 8)] == ["1"]
        (said,) = window.messages
        assert said.startswith("Code Llama (next edit): No engine answers at http://127.0.0.1:9")
        assert window.statuses[-1]["kind"] == "ready", "that of the suggestions is"
        other = window.open("untitled:b", "def area(width):\n    return width\n\n\nprint(area(2))\n")
        put(window, other, 0, 14, 14, ", height")
        filled = (await ask(window, other, 0))["edit"]
        assert (filled["newText"], filled["kind"]) == ("2, 1", "filled"), "by that of the suggestions"
