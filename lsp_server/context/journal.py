"""The journal of edits: what was changed in the open documents in the last minutes.

Changes that touch each other are one, from the text before the first to the text after the last, so that a word that is
typed key by key is one change, and an edit that is undone is none. All of it is in memory, and bounded; what is hidden
from the model is for whoever takes from it to leave out.
"""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Callable, Sequence

from lsp_server.context import edits
from lsp_server.context.buffer import Buffer
from lsp_server.context.steps import Steps
from lsp_server.context.window import normalized

# How long a change is remembered after its last key.
SECONDS = 600.0
# Changes that are remembered, and those of documents that are closed.
MOST, MOST_CLOSED = 60, 20
# Lines and characters of one change, before and after; a larger one is a file that was generated or formatted.
MOST_ROWS, MOST_CHARACTERS = 40, 4000
# Lines of one splice in which its edits are told apart.
MOST_COMPARED = 200
# Unchanged lines between two changes that are still one.
GAP = 1
# Lines around a change that are shown with it.
AROUND = 2


@dataclasses.dataclass(frozen=True)
class Change:
    """What became of some lines: `before` became `after`, which now are the rows from `row` up to, not including,
    `last_row` of the document, between `above` and `below`. Whole lines, endings as `\n`. `time`: of the last key, on
    the journal's clock."""

    uri: str
    row: int
    last_row: int
    before: str
    after: str
    above: str
    below: str
    time: float


@dataclasses.dataclass
class _Hunk:
    """A change in an open document: these lines became `count` lines from `row` on."""

    row: int
    before: list[str]
    count: int
    time: float


@dataclasses.dataclass
class _Open:
    buffer: Buffer
    hunks: list[_Hunk] = dataclasses.field(default_factory=list)
    ticks: int = 0


class Journal:
    """For one thread, that which takes the changes in. `clock` gives seconds. `steps`: the same, edit by edit."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.steps = Steps(clock)
        self._open: dict[str, _Open] = {}
        self._closed: deque[Change] = deque(maxlen=MOST_CLOSED)
        self._ticks = 0

    def opened(self, buffer: Buffer) -> None:
        """Follow a document. What was changed in it before is remembered if it is still there."""
        self._open[buffer.uri] = _Open(buffer)
        buffer.on_change = self._spliced
        if mine := [change for change in self._closed if change.uri == buffer.uri]:
            text = normalized(buffer.source)
            for change in mine:
                if not change.after or change.after not in text:
                    self._closed.remove(change)

    def closed(self, uri: str) -> None:
        document = self._open.pop(uri, None)
        self.steps.forget(uri)
        if document is not None:
            document.buffer.on_change = None
            self._closed.extend(self._changes_in(document))
            self._ticks += 1

    def elsewhere(self, uri: str) -> int:
        """A number that changes with what is changed in other documents than this."""
        document = self._open.get(uri)
        return self._ticks - (document.ticks if document else 0)

    def changes(self) -> tuple[Change, ...]:
        """The changes of the last minutes, the newest first."""
        now = self._clock()
        found = [change for document in self._open.values() for change in self._changes_in(document)]
        found += self._closed
        recent = [change for change in found if now - change.time <= SECONDS]
        return tuple(sorted(recent, key=lambda change: -change.time)[:MOST])

    def _changes_in(self, document: _Open) -> list[Change]:
        lines = document.buffer.lines
        return [
            Change(
                document.buffer.uri,
                hunk.row,
                hunk.row + hunk.count,
                normalized("".join(hunk.before)),
                normalized("".join(lines[hunk.row : hunk.row + hunk.count])),
                normalized("".join(lines[max(0, hunk.row - AROUND) : hunk.row])),
                normalized("".join(lines[hunk.row + hunk.count : hunk.row + hunk.count + AROUND])),
                hunk.time,
            )
            for hunk in document.hunks
        ]

    def _spliced(self, buffer: Buffer, first: int, old: Sequence[str], new: Sequence[str]) -> None:
        """Lines of a document became others: `old` from row `first` on are now `new`."""
        document = self._open.get(buffer.uri)
        if document is None or document.buffer is not buffer:
            return
        self._ticks += 1
        document.ticks += 1
        if max(len(old), len(new)) > MOST_COMPARED:
            start, end = _alike(old, new)
            first, old, new = first + start, old[start : len(old) - end], new[start : len(new) - end]
        if max(len(old), len(new)) > MOST_COMPARED:
            self._lost(document, first, len(old), len(new))
            return
        if min(len(old), len(new)) > 1:  # perhaps several edits, far from each other
            lines = [*buffer.lines[:first], *old, *buffer.lines[first + len(new) :]]
            for start, end, new_start, new_end in reversed(edits.differences(old, new)):
                lines[first + start : first + end] = new[new_start:new_end]
                self._joined(document, lines, first + start, old[start:end], new_end - new_start)
        else:
            self._joined(document, buffer.lines, first, old, len(new))
        self._forget_old()

    def _lost(self, document: _Open, first: int, old: int, new: int) -> None:
        """More was changed than can be told: what was known there is not any more."""
        self.steps.forget(document.buffer.uri)
        document.hunks = [hunk for hunk in document.hunks if hunk.row >= first + old or hunk.row + hunk.count <= first]
        for hunk in document.hunks:
            if hunk.row >= first + old:
                hunk.row += new - old

    def _joined(self, document: _Open, lines: Sequence[str], first: int, old: Sequence[str], count: int) -> None:
        """`old` from row `first` on are now `count` lines; `lines` is the text now."""
        self.steps.spliced(document.buffer.uri, lines, first, old, count)
        last, moved = first + len(old), count - len(old)
        touched = [hunk for hunk in document.hunks if hunk.row <= last + GAP and hunk.row + hunk.count >= first - GAP]
        begin = min([first, *(hunk.row for hunk in touched)])
        end = max([last, *(hunk.row + hunk.count for hunk in touched)])

        def earlier(start: int, stop: int) -> list[str]:
            """The lines before this splice."""
            return [
                lines[row] if row < first else old[row - first] if row < last else lines[row + moved]
                for row in range(start, stop)
            ]

        before: list[str] = []
        at = begin
        for hunk in touched:
            before += [*earlier(at, hunk.row), *hunk.before]
            at = hunk.row + hunk.count
        before += earlier(at, end)
        after = lines[begin : end + moved]
        start, stop = _alike(before, after)
        rest = [hunk for hunk in document.hunks if hunk not in touched]
        for hunk in rest:
            if hunk.row >= end:
                hunk.row += moved
        before, after = before[start : len(before) - stop], after[start : len(after) - stop]
        size = max(sum(map(len, before)), sum(map(len, after)))
        if (before or after) and max(len(before), len(after)) <= MOST_ROWS and size <= MOST_CHARACTERS:
            rest.append(_Hunk(begin + start, before, len(after), self._clock()))
        document.hunks = sorted(rest, key=lambda hunk: hunk.row)

    def _forget_old(self) -> None:
        now = self._clock()
        for document in self._open.values():
            document.hunks = [hunk for hunk in document.hunks if now - hunk.time <= SECONDS]
        times = sorted(hunk.time for document in self._open.values() for hunk in document.hunks)
        if len(times) > MOST:
            for document in self._open.values():
                document.hunks = [hunk for hunk in document.hunks if hunk.time >= times[-MOST]]


def _alike(before: Sequence[str], after: Sequence[str]) -> tuple[int, int]:
    """How many lines both begin with, and how many they end with."""
    most = min(len(before), len(after))
    start = 0
    while start < most and before[start] == after[start]:
        start += 1
    end = 0
    while end < most - start and before[-1 - end] == after[-1 - end]:
        end += 1
    return start, end
