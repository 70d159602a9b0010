"""What a threshold on the model's own probability would hide, and what that is worth."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

from lsp_server.evaluation.asking import Outcome

# Of what is hidden at most this share may be right, and what is shown is to be right this many times as often.
MOST_RIGHT_HIDDEN, LEAST_GAIN = 0.10, 1.3
STEPS = (0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


# Samples drawn anew from the same suggestions, of which 19 of 20 must agree that a threshold serves.
DRAWN, CERTAIN, SEED = 200, 0.95, 20


@dataclasses.dataclass(frozen=True)
class Step:
    """One threshold: the share of suggestions that it hides, the share of those whose first line is right, that of what
    stays, and how many times as often as of all it is right; `most_right_hidden` and `least_gain` are no worse in 19 of
    20 samples drawn anew."""

    threshold: float
    hidden: float
    right_hidden: float
    right_shown: float
    gain: float
    most_right_hidden: float
    least_gain: float

    @property
    def serves(self) -> bool:
        return self.most_right_hidden <= MOST_RIGHT_HIDDEN and self.least_gain >= LEAST_GAIN


def calibration(outcomes: Sequence[Outcome], steps: Sequence[float] = STEPS) -> list[Step]:
    """What each threshold would do to the suggestions among `outcomes` that were shown with none, as far as the model
    said how sure it was; nothing where none of them is right."""
    told = [(each.probability, each.scores.exact) for each in outcomes if each.shown and each.probability is not None]
    rng = random.Random(SEED)
    found = []
    for step in steps:
        if (here := _judged(told, step)) is None:
            continue
        drawn = [_judged(rng.choices(told, k=len(told)), step) or here for _ in range(DRAWN)]
        most = sorted(each[1] for each in drawn)[int(CERTAIN * DRAWN)]
        least = sorted(each[3] for each in drawn)[int((1 - CERTAIN) * DRAWN)]
        found.append(Step(step, *here, most, least))
    return found


def best(steps: Sequence[Step]) -> float:
    """The lowest threshold that serves, which hides the least; 0.0 where none does."""
    return min((each.threshold for each in steps if each.serves), default=0.0)


def _judged(told: Sequence[tuple[float, bool]], step: float) -> tuple[float, float, float, float] | None:
    """(share hidden, right of those, right of the others, how many times as often as of all), of suggestions as (how
    probable, right or not); None where nothing would be shown, or none is right."""
    hidden = [exact for sure, exact in told if sure < step]
    shown = [exact for sure, exact in told if sure >= step]
    if not shown or not (right := sum(hidden) + sum(shown)):
        return None
    rate = sum(shown) / len(shown)
    return len(hidden) / len(told), sum(hidden) / len(hidden) if hidden else 0.0, rate, rate * len(told) / right
