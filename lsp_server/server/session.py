"""One session with an editor: the settings, the user's work, the model within reach, and the features that use them."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from lsp_server.completion.suggestions import Suggestions
from lsp_server.context.related.gathering import Related
from lsp_server.context.related.keeping import Keeping
from lsp_server.context.workspace import Workspace
from lsp_server.model.access import ModelAccess, ModelUnavailable, Reached
from lsp_server.server import preload
from lsp_server.server.editor import Editor
from lsp_server.server.status import Status
from lsp_server.settings import Settings, restarts
from lsp_server.waiting import within

if TYPE_CHECKING:
    from lsp_server.chat.chats import Chats
    from lsp_server.server.actions import Actions
    from lsp_server.server.menu import Menu

# The editor's settings are waited for that long, which is longer than one has for its answer: some never ask to begin.
CONFIGURED_SECONDS = 15.0


class Session:
    """What the handlers of requests work with. It knows the editor, and nothing of what carries the messages."""

    def __init__(self, editor: Editor) -> None:
        self.editor = editor
        self.settings = Settings()
        self.given = Settings()  # those that came with `initialize`: what the editor sends later holds over them
        self.workspace = Workspace()
        self.status = Status(editor, lambda: self.model.state)
        self.model = ModelAccess(self.settings, self.status.model)
        self.keeping = Keeping(lambda: self.settings, lambda: self.workspace)
        self.related = Related(lambda: self.settings, lambda: self.workspace, index=lambda: self.keeping.index)
        self.suggestions = Suggestions(self, self.status.thinking)
        self.preload = preload.Preload()
        self._menu: Menu | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._configured = asyncio.Event()  # the editor's settings have arrived
        self._wanted = False  # there is a document for which the model is needed

    # What `initialize` does not need is loaded right after the answer.

    async def menu(self) -> Menu:
        """The menu of code actions."""
        if self._menu is None:
            module = await self.preload.module(preload.MENU)
            self._menu = self._menu or module.Menu(self, self.editor)
        return self._menu

    async def actions(self) -> Actions:
        """What is done when something is chosen from the menu."""
        menu, module = await self.menu(), await self.preload.module(preload.ACTIONS)
        actions: Actions = module.Actions(self, self.editor, self.status, menu)
        return actions

    @functools.cached_property
    def chats(self) -> Chats:
        """The conversations; for `server.chat`."""
        from lsp_server.actions.wording import SLASH_COMMANDS
        from lsp_server.chat.chats import Chats, Environment
        from lsp_server.chat.store import Store

        around = Environment(settings=lambda: self.settings, workspace=lambda: self.workspace, reach=self.reach)
        return Chats(Store(), around, SLASH_COMMANDS)

    def opened(self, uri: str) -> None:
        """A document was opened: its first menu and its first suggestion are prepared."""
        self.related.opened(uri)
        self.keeping.want()
        self.suggestions.opened(uri)
        self._begin(self._prepare_menu(uri))

    def closed(self, uri: str) -> None:
        self.related.closed(uri)
        self.suggestions.closed(uri)
        if self._menu is not None:
            self._menu.menus.closed(uri)

    def use(self, settings: Settings) -> None:
        """Work with new settings from now on; another model or engine is reached when it is next needed."""
        anew = restarts(self.settings, settings)
        self.settings = settings
        self.related.forget()
        self.suggestions.forget()
        if not settings.workspace_index:
            self.keeping.close()
        logging.getLogger("lsp_server").setLevel(settings.log_level.upper())
        if anew != "nothing":
            # Whoever changes a setting means the engine that runs; who comes with others, joins it.
            insists = self._configured.is_set() and (anew == "engine" or self.model.insists)
            self.model.close()
            self.model = ModelAccess(settings, self.status.model, insists=insists)
            self._start_if_wanted()
        else:
            self.model.settings = settings

    def configured(self) -> None:
        """The editor's settings are known: an engine for others would be a waste."""
        self._configured.set()
        self._start_if_wanted()

    def want_model(self) -> None:
        """Reach the model, as soon as the settings say which."""
        self._wanted = True
        self._start_if_wanted()

    async def reach(self) -> Reached:
        """The model that the settings name, once it is ready. Raises ModelUnavailable when it cannot be."""
        self.want_model()
        try:
            await within(self._configured.wait(), CONFIGURED_SECONDS)
        except (TimeoutError, asyncio.TimeoutError):
            self.configured()
        while True:
            model = self.model
            try:
                return await model.wait()
            except ModelUnavailable:
                if model is self.model:
                    raise

    def close(self) -> None:
        """Nothing more is asked of the model."""
        self.suggestions.forget()
        self.keeping.close()
        self.model.close()

    def _start_if_wanted(self) -> None:
        if self._wanted and self._configured.is_set():
            self.model.start()

    async def _prepare_menu(self, uri: str) -> None:
        (await self.menu()).menus.opened(uri)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that nobody waits for."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
