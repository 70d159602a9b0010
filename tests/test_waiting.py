"""Who waits for something, and is told to stop, stops."""

from __future__ import annotations

import asyncio

import pytest

from lsp_server.waiting import within


async def test_a_cancellation_while_it_ends_is_not_lost() -> None:
    began = []
    there = asyncio.Event()
    there.set()

    async def asked() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()  # as Ctrl+C does between two steps
        await within(there.wait(), 5)
        began.append("the next one")

    with pytest.raises(asyncio.CancelledError):
        await asyncio.ensure_future(asked())
    assert began == []


async def test_what_takes_too_long_is_ended() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    with pytest.raises(asyncio.TimeoutError):
        await within(work(), 0.01)
    await asyncio.wait_for(ended.wait(), 60)


async def test_its_result_and_its_error_come_through() -> None:
    async def work(fails: bool) -> str:
        if fails:
            raise ValueError("no")
        return "yes"

    assert await within(work(False), 5) == "yes"
    with pytest.raises(ValueError, match="no"):
        await within(work(True), 5)
