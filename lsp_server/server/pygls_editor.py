"""The editor, reached through the protocol's library."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer

from lsp_server.server.announced import STATUS
from lsp_server.server.editor import NoAnswer, Progress
from lsp_server.waiting import within

T = TypeVar("T")

# How long is waited for an answer of the editor itself, for one that changes files first, and for one of its user: some
# editors never answer.
EDITOR_SECONDS = 10.0
EDIT_SECONDS = 60.0
USER_SECONDS = 600.0


class PyglsEditor:
    """An `editor.Editor`."""

    def __init__(self, server: LanguageServer) -> None:
        self._server = server

    @property
    def capabilities(self) -> types.ClientCapabilities:
        capabilities: types.ClientCapabilities = self._server.client_capabilities
        return capabilities

    def plain(self, value: Any) -> Any:
        return self._server.protocol._converter.unstructure(value)

    def structured(self, value: Any, kind: type[T]) -> T:
        made: T = self._server.protocol._converter.structure(value, kind)
        return made

    def tell_status(self, status: dict[str, Any]) -> None:
        self._server.protocol.notify(STATUS, status)

    def show_message(self, message: str, kind: types.MessageType) -> None:
        self._server.window_show_message(types.ShowMessageParams(kind, message))

    def show_document(self, uri: str) -> None:
        self._server.window_show_document(types.ShowDocumentParams(uri, take_focus=True))

    def send_part(self, token: int | str, part: dict[str, Any]) -> None:
        self._server.protocol.notify(types.PROGRESS, types.ProgressParams(token=token, value=part))

    async def configuration(self, section: str) -> Any:
        params = types.ConfigurationParams(items=[types.ConfigurationItem(section=section)])
        answer = await _answered(
            self._server.workspace_configuration_async(params),
            EDITOR_SECONDS,
            "send its settings",
            "those it sent before hold",
        )
        return answer[0] if answer else None

    async def choose(self, question: str, choices: Sequence[str]) -> str | None:
        actions = [types.MessageActionItem(choice) for choice in choices]
        params = types.ShowMessageRequestParams(types.MessageType.Info, question, actions)
        asking = self._server.window_show_message_request_async(params)
        chosen = await _answered(asking, USER_SECONDS, "say what was chosen", "choose the action again")
        return chosen.title if chosen is not None and chosen.title in choices else None

    async def apply(self, edit: types.WorkspaceEdit, label: str) -> types.ApplyWorkspaceEditResult:
        # Where the edit is to be confirmed, it is the user who answers.
        seconds = USER_SECONDS if edit.change_annotations else EDIT_SECONDS
        asking = self._server.workspace_apply_edit_async(types.ApplyWorkspaceEditParams(edit, label))
        return await _answered(asking, seconds, "say whether it applied the edit", "look before you try again")

    async def make_progress(self, token: str, on_cancel: Callable[[], object]) -> None:
        progress = self._server.work_done_progress
        await _answered(progress.create_async(token), EDITOR_SECONDS, "make room for the progress", "it is not shown")
        progress.tokens[token].add_done_callback(lambda future: on_cancel() if future.cancelled() else None)

    def show_progress(self, token: str, value: Progress) -> None:
        self._server.protocol.notify(types.PROGRESS, types.ProgressParams(token=token, value=value))
        if isinstance(value, types.WorkDoneProgressEnd):
            self._server.work_done_progress.tokens.pop(token, None)


async def _answered(asking: Awaitable[T], seconds: float, what: str, then: str) -> T:
    """The editor's answer. Raises NoAnswer."""
    try:
        return await within(asking, seconds)
    except (TimeoutError, asyncio.TimeoutError):
        raise NoAnswer(f"The editor did not {what} within {seconds:.0f} s; {then}.") from None
    except JsonRpcException as error:
        raise NoAnswer(f"The editor did not {what}: {error.message}.") from error
