"""A suggestion while the model writes it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

from lsp_server.completion.cache import Spot, typed_since
from lsp_server.completion.suggest import Suggestion
from lsp_server.context.buffer import Buffer

OnText = Callable[[str], None]
"""Is told what the model has written so far, each time there is more."""


@dataclasses.dataclass(eq=False)
class Generation:
    """One for the cursor at `spot`: `text` is what the model has written so far."""

    spot: Spot
    task: asyncio.Task[Suggestion]
    text: str = ""
    _more: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)  # text, or the end

    def leads_to(self, buffer: Buffer, now: Spot) -> bool:
        """Whether what was typed since is what the model writes, as far as both go."""
        if self.task.done() or not (since := typed_since(self.spot, buffer, now)):
            return False
        return self.text.startswith(since[0]) or since[0].startswith(self.text)

    async def followed(self, buffer: Buffer, now: Spot) -> None:
        """Return once it is ended, or goes another way than to the cursor at `now`. Raises what it failed with."""
        while self.leads_to(buffer, now):
            self._more.clear()
            await self._more.wait()
        if self.task.done() and not self.task.cancelled():
            self.task.result()

    def _say(self, text: str) -> None:
        self.text = text
        self._more.set()

    def _ended(self, task: asyncio.Task[Suggestion]) -> None:
        self._more.set()
        if not task.cancelled():
            task.exception()  # where nobody waits any more, nobody needs to know why it failed


def begin(spot: Spot, write: Callable[[OnText], Awaitable[Suggestion]]) -> Generation:
    """A generation under way. `write(on_text)` has the model write; cancelling its task ends the work in the engine."""

    async def run() -> Suggestion:
        return await write(lambda text: generation._say(text))

    generation = Generation(spot, asyncio.ensure_future(run()))
    generation.task.add_done_callback(generation._ended)
    return generation
