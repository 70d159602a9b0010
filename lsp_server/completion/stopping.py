"""When a suggestion is complete: read as it is generated, so that the model does no work nobody will see."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

from lsp_server.completion.brackets import unmatched
from lsp_server.completion.closing import After, after_cursor
from lsp_server.completion.marks import marks_of
from lsp_server.completion.repeats import LOOKED_AT, circle
from lsp_server.completion.rest_of_line import taken_over
from lsp_server.completion.scanner import LOOK_BACK, Open, Stack, Step, steps, text_scope
from lsp_server.context.buffer import depth_of

# A blank line, or a return to a shallower indentation, ends a block; these many lines end any suggestion.
MOST_LINES = 24
# What editors put behind the cursor by themselves, and what commonly follows it: no code of its own.
CLOSERS = ")]}>\"'`;:, \t"
# A line that ends in one of these opens a block, so what follows is more than the rest of a line.
BLOCK_OPENERS = (":", "{", "(", "[", "->", "=>", "then", "do", "begin", "else")


@dataclasses.dataclass(frozen=True)
class Place:
    """What a suggestion must fit into: the text right around the cursor, line endings as `\n`.

    `cut_after`: whether the buffer goes on behind `suffix`. `within`: the string or comment that `prefix` begins in.
    What is worked out of these is worked out once, as every piece of an answer asks for it.
    """

    prefix: str
    suffix: str
    multiline: bool
    cut_after: bool = False
    language_id: str = ""
    within: Stack = ()

    @functools.cached_property
    def line_before(self) -> str:
        return self.prefix[self.prefix.rfind("\n") + 1 :]

    @functools.cached_property
    def line_after(self) -> str:
        return self.suffix.partition("\n")[0]

    @functools.cached_property
    def lines_above(self) -> list[str]:
        """The lines before the cursor's, at most as many as a repetition may begin in."""
        return self.prefix.rsplit("\n", LOOKED_AT + 1)[-LOOKED_AT - 1 : -1]

    @functools.cached_property
    def lines_below(self) -> list[str]:
        """The next lines that are not blank, at most eight."""
        return [line for line in self.suffix.partition("\n")[2].split("\n", 64)[:64] if line.strip()][:8]

    @property
    def in_line(self) -> bool:
        """Whether code stands to the right of the cursor, so that a suggestion stays on its line."""
        return any(char not in CLOSERS for char in self.line_after)

    @property
    def opens_block(self) -> bool:
        return bool(self.line_before.strip()) and self.line_before.rstrip().endswith(BLOCK_OPENERS)

    @functools.cached_property
    def depth(self) -> int:
        """The least indentation, in columns, that belongs to the suggestion."""
        return depth_of(self.line_before) + (1 if self.opens_block else 0)

    @functools.cached_property
    def read_before(self) -> list[Step]:
        """The marks of the text before the cursor."""
        return list(steps(self.prefix, self.language_id, self.within, behind=self.line_after))

    @functools.cached_property
    def opened(self) -> list[int]:
        """Where the brackets stand that the text before the cursor opens and does not close."""
        return unmatched(self.read_before)[1]

    @property
    def open(self) -> Stack:
        """What is open at the cursor."""
        return self.read_before[-1].open if self.read_before else self.within

    @functools.cached_property
    def after(self) -> After:
        """What the text after the cursor closes."""
        return after_cursor(self.suffix, self.language_id, self.open, self.line_before[-LOOK_BACK:])

    def read_around(self) -> None:
        """Work out what is open at the cursor and closed behind it, which takes as long as the text is long."""
        _ = self.after

    def read(self, text: str) -> Iterator[Step]:
        """The marks of a text that goes in at the cursor."""
        return steps(text, self.language_id, self.open, before=self.line_before[-LOOK_BACK:])


def place_at(
    prefix: str, suffix: str, multiline: str, *, cut_after: bool = False, language_id: str = "", within: Stack = ()
) -> Place:
    """The place at the end of `prefix`. `multiline` is the setting: auto, always, never."""
    after = suffix.partition("\n")[0]
    before = prefix.rpartition("\n")[2]
    here = Place(prefix, suffix, False)
    several = multiline == "always" or (multiline == "auto" and (not before.strip() or here.opens_block))
    return Place(prefix, suffix, several and not after.strip(), cut_after, language_id, within)


def end_of(text: str, here: Place) -> int | None:
    """Where a suggestion that begins with `text` ends, or None while it goes on.

    A single line ends where the line does, unless a bracket, string or comment opened in it is still open; in front of
    code always, and where that is all there is on the line, another line is none of it. Several lines end at a blank
    line, at a line that is less indented, at the line that follows in the buffer anyway, after the bracket that closes
    the block they are in, or when they begin to go in circles. Any ends where the rest of the line takes over.
    """
    read = list(here.read(text))
    lines = text.split("\n")
    ends = [_end_of_lines(text, lines, here, read)]
    ends.append(taken_over(text, read, here.after))
    if found := circle(lines[:-1], here.lines_above, here.line_before):
        ends.append(len("\n".join(lines[: found[1]])))
    return min((end for end in ends if end is not None), default=None)


def _to_close(here: Place) -> Open | None:
    """The long string or comment that the cursor is in, where nothing behind it is its end."""
    scope = text_scope(here.open, marks_of(here.language_id))
    if scope is None or scope.one_line or scope in here.after.closed:
        return None
    return scope if scope.kind == "comment" or len(scope.mark) > 1 or scope.mark == "`" else None


def _end_of_lines(text: str, lines: list[str], here: Place, read: list[Step]) -> int | None:
    # Whether each line begins within a bracket, string or comment that the suggestion opened, or has to close.
    text_open = _to_close(here)
    within = [False, *(len(step.open) > step.kept or text_open in step.open for step in read if step.newline)]
    offset = 0
    for index, line in enumerate(lines):
        finished = index < len(lines) - 1
        inside = within[index]
        before = max(0, offset - 1)  # the end of the line above
        if index and line.strip() and not inside:
            closes = line.strip()[0] in ")]}" and here.opens_block and depth_of(line) >= here.depth - 1
            if depth_of(line) < here.depth and not closes:
                return before
            if closes and finished:
                return offset + len(line)
        if finished and here.in_line:
            return offset + len(line) if here.line_before.strip() else 0
        if finished:
            below = here.lines_below
            if index and below and line.rstrip() == below[0].rstrip() and len(line.strip()) > 1:
                return before
            if not line.strip() and not inside and (index or not here.opens_block) and text[:offset].strip():
                return before
            if not within[index + 1] and not here.multiline and text[: offset + len(line)].strip():
                return offset + len(line)
            if index + 1 >= MOST_LINES:
                return offset + len(line)
        offset += len(line) + 1
    return None
