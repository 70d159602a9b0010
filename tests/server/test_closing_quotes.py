"""Over the wire: a quote that the editor has closed behind the cursor, and lines that the model repeats."""

from __future__ import annotations

import pytest
from actions.stand_in import StandIn
from editor import editor
from lsprotocol import types

pytestmark = pytest.mark.usefixtures("engines")

# (language, buffer with the cursor as ¦, what the model writes, the cursor's line once that is accepted)
LINES = [
    ("python", 'print("¦")\n', 'hello")\nprint("world")\n', 'print("hello")'),
    ("python", 'print("¦")\r\nx = 1\r\n', 'hello")', 'print("hello")'),
    ("python", "name = input('¦')\n", "Your name: ')", "name = input('Your name: ')"),
    ("python", "name = input('¦')\n", "Hi ' + name + '", "name = input('Hi ' + name + '')"),
    ("python", 'user["¦"]\n', 'name"', 'user["name"]'),
    ("python", 'x = {"¦"}\n', 'a": 1}', 'x = {"a"}'),
    ("python", 'p = ArgumentParser(description="¦")\n', 'Trains it.")', 'p = ArgumentParser(description="Trains it.")'),
    ("javascript", "console.log('¦');\n", "hi');", "console.log('hi');"),
    ("javascript", "console.log(`¦`);\n", "hi ${name}`);", "console.log(`hi ${name}`);"),
    ("html", '<div class="¦">\n', 'box">text</div>', '<div class="box">'),
    ("", 'print("¦")\n', 'hello")', 'print("hello")'),
    # In a long file, of which the model sees only a part, and which begins in the midst of a docstring.
    ("python", '"""\n' + "It's long.\n" * 900 + '"""\n' + "x = 1\n" * 5 + 'print("¦")\n', 'hello")', 'print("hello")'),
    ("python", "def f():\n    ¦\n", "a()\n    a()\n    a()\n", "    a()"),
    (
        "javascript",
        "function f(s) {\n  ¦\n}\n",
        "return s.replace(/[(\\[]/g, '');\n",
        "  return s.replace(/[(\\[]/g, '');",
    ),
]


@pytest.mark.parametrize(("language", "buffer", "answer", "line"), LINES)
async def test_the_line_is_whole_once_the_suggestion_is_accepted(
    language: str, buffer: str, answer: str, line: str, options: dict[str, object], engine: StandIn
) -> None:
    engine.answers = [answer]
    before, _, after = buffer.partition("¦")
    async with editor(options) as window:
        uri = window.open("untitled:a", before + after, language)
        await window.ready()
        row, column = before.count("\n"), len(before.rpartition("\n")[2])
        (item,) = await window.suggest(uri, row, column)
        start = item.range.start
        assert start.line == row
        head = before.rpartition("\n")[2][: start.character]
        assert head + item.insert_text + after.partition("\n")[0].rstrip("\r") == line


async def test_typing_along_with_an_editor_that_closes_quotes(options: dict[str, object], engine: StandIn) -> None:
    engine.answers = ['print("hello", file=log)']
    async with editor(options) as window:
        uri = window.open("untitled:a", "x = \n")
        await window.ready()
        assert await window.suggest(uri, 0, 4, typed=True)
        window.insert(uri, 0, 4, "print()")
        window.insert(uri, 0, 10, '""')
        (item,) = await window.suggest(uri, 0, 11, typed=True)
        assert item.insert_text == "hello"
        assert item.range.start == types.Position(0, 11)
        assert len(engine.asked) == 1, "it is known"


async def test_a_server_that_names_its_end_otherwise(options: dict[str, object], engine: StandIn) -> None:
    engine.answers, engine.finish_reason = ["w * h"], "eos"
    async with editor(options) as window:
        uri = window.open("untitled:a", "area = \n")
        await window.ready()
        (item,) = await window.suggest(uri, 0, 7)
        assert item.insert_text == "w * h"
