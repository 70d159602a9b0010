"""A fast model is asked at each key, a slow one when the fingers rest."""

from __future__ import annotations

import pytest

from lsp_server.completion.pacing import Pacing
from lsp_server.settings import Settings

LEARNED = Settings(debounce_ms=-1)


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
        made.answered(1000 * each)
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
    assert typed(gap, *answers).debounce_ms(LEARNED) == pytest.approx(1000 * wait)
    assert typed(gap, *answers).debounce_ms(Settings(debounce_ms=70)) == 70, "as the user says"


def test_nothing_is_known_at_first() -> None:
    made = Pacing(lambda: 1.0)
    made.key()
    assert (made.debounce_ms(LEARNED), made.answered(None)) == (0, 0.0)


def test_a_slow_model_is_known_by_several_answers_and_told_once() -> None:
    made = typed(0.2, 4.0, 4.0, 4.0, 4.0)
    assert made.answered(None) == 0.0
    assert made.answered(6000.0) == 4.0
    assert made.answered(6000.0) == 0.0
    made.forget()
    assert made.debounce_ms(LEARNED) == 0
    made = typed(0.2, *[1.5] * 9)
    assert made.answered(1500.0) == 0.0
