"""What stands behind the code actions: the menu, and what is done when something is chosen from it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from lsprotocol.converters import get_converter

from lsp_server.actions.catalog import Offer, offers
from lsp_server.actions.place import place_of
from lsp_server.context.languages import language
from lsp_server.context.privacy import why_hidden
from lsp_server.context.syntax import SyntaxCache, parse
from lsp_server.server import progress, reading
from lsp_server.server.acting import Done, Report, Request, act, commit_message, diagnostic_of, own, shown_path
from lsp_server.server.announced import ACTION as COMMAND
from lsp_server.server.arguments import plain
from lsp_server.server.buffers import file_path
from lsp_server.server.target import Refused

if TYPE_CHECKING:
    from lsp_server.server.app import CodeLlamaServer

# Documents of which the text that a menu was made for is remembered.
REMEMBERED = 16
# Offered as targets of a translation.
TARGETS = ("python", "typescript", "rust", "go", "java", "c")

_converter = get_converter()


class CodeActions:
    """What is remembered between a menu and what is chosen from it."""

    def __init__(self, server: CodeLlamaServer) -> None:
        self.syntax = SyntaxCache()
        self._server = server
        self._menus: OrderedDict[str, tuple[int | None, list[str]]] = OrderedDict()
        self._parsing: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()

    def opened(self, uri: str) -> None:
        """Parse a document that was opened, so that its first menu is as fast as the others."""
        task = asyncio.ensure_future(self._parse(uri))
        self._parsing.add(task)
        task.add_done_callback(self._parsing.discard)

    async def _parse(self, uri: str) -> None:
        async with self._one_at_a_time:
            buffer = self._server.open_buffer(uri)
            if buffer is None:
                return
            path, roots = file_path(uri), self._server.buffers.roots()
            if await asyncio.to_thread(why_hidden, path, roots):  # what it reads is remembered too
                return
            tree = await asyncio.to_thread(parse, buffer.source, buffer.language_id, gently=True)
        # The text may be another by now: what did not change of it is not parsed again.
        if tree is not None and uri not in self.syntax and self._server.open_buffer(uri) is not None:
            self.syntax.keep(uri, tree)

    def closed(self, uri: str) -> None:
        """Forget a document that was closed."""
        self.syntax.forget(uri)
        self._menus.pop(uri, None)

    def menu(self, params: types.CodeActionParams) -> list[types.CodeAction | types.Command]:
        """What can be done at a place. Asks no model."""
        server, uri = self._server, params.text_document.uri
        automatic = params.context.trigger_kind == types.CodeActionTriggerKind.Automatic
        buffer = server.open_buffer(uri)
        if buffer is None or (automatic and not params.context.diagnostics):
            return []
        if why_hidden(file_path(uri), server.buffers.roots()):
            return []
        start = buffer.locate(params.range.start.line, params.range.start.character)
        end = buffer.locate(params.range.end.line, params.range.end.character)
        found = [diagnostic_of(buffer, each) for each in params.context.diagnostics]
        text = buffer.source
        tree = self.syntax.tree(uri, text, buffer.language_id)
        place = place_of(buffer, start, end, found, tree=tree, text=text, path=shown_path(server, uri))
        model = server.model.reached
        action_capabilities = _action_capabilities(server)
        offered = offers(
            place,
            model.tokenizer.abilities if model else None,
            own(server),
            only=params.context.only,
            automatic=automatic,
            shows_disabled=bool(action_capabilities and action_capabilities.disabled_support),
        )
        self._menus[uri] = (buffer.version, list(buffer.lines))
        self._menus.move_to_end(uri)
        if len(self._menus) > REMEMBERED:
            self._menus.popitem(last=False)
        return [self._item(params, offer, buffer.version) for offer in offered]

    def _item(
        self, params: types.CodeActionParams, offer: Offer, version: int | None
    ) -> types.CodeAction | types.Command:
        diagnostic = None if offer.diagnostic is None else params.context.diagnostics[offer.diagnostic]
        data: dict[str, Any] = {
            "action": offer.action.id,
            "uri": params.text_document.uri,
            "range": _converter.unstructure(params.range),
            "version": version,
        }
        if diagnostic is not None:
            data["diagnostic"] = _converter.unstructure(diagnostic)
        command = types.Command(offer.title, COMMAND, arguments=[{**data, "title": offer.title}])
        capabilities = _action_capabilities(self._server)
        if capabilities is None or capabilities.code_action_literal_support is None:
            return command
        resolves = offer.action.result in ("edit", "tests", "message") and _resolves_edits(capabilities)
        return types.CodeAction(
            offer.title,
            kind=types.CodeActionKind(offer.action.kind),
            diagnostics=None if diagnostic is None else [diagnostic],
            disabled=types.CodeActionDisabled(offer.disabled) if offer.disabled else None,
            data=data if resolves else None,
            command=None if resolves or offer.disabled else command,
        )

    def request(self, values: Any) -> Request | None:
        """What a client sends back of a menu; None for what is not ours."""
        if not isinstance(values, Mapping) or not {"action", "uri", "range"} <= values.keys():
            return None
        diagnostic = values.get("diagnostic")
        try:
            uri, version = str(values["uri"]), values.get("version")
            seen, lines = self._menus.get(uri, (None, None))
            return Request(
                str(values["action"]),
                uri,
                _converter.structure(values["range"], types.Range),
                version,
                None if diagnostic is None else _converter.structure(diagnostic, types.Diagnostic),
                str(values.get("target") or ""),
                lines if version is not None and seen == version else None,
            )
        except Exception:  # the converter raises all kinds of errors for what is no range
            return None

    async def resolve(self, action: types.CodeAction) -> types.CodeAction:
        """The action with its edit; as it came where there is none, the user being told why."""
        request = self.request(plain(action.data))
        if request is None or action.edit is not None or action.command is not None or action.disabled is not None:
            return action
        done = await self.perform(request, action.title, lazily=True)
        if done is not None:
            action.edit = done.edit
        return action

    async def perform(self, request: Request, title: str, *, lazily: bool) -> Done | None:
        """Do what was chosen, with progress; None where nothing came of it, the user being told why."""
        return await self.working(title, lambda report: act(self._server, request, report, lazily=lazily))

    async def working(self, title: str, work: Callable[[Report], Awaitable[Any]]) -> Any:
        """The result of `work(report)`, which may be cancelled by request or by the progress; None where it is refused
        or cancelled by the progress."""

        async def with_progress() -> Any:
            async with progress.shown(self._server, f"Code Llama: {title}", asyncio.current_task()) as report:
                return await work(report)

        task = asyncio.ensure_future(with_progress())
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                return None  # by the button of the progress
            task.cancel()
            raise
        except Refused as refused:
            self._server.status.show(str(refused), types.MessageType.Warning)
            if refused.proposed.strip() and reading.opens(self._server):  # as a message it would only be in the way
                known = language(refused.language_id)
                await reading.show(
                    self._server, f"Not applied: {title}", reading.proposal(str(refused), refused.proposed, known)
                )
            return None

    async def command(self, values: Any) -> dict[str, Any] | None:
        """Do what was chosen, and apply the edit or show the answer."""
        request = self.request(plain(values))
        if request is None:
            self._server.status.show("This command needs an action, a uri and a range.", types.MessageType.Error)
            return None
        if request.action == "translate" and not request.target:
            request = await self._with_target(request)
            if request is None:
                return None
        title = str(plain(values).get("title") or request.action)
        done: Done | None = await self.perform(request, title, lazily=False)
        if done is None:
            return {"applied": False}
        if done.edit is not None:
            return {"applied": await self._apply(done)}
        uri = await reading.show(self._server, done.title, f"# {done.title}\n\n{done.answer}\n")
        return {"answer": done.answer, "uri": uri}

    async def _apply(self, done: Done) -> bool:
        assert done.edit is not None
        workspace = self._server.client_capabilities.workspace
        if workspace is None or not workspace.apply_edit:
            self._server.status.show("This editor takes no edits from a language server.", types.MessageType.Warning)
            return False
        answer = await self._server.workspace_apply_edit_async(types.ApplyWorkspaceEditParams(done.edit, done.title))
        if not answer.applied:
            why = f": {answer.failure_reason}" if answer.failure_reason else "."
            self._server.status.show(f"The editor did not apply the edit{why}", types.MessageType.Warning)
        return bool(answer.applied)

    async def _with_target(self, request: Request) -> Request | None:
        """Ask the user for the language to translate to; None where they choose none."""
        buffer = self._server.open_buffer(request.uri)
        source = language(buffer.language_id).id if buffer else ""
        names = {language(target).name: target for target in TARGETS if target != source}
        question = types.ShowMessageRequestParams(
            types.MessageType.Info, "Code Llama: Translate to", [types.MessageActionItem(name) for name in names]
        )
        chosen = await self._server.window_show_message_request_async(question)
        if chosen is None or chosen.title not in names:
            return None
        return dataclasses.replace(request, target=names[chosen.title])

    async def commit_message(self, where: Any) -> str | None:
        """The message for what is staged in the repository at a folder or its URI, by default the workspace's."""
        folder = next(iter(self._server.buffers.roots()), Path())
        if isinstance(where, str) and where:
            folder = (file_path(where) if where.startswith("file:") else Path(where)) or folder

        async def work(report: Report) -> str:
            return await commit_message(self._server, folder, report)

        message: str | None = await self.working("Write the commit message", work)
        return message


def _action_capabilities(server: CodeLlamaServer) -> types.CodeActionClientCapabilities | None:
    document = server.client_capabilities.text_document
    return document.code_action if document else None


def _resolves_edits(capabilities: types.CodeActionClientCapabilities) -> bool:
    """Whether the client asks for the edit of an action when it is chosen."""
    support = capabilities.resolve_support
    return bool(support and "edit" in support.properties and capabilities.data_support)
