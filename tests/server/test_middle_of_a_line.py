"""Over the wire: suggestions in the middle of a line, with code on both sides of the cursor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from actions.stand_in import StandIn
from editor import Editor, editor
from lsprotocol import types

pytestmark = pytest.mark.usefixtures("engines")

# (language, line with the cursor as ¦, what the model writes, the line once that is accepted)
LINES = [
    ("python", "foo(¦, bar)", "a", "foo(a, bar)"),
    ("python", "foo(¦, bar)", "a, bar)\nfoo(b, bar)\n", "foo(a, bar)"),
    ("python", "foo(a, ¦b)", "x, ", "foo(a, x, b)"),
    ("python", "[1, ¦, 3]", "2, 3]\n", "[1, 2, 3]"),
    ("python", "d[¦] = 3", '"k"] = 3', 'd["k"] = 3'),
    ("python", "a + ¦ + c", "b + c", "a + b + c"),
    ("python", "x = ¦  # comment", "f(1)\n", "x = f(1)  # comment"),
    ("python", "import ¦ as np", "numpy as np", "import numpy as np"),
    ("html", "<a>¦</a>", "text</a>\n", "<a>text</a>"),
    ("python", "f(¦).strip()", "x)", "f(x).strip()"),
    ("python", 'print(f"{len(¦)} keys")', 'd)} keys")', 'print(f"{len(d)} keys")'),
    ("python", 'x = "😀¦ é"', 'x é"', 'x = "😀x é"'),
    ("python", "foo(¦)", "a, b) + bar(c", "foo(a, b) + bar(c)"),
    ("python", "print¦_all(x)", "_all(x)", None),
    ("python", "pri¦_all(x)", "nt", "print_all(x)"),
]


def accepted(line: str, item: types.InlineCompletionItem) -> str:
    """The line once the item is accepted. Positions are UTF-16."""
    data = line.encode("utf-16-le")
    assert item.range is not None
    start, end = item.range.start, item.range.end
    assert start.line == end.line == 1
    assert isinstance(item.insert_text, str)
    head, tail = data[: 2 * start.character], data[2 * end.character :]
    return (head + item.insert_text.encode("utf-16-le") + tail).decode("utf-16-le")


def column(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@pytest.mark.parametrize(("language", "line", "answer", "whole"), LINES)
async def test_the_line_is_whole_once_the_suggestion_is_accepted(
    language: str, line: str, answer: str, whole: str | None, options: dict[str, object], engine: StandIn
) -> None:
    engine.answers = [answer]
    before, _, after = line.partition("¦")
    async with editor(options) as window:
        uri = window.open("untitled:a", f"\n{before}{after}\n", language)
        await window.ready()
        items = await window.suggest(uri, 1, column(before))
        assert len(engine.asked) == 1 or whole is None
        assert [accepted(before + after, item) for item in items] == ([whole] if whole else [])
        for item in items:
            assert "\n" not in item.insert_text
            assert item.range.start == item.range.end, "nothing of the line is replaced"


async def test_another_answer_where_the_first_does_not_fit(options: dict[str, object], engine: StandIn) -> None:
    engine.answers = ["return 1", "", "a: int"]
    async with editor(options) as window:
        uri = window.open("untitled:a", "x = 1\ndef f():\n    return x\n")
        await window.ready()
        (item,) = await window.suggest(uri, 1, 6, typed=True)
        assert item.insert_text == "a: int"
        assert [each["temperature"] > 0 for each in engine.asked] == [False, True, True]
        assert len({tuple(each["prompt"]) for each in engine.asked}) == 1, "what was computed of it is kept"
        assert await window.suggest(uri, 1, 6, typed=True)
        assert len(engine.asked) == 3, "it is known"


async def test_no_other_answer_at_the_end_of_a_line_but_by_hand(options: dict[str, object], engine: StandIn) -> None:
    engine.answers = ["", "1", "2", "3"]
    async with editor(options) as window:
        uri = window.open("untitled:a", "x = \n")
        await window.ready()
        assert await window.suggest(uri, 0, 4, typed=True) == []
        assert len(engine.asked) == 1
        assert await window.suggest(uri, 0, 4), "also where it is known that there was none"


async def test_by_hand_at_last_in_the_other_layout(options: dict[str, object], engine: StandIn) -> None:
    engine.answers, engine.tokenizer = ["", "", "", "", "", "a"], Path(str(options["tokenizer"]))
    async with editor({**options, "prefetch": False}) as window:
        uri = window.open("untitled:a", "foo(, bar)\n")
        await window.ready()
        (item,) = await window.suggest(uri, 0, 4)
        assert item.insert_text == "a"
        first, last = (engine.prompt_of(engine.asked[at]) for at in (0, -1))
        assert {each.index("<SUF>") < each.index("bar") for each in (first, last)} == {True}
        assert len({each.index("foo") < each.index("bar") for each in (first, last)}) == 2, "the prefix first, and last"


async def test_no_answer_that_fits(options: dict[str, object], engine: StandIn) -> None:
    engine.answers = [""]
    async with editor(options) as window:
        uri = window.open("untitled:a", "foo(, bar)\n")
        await window.ready()
        assert await window.suggest(uri, 0, 4, typed=True) == []
        assert window.reason == "The model had nothing to add here."
        assert len(engine.asked) == 3
        assert await window.suggest(uri, 0, 4, typed=True) == []
        assert len(engine.asked) == 3, "it is known that there is none"


async def test_typed_along(options: dict[str, object], engine: StandIn) -> None:
    engine.answers = ["first, second, bar)"]
    async with editor(options) as window:
        uri = window.open("untitled:a", "foo(, bar)\n")
        await window.ready()
        (item,) = await window.suggest(uri, 0, 4, typed=True)
        assert item.insert_text == "first, second"
        for at, char in enumerate("first,", start=4):
            window.insert(uri, 0, at, char)
            (item,) = await window.suggest(uri, 0, at + 1, typed=True)
        assert item.insert_text == " second"
        assert len(engine.asked) == 1, "it is known"


async def test_a_model_that_cannot_infill_is_not_asked(
    options: dict[str, object], engine: StandIn, tokenizer_folder: Callable[..., Path]
) -> None:
    async with editor({**options, "tokenizer": str(tokenizer_folder("llama2"))}) as window:
        uri = window.open("untitled:a", "foo(, bar)\n")
        await window.ready()
        assert await window.suggest(uri, 0, 4) == []
        assert window.reason.startswith("There is code to the right of the cursor, which this model cannot see")
        assert engine.asked == []


async def test_the_menu_has_it_too(options: dict[str, object], engine: StandIn) -> None:
    engine.answers = ["second, bar)"]
    async with editor({**options, "completionMenu": True}) as window:
        uri = window.open("untitled:a", "foo(first, , bar)\n")
        await window.ready()
        answer = await window.client.text_document_completion_async(
            types.CompletionParams(types.TextDocumentIdentifier(uri), types.Position(0, 11))
        )
        (item,) = answer.items
        assert item.text_edit.new_text == "second"
        at = types.Position(0, 11)
        assert item.text_edit.range == types.Range(at, at)


async def test_inside_a_word_only_by_hand(options: dict[str, object], engine: StandIn) -> None:
    async with editor(options) as window:
        uri = window.open("untitled:a", "print(x)\n")
        await window.ready()
        assert await window.suggest(uri, 0, 3, typed=True) == []
        assert window.reason == "The cursor is inside a word; ask for a suggestion by hand."
        assert engine.asked == []
        assert await window.suggest(uri, 0, 3)


@pytest.mark.parametrize(("line", "setting"), [("# the  of it\n", "inComments"), ('"the  of it"\n', "inStrings")])
async def test_not_in_comments_or_strings_where_a_setting_says_so(
    line: str, setting: str, options: dict[str, object], engine: StandIn
) -> None:
    async with editor({**options, setting: False}) as window:
        uri = window.open("untitled:a", line)
        await window.ready()
        assert await window.suggest(uri, 0, 6, typed=True) == []
        assert f"codellama.{setting}" in window.reason
        assert await window.suggest(uri, 0, 6), "asked for by hand"


async def read_and_typed_otherwise(window: Editor, uri: str, at: int, char: str) -> bool:
    """Whether a suggestion comes after one that was on the screen for a while was passed over."""
    await asyncio.sleep(1.1)
    window.insert(uri, 0, at, char)
    return bool(await window.suggest(uri, 0, at + 1, typed=True))


async def test_not_after_two_that_were_read_and_passed_over(options: dict[str, object], engine: StandIn) -> None:
    async with editor(options) as window:
        uri = window.open("untitled:a", "x = \n")
        await window.ready()
        assert await window.suggest(uri, 0, 4, typed=True)
        assert await read_and_typed_otherwise(window, uri, 4, "b")
        assert not await read_and_typed_otherwise(window, uri, 5, "c")
        assert window.reason.startswith("You passed over what was suggested on this line")
        asked = len(engine.asked)
        for at in range(6, 13):
            window.insert(uri, 0, at, "d")
            assert await window.suggest(uri, 0, at + 1, typed=True) == []
        assert len(engine.asked) == asked
        window.insert(uri, 0, 13, "e")
        assert await window.suggest(uri, 0, 14, typed=True), "enough was typed since"


async def test_by_hand_after_two_that_were_passed_over(options: dict[str, object], engine: StandIn) -> None:
    async with editor(options) as window:
        uri = window.open("untitled:a", "x = \n")
        await window.ready()
        assert await window.suggest(uri, 0, 4, typed=True)
        assert await read_and_typed_otherwise(window, uri, 4, "b")
        assert not await read_and_typed_otherwise(window, uri, 5, "c")
        assert await window.suggest(uri, 0, 6)
        window.insert(uri, 0, 6, "d")
        assert await window.suggest(uri, 0, 7, typed=True), "and from then on"
