"""Windows as long as there is time for: at a place that the model has not seen a short one, whose prompt takes half a
second; the long one is computed into the kept keys and values while nobody waits, and used once they have it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Sequence

from lsp_server.completion.suggest import Asked, Suggestion, prepare
from lsp_server.context.buffer import Buffer
from lsp_server.context.related.piece import NOTHING_ADDED, Added
from lsp_server.errors import UserError
from lsp_server.model.access import Reached
from lsp_server.model.client import PRIORITY_AHEAD, ModelClient
from lsp_server.settings import Settings

# What the prompt at a new place may take, and what one at a known place may: that is computed at each key.
NEW_SECONDS, KNOWN_SECONDS = 0.5, 0.1
# A short window has at least so many tokens, however slow the model is, and a multiple of so many.
FEWEST_TOKENS, STEP_TOKENS = 128, 64
# What the engine does with kept keys and values of which a prompt uses this share: it cuts them to what is used.
CUT_SHARE = 0.5


@dataclasses.dataclass(frozen=True)
class _Running:
    """A long window that is being computed."""

    uri: str
    ids: Sequence[int]
    task: asyncio.Task[None]


class Windows:
    """Which prompts the engine has computed of late, as far as this process had it do so, and which it should.

    Others use the engine too, so this may be wrong: then a prompt takes longer once. Use from one event loop.
    """

    def __init__(self) -> None:
        self._client: ModelClient | None = None
        self._computed: list[Sequence[int]] = []  # the last one last
        self._short = 0  # tokens of the last short window
        self._wanted: tuple[str, Sequence[int]] = ("", ())  # document and ids of the last long window that had no time
        self._running: _Running | None = None

    def prepare(
        self,
        model: Reached,
        buffer: Buffer,
        row: int,
        column: int,
        settings: Settings,
        related: Added = NOTHING_ADDED,
    ) -> Asked | Suggestion:
        """What to ask the model, of as long a window as the engine has time for. See `suggest.prepare`."""
        long = prepare(model, buffer, row, column, settings, related)
        speed = model.client.prefill_tokens_per_second
        if isinstance(long, Suggestion) or model.shared or not settings.prefetch or speed is None:
            return long
        if model.client is not self._client:
            self.forget()
            self._client = model.client
        self._wanted = ("", ())
        room = max(FEWEST_TOKENS, int(NEW_SECONDS * speed) // STEP_TOKENS * STEP_TOKENS)
        few = max(STEP_TOKENS // 2, int(KNOWN_SECONDS * speed))
        missing = self._missing(long.prompt.ids)
        if missing <= few:
            return long
        # What other files add is in front of a window, and up to half as long.
        window = room * 2 // 3 if long.prompt.related else room
        short = prepare(model, buffer, row, column, settings, related, window_tokens=self._short or window)
        if isinstance(short, Asked) and self._missing(short.prompt.ids) > few:
            if missing <= room:
                return long
            self._short = window
            short = prepare(model, buffer, row, column, settings, related, window_tokens=window)
        self._wanted = (buffer.uri, long.prompt.ids[: len(long.prompt.ids) - long.prompt.heal])
        return short

    def begun(self, ids: Sequence[int]) -> None:
        """The engine is asked for this prompt."""
        for index, kept in enumerate(self._computed):
            if (common := _common(kept, ids)) >= CUT_SHARE * len(kept):
                self._computed[index] = kept[:common]

    def computed(self, model: Reached, ids: Sequence[int]) -> None:
        """The engine has this prompt."""
        if model.client is not self._client or (self._computed and self._computed[-1] is ids):
            return
        self._computed = [kept for kept in self._computed if _common(kept, ids) < len(kept)] + [ids]
        while sum(map(len, self._computed)) > model.context_length:  # for so many it surely has room
            del self._computed[0]

    def widen(self, model: Reached) -> None:
        """Have the engine compute the long window for which there was no time, when it has nothing else to do."""
        uri, ids = self._wanted
        running = self._running
        if not ids or (running is not None and _common(running.ids, ids) > len(running.ids) - STEP_TOKENS):
            return
        self._stop()
        self._running = _Running(uri, ids, asyncio.ensure_future(self._compute(model, ids)))

    @property
    def widening(self) -> bool:
        """Whether a long window is being computed."""
        return self._running is not None

    def closed(self, uri: str) -> None:
        """A document was closed."""
        if self._running is not None and self._running.uri == uri:
            self._stop()

    def forget(self) -> None:
        """The model or the settings changed."""
        self._stop()
        self._computed.clear()
        self._short, self._wanted, self._client = 0, ("", ()), None

    async def _compute(self, model: Reached, ids: Sequence[int]) -> None:
        self.begun(ids)
        try:
            answer = model.client.complete(ids, max_tokens=1, priority=PRIORITY_AHEAD)
            async with contextlib.aclosing(answer) as pieces:
                async for _ in pieces:
                    pass
            self.computed(model, ids)
        except UserError:
            pass  # the next key finds the engine gone, and says so
        if self._running is not None and self._running.ids is ids:
            self._running = None

    def _missing(self, ids: Sequence[int]) -> int:
        """How many tokens of a prompt the engine would have to compute."""
        return len(ids) - max((_common(kept, ids) for kept in self._computed), default=0)

    def _stop(self) -> None:
        if self._running is not None:
            self._running.task.cancel()
            self._running = None


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many ids the two begin with in common."""
    length, at = min(len(a), len(b)), 0
    while at < length and a[at : at + 64] == b[at : at + 64]:  # both are lists, whose parts are quickly compared
        at += 64
    while at < length and a[at] == b[at]:
        at += 1
    return min(at, length)
