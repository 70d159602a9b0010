"""A submitted request as those see it who wait for its answer."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable

from lsp_server.engine.generating.request import Candidate, Counts, Prefill, Result, Token

Event = Candidate | Prefill | Token | Result


class Handle:
    """Iterate it once, in the event loop that submitted the request.

    `events` is filled until a Result comes; `counts` are those of the request, which go on while it runs; `cancel` is
    how the scheduler is told. `prefill`: the last that was told of how far the prompt is computed.
    """

    def __init__(self, events: asyncio.Queue[Event], counts: Counts, cancel: Callable[[], None]) -> None:
        self.result: Result | None = None  # set when the iteration has ended
        self.candidates: list[Candidate] = []  # all there are when the first tokens have come
        self.prefill = Prefill(counts.prompt_tokens)
        self._events, self._counts, self._cancel = events, counts, cancel

    @property
    def counts(self) -> Counts:
        """What the request has cost until now."""
        return dataclasses.replace(self._counts)

    def cancel(self) -> None:
        """End the request before its next forward pass. From any thread; harmless after the end."""
        self._cancel()

    async def __aiter__(self) -> AsyncIterator[list[Token]]:
        """The tokens as they come, all that have come since the last time together; an empty list where more of the
        prompt is computed, for who wants to know."""
        while self.result is None:
            events = [await self._events.get()]
            while not self._events.empty():
                events.append(self._events.get_nowait())
            self.candidates += [event for event in events if isinstance(event, Candidate)]
            tokens = [event for event in events if isinstance(event, Token)]
            prefills = [event for event in events if isinstance(event, Prefill)]
            if isinstance(events[-1], Result):
                self.result = events[-1]
            if prefills:
                self.prefill = prefills[-1]
            if tokens or prefills:
                yield tokens
