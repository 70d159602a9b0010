"""How fast the user types and the model answers: how long to wait with a question, and when the model is slow."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable

from lsp_server.settings import Settings

# The last keys and answers, and from how many on they say something. A longer gap is a pause, not typing.
GAPS, FEWEST_GAPS, MOST_GAP = 40, 8, 1.0
ANSWERS, FEWEST_ANSWERS = 9, 3
# A model that answers within so many keys, or seconds, is asked at each key: it gives up what is no longer wanted
# within a short pass, and keeps what it has computed (see benchmarks/NOTES.md). Before another is asked, so many gaps
# are waited for, and at most so many seconds.
KEYS_BEHIND, SECONDS_BEHIND, WAIT_GAPS, MOST_WAIT = 2.0, 1.0, 1.5, 0.3
# Who waits so many seconds for each suggestion has typed it meanwhile.
SLOW_SECONDS, SLOW_ANSWERS = 2.5, 5


class Pacing:
    """Use from one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_key: float | None = None
        self._gaps: deque[float] = deque(maxlen=GAPS)
        self._answers: deque[float] = deque(maxlen=ANSWERS)
        self._told = False

    def key(self) -> None:
        """The text changed."""
        now, last = self._clock(), self._last_key
        self._last_key = now
        if last is not None and 0 < now - last < MOST_GAP:
            self._gaps.append(now - last)

    def answered(self, milliseconds: float | None) -> float:
        """The model took so long for a suggestion; None: it was not asked. How many seconds one usually takes, where
        that is too long to be of use, once; else 0."""
        if milliseconds is not None:
            self._answers.append(milliseconds / 1000)
        if self._told or len(self._answers) < SLOW_ANSWERS:
            return 0.0
        usual = statistics.median(self._answers)
        self._told = usual >= SLOW_SECONDS
        return usual if self._told else 0.0

    def forget(self) -> None:
        """Another model answers from now on."""
        self._answers.clear()

    def debounce_ms(self, settings: Settings) -> int:
        """How long to wait for another key before the model is asked: what the user says, or what was learned. That is
        nothing where it keeps up with the typing; a slow one, asked at each key, would be busy with old questions when
        the last one comes."""
        if settings.debounce_ms >= 0:
            return settings.debounce_ms
        if len(self._gaps) < FEWEST_GAPS or len(self._answers) < FEWEST_ANSWERS:
            return 0
        gap = statistics.median(self._gaps)
        keeps_up = statistics.median(self._answers) <= max(KEYS_BEHIND * gap, SECONDS_BEHIND)
        return 0 if keeps_up else round(1000 * min(MOST_WAIT, WAIT_GAPS * gap))
