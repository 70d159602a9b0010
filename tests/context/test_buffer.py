"""A buffer against an independent model: the text as one string, edited at UTF-16 or UTF-8 offsets."""

from __future__ import annotations

import random
import re

import pytest
from lsprotocol import types

from lsp_server.context.buffer import Buffer, column_of, split_lines, units_of

ALPHABET = ["a", "b", " ", "é", "€", "😀", "\f", "\u2028", "\x0b", "\x85", "\n", "\r", "\r\n", "\0", "\t"]
UNITS = {
    "utf-8": lambda s: len(s.encode("utf-8")),
    "utf-16": lambda s: len(s.encode("utf-16-le")) // 2,
    "utf-32": len,
}


def change(start: tuple[int, int], end: tuple[int, int], text: str) -> types.TextDocumentContentChangePartial:
    return types.TextDocumentContentChangePartial(types.Range(types.Position(*start), types.Position(*end)), text)


def test_lines_end_where_the_protocol_says() -> None:
    text = "a\fb\r\nc\u2028d\re\n\x85"
    assert split_lines(text) == ["a\fb\r\n", "c\u2028d\r", "e\n", "\x85"]
    assert split_lines("") == [""]
    assert split_lines("x\n") == ["x\n", ""]
    assert split_lines("x\r") == ["x\r", ""]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_columns_in_the_units_of_the_editor(encoding: str) -> None:
    line = "x = '😀é€'  # ok\n"
    for column in range(len(line)):
        units = UNITS[encoding](line[:column])
        assert units_of(line, column, encoding) == units
        assert column_of(line, units, encoding) == column
    assert column_of(line, 10_000, encoding) == len(line) - 1, "behind the line is its end, before the line ending"
    assert column_of(line, -1, encoding) == 0


def test_a_position_inside_a_character_is_before_it() -> None:
    assert column_of("😀x", 1, "utf-16") == 0
    assert column_of("😀x", 3, "utf-8") == 0


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_random_edits_leave_the_text_that_a_plain_string_would_have(encoding: str) -> None:
    rng = random.Random(7)
    for _ in range(60):
        text = "".join(rng.choices(ALPHABET, k=rng.randrange(60)))
        buffer = Buffer("file:///x", text, encoding=encoding)
        for _ in range(12):
            # Offsets between characters that are not between \r and \n, where no position is.
            places = [i for i in range(len(text) + 1) if not (text[i - 1 : i] == "\r" and text[i : i + 1] == "\n")]
            start, end = sorted(rng.choices(places, k=2))
            new = "".join(rng.choices(ALPHABET, k=rng.randrange(6)))
            buffer.apply_change(change(position(text, start, encoding), position(text, end, encoding), new))
            text = text[:start] + new + text[end:]
            assert buffer.source == text
            assert buffer.lines == split_lines(text)


def position(text: str, offset: int, encoding: str) -> tuple[int, int]:
    """Line and units of an offset, by the protocol's definition of a line."""
    starts = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", text))]
    line = max(index for index, start in enumerate(starts) if start <= offset)
    return line, UNITS[encoding](text[starts[line] : offset])


def test_whole_text_and_positions_outside() -> None:
    buffer = Buffer("file:///x", "one\ntwo", encoding="utf-16")
    assert buffer.locate(99, 5) == (1, 3)
    assert buffer.locate(0, 99) == (0, 3)
    buffer.apply_change(types.TextDocumentContentChangeWholeDocument("new\n"))
    assert buffer.source == "new\n"
    buffer.apply_change(change((1, 0), (0, 1), ""))
    assert buffer.source == "n", "a range given backwards is read forwards"


def test_twenty_megabytes_of_one_line() -> None:
    buffer = Buffer("file:///x", "x" * 20_000_000, encoding="utf-16")
    buffer.apply_change(change((0, 19_999_999), (0, 20_000_000), "yé"))
    assert buffer.locate(0, 20_000_001) == (0, 20_000_001)
    assert buffer.lines[0].endswith("xyé")
