"""The answer that is being written, kept as it grows: what was shown survives the end of the process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from lsp_server.chat.store import Store, StoreError

log = logging.getLogger(__name__)

# The most that a crash can cost of what was shown.
STEP_SECONDS = 0.1


class Recorder:
    """Keeps one growing turn. Writes happen in a thread, one at a time, so that they never hold up the stream."""

    def __init__(self, store: Store, conversation: str, position: int) -> None:
        self._store, self._conversation, self._position = store, conversation, position
        self._parts: list[str] = []
        self._kept = 0
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def add(self, part: str) -> None:
        if not part:
            return
        self._parts.append(part)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._keep())

    async def close(self, finished: str, usage: dict[str, Any]) -> None:
        """Keep the whole, with how it ended. Raises StoreError."""
        self._closing.set()
        if self._task is not None:
            await asyncio.wait([self._task])  # an older write must not come after the last
        text = self.text
        await asyncio.to_thread(
            self._store.update, self._conversation, self._position, content=text, usage=usage, finished=finished
        )

    async def _keep(self) -> None:
        while self._kept < len(self._parts) and not self._closing.is_set():
            self._kept = len(self._parts)
            try:
                await asyncio.to_thread(self._store.update, self._conversation, self._position, content=self.text)
            except StoreError as error:
                log.warning("an answer could not be kept: %s", error)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._closing.wait(), STEP_SECONDS)
