"""Holes in real code: a piece is taken out of a file and asked for again."""

from __future__ import annotations

import dataclasses
import functools
import random
import re
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class File:
    """A source file: its name, its language, its text with `\n` line endings."""

    name: str
    language: str
    text: str


@dataclasses.dataclass(frozen=True)
class Hole:
    """A piece taken out of a file. `kind`: line, rest, piece, block, body. `cursor`: what stands before it."""

    kind: str
    cursor: str
    language: str
    name: str
    prefix: str
    middle: str
    suffix: str


LONGEST = {"line": 160, "rest": 160, "piece": 60, "block": 320, "body": 400}  # characters of a hole
CLOSERS = ")]}>\"'`;:, \t"  # as lsp_server.completion.stopping: what may stand right of a cursor


def hole(file: File, rng: random.Random, kind: str, before: int, after: int) -> Hole | None:
    """A hole of this kind at a random place of `file`, or None where that place has none.

    `before` and `after`: as in `narrowed`.
    """
    lines = _lines(file.text)
    row = rng.randrange(len(lines))
    if not lines[row].strip() or not lines[row].endswith("\n"):
        return None
    found = {"line": _block, "block": _block, "body": _body, "rest": _rest, "piece": _rest}[kind](lines, row, rng, kind)
    if found is None:
        return None
    start, end = (sum(map(len, lines[:row])) + column for column in found)
    prefix, middle, suffix = file.text[:start], file.text[start:end], file.text[end:]
    if not middle.strip() or len(middle) > LONGEST[kind]:
        return None
    whole = Hole(kind, cursor_of(prefix, middle), file.language, file.name, prefix, middle, suffix)
    return narrowed(whole, before, after)


def narrowed(whole: Hole, before: int, after: int) -> Hole:
    """The hole with at most so many characters before and behind it, cut at line ends as the product's window is."""
    return dataclasses.replace(whole, prefix=_tail(whole.prefix, before), suffix=_head(whole.suffix, after))


Span = tuple[int, int]
"""Where a hole begins and ends, in characters from the start of the row that was drawn."""


def _block(lines: Sequence[str], row: int, rng: random.Random, kind: str) -> Span | None:
    """One line, or two to five of a block, mostly without the indentation, which editors write themselves."""
    indent = _indent(lines[row])
    column = 0 if rng.random() < 0.15 else indent
    last = row
    if kind == "block":
        wanted = rng.randint(2, 5)
        while last + 1 - row < wanted and _belongs(lines, last + 1, indent):
            last += 1
        if last == row:
            return None
    return column, sum(map(len, lines[row : last + 1])) - 1


def _body(lines: Sequence[str], row: int, rng: random.Random, kind: str) -> Span | None:
    """What a line that ends in `:` or `{` opens, from the end of that line or from the next one's indentation."""
    header, last = lines[row].rstrip(), row
    if header[-1] not in ":{":
        return None
    while _belongs(lines, last + 1, _indent(lines[row]) + 1):
        last += 1
    if last == row:
        return None
    start = len(header) if rng.random() < 0.3 else len(lines[row]) + _indent(lines[row + 1])
    return start, sum(map(len, lines[row : last + 1])) - 1


def _rest(lines: Sequence[str], row: int, rng: random.Random, kind: str) -> Span | None:
    """The end of a line, or a piece that ends before it: mostly where closing brackets stand right of the cursor."""
    line = lines[row].rstrip("\n")
    if len(line.strip()) < 4:
        return None
    start, end = rng.randrange(_indent(line) + 1, len(line)), len(line)
    if kind == "piece":
        closers = len(line) - len(line.rstrip(CLOSERS))
        end = len(line) - rng.randint(1, closers) if rng.random() < 0.6 and closers else start + rng.randint(1, 40)
    return (start, end) if start < end and (kind == "rest" or end < len(line)) else None


def cursor_of(prefix: str, middle: str) -> str:
    """What the cursor stands behind."""
    word = re.compile(r"\w")
    if not prefix.rpartition("\n")[2].strip():
        return "line start"
    if prefix[-1].isspace():
        return "after a space"
    if not word.match(prefix[-1]):
        return "after a sign"
    return "inside a word" if word.match(middle) else "after a word"


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _belongs(lines: Sequence[str], row: int, indent: int) -> bool:
    """Whether a line goes on with a block that is indented by `indent`: the stopping rules end at blank lines."""
    return row < len(lines) and bool(lines[row].strip()) and lines[row].endswith("\n") and _indent(lines[row]) >= indent


@functools.lru_cache(maxsize=4096)
def _lines(text: str) -> Sequence[str]:
    lines = [line + "\n" for line in text.split("\n")]
    return [*lines[:-1], lines[-1][:-1]] if lines[-1] != "\n" else lines[:-1]


def _tail(text: str, most: int) -> str:
    """Whole lines at the end of a text, the last one as far as it goes."""
    if len(text) <= most:
        return text
    at = text.find("\n", len(text) - most)
    return text[at + 1 :] if at >= 0 else text[-most:]


def _head(text: str, most: int) -> str:
    """The rest of a line at the start of a text, and whole lines below."""
    if len(text) <= most:
        return text
    at = text.rfind("\n", 0, most)
    return text[: at + 1] if at >= 0 else text[:most]
