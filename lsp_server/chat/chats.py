"""Conversations with the model: a question is kept, answered as the model writes, and the answer kept as it grows."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from lsp_server.chat.asking import Ask, InvalidAsk, OpenQuestion, joined, opened
from lsp_server.chat.conversation import Cost, TooLong, continuation
from lsp_server.chat.fitting import Counter, Fitted, fit
from lsp_server.chat.prefill import Estimate, SentFiles, estimated, readable
from lsp_server.chat.recorder import Recorder
from lsp_server.chat.store import NoConversation, Store, StoreError
from lsp_server.chat.turns import Attachment, Turn
from lsp_server.context.workspace import Workspace
from lsp_server.errors import UserError
from lsp_server.model.access import ModelUnavailable, Reached
from lsp_server.model.client import Choice
from lsp_server.model.exchange import EngineLost, EngineRefused
from lsp_server.model.prefill import told
from lsp_server.settings import Settings
from lsp_server.waiting import within

# A preview shows token counts where the model is there, and does not wait for it to be loaded.
PREVIEW_SECONDS = 0.2

DELETED = "This conversation was deleted elsewhere; here a new one begins, without what was said in it."

OnPart = Callable[[dict[str, Any]], None]


class Unanswered(UserError):
    """The question is kept, but there is no whole answer; the message says why, in one sentence."""

    def __init__(self, message: str, conversation: str, turn: int) -> None:
        super().__init__(message)
        self.conversation, self.turn = conversation, turn


@dataclasses.dataclass(frozen=True)
class Reply:
    """An answer. `turn`: its position, None where nothing of it was written. `finish_reason`: stop, length, repeats,
    stopped."""

    conversation: str
    message: str
    turn: int | None
    finish_reason: str
    usage: dict[str, Any]
    left_out: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Preview:
    """What would be sent: the question, and where there is a model the prompt, its budget of tokens, and what it takes
    to read that."""

    begun: OpenQuestion
    fitted: Fitted | None = None
    budget: int = 0
    estimate: Estimate | None = None


@dataclasses.dataclass(frozen=True)
class Environment:
    """What chat needs of its surroundings: as functions, because all of it may change from question to question."""

    settings: Callable[[], Settings]
    workspace: Callable[[], Workspace]
    reach: Callable[[], Awaitable[Reached]]


class _Running:
    """An answer that is being written."""

    def __init__(self, seed: int | None) -> None:
        self.seed = seed
        self.stop = asyncio.Event()
        self.done = asyncio.Event()
        self.recorder: Recorder | None = None
        self.cost: Cost | None = None
        self.usage: dict[str, Any] = {}
        self.left_out: tuple[str, ...] = ()


class Chats:
    """All conversations of this user. One event loop. `instructions`: what each slash command asks the model."""

    def __init__(self, store: Store, around: Environment, instructions: Mapping[str, str] | None = None) -> None:
        self.store = store
        self.instructions = dict(instructions or {})
        self._around = around
        self._running: dict[str, _Running] = {}
        self._counter: Counter | None = None
        self._sent = SentFiles()

    def is_running(self, conversation: str) -> bool:
        return conversation in self._running

    async def stop(self, conversation: str) -> None:
        """End the answer that is being written, if one is, once all of it is kept."""
        running = self._running.get(conversation)
        if running is not None:
            running.stop.set()
            await running.done.wait()

    async def send(self, ask: Ask, on_part: OnPart) -> Reply:
        """Answer a question. `on_part` gets {"delta": text} for each token, before that {"delta": "", ...} with the
        conversation, with what was left out, and with how far the question is read. Cancelling, like `stop`, ends the
        answer; the reply is as usual then.

        Raises Unanswered, InvalidAsk, NoConversation, Conflict, StoreError.
        """
        running = _Running(ask.seed)
        task = asyncio.ensure_future(self._send(ask, on_part, running))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            running.stop.set()
            return await task

    async def preview(self, ask: Ask) -> Preview:
        """What `send` would send, without keeping or sending it. Raises as `send`."""
        from lsp_server.codellama import DialogError  # here, so that a server that nobody chats with starts fast

        begun = await asyncio.to_thread(self._begun, ask)
        with contextlib.suppress(ModelUnavailable, asyncio.TimeoutError):
            model = await within(self._around.reach(), PREVIEW_SECONDS)
            try:
                _check_chat(model)
                fitted, budget = await self._fitted(begun, model)
            except (TooLong, DialogError) as error:
                raise InvalidAsk(str(error)) from error
            return Preview(begun, fitted, budget, await estimated(model, fitted.ids))
        return Preview(begun)

    async def _send(self, ask: Ask, on_part: OnPart, running: _Running) -> Reply:
        name = ask.conversation
        while name and name in self._running:
            await self.stop(name)
        if name:
            self._running[name] = running
        try:
            begun = await asyncio.to_thread(self._begin, ask)
        except BaseException:
            self._end(name, running)
            raise
        if begun.conversation.id != name and self._running.get(name) is running:
            del self._running[name]
        name = begun.conversation.id
        self._running[name] = running
        on_part({"delta": "", "conversationId": name, "turn": begun.position + 1})
        answering = asyncio.ensure_future(self._answer(begun, on_part, running))
        stopping = asyncio.ensure_future(running.stop.wait())
        try:
            await asyncio.wait({answering, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in (answering, stopping):
                task.cancel()
            await asyncio.wait({answering, stopping})
            error = None if answering.cancelled() else answering.exception()
            finish = "stopped" if answering.cancelled() else "failed" if error else answering.result()
            text = ""
            if running.recorder is not None:
                text = running.recorder.text
                running.usage = running.usage or (running.cost.total() if running.cost else {})
                try:
                    await running.recorder.close(finish, running.usage)
                except StoreError as problem:  # the answer itself is there
                    running.left_out += (str(problem),)
            if error is not None:
                from lsp_server.codellama import DialogError

                if isinstance(error, (EngineLost, EngineRefused, ModelUnavailable, DialogError, TooLong)):
                    raise Unanswered(str(error), name, begun.position) from error
                raise error
            turn = begun.position + 1 if running.recorder else None
            return Reply(name, text, turn, finish, running.usage, running.left_out)
        finally:
            self._end(name, running)

    def _end(self, name: str, running: _Running) -> None:
        running.done.set()
        if self._running.get(name) is running:
            del self._running[name]

    async def _answer(self, begun: OpenQuestion, on_part: OnPart, running: _Running) -> str:
        """Write the answer; returns why it ended."""
        model = await self._around.reach()
        _check_chat(model)
        return await self._written(begun, model, on_part, running)

    async def _written(self, begun: OpenQuestion, model: Reached, on_part: OnPart, running: _Running) -> str:
        fitted, budget = await self._fitted(begun, model)
        running.left_out = (*begun.left_out, *fitted.left_out)
        self._sent.note(fitted.attachments)
        if running.recorder is None:
            await asyncio.to_thread(self._keep, begun, fitted, budget)
            running.recorder = Recorder(self.store, begun.conversation.id, begun.position + 1)
            if running.left_out:
                on_part({"delta": "", "leftOut": list(running.left_out)})
        options, settings = begun.conversation.settings, self._around.settings()
        running.cost, started = Cost(len(fitted.ids)), time.monotonic()
        deltas = continuation(
            model,
            fitted.ids,
            max_tokens=self._most(begun),
            choice=Choice(
                settings.chat_temperature if options.get("temperature") is None else options["temperature"],
                top_p=options.get("topP", settings.chat_top_p),
                seed=settings.fixed_seed if running.seed is None else running.seed,
            ),
            cost=running.cost,
            messages=fitted.messages,
            on_prefill=lambda prefill: on_part(
                {"delta": "", "reading": told(prefill, model.client.speed, time.monotonic() - started)}
            ),
        )
        finish = "stop"
        async with contextlib.aclosing(deltas):
            async for delta in deltas:
                running.recorder.add(delta.text)
                on_part({"delta": delta.text})
                finish, running.usage = delta.finish_reason or finish, delta.cost or running.usage
        return finish

    def _most(self, begun: OpenQuestion) -> int:
        """Most tokens of the answer."""
        return int(begun.conversation.settings.get("maxTokens") or self._around.settings().chat_max_tokens)

    async def _fitted(self, begun: OpenQuestion, model: Reached) -> tuple[Fitted, int]:
        if self._counter is None or self._counter.tokenizer is not model.tokenizer:
            self._counter = Counter(model.tokenizer)
        options = begun.conversation.settings
        # Half of a small context is for the answer, else as much as it may need.
        budget = model.context_length - min(self._most(begun), model.context_length // 2)
        first = options.get("first", 0) if options.get("budget") == budget else 0
        first = min(first, len(begun.past.exchanges))
        asked, attachments, _ = joined(begun.questions)
        most, counter, past = readable(model, self._around.settings()), self._counter, begun.past.exchanges

        def fitted() -> Fitted:
            new, tokens = self._sent.as_before(attachments, counter, most)
            system = options.get("system", "")
            return fit(counter, system, past, asked, new, budget=budget, first=first, readable=tokens)

        return await asyncio.to_thread(fitted), budget

    def _keep(self, begun: OpenQuestion, fitted: Fitted, budget: int) -> None:
        """Keep with the turns what was sent of their attachments, so that the next prompt begins the same; begin the
        answer."""
        name = begun.conversation.id
        changed: dict[int, list[Attachment]] = {}
        for origin, before, after in zip(begun.past.origins, begun.past.exchanges, fitted.past, strict=True):
            if before != after:
                for position, one in zip(origin, after.attachments, strict=True):
                    changed.setdefault(position, []).append(one)
        for position, one in zip(joined(begun.questions)[2], fitted.attachments, strict=True):
            changed.setdefault(position, []).append(one.clipped())
        for position, attachments in changed.items():
            self.store.update(name, position, attachments=tuple(attachments))
        settings = {**begun.conversation.settings, "first": fitted.first, "budget": budget}
        if settings != begun.conversation.settings:
            self.store.configure(name, settings)
        self.store.put(name, Turn(begun.position + 1, "assistant", ""), replace=begun.replaces)

    def _begin(self, ask: Ask) -> OpenQuestion:
        """Keep the question, whatever becomes of it."""
        begun = self._begun(ask)
        conversation = begun.conversation
        if not conversation.id:
            conversation = self.store.begin(conversation.title, conversation.settings)
        else:
            self.store.configure(conversation.id, conversation.settings)
        if not ask.regenerate:
            self.store.put(conversation.id, begun.questions[-1], replace=ask.edit_turn is not None)
        return dataclasses.replace(begun, conversation=conversation)

    def _begun(self, ask: Ask) -> OpenQuestion:
        """The question and what comes before it, without a change to what is kept. One in a conversation that somebody
        has deleted meanwhile begins another, and that is said."""
        conversation, said = None, tuple[str, ...]()
        if ask.conversation:
            try:
                conversation = self.store.get(ask.conversation)
            except NoConversation:
                if ask.regenerate or ask.edit_turn is not None:
                    raise
                said = (DELETED,)
        begun = opened(ask, conversation, self._around.workspace(), self._around.settings(), self.instructions)
        return dataclasses.replace(begun, left_out=(*said, *begun.left_out))


def _check_chat(model: Reached) -> None:
    """Raises DialogError where the model cannot chat, with the reason."""
    from lsp_server.codellama import DialogError

    if not model.tokenizer.abilities.chat:
        raise DialogError(model.tokenizer.abilities.chat_reason)


def state_of(turn: Turn, following: Turn | None, *, running: bool) -> Literal["", "running", "interrupted"] | str:
    """How a turn ended: for an answer as `Turn.finished`, or "running" or "interrupted"; for a question "unanswered"
    where no answer follows, else ""."""
    if turn.role == "user":
        answered = following is not None and following.role == "assistant" and following.content.strip()
        return "" if answered or running else "unanswered"
    return turn.finished or ("running" if running else "interrupted")


__all__ = [
    *("Ask", "Chats", "Environment", "InvalidAsk", "NoConversation", "Reply", "StoreError", "Unanswered", "state_of"),
]
