"""The menu of code actions in the protocol's words. Needed soon after the start: it loads little else."""

from __future__ import annotations

from typing import Any

from lsprotocol import types

from lsp_server.actions.catalog import Diagnostic, Offer
from lsp_server.actions.menu import Menus
from lsp_server.context.buffer import Buffer
from lsp_server.context.surroundings import Surroundings
from lsp_server.server.announced import ACTION as COMMAND
from lsp_server.server.editor import Editor

# Behind each title: the menus of editors have the actions of all servers.
BY = " (Code Llama)"


class Menu:
    """The menus of a session."""

    def __init__(self, around: Surroundings, editor: Editor) -> None:
        self.menus = Menus(around)
        self._editor = editor

    async def at(self, buffer: Buffer | None, params: types.CodeActionParams) -> list[types.CodeAction | types.Command]:
        """What can be done at a place. Asks no model."""
        automatic = params.context.trigger_kind == types.CodeActionTriggerKind.Automatic
        if buffer is None or (automatic and not params.context.diagnostics):
            return []
        capabilities = _capabilities(self._editor)
        offered = await self.menus.offers(
            buffer,
            buffer.locate(params.range.start.line, params.range.start.character),
            buffer.locate(params.range.end.line, params.range.end.character),
            [diagnostic_of(buffer, each) for each in params.context.diagnostics],
            only=params.context.only,
            automatic=automatic,
            shows_disabled=bool(capabilities and capabilities.disabled_support),
        )
        return [self._item(params, offer, buffer.version) for offer in offered]

    def _item(
        self, params: types.CodeActionParams, offer: Offer, version: int | None
    ) -> types.CodeAction | types.Command:
        diagnostic = None if offer.diagnostic is None else params.context.diagnostics[offer.diagnostic]
        data: dict[str, Any] = {
            "action": offer.action.id,
            "uri": params.text_document.uri,
            "range": self._editor.plain(params.range),
            "version": version,
        }
        if diagnostic is not None:
            data["diagnostic"] = self._editor.plain(diagnostic)
        title = offer.title + BY
        command = types.Command(title, COMMAND, arguments=[{**data, "title": offer.title}])
        capabilities = _capabilities(self._editor)
        if capabilities is None or capabilities.code_action_literal_support is None:
            return command
        resolves = offer.action.result in ("edit", "tests", "message") and _resolves_edits(capabilities)
        return types.CodeAction(
            title,
            kind=types.CodeActionKind(offer.action.kind),
            diagnostics=None if diagnostic is None else [diagnostic],
            disabled=types.CodeActionDisabled(offer.disabled) if offer.disabled else None,
            data=data if resolves else None,
            command=None if resolves or offer.disabled else command,
            tags=[types.CodeActionTag.LlmGenerated] if _takes_tags(capabilities) else None,
        )


def diagnostic_of(buffer: Buffer | None, found: types.Diagnostic) -> Diagnostic:
    """What another server found, on rows that the document has."""
    rows = found.range.start.line, found.range.end.line
    first, last = rows if buffer is None else (buffer.locate(row, 0)[0] for row in rows)
    code = "" if found.code is None else str(found.code)
    # Messages may be Markdown in newer versions of the protocol.
    message = found.message if isinstance(found.message, str) else str(getattr(found.message, "value", ""))
    return Diagnostic(message, first, max(first, last), found.source or "", code)


def _capabilities(editor: Editor) -> types.CodeActionClientCapabilities | None:
    document = editor.capabilities.text_document
    return document.code_action if document else None


def _takes_tags(capabilities: types.CodeActionClientCapabilities) -> bool:
    """Whether the client knows the tag of what a language model makes."""
    support = capabilities.tag_support
    return support is not None and types.CodeActionTag.LlmGenerated in support.value_set


def _resolves_edits(capabilities: types.CodeActionClientCapabilities) -> bool:
    """Whether the client asks for the edit of an action when it is chosen."""
    support = capabilities.resolve_support
    return bool(support and "edit" in support.properties and capabilities.data_support)
