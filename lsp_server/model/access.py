"""The model within reach of a language server or a command, whatever happens to its engine.

One object follows one engine: starts or joins it, watches it load, reads the tokenizer, and begins anew when the engine
is lost. What the user should know of it is one `ModelState`, handed to `on_state` at each change.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lsp_server.engine import options
from lsp_server.engine.address import Address
from lsp_server.engine.options import Options
from lsp_server.errors import UserError
from lsp_server.model import endpoint, exchange, hung, local, meeting, unused
from lsp_server.model.client import ModelClient
from lsp_server.model.dialect import Dialect
from lsp_server.model.exchange import EngineDenied, EngineLost, EngineRefused
from lsp_server.model.servers import Rest
from lsp_server.settings import Settings

if TYPE_CHECKING:
    from lsp_server.codellama import CodeLlamaTokenizer
    from lsp_server.codellama.text_form import TextForms

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
# An engine that is lost this often within this time will be lost again: the machine has too little memory, say.
LOSSES, LOSSES_SECONDS = 3, 120.0
# After a failure, a new request tries again, but not more often than this.
RETRY_SECONDS = 30.0
# A server that lets nobody in does so until somebody changes a setting, or the server.
DENIED_SECONDS = 300.0


@dataclasses.dataclass(frozen=True)
class ModelState:
    """Where the model stands: `message` is one sentence for the user, `progress` from 0 to 1 while loading. A busy one
    is there, and answers nothing for a while.

    `lost` says that the engine ended by itself and is being started again, `note` that the model is there otherwise
    than one would think, in the words that `message` ends with; the user is told of both.
    """

    kind: Literal["starting", "loading", "ready", "busy", "failed"]
    message: str
    progress: float = 0.0
    lost: bool = False
    model: str = ""
    device: str = ""
    note: str = ""

    @property
    def has_failed(self) -> bool:
        return self.kind == "failed"


@dataclasses.dataclass(frozen=True)
class Reached:
    """A model that answers. `context_length` in tokens; `heals`: whether it can choose a prompt's last tokens anew;
    `chooses`: and an answer's first line among several; `shared`: whether others use it too. `texts`: prompts as text,
    for a server that takes no token ids. `prefill_tokens_per_second`: when it was reached, None where that is unknown.

    `lost` is to be called by who finds its engine gone; `again` then waits for the model and gives it, or raises
    ModelUnavailable.
    """

    client: ModelClient
    tokenizer: CodeLlamaTokenizer
    context_length: int
    model: str
    device: str
    heals: bool = False
    shared: bool = False
    lost: Callable[[], None] = lambda: None
    again: Callable[[], Awaitable[Reached]] | None = None
    prefill_tokens_per_second: float | None = None
    texts: TextForms | None = None
    chooses: bool = False


class ModelUnavailable(UserError):
    """The model cannot be asked now; the message says why."""


class ModelAccess:
    """Reaches the model that `settings` name. Use from one event loop.

    `insists`: an engine with other options is given these, if need be by ending it; else only one that nobody uses is.
    `behind`: access to another model of this machine, which goes before this one. `worded`: how a failure is told.
    """

    def __init__(
        self,
        settings: Settings,
        on_state: Callable[[ModelState], None] = lambda state: None,
        *,
        insists: bool = False,
        behind: Callable[[], ModelAccess | None] = lambda: None,
        worded: Callable[[str], str] = str,
    ) -> None:
        self.settings = settings
        self.insists = insists
        self.state = ModelState("starting", "The model has not been asked for yet.")
        self.reached: Reached | None = None
        self._on_state, self._behind, self._worded = on_state, behind, worded
        self._task: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._watching: dict[ModelClient, asyncio.Task[None]] = {}
        self._hung = False  # the engine was ended since it hung, which is not told yet
        self._dialects: dict[str, Dialect] = {}  # by the addresses of the servers that they are of
        self._rests: dict[str, Rest] = {}
        self._losses: list[float] = []
        self._again_at, self._closed = 0.0, False
        self._note = ""  # what the user should know of an engine that others started

    def begins(self) -> bool:
        """Whether the model is on its way; also where its engine has ended since, which has it reached again."""
        if self.reached is not None and not self.settings.engine_url and local.running(self.settings.model) is None:
            self.lost(self.reached.client)
        return self._task is not None and not self._task.done()

    async def settled(self) -> None:
        """Wait until the model is there, or cannot be had."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def start(self) -> None:
        """Begin to reach the model, unless that is under way, done, or failed a moment ago."""
        if self._closed or self.reached is not None or (self._task is not None and not self._task.done()):
            return
        if self.state.has_failed and time.monotonic() < self._again_at:
            return
        self._begin("Reaching the server." if self.settings.engine_url else local.reaching(self.settings.model))

    def restart(self) -> None:
        """End the engine of this machine and start it anew, or reach the remote one again, and forget earlier failures:
        the user asked for it."""
        self._losses.clear()
        self._again_at = 0.0
        self._dialects.clear()
        self._rests = {}
        self._let_go()
        if self._task is not None:
            self._task.cancel()
        if not self.settings.engine_url and (self._ending is None or self._ending.done()):
            self._ending = asyncio.get_running_loop().create_task(local.end(self.settings.model))
        self._begin("Reaching the server anew." if self.settings.engine_url else "Starting the engine anew.")

    def lost(self, client: ModelClient) -> None:
        """Say that `client` found its engine gone. It is reached again, unless an engine of ours ends too often."""
        if self.reached is None or self.reached.client is not client:
            return  # somebody said so before
        self._let_go()
        self._begin("The engine does not answer any more; reaching it again.", lost=True)

    async def wait(self) -> Reached:
        """The model, once it is ready. Raises ModelUnavailable when it cannot be."""
        while self.reached is None:
            self.start()
            if self._closed or self._task is None or self.state.has_failed:
                raise ModelUnavailable(
                    "The settings changed meanwhile; ask again." if self._closed else self.state.message
                )
            await asyncio.wait([self._task])
            if self.state.has_failed:
                raise ModelUnavailable(self.state.message)
        return self.reached

    def close(self) -> None:
        """Let go of the engine, which goes on for others. Requests that still run are not ended."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
        self._let_go()

    def _let_go(self) -> None:
        if self.reached is not None:
            self._close(self.reached.client)
        self.reached = None

    def _close(self, client: ModelClient) -> None:
        """Close its connections once the requests under way have ended."""

        async def close() -> None:
            await client.aclose()
            if (watching := self._watching.pop(client, None)) is not None:
                watching.cancel()

        closing = asyncio.get_running_loop().create_task(close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def _begin(self, message: str, *, lost: bool = False) -> None:
        self._set(ModelState("starting", message))
        self._task = asyncio.get_running_loop().create_task(self._reach(lost=lost))

    async def _reach(self, *, lost: bool) -> None:
        try:
            local.check_names(self.settings)
            await asyncio.to_thread(exchange.load)
            if self._ending is not None:
                await asyncio.shield(self._ending)
            await self._take_turn()
            if lost and not self.settings.engine_url:
                await self._tell_loss()
            self.reached = reached = await (self._remote() if self.settings.engine_url else self._local())
        except EngineDenied as error:
            self._fail(str(error), DENIED_SECONDS)
        except UserError as error:
            self._fail(str(error))
        except Exception as error:
            log.exception("the model could not be reached")
            said = " ".join(f"{type(error).__name__}: {error}".split())
            self._fail(f"The model could not be reached ({said}); the log of the language server has more.")
        else:
            self._set_ready(reached)

    def _set_ready(self, reached: Reached, busy: str = "") -> None:
        where = f" on {reached.device}" if reached.device else ""
        said = " ".join(filter(None, [f"{reached.model} is ready{where}.", self._note]))
        kind: Literal["busy", "ready"] = "busy" if busy else "ready"
        note = "" if busy else self._note
        self._set(ModelState(kind, busy or said, 1.0, False, reached.model, reached.device, note))

    async def _take_turn(self) -> None:
        """Wait until the model that goes first is there or cannot be had."""
        while (first := self._behind()) is not None and first.begins():
            self._set(ModelState("starting", "The model for chat is loaded once that for suggestions is there."))
            await first.settled()

    async def _tell_loss(self) -> None:
        """Tell the user where the engine ended, and that not in an orderly way. Raises EngineLost where that happens
        too often."""
        if self._tell_hung() or not await local.crashed(self.settings.model):
            return
        self._losses = [at for at in self._losses if time.monotonic() - at < LOSSES_SECONDS] + [time.monotonic()]
        if len(self._losses) >= LOSSES:
            raise EngineLost(
                f"The engine ended {LOSSES} times within {LOSSES_SECONDS:.0f} s; its log says why. "
                "A smaller model or context may help."
            )
        self._set(ModelState("starting", "The engine ended unexpectedly; starting it again.", lost=True))

    def _tell_hung(self) -> bool:
        """Tell the user where the engine was ended since it hung; whether it was."""
        was, self._hung = self._hung, False
        if was:
            self._set(ModelState("starting", "The engine hung and was ended; starting it again.", lost=True))
        return was

    def _joined(self, at: Address) -> ModelClient:
        """A client of an engine on this machine, which is ended where it hangs while somebody waits for it: those who
        wait find it lost then."""
        client = ModelClient(endpoint.local(at))

        async def watch() -> None:
            if await hung.watch(at, client.waits):
                self._hung = True
                await local.kill(at)

        self._watching[client] = asyncio.get_running_loop().create_task(watch())
        return client

    async def _local(self) -> Reached:
        await self._give_options()
        for attempt in range(LOSSES):
            at = await local.ensure(self.settings, gives_way=self._behind() is not None)
            client = self._joined(at)
            try:
                return await self._loaded(client, local.of_another_installation(at))
            except EngineLost:
                log.warning("the engine was lost while it loaded (attempt %d)", attempt + 1)
                self._tell_hung()
                await local.gone(at, local.END_SECONDS)  # one that is ending takes no more requests
            except BaseException:
                self._close(client)
                raise
            self._close(client)
        raise EngineLost(
            f"The engine ended {LOSSES} times while it loaded the model, most likely for lack of memory; "
            f"see {local.log_file(self.settings.model)}."
        )

    async def _give_options(self) -> None:
        """Have a running engine that is ours to change take the options of these settings; one that cannot ends."""
        if (found := local.running(self.settings.model)) is not None:
            client = self._joined(found)
            try:
                if not await unused.taken(client, Options.of(self.settings), insists=self.insists):
                    if not self._tell_hung():
                        self._set(ModelState("starting", "Starting the engine anew, with settings that were changed."))
                    await local.end(self.settings.model)
            except EngineLost:
                self._tell_hung()
                await local.gone(found, local.END_SECONDS)
            finally:
                self._close(client)
        self.insists = False

    async def _loaded(self, client: ModelClient, note: str) -> Reached:
        """Wait until an engine, of which there is `note` to say, has its model. Raises EngineLost, EngineRefused."""
        while True:
            health = await client.health()
            if health.status == "ready":
                tokenizer = await asyncio.to_thread(local.tokenizer, Path(health.folder), self.settings)
                other = options.note(health.options, Options.of(self.settings), health.quantizations)
                self._note = f"{note} {other}".strip()
                return self._with(client, tokenizer, health.context_length, health.model, health.device)
            if health.status == "failed":
                raise EngineRefused(health.message)
            message = health.message or "Loading the model."
            self._set(ModelState("loading", message, health.progress, lost=self.state.lost, model=health.model))
            await asyncio.sleep(POLL_SECONDS)

    async def _remote(self) -> Reached:
        found = endpoint.remotes(self.settings)
        where = ", ".join(at.url for at in found)
        dialect = self._dialects.setdefault(where, Dialect(ours=False))
        make = functools.partial(ModelClient, *found, dialect=dialect, rests=self._rests)
        client = await asyncio.to_thread(make)  # reads the certificates
        try:
            model, context = await meeting.loaded_model(client, self.settings.model, self._loads)
            name = self.settings.tokenizer or self.settings.model
            folder = await asyncio.to_thread(local.tokenizer_files, name)
            tokenizer = await asyncio.to_thread(local.tokenizer, folder, self.settings)
            texts = await asyncio.to_thread(meeting.text_forms, folder, tokenizer)
            await meeting.try_text(client, tokenizer, texts)
        except BaseException:
            self._close(client)
            raise
        client.servers.on_busy = functools.partial(self._busy, client)
        client.on_denied = functools.partial(self._denied, client)
        client.on_room = functools.partial(self._has_room, client)
        if client.servers.missing:
            self._watching[client] = asyncio.get_running_loop().create_task(
                meeting.look_again(client, self.settings.model)
            )
        self._note = ""
        if not dialect.infills and tokenizer.abilities.infilling:
            self._note = (
                "Of prompts it loses the place of the cursor, so that suggestions see the code before it alone."
            )
            abilities = dataclasses.replace(tokenizer.abilities, infilling=False, infilling_reason=self._note)
            tokenizer = dataclasses.replace(tokenizer, abilities=abilities)
        context = min(context or tokenizer.abilities.context_length, dialect.room or sys.maxsize)
        reached = self._with(client, tokenizer, context, model or local.short(name), where)
        return dataclasses.replace(reached, texts=texts)

    def _loads(self, sentence: str) -> None:
        """A server has not loaded its model yet."""
        self._set(ModelState("loading", sentence))

    def _busy(self, client: ModelClient, sentence: str) -> None:
        """A server takes nothing for a while, or ("") takes requests again."""
        if self.reached is not None and self.reached.client is client:
            self._set_ready(self.reached, sentence)

    def _denied(self, client: ModelClient, sentence: str) -> None:
        """A server refuses what it is asked, as it will until something changes."""
        if self.reached is not None and self.reached.client is client:
            self._let_go()
            self._fail(sentence, DENIED_SECONDS)

    def _has_room(self, client: ModelClient, tokens: int) -> None:
        """A server has room for fewer tokens than was known."""
        if self.reached is not None and self.reached.client is client:
            self.reached = dataclasses.replace(self.reached, context_length=tokens)

    def _with(
        self, client: ModelClient, tokenizer: CodeLlamaTokenizer, context_length: int, model: str, device: str
    ) -> Reached:
        lost = functools.partial(self.lost, client)
        at, speed = client.endpoint, client.prefill_tokens_per_second
        known = Reached(client, tokenizer, context_length, model, device, at.heals, at.shared, lost, self.wait, speed)
        return dataclasses.replace(known, chooses=at.chooses)

    def _fail(self, message: str, seconds: float = RETRY_SECONDS) -> None:
        self._again_at = time.monotonic() + seconds
        name = self.settings.model
        self._set(ModelState("failed", self._worded(message.replace(name, local.short(name)) if name else message)))

    def _set(self, state: ModelState) -> None:
        if state != self.state:
            self.state = state
            self._on_state(state)
