"""Figures of many outcomes, two ways beside each other, and what a threshold would hide; numbers worked out by hand."""

from __future__ import annotations

import pytest

from lsp_server.evaluation import threshold
from lsp_server.evaluation.asking import Outcome
from lsp_server.evaluation.figures import difference, figures, grouped
from lsp_server.evaluation.scores import Scores


def outcome(
    text: str = "x",
    *,
    exact: bool = False,
    similarity: float = 0.5,
    sure: float = 0.0,
    kind: str = "rest",
    **more: object,
) -> Outcome:
    scored = Scores(exact, similarity, more.pop("parses", True), False, False)  # type: ignore[arg-type]
    probability = sure**2 if sure else None
    return Outcome(kind, "python", "a", 1, 1, text, "w", "", float(more.pop("ms", 10)), 3, 100, probability, scored)  # type: ignore[arg-type]


def test_figures_by_hand() -> None:
    found = figures([outcome(exact=True, similarity=1.0), outcome(parses=None), outcome("", exact=True, ms=30)])
    assert found.places == 3
    assert found.shown == pytest.approx(2 / 3)
    assert found.exact == pytest.approx(1 / 3), "nothing shown is nothing right"
    assert found.exact_shown == pytest.approx(1 / 2)
    assert found.similarity == pytest.approx(1.5 / 3)
    assert found.parses == 1.0
    assert found.ms == 10
    nothing = figures([outcome("")])
    assert (nothing.exact_shown, nothing.parses, nothing.tokens) == (None, None, None)


def test_groups() -> None:
    found = grouped([outcome(kind="a"), outcome(kind="b"), outcome(kind="a")], lambda each: each.kind)
    assert {name: each.places for name, each in found.items()} == {"a": 2, "b": 1}


def test_one_way_against_another() -> None:
    one = [outcome("a", exact=True, similarity=1.0, ms=20), outcome("b", similarity=0.5, ms=20)]
    other = [outcome("c", similarity=0.4), outcome("b", similarity=0.5)]
    found = difference(one, other)
    assert (found.same, found.exact_gained, found.exact_lost, found.slower) == (1, 1, 0, 2.0)
    assert found.similarity == pytest.approx(0.3)
    assert found.error == pytest.approx(0.3)  # of 0.6 and 0: a deviation of 0.42 over the root of two
    assert not found.certain


def test_what_a_threshold_hides() -> None:
    """Half of the suggestions are unsure, 0.09 for their two tokens, and one in ten of these is right; of the sure
    ones, 0.81, eight in ten are."""
    outcomes = [outcome(sure=0.3, exact=at == 0) for at in range(10)] * 40
    outcomes += [outcome(sure=0.9, exact=at < 8) for at in range(10)] * 40
    steps = {each.threshold: each for each in threshold.calibration(outcomes)}
    step = steps[0.5]
    assert (step.hidden, step.right_hidden, step.right_shown) == (0.5, 0.1, 0.8)
    assert step.gain == pytest.approx(0.8 / (9 / 20))
    assert not step.serves, "one in ten hidden is right, but in half of all samples it would be more"
    assert 0.1 < step.most_right_hidden < 0.14
    assert step.least_gain < step.gain
    assert not steps[0.05].serves, "it hides nothing"
    assert 0.9 not in steps, "it hides all"
    assert threshold.best(list(steps.values())) == 0.0


def test_the_lowest_threshold_that_serves() -> None:
    """None of those hidden is right, so that all thresholds between the two, from 0.09 on, serve."""
    outcomes = [outcome(sure=0.3)] * 100 + [outcome(sure=0.9, exact=at % 2 == 0) for at in range(100)]
    assert threshold.best(threshold.calibration(outcomes)) == 0.1


def test_no_threshold_where_the_model_does_not_say_or_is_never_right() -> None:
    assert threshold.calibration([outcome(exact=True)]) == []
    assert threshold.calibration([outcome(sure=0.5)]) == []
    assert threshold.best([]) == 0.0
