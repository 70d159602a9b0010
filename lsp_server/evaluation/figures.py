"""Many outcomes in a few figures, and two ways of asking beside each other at the same places."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterable, Sequence

from lsp_server.evaluation.asking import Outcome


@dataclasses.dataclass(frozen=True)
class Figures:
    """Of some places. Shares are from 0 to 1; None where there is nothing to take them of.

    `exact`: first lines that are right, of all places; `exact_shown`: of those where something is shown, as are
    `parses` and the median of `tokens`. `similarity`: the mean over all places, 0 where nothing is shown. `repeats` and
    `unbalanced`: how many. `ms`: the median over all places.
    """

    places: int
    shown: float
    exact: float
    exact_shown: float | None
    similarity: float
    similarity_shown: float | None
    parses: float | None
    repeats: int
    unbalanced: int
    tokens: float | None
    ms: float


def figures(outcomes: Sequence[Outcome]) -> Figures:
    """The figures of at least one outcome."""
    shown = [each for each in outcomes if each.shown]
    told = [each.scores.parses for each in shown if each.scores.parses is not None]
    return Figures(
        places=len(outcomes),
        shown=len(shown) / len(outcomes),
        exact=statistics.fmean(_exact(each) for each in outcomes),
        exact_shown=_mean(_exact(each) for each in shown),
        similarity=statistics.fmean(_similarity(each) for each in outcomes),
        similarity_shown=_mean(map(_similarity, shown)),
        parses=_mean(map(float, told)),
        repeats=sum(each.scores.repeats for each in shown),
        unbalanced=sum(bool(each.scores.unbalanced) for each in shown),
        tokens=statistics.median(each.tokens for each in shown) if shown else None,
        ms=statistics.median(each.ms for each in outcomes),
    )


def grouped(outcomes: Iterable[Outcome], name: Callable[[Outcome], str]) -> dict[str, Figures]:
    """The figures of each group, in the order in which they come first."""
    groups: dict[str, list[Outcome]] = {}
    for each in outcomes:
        groups.setdefault(name(each), []).append(each)
    return {group: figures(members) for group, members in groups.items()}


@dataclasses.dataclass(frozen=True)
class Difference:
    """One way of asking against another at the same places: how many answers are the same, how many first lines are
    right by the one alone and by the other alone, and how much more similar to what stood there the one's are, with the
    standard error of that mean. `slower`: the ratio of the medians of their times."""

    places: int
    same: int
    exact_gained: int
    exact_lost: int
    similarity: float
    error: float
    slower: float

    @property
    def margin(self) -> float:
        """What of the difference in similarity may be chance: two standard errors."""
        return 2 * self.error

    @property
    def certain(self) -> bool:
        """Whether it is more than that."""
        return abs(self.similarity) > self.margin


def difference(one: Sequence[Outcome], other: Sequence[Outcome]) -> Difference:
    """`one` against `other`: outcomes at the same places, at least one, in the same order."""
    pairs = list(zip(one, other, strict=True))
    more = [_similarity(a) - _similarity(b) for a, b in pairs]
    other_ms = statistics.median(each.ms for each in other)
    return Difference(
        places=len(pairs),
        same=sum(a.text == b.text for a, b in pairs),
        exact_gained=sum(_exact(a) > _exact(b) for a, b in pairs),
        exact_lost=sum(_exact(a) < _exact(b) for a, b in pairs),
        similarity=statistics.fmean(more),
        error=statistics.stdev(more) / len(more) ** 0.5 if len(more) > 1 else 0.0,
        slower=statistics.median(each.ms for each in one) / other_ms if other_ms else 1.0,
    )


def _exact(outcome: Outcome) -> float:
    return float(outcome.shown and outcome.scores.exact)


def _similarity(outcome: Outcome) -> float:
    return outcome.scores.similarity if outcome.shown else 0.0


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return statistics.fmean(found) if found else None
