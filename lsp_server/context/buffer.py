"""A buffer: the text of an open document as lines, kept in step with the editor's changes.

Written for long files: a change costs what it touches, and a position is found by looking at one line alone. Lines end
as the protocol says, at `\n`, `\r\n` or `\r` and nowhere else: a form feed or U+2028 inside a line does not end it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

Encoding = Literal["utf-8", "utf-16", "utf-32"]

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)")


def split_lines(text: str) -> list[str]:
    """The lines of `text` with their endings; the last one, possibly empty, has none. `"".join` gives `text` back."""
    if "\r" not in text:
        lines = text.split("\n")
        return [line + "\n" for line in lines[:-1]] + lines[-1:]
    lines = _LINE.findall(text)
    return [*lines, text[sum(map(len, lines)) :]]


def depth_of(line: str) -> int:
    """Columns of a line's indentation, a tab reaching the next multiple of eight."""
    expanded = line.expandtabs(8)
    return len(expanded) - len(expanded.lstrip())


def column_of(line: str, units: int, encoding: Encoding) -> int:
    """Characters of `line` before a position of `units` code units; a position behind the line is its end.

    A position inside a character (half a surrogate pair) is the place before that character.
    """
    body = line.rstrip("\r\n")
    if units <= 0:
        return 0
    if encoding == "utf-32" or body.isascii():
        return min(units, len(body))
    head = body[:units]  # a character is at least one unit, so the position lies within these
    if encoding == "utf-8":
        return len(head.encode("utf-8", "surrogatepass")[:units].decode("utf-8", "ignore"))
    return len(head.encode("utf-16-le", "surrogatepass")[: 2 * units].decode("utf-16-le", "ignore"))


def units_of(line: str, column: int, encoding: Encoding) -> int:
    """Code units of the first `column` characters of `line`: the inverse of `column_of`."""
    head = line[:column]
    if encoding == "utf-32" or head.isascii():
        return len(head)
    if encoding == "utf-8":
        return len(head.encode("utf-8", "surrogatepass"))
    return len(head.encode("utf-16-le", "surrogatepass")) // 2


class Buffer:
    """The text of one open document.

    `lines` is never empty; every line but the last has its ending. Columns count characters; `encoding` is what
    the editor counts in. `uri`, `version` and `language_id` are the editor's. `on_change` is told of each change once
    it is made: the buffer, the first row that became another, the lines before, and those now.
    """

    def __init__(
        self,
        uri: str,
        text: str = "",
        *,
        version: int | None = None,
        language_id: str = "",
        encoding: Encoding = "utf-16",
    ) -> None:
        self.uri = uri
        self.version = version
        self.language_id = language_id
        self.encoding = encoding
        self.lines = split_lines(text)
        self.on_change: Callable[[Buffer, int, Sequence[str], Sequence[str]], None] | None = None
        self._snapshot: Snapshot | None = None

    def snapshot(self) -> Snapshot:
        """The document as it is now, which does not change. Made once for each version; ask on the event loop, where
        changes are taken in."""
        made = self._snapshot
        if made is None or made.version != self.version:
            made = self._snapshot = Snapshot(
                self.uri, version=self.version, language_id=self.language_id, encoding=self.encoding
            )
            made.lines = list(self.lines)
        return made

    @property
    def source(self) -> str:
        """The whole text. Costs its length: for the few who need all of it."""
        return "".join(self.lines)

    def apply_change(self, change: Any) -> None:
        """Take in one content change of the protocol: `text`, and the `range` it replaces unless it is the whole."""
        self._snapshot = None
        changed = getattr(change, "range", None)
        if changed is None:
            self._replace(0, len(self.lines), split_lines(change.text))
            return
        first, start = self.locate(changed.start.line, changed.start.character)
        last, end = self.locate(changed.end.line, changed.end.character)
        if (last, end) < (first, start):
            (first, start), (last, end) = (last, end), (first, start)
        head, tail = self.lines[first][:start], self.lines[last][end:]
        # A `\r` before the cut and a `\n` after it make one ending, so the neighbours are split anew with the text.
        before = [self.lines[first - 1]] if first and start == 0 else []
        new = split_lines("".join(before) + head + change.text + tail)
        if last + 1 < len(self.lines):  # the last line still has its ending, so splitting left an empty line behind
            new.pop()
        self._replace(first - len(before), last + 1, new)

    def _replace(self, first: int, end: int, new: list[str]) -> None:
        old = self.lines[first:end]
        self.lines[first:end] = new
        if self.on_change is not None:
            self.on_change(self, first, old, new)

    def with_text(self, line: int, column: int, text: str) -> tuple[Buffer, int, int]:
        """(a buffer of its own that has `text` at a place in characters, the line and the column of the text's end)"""
        changed = Buffer(self.uri, version=self.version, language_id=self.language_id, encoding=self.encoding)
        new = split_lines(self.lines[line][:column] + text)
        end = line + len(new) - 1, len(new[-1])
        new[-1] += self.lines[line][column:]
        changed.lines = [*self.lines[:line], *new, *self.lines[line + 1 :]]
        return changed, *end

    def locate(self, line: int, character: int) -> tuple[int, int]:
        """(line, column in characters) of a position in the editor's units; one outside the text is moved inside."""
        if line < 0:
            return 0, 0
        if line >= len(self.lines):
            return len(self.lines) - 1, len(self.lines[-1])
        return line, column_of(self.lines[line], character, self.encoding)

    def units(self, line: int, column: int) -> int:
        """The editor's units of a column in characters."""
        return units_of(self.lines[line], column, self.encoding)


class Snapshot(Buffer):
    """A buffer that does not change any more."""

    @functools.cached_property
    def source(self) -> str:
        return "".join(self.lines)

    def snapshot(self) -> Snapshot:
        return self

    def apply_change(self, change: Any) -> None:
        raise TypeError("A snapshot does not change.")
