"""What can be done at a place of an open document, known before anybody asks: the menu is there at once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from lsp_server.actions.catalog import Action, Diagnostic, Offer, offers, own_actions
from lsp_server.actions.site import site_of
from lsp_server.context.buffer import Buffer
from lsp_server.context.languages import language
from lsp_server.context.surroundings import Surroundings
from lsp_server.context.syntax import SyntaxCache, parse
from lsp_server.context.uris import file_of
from lsp_server.context.workspace import Workspace

# Documents of which the text that a menu was made for is remembered.
REMEMBERED = 16


def own(around: Surroundings) -> list[Action]:
    """The user's own actions."""
    return own_actions(around.settings.actions)[0]


def shown_path(workspace: Workspace, uri: str) -> str:
    """How the model is told of a file: its path in the workspace; "" for an unsaved buffer."""
    path = file_of(uri)
    return "" if path is None else workspace.within(path) or path.name


class Menus:
    """The menus of open documents, and the texts that they were made for."""

    def __init__(self, around: Surroundings) -> None:
        self.syntax = SyntaxCache()
        self._around = around
        self._seen: OrderedDict[str, Buffer] = OrderedDict()
        self._parsing: dict[str, asyncio.Task[None]] = {}
        self._preparing: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()

    def opened(self, uri: str) -> None:
        """Parse a document that was opened, so that its first menu is as fast as the others."""
        task = asyncio.ensure_future(self._prepare(uri))
        self._preparing.add(task)
        task.add_done_callback(self._preparing.discard)

    def closed(self, uri: str) -> None:
        """Forget a document that was closed."""
        self.syntax.forget(uri)
        self._seen.pop(uri, None)

    async def offers(
        self,
        buffer: Buffer,
        start: tuple[int, int],
        end: tuple[int, int],
        diagnostics: Sequence[Diagnostic],
        *,
        only: Sequence[str] | None,
        automatic: bool,
        shows_disabled: bool,
    ) -> list[Offer]:
        """What can be done from `start` to `end` (row, column in characters); see `catalog.offers`. Asks no model."""
        workspace = self._around.workspace
        if await workspace.hidden(buffer.uri):
            return []
        if automatic:  # while the user types, so that the first tree of the document is made beside that
            await self._first_tree(buffer)
        text = buffer.source
        tree = self.syntax.tree(buffer.uri, text, buffer.language_id)
        if workspace.buffer(buffer.uri) is None:  # closed meanwhile
            self.closed(buffer.uri)
            return []
        path = shown_path(workspace, buffer.uri)
        site = site_of(buffer, start, end, diagnostics, tree=tree, text=text, path=path)
        model = self._around.model.reached
        self._seen[buffer.uri] = buffer
        self._seen.move_to_end(buffer.uri)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return offers(
            site,
            model.tokenizer.abilities if model else None,
            own(self._around),
            only=only,
            automatic=automatic,
            shows_disabled=shows_disabled,
        )

    def lines_of(self, uri: str, version: int | None) -> Sequence[str] | None:
        """The text that the last menu was made for, where that was this version of it."""
        seen = self._seen.get(uri)
        return seen.lines if seen is not None and version is not None and seen.version == version else None

    async def _prepare(self, uri: str) -> None:
        workspace = self._around.workspace
        async with self._one_at_a_time:
            buffer = workspace.buffer(uri)
            if buffer is not None and not await workspace.hidden(uri):
                await self._first_tree(buffer)

    async def _first_tree(self, buffer: Buffer) -> None:
        uri = buffer.uri
        if uri in self.syntax or language(buffer.language_id).grammar is None:
            return
        if uri not in self._parsing:
            self._parsing[uri] = asyncio.ensure_future(self._parse(buffer))
            self._parsing[uri].add_done_callback(lambda task: self._parsing.pop(uri, None))
        await asyncio.shield(self._parsing[uri])

    async def _parse(self, buffer: Buffer) -> None:
        tree = await asyncio.to_thread(parse, buffer.source, buffer.language_id, gently=True)
        # The text may be another by now: what did not change of it is not parsed again.
        if tree is not None and buffer.uri not in self.syntax and self._around.workspace.buffer(buffer.uri) is not None:
            self.syntax.keep(buffer.uri, tree)
