"""What processes hold while they work, looked at once a second."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import psutil

from benchmarks.figures import median

Sample = dict[str, float]


def held(process: psutil.Process) -> Sample:
    """What a process holds: MB of memory, open handles, threads."""
    with process.oneshot():
        handles = process.num_fds() if hasattr(process, "num_fds") else process.num_handles()
        megabytes = round(process.memory_info().rss / 1e6, 1)
        return {"MB": megabytes, "handles": handles, "threads": process.num_threads()}


@contextlib.asynccontextmanager
async def watched(look: Callable[[], Sample]) -> AsyncIterator[list[Sample]]:
    """The samples of `look`, one a second while the block runs."""
    samples: list[Sample] = []

    async def go_on() -> None:
        while True:
            samples.append(look())
            await asyncio.sleep(1.0)

    looking = asyncio.ensure_future(go_on())
    try:
        yield samples
    finally:
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking


def quarters(samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """Of each value the median in the first and the last quarter of the samples, and the most there was."""
    quarter = max(1, len(samples) // 4)
    return {
        name: {
            "first": median([each[name] for each in samples[:quarter]]),
            "last": median([each[name] for each in samples[-quarter:]]),
            "most": max(each[name] for each in samples),
        }
        for name in samples[0]
    }


def growth(quartered: dict[str, dict[str, float]]) -> dict[str, Any]:
    """By how much each value is more in the last quarter than in the first; memory in per cent of that."""
    return {
        name: round(100 * (each["last"] / each["first"] - 1), 1)
        if name.endswith("MB")
        else each["last"] - each["first"]
        for name, each in quartered.items()
    }
