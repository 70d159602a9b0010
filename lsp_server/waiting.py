"""Waiting for something for some seconds, without losing that the one who waits is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def within(work: Awaitable[T], seconds: float) -> T:
    """What `work` returns, which is cancelled after so many seconds. Raises what it raises, and asyncio.TimeoutError.

    Before Python 3.12, `asyncio.wait_for` swallows a cancellation that comes while `work` ends: a request that was
    cancelled would go on.
    """
    task = asyncio.ensure_future(work)
    try:
        if not (await asyncio.wait([task], timeout=seconds))[0]:
            raise asyncio.TimeoutError
        return task.result()
    finally:
        task.cancel()
