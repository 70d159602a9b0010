"""Which request's forward pass is next, and whose keys and values make way for it: a decision on plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Standing:
    """What counts of a request between two passes. Standings sort by urgency: a lower priority, then the older one.

    held: tokens whose keys and values it holds; need: tokens it may hold after its next pass; cancelled: whether nobody
    waits for it any more; overdue: whether it has waited for so long that more urgent ones let it go first once; turns:
    how often it has had the model for a while, where equals take turns.
    """

    priority: int
    number: int  # counts requests, so no two have the same
    held: int = 0
    need: int = 0
    cancelled: bool = False
    overdue: bool = False
    turns: int = 0


@dataclass(frozen=True)
class Choice:
    """What happens next, by the numbers of the requests: `ended` are over, `emptied` lose their keys and values, which
    they compute again when they go on, and `running` (None where nobody waits) does one pass. `held`: tokens that all
    but `running` hold after that."""

    ended: tuple[int, ...] = ()
    running: int | None = None
    emptied: tuple[int, ...] = ()
    held: int = 0


def choose(standings: Sequence[Standing], budget: int) -> Choice:
    """The most urgent request runs, or one that is overdue, if there is room for it beside all others; of equals the
    one with the fewest turns for which there is such room. What the most urgent one needs within `budget` tokens is
    taken from the others, the least urgent first, and no more of them than it takes."""
    ended = tuple(each.number for each in standings if each.cancelled)
    waiting = sorted(each for each in standings if not each.cancelled)
    if not waiting:
        return Choice(ended)
    all_held = sum(each.held for each in waiting)
    fitting = [each for each in waiting if all_held - each.held + each.need <= budget]
    equals = [each for each in fitting if each.priority == waiting[0].priority]
    first = min(equals, key=lambda each: each.turns, default=waiting[0])
    running = next((each for each in fitting if each.overdue), first)
    paused = [each for each in waiting if each is not running]
    held = all_held - running.held
    emptied = []
    for each in reversed(paused):
        if held + running.need <= budget:
            break
        if each.held:
            held -= each.held
            emptied.append(each.number)
    return Choice(ended, running.number, tuple(emptied), held)
