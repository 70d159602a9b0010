"""The steps of an edit: what was done last, one place after the other.

Where the journal says what became of some lines in the end, a step is one edit of the user's: keys that follow on each
other at one place. Writing a function and then renaming a variable in it are two steps, and one change of the journal.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

# Steps that are remembered, over all documents, and how long after their last key.
MOST, SECONDS = 24, 300.0
# Lines of one step, before and after; what is larger was pasted, generated or formatted.
MOST_ROWS = 60

Place = tuple[int, int]
"""A row and a column in characters."""


@dataclasses.dataclass(frozen=True)
class Step:
    """In the text `base`, the lines `before` from `row` on became the lines `after`. Lines have their endings. `time`:
    of the last key."""

    uri: str
    base: Sequence[str]
    row: int
    before: tuple[str, ...]
    after: tuple[str, ...]
    time: float


@dataclasses.dataclass(frozen=True)
class TakenBack:
    """The lines `before`, now from `row` on, had become the lines `after`, and the user put them back."""

    uri: str
    row: int
    before: tuple[str, ...]
    after: tuple[str, ...]


class Steps:
    """The steps in the open documents, for one thread. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._steps: list[Step] = []
        self._taken_back: list[TakenBack] = []
        self._span: tuple[Place, Place] | None = None  # what the last splice wrote

    def recent(self) -> tuple[Step, ...]:
        """The steps of the last minutes, the oldest first."""
        now = self._clock()
        return tuple(step for step in self._steps if now - step.time <= SECONDS)

    def taken_back(self) -> tuple[TakenBack, ...]:
        """What was undone at its place, while the steps before it are remembered."""
        return tuple(self._taken_back)

    def forget(self, uri: str) -> None:
        """The text of a document is another, or it was closed: what was done in it leads nowhere."""
        self._steps = [step for step in self._steps if step.uri != uri]
        self._taken_back = [each for each in self._taken_back if each.uri != uri]
        self._span = None

    def spliced(self, uri: str, lines: Sequence[str], first: int, old: Sequence[str], count: int) -> None:
        """In a document `old` from row `first` on are now `count` lines; `lines` is the text now."""
        new = lines[first : first + count]
        if max(len(old), len(new)) > MOST_ROWS:
            self.forget(uri)
            return
        self._move_taken_back(uri, first, len(old), count)
        undone: TakenBack | None = None
        start, old_end, new_end = _span(first, old, new)
        last = self._steps[-1] if self._steps and self._steps[-1].uri == uri else None
        if last is not None and self._span is not None and self._goes_on(last, self._span, start, old_end, first, old):
            self._steps.pop()
            step = self._joined(last, lines, first, old, count)
            if step.before == step.after and last.row == step.row:
                undone = TakenBack(uri, step.row, step.before, last.after)
        else:
            base = [*lines[:first], *old, *lines[first + count :]]
            step = Step(uri, base, first, tuple(old), tuple(new), self._clock())
        self._span = start if start[0] == new_end[0] else new_end, new_end  # of what was pasted, the end
        if undone is not None:
            self._taken_back = [*self._taken_back, undone][-MOST:]
        elif any(_undoes(step, earlier) for earlier in self._steps):
            self.forget(uri)
        elif step.before != step.after and max(len(step.before), len(step.after)) <= MOST_ROWS:
            self._steps = [*self._steps, step][-MOST:]
        elif step.before != step.after:
            self.forget(uri)

    def _move_taken_back(self, uri: str, first: int, old: int, new: int) -> None:
        """In a document `old` lines from row `first` on became `new`: what was put back there is changed anew."""
        kept = []
        for each in self._taken_back:
            if each.uri != uri or each.row + len(each.before) <= first:
                kept.append(each)
            elif each.row >= first + old:
                kept.append(dataclasses.replace(each, row=each.row + new - old))
        self._taken_back = kept

    def _goes_on(
        self, last: Step, span: tuple[Place, Place], start: Place, end: Place, first: int, old: Sequence[str]
    ) -> bool:
        """Whether a splice is at the place of the one before, or in the same word."""

        def wide(row: int, column: int, forwards: bool) -> Place:
            line = old[row - first] if first <= row < first + len(old) else ""
            while forwards and column < len(line) and _in_word(line[column]):
                column += 1
            while not forwards and 0 < column <= len(line) and _in_word(line[column - 1]):
                column -= 1
            if forwards and line[column:].strip("\r\n") == "" != line[column:]:
                return row + 1, 0  # a line ending that is typed here looks the same as one typed there
            return row, column

        return wide(*span[0], False) <= wide(*end, True) and wide(*start, False) <= wide(*span[1], True)

    def _joined(self, last: Step, lines: Sequence[str], first: int, old: Sequence[str], count: int) -> Step:
        """One step of the last one and a splice: from the text before the first to the text now."""
        shown = [*lines[:first], *old, *lines[first + count :]]  # between the two
        end, stop = last.row + len(last.after), first + len(old)
        begin, finish = min(last.row, first), max(end, stop)
        before = (*shown[begin : last.row], *last.before, *shown[end:finish])
        after = lines[begin : finish + count - len(old)]
        return dataclasses.replace(last, row=begin, before=before, after=tuple(after), time=self._clock())


def _span(first: int, old: Sequence[str], new: Sequence[str]) -> tuple[Place, Place, Place]:
    """Where a splice begins, and where it ends in the old text and in the new one."""
    one, other = "".join(old), "".join(new)
    most = min(len(one), len(other))
    start = next((at for at in range(most) if one[at] != other[at]), most)
    end = next((at for at in range(most - start) if one[-1 - at] != other[-1 - at]), most - start)
    return _place(first, one, start), _place(first, one, len(one) - end), _place(first, other, len(other) - end)


def _place(first: int, text: str, offset: int) -> Place:
    return first + text.count("\n", 0, offset), offset - (text.rfind("\n", 0, offset) + 1)


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _undoes(step: Step, earlier: Step) -> bool:
    """Whether a step takes an earlier one back."""
    return step.uri == earlier.uri and step.before == earlier.after and step.after == earlier.before
