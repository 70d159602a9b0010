"""How fast a prompt is computed: measured when the model is loaded, and put right by what real prompts take."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from lsp_server.engine.generating.speed import Speed
from lsp_server.engine.passes.model import Model

# Tokens of the passes that are measured, each only where the one before took no longer than this: a start is not held
# up by what says that a machine is slow.
SIZES, MOST_SECONDS = (16, 128, 256), 0.1
# Prompts by which the speed is judged, the last ones, and from how many tokens on a prompt says something.
LATE, FEWEST_TOKENS = 7, 64
# The share of the greatest speed that a pass of fewer tokens must have to be as good, where somebody may come who wants
# the model at once.
GOOD_SHARE = 0.6
# Passes by which is judged how much longer a token takes far from the beginning, the last ones, and from how many
# tokens on a pass counts. No model slows down by more: what says so was held up by something else.
LATE_PASSES, FEWEST_IN_PASS, MOST_SLOWING = 40, 64, 1 / 500
# Of a slow machine only short passes are measured. In those that prompts are computed in, tokens are that much faster.
LONG_PASS_GAIN = 1.5


class Pace:
    """Tokens of a prompt computed in a second: `by_size` of a pass, as measured. Used by one thread, read by others."""

    def __init__(self, by_size: Mapping[int, float] | None = None) -> None:
        self.by_size = dict(by_size or {})
        fastest = list(self.by_size.items())[-1:]
        self._late = deque((speed for _, speed in fastest), maxlen=LATE)
        # The place in the middle of each pass, and the seconds for a token of it.
        self._passes: deque[tuple[float, float]] = deque(maxlen=LATE_PASSES)
        for size, speed in fastest:
            gain = LONG_PASS_GAIN if size < FEWEST_IN_PASS else 1.0
            self._passes.append((size / 2, 1 / (gain * speed)))

    @property
    def tokens_per_second(self) -> float | None:
        """That of a prompt of some hundred tokens; None where nothing is known."""
        late = list(self._late)
        return statistics.median(late) if late else None

    def note(self, tokens: int, seconds: float) -> None:
        """A prompt had so many tokens to compute, in passes that took so long."""
        if tokens >= FEWEST_TOKENS and seconds > 0:
            self._late.append(tokens / seconds)

    def note_pass(self, place: int, tokens: int, seconds: float) -> None:
        """A pass computed so many tokens of a prompt, from a place on."""
        if tokens >= FEWEST_IN_PASS and seconds > 0:
            self._passes.append((place + tokens / 2, seconds / tokens))

    @property
    def speed(self) -> Speed | None:
        """That of a prompt of any length, as its passes have been of late; None where nothing is known."""
        passes = list(self._passes)
        if not passes:
            return None
        usual = statistics.median(seconds for _, seconds in passes)
        if len({place for place, _ in passes}) < 2:
            return Speed(1 / usual)
        each, first = statistics.linear_regression(*zip(*passes, strict=True))
        if each <= 0 or first <= 0:
            return Speed(1 / usual)
        return Speed(1 / first, min(each / first, MOST_SLOWING))

    def told(self) -> dict[str, Any]:
        """What others are told: the speed of a prompt of some hundred tokens, and of one of any length."""
        speed = self.speed
        return {
            "prefill_tokens_per_second": self.tokens_per_second,
            "prefill_speed": dataclasses.asdict(speed) if speed is not None else None,
        }

    def short_pass(self, most: int) -> int:
        """The fewest tokens of a pass, `most` at most, that cost a prompt little more time than longer passes would."""
        enough = GOOD_SHARE * max(self.by_size.values(), default=0.0)
        return min((size for size, speed in self.by_size.items() if speed >= enough), default=most)


def measured(model: Model, report: Callable[[float], None] = lambda done: None) -> Pace:
    """The pace of a model, after one pass of one token, in which libraries make themselves ready. `report` is told
    before each pass which share of all tokens is done."""
    by_size: dict[int, float] = {}
    worth = [size for size in SIZES if size >= model.least_chunk]
    sizes = (1, *worth)
    report(0.0)
    _seconds(model, 1)
    for number, size in enumerate(worth, start=1):
        report(sum(sizes[:number]) / sum(sizes))
        seconds = _seconds(model, size)
        by_size[size] = size / seconds
        if seconds > MOST_SECONDS:
            break
    return Pace(by_size)


def _seconds(model: Model, tokens: int) -> float:
    """How long a pass of so many tokens takes."""
    started = time.monotonic()
    logits = model.forward([each % model.vocab_size for each in range(tokens)], model.new_keys_values())
    float(logits[-1, 0])  # a GPU is waited for
    return max(time.monotonic() - started, 1e-6)
