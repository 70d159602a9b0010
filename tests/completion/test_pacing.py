"""A fast model is asked at each key, a slow one when the fingers rest."""

from __future__ import annotations

import pytest

from lsp_server.completion.pacing import Pacing


def typed(gap: float, *answers: float) -> Pacing:
    """After thirty keys with such a gap, and such answers."""
    now = 0.0
    made = Pacing(lambda: now)
    for _ in range(30):
        now += gap
        made.key()
    now += 60.0  # a pause is no typing
    made.key()
    for each in answers:
        made.answered(each)
    return made


@pytest.mark.parametrize(
    ("gap", "answers", "wait"),
    [
        (0.15, (0.1,) * 9, 0.0),  # a graphics card
        (0.15, (0.8,) * 9, 0.0),  # the starter on a busy laptop: it gives up what is old within a moment
        (0.8, (1.5,) * 9, 0.0),  # within two keys
        (0.15, (1.2,) * 9, 0.225),
        (0.15, (0.1, 0.1, 0.1, 9.0), 0.0),  # one that was held up says nothing
        (0.4, (5.0,) * 9, 0.3),  # who types slowly does not wait longer than is felt
        (0.15, (9.0, 9.0), 0.0),  # too few to tell
    ],
)
def test_how_long_it_waits(gap: float, answers: tuple[float, ...], wait: float) -> None:
    assert typed(gap, *answers).wait == pytest.approx(wait)


def test_nothing_is_known_at_first() -> None:
    made = Pacing(lambda: 1.0)
    made.key()
    assert (made.wait, made.slow) == (0.0, 0.0)


def test_a_slow_model_is_known_by_several_answers() -> None:
    made = typed(0.2, 4.0, 4.0, 4.0, 4.0)
    assert made.slow == 0.0
    made.answered(6.0)
    assert made.slow == 4.0
    made.forget()
    assert (made.slow, made.wait) == (0.0, 0.0)
    assert typed(0.2, *[1.5] * 9).slow == 0.0
