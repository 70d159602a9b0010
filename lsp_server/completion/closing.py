"""What stands behind the cursor and must not be written twice: what closes the string or comment that it is in, and the
brackets that the rest of its line closes.

Editors put a closing bracket or quote behind the cursor when the opening one is typed.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable

from lsp_server.completion.brackets import unmatched
from lsp_server.completion.marks import marks_of
from lsp_server.completion.scanner import Open, Stack, Step, steps, text_scope
from lsp_server.context.buffer import depth_of

_LETTER = re.compile(r"[^\W_]")  # or a digit
_DEFINITION = re.compile(r"\s*(?:\w+ )*(?:def|class|function|func|fn) \w+\s*[(:{<]")


@dataclasses.dataclass(frozen=True)
class After:
    """The text after the cursor: its marks, and where in it what is open at the cursor is closed.

    `wanted`: the marks, the outermost first, of what the end of a suggestion must leave open, as it is closed behind
    it: in code the brackets that the rest of the line closes, with what they stand in, else the string or comment that
    the cursor is in and what is open in that. `base`: how many of the things open at the cursor stand around these.
    `begins`: whether a string is among them that nothing has begun yet, and that the rest of the line ends.
    """

    suffix: str
    read: list[Step]
    closed: dict[Open, Step]
    base: int
    wanted: list[str]
    in_code: bool
    begins: bool = False

    @functools.cached_property
    def line(self) -> str:
        """The rest of the cursor's line."""
        return self.suffix.partition("\n")[0].rstrip()

    @functools.cached_property
    def closers(self) -> list[int]:
        """Where the brackets stand that it closes and does not open."""
        return unmatched(self.read)[0]

    def fits(self, step: Step | None) -> bool:
        """Whether, behind a mark of a suggestion or before the first, what is `wanted` is open; in code, nothing else,
        but for what stands in a string."""
        if step is None:
            return not self.begins
        if step.kept < self.base:
            return False
        marks = [each.mark for each in step.open[self.base :]]
        if self.in_code:
            return (marks[: len(self.wanted)] if self.begins else marks) == self.wanted
        left = iter(marks)
        return all(mark in left for mark in self.wanted) and not _in_brackets(step.open[self.base :])

    def own_end(self, closed: Open) -> Step | None:
        """What closes behind the cursor what is closed in a suggestion, or was opened there in its place."""
        same = (step for each, step in self.closed.items() if each.mark == closed.mark)
        return self.closed.get(closed) or next(same, None)


def after_cursor(suffix: str, language_id: str, stack: Stack, before: str) -> After:
    """What `suffix` closes of the `stack` that is open at the cursor, on whose line `before` stands."""

    def read(stack: Stack) -> After:
        found = list(steps(suffix, language_id, stack, before=before))
        closed = {step.closed: step for step in found if step.outer and step.closed is not None}
        if scope is None:
            line = len(suffix.partition("\n")[0])
            base = len(stack) - sum(step.start < line for step in closed.values())
            if 0 < base < len(stack) and stack[base - 1].mark == stack[base].mark and stack[base - 1] not in closed:
                base = len(stack)  # one is not closed yet: which of them is closed behind the cursor is open
        else:
            base = stack.index(scope) if scope in stack else min(outside, len(stack))
        wanted = [each.mark for each in stack[base:] if each in closed]
        return After(suffix, found, closed, base, wanted, scope is None)

    scope = text_scope(stack, marks_of(language_id))
    outside = stack.index(scope) if scope is not None and scope in stack else 0
    after = read(stack)
    if scope in after.closed and not _is_its_own(scope, after, before):
        return read(stack[:outside])  # it is not closed yet: what seemed to be its end is the beginning of another
    if scope is None and (lapsed := _lapsed(after)) is not None:
        ending = read((*stack, lapsed, *_slot(after, language_id)))
        if _lapsed(ending) is None:
            return dataclasses.replace(ending, begins=True)
    return after


def _slot(after: After, language_id: str) -> Stack:
    """The brace in a string that the rest of the line closes first, where strings of the language hold code."""
    first = after.read[0]
    slots = any(each.slot and each.one_line for each in marks_of(language_id).quotes)
    ended = after.suffix[first.start] == "}" and (first.stray or first.outer)
    return (Open("bracket", "{"),) if slots and ended else ()


def _lapsed(after: After) -> Open | None:
    """The string that the rest of the cursor's line begins first and, on its last quote, leaves open."""
    line = len(after.suffix.partition("\n")[0])
    on_line = [step for step in after.read if step.start < line]
    strings = [each for step in on_line for each in step.open if each.kind == "string"]
    last = strings[-1] if strings else None
    if last is None or not last.one_line or last.mark != strings[0].mark or last not in on_line[-1].open:
        return None
    return last


def _is_its_own(scope: Open, after: After, before: str) -> bool:
    """Whether the end that `scope` finds behind the cursor, on whose line `before` stands, is its own.

    On the cursor's line it is. Further down it is not where another one or a definition begins before it or where, read
    so, the text ends in the midst of one.
    """
    inside = after.suffix[: after.closed[scope].start]
    if "\n" not in inside:
        return True
    depth = depth_of(before + "x")
    defined = any(_DEFINITION.match(line) and depth_of(line) <= depth for line in inside.split("\n")[1:])
    begins = defined or (scope.kind == "comment" and scope.mark in inside)
    return not begins and not any(each.mark == scope.mark for each in after.read[-1].open)


def closes_again(text: str, read: Iterable[Step], after: After) -> tuple[int | None, bool]:
    """(where `text`, of which `read` are the marks, begins to write what closes the string, comment or bracket at the
    cursor a second time, or None; whether that is so however it goes on).

    Where it opens another one as that was, and leaves it open, nothing is written twice, but for the rest of the line
    where that is more than signs.
    """
    closing: Step | None = None
    first: Step | None = None
    tail = ""  # from what is closed behind the cursor to the end of the line
    whole, certain = bool(after.wanted) and after.fits(None), False  # whether what is closed behind the cursor is open
    coming = False  # whether it may yet become the rest of the line
    for step in read if after.wanted else ():
        was, whole = whole, after.fits(step)
        if whole:
            closing = None
        elif was and step.closed is not None:
            closing, first = step, first or step
            tail = _tail(step.closed, after)
            if _LETTER.search(tail):
                if text.startswith(tail, step.start):
                    certain, coming = True, False
                    break
                coming = coming or tail.startswith(text[step.start :])
        ended = step.newline and not _in_brackets(step.open[after.base :])
        if closing is not None and (step.kept < after.base or step.stray or ended):
            certain = True
            break
    if closing is None:
        return None, False
    again = len(tail) > closing.end - closing.start and text.startswith(tail, closing.start)
    if after.in_code and first is not None and not again and _LETTER.search(after.line):
        closing = first  # what came after it has nothing to do with the rest of the line
    own = after.own_end(closing.closed) if closing.closed is not None else None
    rest = after.suffix[: own.start] if own is not None else ""
    cut = closing.start
    if rest.strip() and text.endswith(rest, 0, cut):  # the rest of the string, too, is there already
        cut -= len(rest)
    return cut, (certain or again) and not coming


def _tail(closed: Open, after: After) -> str:
    own = after.own_end(closed)
    return after.suffix[own.start :].partition("\n")[0].rstrip() if own is not None else ""


def _in_brackets(frames: Stack) -> bool:
    return any(each.kind == "bracket" for each in frames)
