"""Suggestions that are known already: typed along, deleted back to, accepted in part, or computed ahead."""

from __future__ import annotations

import dataclasses
from collections import deque

from lsp_server.completion.filters import fitted
from lsp_server.completion.scanner import Stack, open_far_above
from lsp_server.completion.stopping import Place, place_at
from lsp_server.completion.suggest import Suggestion
from lsp_server.context.buffer import Buffer
from lsp_server.context.languages import language
from lsp_server.context.window import normalized

# How much of the text around the cursor must be the same for a suggestion to hold: about what the model saw of it.
CHARACTERS_BEFORE, CHARACTERS_AFTER = 4000, 2000
# What editors put behind the cursor by themselves when an opening bracket or a quote is typed, and how many.
CLOSERS, MOST_CLOSERS = ")]}>\"'`", 6
# Lines that may be typed along, and suggestions that are kept.
MOST_ROWS, KEPT = 40, 64


@dataclasses.dataclass(frozen=True)
class Spot:
    """A cursor with the last `CHARACTERS_BEFORE` characters before it and the next `CHARACTERS_AFTER` after it, line
    endings as `\n`."""

    uri: str
    row: int
    column: int
    before: str
    after: str

    @classmethod
    def of(cls, buffer: Buffer, row: int, column: int) -> Spot:
        before = buffer.lines[row][max(0, column - CHARACTERS_BEFORE) : column]
        above = row
        while above > 0 and len(before) < CHARACTERS_BEFORE:
            above -= 1
            before = buffer.lines[above] + before
        after = buffer.lines[row][column : column + CHARACTERS_AFTER]
        below = row + 1
        while below < len(buffer.lines) and len(after) < CHARACTERS_AFTER:
            after += buffer.lines[below]
            below += 1
        return cls(
            buffer.uri, row, column, normalized(before)[-CHARACTERS_BEFORE:], normalized(after)[:CHARACTERS_AFTER]
        )


def site_of(buffer: Buffer, now: Spot) -> Place:
    """The place of a suggestion at the cursor `now`, as far as its text around it goes."""
    spoken = language(buffer.language_id, buffer.uri).id
    before = now.before
    within: Stack = ()
    if len(before) >= CHARACTERS_BEFORE and "\n" in before:  # its first line may be half a one
        before = before.partition("\n")[2]
        within = open_far_above("".join(buffer.lines[: now.row - before.count("\n")]), spoken)
    cut = len(now.after) >= CHARACTERS_AFTER
    return place_at(before, now.after, "never", cut_after=cut, language_id=spoken, within=within)


def typed_since(spot: Spot, buffer: Buffer, now: Spot) -> tuple[str, str] | None:
    """(what was typed since the cursor was at `spot`, what the editor closed by itself behind it), with
    the cursor at `now` of `buffer`; None where the text changed otherwise."""
    row, column = now.row, now.column
    if spot.uri != buffer.uri or not 0 <= row - spot.row <= MOST_ROWS or (row == spot.row and column < spot.column):
        return None
    if row == spot.row:
        typed = buffer.lines[row][spot.column : column]
    else:
        typed = "".join([buffer.lines[spot.row][spot.column :], *buffer.lines[spot.row + 1 : row]])
        typed += buffer.lines[row][:column]
    typed = normalized(typed)
    if now.before != (spot.before + typed)[-CHARACTERS_BEFORE:]:
        return None
    for count in range(MOST_CLOSERS + 1 if typed else 1):
        closed = now.after[:count]
        if all(char in CLOSERS for char in closed) and now.after == (closed + spot.after)[:CHARACTERS_AFTER]:
            return typed, closed
    return None


def in_front_of(closed: str, rest: str, here: Place) -> str:
    """What fits of the `rest` of a suggestion in front of what the editor closed: that stands for the suggestion's own,
    and what came after does not fit."""
    fitting = fitted(rest, here)
    return rest.removesuffix(closed) if fitting == rest and not here.after.wanted else fitting


class Known:
    """The suggestions made of late, for any document."""

    def __init__(self) -> None:
        self._made: deque[tuple[Spot, Suggestion]] = deque(maxlen=KEPT)  # the newest first

    def add(self, spot: Spot, suggestion: Suggestion) -> None:
        """Know a suggestion, and its others, which are shown to who asks by hand, and so stay."""
        for other in reversed(suggestion.others):
            self._made.appendleft((spot, dataclasses.replace(other, line=(), others=())))
        self._made.appendleft((spot, dataclasses.replace(suggestion, others=())))

    def forget(self, uri: str) -> None:
        """Know nothing of a document any more."""
        kept = [each for each in self._made if each[0].uri != uri]
        self._made = deque(kept, maxlen=KEPT)

    def clear(self) -> None:
        self._made.clear()

    def find(self, buffer: Buffer, now: Spot) -> list[Suggestion]:
        """The suggestions for the cursor at `now` of `buffer` that are known, the one to show first: what is left of
        them, or, where nothing has been typed since, the one that is empty and says why there is none."""
        here: Place | None = None
        found: dict[str, Suggestion] = {}
        for spot, suggestion in self._made:
            typed, closed = typed_since(spot, buffer, now) or (None, "")
            if typed is None or not suggestion.text.startswith(typed):
                continue
            rest = suggestion.text[len(typed) :]
            if rest and closed:
                here = here or site_of(buffer, now)
                rest = in_front_of(closed, rest, here)
            if rest or not typed:
                left = dataclasses.replace(
                    suggestion, row=now.row, column=now.column, text=rest, timings={"known": True}
                )
                left = dataclasses.replace(left, line=suggestion.typed(len(typed)))
                found.setdefault(left.text, left)
        return list(found.values())
