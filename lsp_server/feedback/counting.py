"""Counting of one session: where the user wants it, and written now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lsp_server import places
from lsp_server.feedback.record import Record

# The most that the end of the process by force can cost.
WRITE_SECONDS = 20.0


class Counting:
    """Use from one event loop. `is_on`: whether the user wants it; `editor`: what the editor calls itself."""

    def __init__(self, is_on: Callable[[], bool], editor: Callable[[], str]) -> None:
        self._is_on, self._editor = is_on, editor
        self._record = Record(places.data_folder)
        self._writing: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, language: str, what: str, count: int = 1) -> None:
        """Count something in a language."""
        if not self._is_on():
            return
        self._record.add(language, self._editor(), what, count)
        if self._writing is None:
            self._writing = asyncio.get_running_loop().call_later(WRITE_SECONDS, self._write)

    def close(self) -> None:
        """Write what is left."""
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
            self._record.write()

    def _write(self) -> None:
        self._writing = None
        task = asyncio.ensure_future(asyncio.to_thread(self._record.write))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
