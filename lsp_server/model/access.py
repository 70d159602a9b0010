"""The model within reach of a language server or a command, whatever happens to its engine.

One object follows one engine: starts or joins it, watches it load, reads the tokenizer, and begins anew when the engine
is lost. What the user should know of it is one `ModelState`, handed to `on_state` at each change.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lsp_server.model import local
from lsp_server.model.client import EngineLost, EngineRefused, ModelClient
from lsp_server.settings import Settings

if TYPE_CHECKING:
    from lsp_server.codellama import CodeLlamaTokenizer

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
# An engine that is lost this often within this time will be lost again: the machine has too little memory, say.
LOSSES, LOSSES_SECONDS = 3, 120.0
# After a failure, a new request tries again, but not more often than this.
RETRY_SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class ModelState:
    """Where the model stands: `message` is one sentence for the user, `progress` from 0 to 1 while loading.

    `lost` says that the engine ended by itself and is being started again; the user is told.
    """

    kind: Literal["starting", "loading", "ready", "failed"]
    message: str
    progress: float = 0.0
    lost: bool = False
    model: str = ""
    device: str = ""


@dataclasses.dataclass(frozen=True)
class Reached:
    """A model that answers. `context_length` in tokens; `heals`: whether it can choose a prompt's last tokens anew."""

    client: ModelClient
    tokenizer: CodeLlamaTokenizer
    context_length: int
    model: str
    device: str
    heals: bool = False


class ModelUnavailable(RuntimeError):
    """The model cannot be asked now; the message says why."""


class ModelAccess:
    """Reaches the model that `settings` name. Use from one event loop."""

    def __init__(self, settings: Settings, on_state: Callable[[ModelState], None] = lambda state: None) -> None:
        self.settings = settings
        self.state = ModelState("starting", "The model has not been asked for yet.")
        self.reached: Reached | None = None
        self._on_state = on_state
        self._task: asyncio.Task[None] | None = None
        self._losses: list[float] = []
        self._failed_at = 0.0

    def start(self) -> None:
        """Begin to reach the model, unless that is under way, done, or failed a moment ago."""
        if self.reached is not None or (self._task is not None and not self._task.done()):
            return
        if self.state.kind == "failed" and time.monotonic() - self._failed_at < RETRY_SECONDS:
            return
        self._begin(lost=False)

    def retry(self) -> None:
        """Begin anew now, forgetting earlier failures: the user asked for it."""
        self._losses.clear()
        self._failed_at = 0.0
        self.reached = None
        if self._task is not None:
            self._task.cancel()
        self._begin(lost=False)

    def lost(self, client: ModelClient) -> None:
        """Say that `client` found its engine gone. The engine is started again, unless that happens too often."""
        if self.reached is None or self.reached.client is not client:
            return  # somebody said so before
        self.reached = None
        crashed = bool(self.settings.engine_url) or local.crashed(self.settings.model)
        if crashed:
            self._losses = [at for at in self._losses if time.monotonic() - at < LOSSES_SECONDS] + [time.monotonic()]
        if len(self._losses) >= LOSSES:
            self._fail(
                f"The engine ended {LOSSES} times within {LOSSES_SECONDS:.0f} s; its log says why. "
                "A smaller model or context may help."
            )
            return
        self._begin(lost=crashed)

    async def wait(self) -> Reached:
        """The model, once it is ready. Raises ModelUnavailable when it cannot be."""
        while self.reached is None:
            self.start()
            if self._task is None or self.state.kind == "failed":
                raise ModelUnavailable(self.state.message)
            await asyncio.wait([self._task])
            if self.state.kind == "failed":
                raise ModelUnavailable(self.state.message)
        return self.reached

    def close(self) -> None:
        """Let go of the engine, which goes on for others. Requests that still run are not ended."""
        if self._task is not None:
            self._task.cancel()
        self.reached = None

    def _begin(self, *, lost: bool) -> None:
        message = "The engine ended unexpectedly; starting it again." if lost else "Starting the engine."
        self._set(ModelState("starting", message, lost=lost))
        self._task = asyncio.get_running_loop().create_task(self._reach())

    async def _reach(self) -> None:
        try:
            self.reached = await (self._remote() if self.settings.engine_url else self._local())
        except (local.EngineFailed, EngineRefused, EngineLost, ValueError, OSError) as error:
            self._fail(str(error))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.exception("the model could not be reached")
            self._fail(f"The model could not be reached: {type(error).__name__}: {error}")
        else:
            where = f" on {self.reached.device}" if self.reached.device else ""
            name = self.reached.model
            self._set(ModelState("ready", f"{name} is ready{where}.", 1.0, model=name, device=self.reached.device))

    async def _local(self) -> Reached:
        for attempt in range(LOSSES):
            at = await local.ensure(self.settings)
            client = ModelClient(at.url, socket=at.socket, token=at.token)
            try:
                return await self._loaded(client)
            except EngineLost:
                await client.aclose()
                log.warning("the engine was lost while it loaded (attempt %d)", attempt + 1)
        raise EngineLost(
            f"The engine ended {LOSSES} times while it loaded the model, most likely for lack of memory; "
            f"see {local.log_file(self.settings.model)}."
        )

    async def _loaded(self, client: ModelClient) -> Reached:
        """Wait until the engine has loaded its model. Raises EngineLost, EngineRefused."""
        while True:
            health = await client.health()
            if health.status == "ready":
                tokenizer = await self._tokenizer(Path(health.folder))
                return Reached(client, tokenizer, health.context_length, health.model, health.device, heals=True)
            if health.status == "failed":
                await client.aclose()
                raise EngineRefused(health.message)
            message = health.message or "Loading the model."
            self._set(ModelState("loading", message, health.progress, lost=self.state.lost, model=health.model))
            await asyncio.sleep(POLL_SECONDS)

    async def _remote(self) -> Reached:
        client = ModelClient(self.settings.engine_url, token=self.settings.engine_token)
        model, context = await client.served_model()
        name = self.settings.tokenizer or self.settings.model
        folder = await asyncio.to_thread(local.tokenizer_files, name)
        tokenizer = await self._tokenizer(folder)
        return Reached(
            client, tokenizer, context or tokenizer.abilities.context_length, model, self.settings.engine_url
        )

    async def _tokenizer(self, folder: Path) -> CodeLlamaTokenizer:
        def read() -> CodeLlamaTokenizer:
            from lsp_server.codellama import CodeLlamaTokenizer

            return CodeLlamaTokenizer.from_pretrained(
                folder, infilling=self.settings.infilling, chat_format=self.settings.chat_format
            )

        return await asyncio.to_thread(read)

    def _fail(self, message: str) -> None:
        self._failed_at = time.monotonic()
        self._set(ModelState("failed", message))

    def _set(self, state: ModelState) -> None:
        if state != self.state:
            self.state = state
            self._on_state(state)
