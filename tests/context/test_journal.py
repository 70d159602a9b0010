"""The journal of edits, by what a programmer did: typed, renamed, undid, went to another file."""

from __future__ import annotations

import random

import pytest
from lsprotocol import types

from lsp_server.context.buffer import Buffer
from lsp_server.context.journal import MOST, MOST_ROWS, SECONDS, Change, Journal

CODE = "import os\n\n\ndef area(radius):\n    side = radius * 2\n    return side\n\n\nprint(area(1))\n"


class Window:
    """A journal, its documents, and a clock that stands still."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.journal = Journal(lambda: self.now)
        self.buffers: dict[str, Buffer] = {}

    def open(self, uri: str = "file:///a.py", text: str = CODE) -> Buffer:
        buffer = self.buffers[uri] = Buffer(uri, text)
        self.journal.opened(buffer)
        return buffer

    def only(self) -> Change:
        (change,) = self.journal.changes()
        return change


@pytest.fixture
def window() -> Window:
    return Window()


def put(buffer: Buffer, row: int, start: int, end: int, text: str, *, last: int | None = None) -> None:
    where = types.Range(types.Position(row, start), types.Position(row if last is None else last, end))
    buffer.apply_change(types.TextDocumentContentChangePartial(where, text))


def test_a_word_typed_key_by_key_is_one_change(window: Window) -> None:
    buffer = window.open()
    put(buffer, 4, 4, 8, "")
    for at, letter in enumerate("width"):
        window.now += 1
        put(buffer, 4, 4 + at, 4 + at, letter)
    change = window.only()
    assert (change.before, change.after) == ("    side = radius * 2\n", "    width = radius * 2\n")
    assert (change.row, change.last_row, change.time) == (4, 5, window.now)
    assert (change.above, change.below) == ("\ndef area(radius):\n", "    return side\n\n")


def test_what_is_undone_is_no_change(window: Window) -> None:
    buffer = window.open()
    put(buffer, 4, 4, 8, "width")
    put(buffer, 0, 0, 0, "import re\n")
    assert [change.after for change in window.journal.changes()].count("import re\n") == 1
    put(buffer, 5, 4, 9, "side")
    assert window.only().after == "import re\n"
    put(buffer, 0, 0, 0, "", last=1)
    assert window.journal.changes() == ()
    assert buffer.source == CODE


def test_changes_far_from_each_other_are_two_the_newest_first(window: Window) -> None:
    buffer = window.open()
    put(buffer, 8, 0, 5, "log")
    window.now += 1
    put(buffer, 0, 0, 0, "import re\nimport sys\n")
    new, old = window.journal.changes()
    assert (new.before, new.after, new.row) == ("", "import re\nimport sys\n", 0)
    assert (old.before, old.after) == ("print(area(1))\n", "log(area(1))\n")
    assert (old.row, old.last_row) == (10, 11), "where it is now"


def test_an_editor_that_sends_the_whole_text(window: Window) -> None:
    buffer = window.open()
    text = CODE.replace("import os", "import re").replace("print", "log")
    buffer.apply_change(types.TextDocumentContentChangeWholeDocument(text))
    assert {change.after for change in window.journal.changes()} == {"import re\n", "log(area(1))\n"}


@pytest.mark.parametrize("text", ["x = 1\n" * (MOST_ROWS + 1), "x" * 5000 + "\n"])
def test_a_large_paste_is_not_remembered_and_moves_what_is_below(window: Window, text: str) -> None:
    buffer = window.open()
    put(buffer, 8, 0, 5, "log")
    put(buffer, 0, 0, 0, text)
    change = window.only()
    assert change.after == "log(area(1))\n"
    assert buffer.lines[change.row] == change.after


def test_a_reformatted_file_is_no_edit_of_the_users(window: Window) -> None:
    buffer = window.open(text="x = 1\n" * 1000)
    put(buffer, 5, 0, 1, "y")
    buffer.apply_change(types.TextDocumentContentChangeWholeDocument("x  =  1\n" * 1000))
    assert window.journal.changes() == ()


def test_minutes_later_it_is_forgotten(window: Window) -> None:
    buffer = window.open()
    put(buffer, 8, 0, 5, "log")
    window.now += SECONDS
    assert window.only()
    window.now += 1
    assert window.journal.changes() == ()


def test_the_number_is_bounded_and_the_oldest_goes(window: Window) -> None:
    buffer = window.open(text="x = 1\n" * 1000)
    for number in range(MOST + 10):
        window.now += 1
        put(buffer, 5 * number, 0, 1, f"y{number}")
    changes = window.journal.changes()
    assert len(changes) == MOST
    assert changes[0].after == f"y{MOST + 9} = 1\n"
    assert changes[-1].after == "y10 = 1\n"


def test_a_closed_document_is_remembered_until_it_is_read_again_without_it(window: Window) -> None:
    put(window.open(), 8, 0, 5, "log")
    window.journal.closed("file:///a.py")
    assert window.only().after == "log(area(1))\n"
    window.open(text=CODE.replace("print", "log"))  # it was saved
    assert window.only().after == "log(area(1))\n"
    window.journal.closed("file:///a.py")
    window.open()  # it was not
    assert window.journal.changes() == ()


def test_it_is_known_whether_there_was_an_edit_elsewhere(window: Window) -> None:
    one, two = window.open(), window.open("file:///b.py")
    before = window.journal.elsewhere(one.uri)
    put(one, 0, 0, 0, "x")
    assert window.journal.elsewhere(one.uri) == before
    put(two, 0, 0, 0, "x")
    assert window.journal.elsewhere(one.uri) != before


def test_random_edits_made_backwards_give_the_text_before(window: Window) -> None:
    """Whatever is typed: the changes are in the text where they say they are, and are all the difference there is."""
    rng = random.Random(11)
    for _ in range(200):
        text = "".join(f"line {number % 7}\n" for number in range(rng.randrange(1, 40)))
        buffer = window.open(text=text)
        for _ in range(rng.randrange(1, 25)):
            row = rng.randrange(len(buffer.lines))
            last = min(len(buffer.lines) - 1, row + rng.choice((0, 0, 0, 1, 3)))
            start = rng.randrange(len(buffer.lines[row]) + 1)
            end = rng.randrange(start if last == row else 0, len(buffer.lines[last]) + 1)
            put(buffer, row, start, end, rng.choice(("", "x", "line 1", "\n", "a\nb\n", "line 3\n")), last=last)
        lines = list(buffer.lines)
        mine = [change for change in window.journal.changes() if change.uri == buffer.uri]
        for change in sorted(mine, key=lambda change: -change.row):
            assert "".join(lines[change.row : change.last_row]) == change.after
            assert change.before != change.after
            lines[change.row : change.last_row] = [change.before]
        assert "".join(lines) == text
        window.journal.closed(buffer.uri)
        window.journal = Journal(lambda: window.now)
