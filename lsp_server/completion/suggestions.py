"""The suggestions of one editor window: from memory where they are known, from a generation under way where its text is
typed along, else from the model; and the next one ahead of time, while the user reads."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

from lsp_server.completion.ahead import Windows
from lsp_server.completion.cache import Known, Spot
from lsp_server.completion.document import DocumentSuggestions, Superseded
from lsp_server.completion.generation import Generation, begin
from lsp_server.completion.pacing import Pacing
from lsp_server.completion.prompt import most_related
from lsp_server.completion.suggest import (
    Asked,
    Suggestion,
    find,
    generate,
    in_other_layout,
    is_doubtful,
    least_probability,
)
from lsp_server.completion.unasked import why_none, why_off
from lsp_server.context.buffer import Buffer
from lsp_server.context.related.piece import NOTHING_ADDED, Added
from lsp_server.context.surroundings import Surroundings
from lsp_server.errors import UserError
from lsp_server.model.access import ModelUnavailable, Reached
from lsp_server.model.client import PRIORITY_AHEAD, PRIORITY_COMPLETION
from lsp_server.settings import Settings

# How many other suggestions the model is asked for, when the user asks for them and the engine cannot choose.
OTHERS = 2
# What was made ahead of time and is less probable than that is chosen anew among several.
DOUBTFUL_AHEAD = 0.7
# So long after a key the cursor rests: what is done then would hold up the next one.
RESTED_SECONDS = 0.05
# Who reads prompts so fast may be given another one behind each dot; a server of others is taken to.
QUICK_TOKENS_PER_SECOND = 5000
CHANGED = "The text changed meanwhile."
UNSURE = "The model is not sure enough of what it wrote (codellama.minProbability)."


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a request comes to: suggestions, the one to show first, or one sentence on why there is none. `off`: there
    are none in this document, wherever one asks."""

    suggestions: tuple[Suggestion, ...] = ()
    reason: str = ""
    off: bool = False


class Suggestions:
    """Use from one event loop, and `forget` when the model or the settings change. `on_thinking` is told of a document
    for which the model is asked, `on_slow` how many seconds a suggestion takes, once, where those are too many."""

    def __init__(
        self,
        around: Surroundings,
        on_thinking: Callable[[str], None] = lambda uri: None,
        on_slow: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._around = around
        self._on_thinking, self._on_slow = on_thinking, on_slow
        self._pacing = Pacing()
        self._known = Known()
        self._windows = Windows()
        self._documents: dict[str, DocumentSuggestions] = {}
        self._ahead: Generation | None = None
        self._choosing: asyncio.Task[None] | None = None
        self._resting: asyncio.Task[None] | None = None

    async def at(
        self,
        buffer: Buffer | None,
        line: int,
        character: int,
        *,
        by_hand: bool,
        others: bool = True,
        waits: bool = True,
    ) -> Answer:
        """The suggestions at a position of a document, None where it is not open. A newer request or a change ends it.

        `by_hand`: the model is asked at once, wherever the cursor is, and, where a suggestion is known, and so shown
        already, for others.
        `waits`: until the model is loaded.
        """
        if (reason := why_off(buffer, self._around.settings)) or buffer is None:
            return Answer(reason=reason, off=True)
        document = self._document(buffer.uri)
        try:
            answer = await document.request(self._first(document, buffer, line, character, by_hand, waits))
        except Superseded:
            return Answer(reason=CHANGED)
        model = self._around.model.reached
        if by_hand and model is not None and any(one.timings.get("known") for one in answer.suggestions):
            try:
                more = await document.request(self._others(model, buffer, answer.suggestions[0]))
            except Superseded:
                return answer
            return Answer((*answer.suggestions, *more))
        return answer

    def opened(self, uri: str) -> None:
        """A document was opened: until the editor says where its cursor is, that is taken to be where most begin."""
        buffer = self._around.workspace.buffer(uri)
        if buffer is not None and not self._windows.widening and (self._resting is None or self._resting.done()):
            self.rests(buffer, 0, buffer.units(0, len(buffer.lines[0].rstrip("\r\n"))))

    def rests(self, buffer: Buffer, line: int, character: int) -> None:
        """The cursor has come to rest at a position: the model begins with what the next key there will want."""
        if self._resting is not None:
            self._resting.cancel()
        self._resting = asyncio.ensure_future(self._rest(buffer, line, character))

    async def settled(self) -> None:
        """Wait until what is chosen among several, where a suggestion was doubtful, is known."""
        if self._choosing is not None:
            await asyncio.wait([self._choosing])

    async def answered(self) -> None:
        """Wait until no suggestion is asked for."""
        while under_way := [task for document in self._documents.values() for task in document.under_way]:
            await asyncio.wait(under_way)

    def changed(self, uri: str) -> None:
        """The text of a document changed."""
        self._pacing.key()
        if (document := self._documents.get(uri)) is not None:
            document.changed()

    def closed(self, uri: str) -> None:
        """A document was closed."""
        if (document := self._documents.pop(uri, None)) is not None:
            document.end()
        self._windows.closed(uri)

    def forget(self) -> None:
        """End everything that is written, and know nothing. Requests that wait for a model go on waiting."""
        for document in self._documents.values():
            document.end_generation()
        self._end_ahead()
        self._known.clear()
        self._windows.forget()
        self._pacing.forget()

    async def _first(
        self, document: DocumentSuggestions, buffer: Buffer, line: int, character: int, by_hand: bool, waits: bool
    ) -> Answer:
        """The suggestion to show, or why there is none."""
        if hidden := await self._around.workspace.hidden(buffer.uri):
            return Answer(reason=hidden, off=True)
        if line >= len(buffer.lines):
            count = len(buffer.lines)
            return Answer(reason=f"The cursor is on line {line + 1}, but the text has {count}; reopen the file.")
        self._around.want_model()
        if self._around.model.reached is None and not waits:
            return Answer(reason=self._around.model.state.message)
        try:
            model = await self._around.reach()
        except ModelUnavailable as error:
            return Answer(reason=str(error))
        settings = self._around.settings
        if reason := why_off(buffer, settings):  # it is not known how long that took
            return Answer(reason=reason, off=True)
        now = Spot.of(buffer, *buffer.locate(line, character))
        passed_over = document.passed_over.why_none(buffer, now, by_hand=by_hand)
        if passed_over and settings.quiet_when_passed_over:
            return Answer(reason=passed_over)
        return await self._at(model, document, buffer, now, settings, by_hand=by_hand)

    async def _at(
        self,
        model: Reached,
        document: DocumentSuggestions,
        buffer: Buffer,
        now: Spot,
        settings: Settings,
        *,
        by_hand: bool,
    ) -> Answer:
        """What is known at a place, or what the model writes there, where it is sure enough of it to be shown."""
        if self._around.related.is_old(buffer.uri):
            self._known.forget(buffer.uri)
        suggestion, doubtful = self.known(buffer, now), False
        if suggestion is None or (by_hand and not suggestion.text):
            self._on_thinking(buffer.uri)
            debounce = 0 if by_hand else self._pacing.debounce_ms(settings)
            settings = dataclasses.replace(settings, debounce_ms=debounce)
            try:
                suggestion = await self.ask(model, document, buffer, now, settings, by_hand=by_hand)
            except UserError as error:
                return Answer(reason=str(error))
            if slow := self._pacing.answered(suggestion.timings.get("totalMs")):
                self._on_slow(slow)
            # That would not be shown, or is seldom right: the next request may find a better one.
            least = max(least_probability(model, settings), model.tokenizer.min_probability)
            if doubtful := not by_hand and is_doubtful(model, settings, suggestion, least):
                self._choose(model, buffer, suggestion, settings)
        if suggestion.text and suggestion.probability < least_probability(model, settings):
            if not by_hand:
                return Answer(reason=UNSURE)
            # What was shown once stays while it is typed along.
            suggestion = dataclasses.replace(suggestion, line=())
            self._known.add(now, suggestion)
        if suggestion.text:
            document.passed_over.shown(buffer, now, suggestion.text)
        if not doubtful:
            self._look_ahead(model, buffer, suggestion, settings)
        self._windows.widen(model)
        found = (suggestion, *suggestion.others) if by_hand else (suggestion,)
        return Answer(found if suggestion.text else (), suggestion.reason)

    async def _others(self, model: Reached, buffer: Buffer, shown: Suggestion) -> tuple[Suggestion, ...]:
        """What else could be suggested where `shown` is: what is known, or else what the model writes by chance."""
        self._on_thinking(buffer.uri)
        settings, place = self._around.settings, (buffer, shown.row, shown.column)
        related, spot = self._around.related.known(*place), Spot.of(*place)
        if len(self._known.find(buffer, spot)) < 2 and isinstance(
            asked := self._windows.prepare(model, *place, settings, related), Asked
        ):
            ways: list[dict[str, Any]] = [{"seed": seed} for seed in range(OTHERS)]
            if model.chooses and not settings.temperature:
                ways = [{"chooses": True}]
            try:
                made = await asyncio.gather(*(generate(model, asked, settings, **way) for way in ways))
            except UserError:
                return ()
            for suggestion in (*reversed(made), shown):  # the one that is shown stays the first
                if suggestion.text:
                    self._known.add(spot, suggestion)
        return tuple(each for each in self._known.find(buffer, spot) if each.text != shown.text)

    def _choose(self, model: Reached, buffer: Buffer, doubtful: Suggestion, settings: Settings) -> None:
        """Have the model choose among several where it made a `doubtful` suggestion, when it has nothing else to do."""

        async def choose() -> None:
            place = buffer, doubtful.row, doubtful.column
            asked = self._windows.prepare(model, *place, settings, self._around.related.known(*place))
            with contextlib.suppress(UserError):  # the next key finds the engine gone, and says so
                if isinstance(asked, Asked):
                    chosen = await generate(model, asked, settings, priority=PRIORITY_AHEAD, chooses=True)
                    if chosen.text:
                        self._known.add(Spot.of(*place), dataclasses.replace(chosen, others=()))

        self._choosing = asyncio.ensure_future(choose())

    def known(self, buffer: Buffer, now: Spot) -> Suggestion | None:
        """The suggestion at `now` if it is known, for which the model is not asked."""
        return next(iter(self._known.find(buffer, now)), None)

    async def ask(
        self,
        model: Reached,
        document: DocumentSuggestions,
        buffer: Buffer,
        now: Spot,
        settings: Settings,
        *,
        by_hand: bool,
    ) -> Suggestion:
        """The suggestion at `now`, after `settings.debounce_ms`, within a request of the document. Ends a
        generation for another place of it, and work ahead.

        Raises EngineLost, EngineRefused, ModelUnavailable.
        """
        row, column = now.row, now.column
        # One that works ahead waits for a chat: it is of use now only if it has begun.
        begun = self._ahead if self._ahead is not None and self._ahead.text else None
        ahead = begun if begun is not None and begun.leads_to(buffer, now) else None
        if generation := document.leading_to(buffer, now) or ahead:
            if generation is self._ahead:
                self._ahead = None
            document.follow(generation)
            await generation.followed(buffer, now)
            if known := self.known(buffer, now):
                return known
        document.end_generation()
        self._end_ahead()
        if settings.debounce_ms:
            await asyncio.sleep(settings.debounce_ms / 1000)
        related = await self._related(model, buffer, row, column)
        asked = self._windows.prepare(model, buffer, row, column, settings, related)
        if isinstance(asked, Suggestion):
            return asked
        if not by_hand and (reason := why_none(asked.here, settings)):
            return Suggestion(row, column, reason=reason)
        other = in_other_layout(model, asked, buffer, settings, related) if by_hand else None
        generation = self._begin(model, asked, now, settings, PRIORITY_COMPLETION, by_hand=by_hand, other=other)
        document.follow(generation)
        return await asyncio.shield(generation.task)

    async def _rest(self, buffer: Buffer, line: int, character: int) -> None:
        around, version = self._around, buffer.version
        if why_off(buffer, around.settings) or not around.settings.prefetch:
            return
        await asyncio.sleep(RESTED_SECONDS)
        if await around.workspace.hidden(buffer.uri):
            return
        try:
            model = await around.reach()
        except ModelUnavailable:
            return
        if around.workspace.buffer(buffer.uri) is not buffer or buffer.version != version:
            return  # who types asks for a suggestion
        if line >= len(buffer.lines) or why_off(buffer, around.settings):
            return
        row, column = buffer.locate(line, character)
        if around.related.is_old(buffer.uri):
            self._known.forget(buffer.uri)
        await self._related(model, buffer, row, column, rests=True)
        self._prefetch(model, buffer, row, column, around.settings)

    async def _related(self, model: Reached, buffer: Buffer, row: int, column: int, *, rests: bool = False) -> Added:
        """What other files add at a place; where the prompt will have none of it, nothing is looked for."""
        if not most_related(self._around.settings, model.tokenizer):
            return NOTHING_ADDED
        reads = model.prefill_tokens_per_second or 0
        quick = bool(self._around.settings.engine_url) or reads >= QUICK_TOKENS_PER_SECOND
        related = self._around.related
        return await related.at(buffer, row, column, rests=rests, quick=quick, prefers=model.chooses)

    def _look_ahead(self, model: Reached, buffer: Buffer, shown: Suggestion, settings: Settings) -> None:
        """Begin with the suggestion that follows on `shown` once that is accepted."""
        if shown.text and settings.prefetch and not model.shared:
            after, row, column = buffer.with_text(shown.row, shown.column, shown.text)
            self._prefetch(model, after, row, column, settings)

    def _prefetch(self, model: Reached, buffer: Buffer, row: int, column: int, settings: Settings) -> None:
        """Begin with the suggestion at a place where the user may want one soon, unless the model is asked for one in
        this document; the engine does it last of all."""
        document, ahead = self._document(buffer.uri), self._ahead
        if not settings.prefetch or model.shared:
            return
        if document.generation is not None and not document.generation.task.done():
            return
        spot = Spot.of(buffer, row, column)
        if self.known(buffer, spot) or (ahead is not None and ahead.spot == spot and not ahead.task.done()):
            return
        related = self._around.related.known(buffer, row, column)
        asked = self._windows.prepare(model, buffer, row, column, settings, related)
        if isinstance(asked, Asked) and not why_none(asked.here, settings):
            self._end_ahead()
            self._ahead = ahead = self._begin(model, asked, spot, settings, PRIORITY_AHEAD)
            ahead.task.add_done_callback(lambda task: self._ended_ahead(model, buffer, ahead, settings))
        self._windows.widen(model)

    def _ended_ahead(self, model: Reached, buffer: Buffer, made: Generation, settings: Settings) -> None:
        """Go on with what was made ahead of time, if that is doubtful and nobody has asked for it yet."""
        if self._ahead is made and not made.task.cancelled() and made.task.exception() is None:
            suggestion = made.task.result()
            if is_doubtful(model, settings, suggestion, DOUBTFUL_AHEAD):
                self._choose(model, buffer, suggestion, settings)

    def _begin(
        self,
        model: Reached,
        asked: Asked,
        spot: Spot,
        settings: Settings,
        priority: int,
        *,
        by_hand: bool = False,
        other: Asked | None = None,
    ) -> Generation:
        ids = asked.prompt.ids

        async def write(on_text: Callable[[str], None]) -> Suggestion:
            def heard(text: str) -> None:
                self._windows.computed(model, ids)
                on_text(text)

            self._windows.begun(ids)
            suggestion = await find(
                model, asked, settings, by_hand=by_hand, other=other, priority=priority, on_text=heard
            )
            self._windows.computed(model, ids)
            self._known.add(spot, suggestion)
            return suggestion

        return begin(spot, write)

    def _document(self, uri: str) -> DocumentSuggestions:
        return self._documents.setdefault(uri, DocumentSuggestions())

    def _end_ahead(self) -> None:
        if self._ahead is not None:
            self._ahead.task.cancel()
            self._ahead = None
        if self._choosing is not None:
            self._choosing.cancel()
            self._choosing = None
