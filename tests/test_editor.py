"""The editor of these tests."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from editor import editor


async def test_an_answer_to_what_was_cancelled_meanwhile_ends_nothing(engines: Path, tmp_path: Path) -> None:
    async with editor({"model": str(tmp_path)}, folder=tmp_path) as window:
        uri = window.open(tmp_path / "a.py", "x = 1\n")
        for _ in range(20):
            asked = asyncio.ensure_future(window.suggest(uri, 0, 0))
            await asyncio.sleep(0)
            asked.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asked
        assert await asyncio.wait_for(window.suggest(uri, 0, 0), 60) == []
