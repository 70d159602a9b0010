"""What the outcomes of scenarios come to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.next_edit.scenario import Outcome


class Figures(NamedTuple):
    """Parts of 1. `precision`: of the offers made, those that are right. `quiet`: of the scenarios where nothing is
    right, those with no offer. `recall`: of the others, those with the right one."""

    precision: float
    quiet: float
    recall: float


def measured(outcomes: Sequence[Outcome]) -> Figures:
    offers = [each for each in outcomes if each.offer is not None]
    silent = [each for each in outcomes if not each.scenario.wanted]
    speaking = [each for each in outcomes if each.scenario.wanted]
    return Figures(
        sum(each.right for each in offers) / max(1, len(offers)),
        sum(each.right for each in silent) / max(1, len(silent)),
        sum(each.right for each in speaking) / max(1, len(speaking)),
    )
