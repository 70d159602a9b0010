"""The suggestions of one editor window: from memory where they are known, from a generation under way where its text is
typed along, else from the model; and the next one ahead of time, while the user reads."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Iterator

from lsp_server.completion.cache import Known, Spot, typed_since
from lsp_server.completion.suggest import Asked, Suggestion, generate, prepare
from lsp_server.context.buffer import Buffer
from lsp_server.model.access import Reached
from lsp_server.model.client import PRIORITY_AHEAD, PRIORITY_COMPLETION
from lsp_server.settings import Settings

# How long a generation goes on after a change of the text until a request says where the cursor is now: some editors
# wait a moment with it.
GRACE_SECONDS = 0.15
# How many other suggestions the model is asked for, when the user asks for them.
OTHERS = 2


@dataclasses.dataclass(eq=False)
class _Generation:
    """One under way for the cursor at `spot`: `text` is what the model has written so far."""

    spot: Spot
    task: asyncio.Task[Suggestion]
    text: str = ""
    news: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)  # more text, or the end
    in_doubt: bool = False  # the text changed: whether it goes on depends on the next request

    def leads_to(self, buffer: Buffer, now: Spot) -> bool:
        """Whether what was typed since is what the model writes, as far as both go."""
        if self.task.done() or not (since := typed_since(self.spot, buffer, now)):
            return False
        return self.text.startswith(since[0]) or since[0].startswith(self.text)


class Suggester:
    """Use from one event loop, and `forget` when the model or the settings change."""

    def __init__(self) -> None:
        self._known = Known()
        self._asked: dict[str, _Generation] = {}
        self._ahead: _Generation | None = None

    def known(self, buffer: Buffer, row: int, column: int) -> Suggestion | None:
        """The suggestion at (`row`, `column`) if it is known, for which the model is not asked."""
        return next(iter(self._known.find(buffer, row, column)), None)

    async def ask(self, model: Reached, buffer: Buffer, row: int, column: int, settings: Settings) -> Suggestion:
        """The suggestion at (`row`, `column`), after `settings.debounce_ms`. Ends a generation for another place of the
        same document, and work ahead.

        Raises EngineLost, EngineRefused. Cancelling ends the work in the engine, unless the text has changed and the
        next request may go on with it.
        """
        now = Spot.of(buffer, row, column)
        # One that works ahead waits for a chat: it is of use now only if it has begun.
        begun = self._ahead if self._ahead is not None and self._ahead.text else None
        for generation in (self._asked.get(buffer.uri), begun):
            if generation is not None and generation.leads_to(buffer, now):
                generation.in_doubt = False
                if known := await self._followed(generation, buffer, now):
                    return known
        self.end(buffer.uri)
        self._end_ahead()
        if settings.debounce_ms:
            await asyncio.sleep(settings.debounce_ms / 1000)
        asked = prepare(model, buffer, row, column, settings)
        if isinstance(asked, Suggestion):
            return asked
        generation = self._begin(model, asked, now, settings, PRIORITY_COMPLETION)
        self._asked[buffer.uri] = generation
        with _ended_with(generation):
            return await asyncio.shield(generation.task)

    async def others(self, model: Reached, buffer: Buffer, shown: Suggestion, settings: Settings) -> list[Suggestion]:
        """What else could be suggested where `shown` is: what is known, or else what the model writes by chance.

        Raises EngineLost, EngineRefused. Cancelling ends the work in the engine.
        """
        place = buffer, shown.row, shown.column
        if len(self._known.find(*place)) < 2 and isinstance(asked := prepare(model, *place, settings), Asked):
            spot = Spot.of(*place)
            made = await asyncio.gather(*(generate(model, asked, settings, seed=seed) for seed in range(OTHERS)))
            for suggestion in (*reversed(made), shown):  # the one that is shown stays the first
                if suggestion.text:
                    self._known.add(spot, suggestion)
        return [each for each in self._known.find(*place) if each.text != shown.text]

    def doubt(self, uri: str) -> None:
        """The text of a document or the cursor in it changed: the generation for it ends, unless a request soon says
        that what was typed is what the model writes."""
        generation = self._asked.get(uri)
        if generation is not None and not generation.in_doubt:
            generation.in_doubt = True
            asyncio.get_running_loop().call_later(GRACE_SECONDS, self._end_in_doubt, uri, generation)

    def end(self, uri: str) -> None:
        """End the generation for a document."""
        if (generation := self._asked.pop(uri, None)) is not None:
            generation.task.cancel()

    def look_ahead(self, model: Reached, buffer: Buffer, shown: Suggestion, settings: Settings) -> None:
        """Begin with the suggestion that follows on `shown` once that is accepted."""
        if shown.text and settings.prefetch and not settings.engine_url:
            after, row, column = buffer.with_text(shown.row, shown.column, shown.text)
            self.prefetch(model, after, row, column, settings)

    def prefetch(self, model: Reached, buffer: Buffer, row: int, column: int, settings: Settings) -> None:
        """Begin with the suggestion at a place where the user may want one soon, unless the model is asked for one in
        this document; the engine does it last of all."""
        asked_now, ahead = self._asked.get(buffer.uri), self._ahead
        if not settings.prefetch or settings.engine_url or (asked_now is not None and not asked_now.task.done()):
            return
        spot = Spot.of(buffer, row, column)
        if self.known(buffer, row, column) or (ahead is not None and ahead.spot == spot and not ahead.task.done()):
            return
        asked = prepare(model, buffer, row, column, settings)
        if isinstance(asked, Asked):
            self._end_ahead()
            self._ahead = self._begin(model, asked, spot, settings, PRIORITY_AHEAD)

    def forget(self) -> None:
        """End everything, and know nothing."""
        for uri in list(self._asked):
            self.end(uri)
        self._end_ahead()
        self._known.clear()

    def _begin(self, model: Reached, asked: Asked, spot: Spot, settings: Settings, priority: int) -> _Generation:
        async def run() -> Suggestion:
            suggestion = await generate(model, asked, settings, priority=priority, on_text=said)
            self._known.add(spot, suggestion)
            return suggestion

        def said(text: str) -> None:
            generation.text = text
            generation.news.set()

        def ended(task: asyncio.Task[Suggestion]) -> None:
            generation.news.set()
            if not task.cancelled():
                task.exception()  # where nobody waits any more, nobody needs to know why it failed

        generation = _Generation(spot, asyncio.ensure_future(run()))
        generation.task.add_done_callback(ended)
        return generation

    async def _followed(self, generation: _Generation, buffer: Buffer, now: Spot) -> Suggestion | None:
        """What a generation that began earlier gives for the cursor at `now`; None as soon as it goes another way."""
        with _ended_with(generation):
            while generation.leads_to(buffer, now):
                generation.news.clear()
                await generation.news.wait()
        if generation.task.done() and not generation.task.cancelled():
            generation.task.result()  # raises what it failed with
        return self.known(buffer, now.row, now.column)

    def _end_in_doubt(self, uri: str, generation: _Generation) -> None:
        if generation.in_doubt and self._asked.get(uri) is generation:
            self.end(uri)

    def _end_ahead(self) -> None:
        if self._ahead is not None:
            self._ahead.task.cancel()
            self._ahead = None


@contextlib.contextmanager
def _ended_with(generation: _Generation) -> Iterator[None]:
    """While one waits for `generation`: who stops waiting ends it, unless the next request may want it."""
    try:
        yield
    except asyncio.CancelledError:
        if not generation.in_doubt:
            generation.task.cancel()
        raise
