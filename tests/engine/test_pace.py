"""How fast a prompt is computed: measured once, put right by real prompts, and the passes that follow from it. Time
passes only as the tests say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from engine.conftest import KnownModel, until

from lsp_server.engine.generating import pace
from lsp_server.engine.generating.pace import Pace
from lsp_server.engine.generating.request import Request
from lsp_server.engine.generating.scheduler import Scheduler
from lsp_server.engine.generating.speed import Speed


class Slow:
    """A model whose passes take `milliseconds` by the number of their tokens."""

    vocab_size = 10
    least_chunk = 1

    def __init__(self, monkeypatch: pytest.MonkeyPatch, milliseconds: dict[int, float]) -> None:
        self.milliseconds, self.now = milliseconds, 0.0
        self.passes: list[int] = []
        monkeypatch.setattr(pace.time, "monotonic", lambda: self.now)

    def new_keys_values(self) -> Any:
        return None

    def forward(self, ids: Sequence[int], keys_values: Any, last: int = 1) -> torch.Tensor:
        assert all(0 <= each < self.vocab_size for each in ids)
        self.passes.append(len(ids))
        self.now += self.milliseconds[len(ids)] / 1000
        return torch.zeros(last, self.vocab_size)


@pytest.mark.parametrize(
    ("milliseconds", "speed", "passes"),
    [
        ({1: 900, 16: 8, 128: 32, 256: 50}, 5120, [1, 16, 128, 256]),  # a GPU, whose first pass compiles
        ({1: 6, 16: 40, 128: 160}, 800, [1, 16, 128]),
        ({1: 800, 16: 3200}, 5, [1, 16]),  # 7B on a laptop: its start is not held up
    ],
)
def test_the_speed_of_some_hundred_tokens(
    milliseconds: dict[int, float], speed: float, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Slow(monkeypatch, milliseconds)
    assert pace.measured(model).tokens_per_second == pytest.approx(speed)
    assert model.passes == passes


def test_passes_that_are_not_worth_it_are_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """34B with layers in memory: 128 tokens are copied as many weights for as 256, and 16 wait for the processor."""
    model = Slow(monkeypatch, {1: 200, 256: 800})
    model.least_chunk = 256
    told: list[float] = []
    made = pace.measured(model, told.append)
    assert model.passes == [1, 256]
    assert told == [0.0, 1 / 257]
    assert made.tokens_per_second == pytest.approx(320)
    assert made.short_pass(1024) == 256


def test_real_prompts_put_it_right() -> None:
    made = Pace({16: 100.0, 128: 1000.0})
    assert made.tokens_per_second == 1000
    for _ in range(3):
        made.note(300, 1.0)
    assert made.tokens_per_second == 300
    made.note(3, 0.000001)  # a key's few tokens say nothing
    assert made.tokens_per_second == 300
    assert Pace().tokens_per_second is None


def test_short_passes_where_they_cost_little() -> None:
    """Compiled for AVX2 sixteen tokens at a time are as fast as any; with bfloat16 products they are not."""
    assert Pace({16: 280, 128: 300}).short_pass(256) == 16
    assert Pace({16: 260, 128: 840, 256: 1090}).short_pass(256) == 128
    assert Pace().short_pass(256) == 256


@pytest.mark.parametrize(("priority", "passes"), [(0, [200, 40]), (10, [200, 40]), (20, [16] * 15)])
async def test_what_nobody_waits_for_holds_up_nobody_long(
    priority: int, passes: list[int], make_scheduler: Callable[..., Scheduler], model: KnownModel
) -> None:
    scheduler = make_scheduler(chunk_tokens=200, pace=Pace({16: 280, 128: 300}))
    handle = scheduler.submit(Request(range(10, 250), 1, priority=priority))
    async for _ in handle:
        pass
    assert [tokens for _, tokens in model.passes] == passes


async def test_the_scheduler_hears_of_real_prompts(make_scheduler: Callable[..., Scheduler]) -> None:
    scheduler = make_scheduler()
    assert scheduler.pace.tokens_per_second is None
    async for _ in scheduler.submit(Request(range(10, 250), 3)):
        pass
    until(lambda: not scheduler.queued)
    assert (scheduler.pace.tokens_per_second or 0) > 0


def test_far_from_the_beginning_a_token_takes_longer() -> None:
    made = Pace({256: 1000.0})
    assert made.speed == Speed(1000.0)
    for place in range(0, 2048, 256):  # twice as long at 2,000 tokens
        made.note_pass(place, 256, 256 / 1000 * (1 + (place + 128) / 2000))
    made.note_pass(0, 1, 1.0)  # a key's single token says nothing
    speed = made.speed
    assert speed is not None
    assert (speed.tokens_per_second, speed.slows_by) == (pytest.approx(1000, rel=0.1), pytest.approx(1 / 2000, rel=0.2))
    steady = Pace({256: 1000.0})
    for place in range(0, 2048, 256):
        steady.note_pass(place, 256, 0.512)
    assert steady.speed is not None
    assert steady.speed.seconds(0, 1000) == pytest.approx(2.0, rel=0.3)
    assert Pace().speed is None
    assert Pace({16: 40.0}).speed == Speed(60.0), (
        "in long passes a token is faster than in the short one that was measured"
    )


def test_how_long_a_prompt_takes_and_how_much_is_read_in_that_time() -> None:
    steady, slowing = Speed(500.0), Speed(1000.0, 1 / 2000)
    assert (steady.seconds(500, 1500), steady.tokens(2.0)) == (2.0, 1000)
    assert slowing.seconds(0, 2000) == pytest.approx(3.0)  # the integral of (1 + n / 2000) / 1000 up to 2000
    assert slowing.seconds(0, 1000) + slowing.seconds(1000, 2000) == pytest.approx(3.0)
    assert slowing.tokens(3.0) == pytest.approx(2000, abs=1)
