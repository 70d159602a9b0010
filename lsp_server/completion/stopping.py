"""When a suggestion is complete: read as it is generated, so that the model does no work nobody will see."""

from __future__ import annotations

import dataclasses

from lsp_server.completion.brackets import unmatched
from lsp_server.context.buffer import depth_of

# A blank line, or a return to a shallower indentation, ends a block; these many lines end any suggestion.
MOST_LINES = 24
# What may stand to the right of the cursor while a suggestion still runs to the end of the line.
CLOSERS = ")]}>\"'`;:, \t"
# A line that ends in one of these opens a block, so what follows is more than the rest of a line.
BLOCK_OPENERS = (":", "{", "(", "[", "->", "=>", "then", "do", "begin", "else")


@dataclasses.dataclass(frozen=True)
class Place:
    """What a suggestion must fit into: the text right around the cursor, line endings as `\n`.

    `cut_after`: whether the buffer goes on behind `suffix`.
    """

    prefix: str
    suffix: str
    multiline: bool
    cut_after: bool = False

    @property
    def line_before(self) -> str:
        return self.prefix.rpartition("\n")[2]

    @property
    def line_after(self) -> str:
        return self.suffix.partition("\n")[0]

    @property
    def lines_below(self) -> list[str]:
        """The next lines that are not blank, at most eight."""
        return [line for line in self.suffix.partition("\n")[2].split("\n", 64)[:64] if line.strip()][:8]

    @property
    def opens_block(self) -> bool:
        return bool(self.line_before.strip()) and self.line_before.rstrip().endswith(BLOCK_OPENERS)

    @property
    def depth(self) -> int:
        """The least indentation, in columns, that belongs to the suggestion."""
        return depth_of(self.line_before) + (1 if self.opens_block else 0)


def fits_before(rest: str) -> bool:
    """Whether a suggestion is of use in front of `rest`, the rest of the cursor's line: not in front of code."""
    return all(char in CLOSERS for char in rest.rstrip("\r\n"))


def place(prefix: str, suffix: str, multiline: str, *, cut_after: bool = False) -> Place:
    """The place at the end of `prefix`. `multiline` is the setting: auto, always, never."""
    after = suffix.partition("\n")[0]
    before = prefix.rpartition("\n")[2]
    here = Place(prefix, suffix, False)
    several = multiline == "always" or (multiline == "auto" and (not before.strip() or here.opens_block))
    return Place(prefix, suffix, several and not after.strip(), cut_after)


def end_of(text: str, here: Place) -> int | None:
    """Where a suggestion that begins with `text` ends, or None while it goes on.

    A single line ends where the line does, unless a bracket opened in it is still open. Several lines end at a blank
    line, at a line that is less indented, at the line that follows in the buffer anyway, or after the bracket that
    closes the block they are in.
    """
    lines = text.split("\n")
    offset = 0
    for index, line in enumerate(lines):
        finished = index < len(lines) - 1
        whole = text[: offset + len(line)]
        inside = bool(unmatched(text[:offset])[1])  # within brackets that the suggestion opened
        before = max(0, offset - 1)  # the end of the line above
        if index and line.strip() and not inside:
            closes = line.strip()[0] in ")]}" and here.opens_block and depth_of(line) >= here.depth - 1
            if depth_of(line) < here.depth and not closes:
                return before
            if closes and finished:
                return offset + len(line)
        if finished:
            below = here.lines_below
            if index and below and line.rstrip() == below[0].rstrip() and len(line.strip()) > 1:
                return before
            if not line.strip() and not inside and (index or not here.opens_block) and text[:offset].strip():
                return before
            if not unmatched(whole)[1] and not here.multiline and whole.strip():
                return offset + len(line)
            if index + 1 >= MOST_LINES or _thrice(lines[: index + 1]):
                return offset + len(line)
        offset += len(line) + 1
    return None


def _thrice(lines: list[str]) -> bool:
    """Whether the last three lines are one and the same: a model that has begun to go in circles."""
    return len(lines) >= 3 and bool(lines[-1].strip()) and lines[-1] == lines[-2] == lines[-3]
