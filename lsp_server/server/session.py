"""One session with an editor: the settings, the user's work, the model within reach, and the features that use them."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, get_args

from lsp_server.completion.suggestions import Suggestions
from lsp_server.context.related.gathering import Related
from lsp_server.context.related.keeping import Keeping
from lsp_server.context.surroundings import Surroundings
from lsp_server.context.workspace import Workspace
from lsp_server.feedback.counting import Counting
from lsp_server.feedback.outcomes import Outcomes
from lsp_server.model.access import ModelAccess, ModelState, ModelUnavailable, Reached
from lsp_server.model.roles import Models, Role
from lsp_server.server import preload
from lsp_server.server.editor import Editor
from lsp_server.server.status import Status
from lsp_server.settings import Settings
from lsp_server.waiting import within

if TYPE_CHECKING:
    from lsp_server.chat.chats import Chats
    from lsp_server.next_edit.offers import Offers
    from lsp_server.server.actions import Actions
    from lsp_server.server.menu import Menu

# The editor's settings are waited for that long, which is longer than one has for its answer: some never ask to begin.
CONFIGURED_SECONDS = 15.0


class Session:
    """What the handlers of requests work with. It knows the editor, and nothing of what carries the messages."""

    def __init__(self, editor: Editor) -> None:
        self.editor = editor
        self.editor_name = ""  # what it calls itself
        self.settings = Settings()
        self.given: Any = None  # what came with `initialize`: what the editor sends later holds over it
        self.workspace = Workspace()
        states = {role: functools.partial(self._state, role) for role in get_args(Role)}
        self.status = Status(editor, states)
        self.models = Models(self.settings, self.status.model)
        self.for_chat: Surroundings = _With(self, "chat")
        self.keeping = Keeping(lambda: self.settings, lambda: self.workspace)
        self.related = Related(
            lambda: self.settings,
            lambda: self.workspace,
            index=lambda: self.keeping.index,
            indexed=lambda: self.keeping.changes,
        )
        self.suggestions = Suggestions(self, self.status.thinking, self.status.slow)
        self.counting = Counting(lambda: self.settings.keep_statistics, lambda: self.editor_name)
        self.outcomes = Outcomes(self.counting, lambda uri: self.workspace.buffer(uri))
        self.preload = preload.Preload()
        self._menu: Menu | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._configured = asyncio.Event()  # the editor's settings have arrived

    # What `initialize` does not need is loaded right after the answer.

    async def menu(self) -> Menu:
        """The menu of code actions."""
        if self._menu is None:
            module = await self.preload.module(preload.MENU)
            self._menu = self._menu or module.Menu(self.for_chat, self.editor)
        return self._menu

    async def actions(self) -> Actions:
        """What is done when something is chosen from the menu."""
        menu, module = await self.menu(), await self.preload.module(preload.ACTIONS)
        actions: Actions = module.Actions(self.for_chat, self.editor, self.status, menu)
        return actions

    @functools.cached_property
    def chats(self) -> Chats:
        """The conversations; for `server.chat`."""
        from lsp_server.actions.wording import SLASH_COMMANDS
        from lsp_server.chat.chats import Chats, Environment
        from lsp_server.chat.store import Store

        reach = self.for_chat.reach
        around = Environment(settings=lambda: self.settings, workspace=lambda: self.workspace, reach=reach)
        return Chats(Store(), around, SLASH_COMMANDS)

    @functools.cached_property
    def next_edits(self) -> Offers:
        """What the user's last changes lead to."""
        from lsp_server.next_edit.filling import Filling
        from lsp_server.next_edit.offers import Offers
        from lsp_server.next_edit.rewriting import Rewriting

        filling = Filling(self, self.suggestions.answered)
        rewriting = Rewriting(_With(self, "next edit"), self.suggestions.answered)
        return Offers(lambda: self.workspace, lambda: self.keeping.index, filling, rewriting)

    def opened(self, uri: str) -> None:
        """A document was opened: its first menu and its first suggestion are prepared."""
        self.related.opened(uri)
        self.keeping.want()
        self.suggestions.opened(uri)
        self._begin(self._prepare_menu(uri))

    def changed(self, uri: str) -> None:
        """The text of a document changed: what was asked for an earlier one is of no use."""
        self.suggestions.changed(uri)
        if "next_edits" in self.__dict__:  # made when it is first asked for
            self.next_edits.changed()

    def closed(self, uri: str) -> None:
        self.related.closed(uri)
        self.suggestions.closed(uri)
        self.outcomes.closed(uri)
        if self._menu is not None:
            self._menu.menus.closed(uri)

    def use(self, settings: Settings) -> None:
        """Work with new settings from now on; another model or engine is reached when it is next needed."""
        self.settings = settings
        self.related.forget()
        self.suggestions.forget()
        if not settings.workspace_index:
            self.keeping.close()
        logging.getLogger("lsp_server").setLevel(settings.log_level.upper())
        self.models.use(settings)

    def configured(self) -> None:
        """The editor's settings are known: an engine for others would be a waste."""
        self._configured.set()
        self.models.begin()

    def _state(self, role: Role) -> ModelState:
        return self.models.of(role).state

    @property
    def model(self) -> ModelAccess:
        """That of the suggestions."""
        return self.models.suggestions

    def want_model(self) -> None:
        """Reach the model, as soon as the settings say which."""
        self.models.want("suggestions")

    async def reach(self) -> Reached:
        """The model that the settings name, once it is ready. Raises ModelUnavailable when it cannot be."""
        return await self.reached("suggestions")

    async def reached(self, role: Role) -> Reached:
        """The model for this, as `reach`."""
        self.models.want(role)
        try:
            await within(self._configured.wait(), CONFIGURED_SECONDS)
        except (TimeoutError, asyncio.TimeoutError):
            self.configured()
        while True:
            model = self.models.of(role)
            try:
                return await model.wait()
            except ModelUnavailable:
                if model is self.models.of(role):
                    raise

    def close(self) -> None:
        """Nothing more is asked of the model."""
        self.suggestions.forget()
        self.keeping.close()
        self.counting.close()
        self.models.close()

    async def _prepare_menu(self, uri: str) -> None:
        (await self.menu()).menus.opened(uri)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that nobody waits for."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _With:
    """A session as a feature has it that may have a model of its own: with the one that is for this."""

    def __init__(self, session: Session, role: Role) -> None:
        self._session = session
        self._role = role

    @property
    def settings(self) -> Settings:
        return self._session.settings

    @property
    def workspace(self) -> Workspace:
        return self._session.workspace

    @property
    def related(self) -> Related:
        return self._session.related

    @property
    def model(self) -> ModelAccess:
        return self._session.models.of(self._role)

    def want_model(self) -> None:
        self._session.models.want(self._role)

    async def reach(self) -> Reached:
        return await self._session.reached(self._role)
