"""`textDocument/codeAction`, `codeAction/resolve`, and the commands of the actions.

The menu asks no model: it is there at once, whatever the model does. The work is done when an action is resolved, or
for clients that cannot resolve an edit, and for answers that are only read, by the command `codellama.action`.

    codellama.action         {action, uri, range, version?, diagnostic?, target?} -> {applied} or {answer, uri}
    codellama.explain        {uri, range} -> the same
    codellama.commitMessage  folder or its URI -> the message, or null with the reason shown
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lsprotocol import types

from lsp_server.server.announced import ACTION
from lsp_server.server.arguments import ended_with_request, plain
from lsp_server.server.inline_completion import cursor_rests

if TYPE_CHECKING:
    from lsp_server.server.app import CodeLlamaServer


def register(server: CodeLlamaServer) -> None:
    kinds = [types.CodeActionKind.QuickFix, types.CodeActionKind.RefactorRewrite, types.CodeActionKind.Source]

    @server.feature(types.TEXT_DOCUMENT_CODE_ACTION, types.CodeActionOptions(kinds, resolve_provider=True))
    def code_action(params: types.CodeActionParams) -> list[types.CodeAction | types.Command]:
        automatic = params.context.trigger_kind == types.CodeActionTriggerKind.Automatic
        if automatic and params.range.start == params.range.end:
            # Editors that ask by themselves do so where the cursor rests, which nothing else in the protocol tells.
            asyncio.get_running_loop().call_soon(cursor_rests, server, params.text_document.uri, params.range.start)
        return server.actions.menu(params)

    @server.feature(types.CODE_ACTION_RESOLVE)
    async def resolve(action: types.CodeAction) -> types.CodeAction:
        return await server.actions.resolve(action)

    @server.command(ACTION)
    async def act_on(*arguments: Any) -> Any:
        return await ended_with_request(server, server.actions.command(arguments[0] if arguments else None))

    @server.command("codellama.explain")
    async def explain(*arguments: Any) -> Any:
        given = plain(arguments[0]) if arguments else {}
        values = {**given, "action": "explain"} if isinstance(given, Mapping) else None
        return await ended_with_request(server, server.actions.command(values))

    @server.command("codellama.commitMessage")
    async def write_commit_message(*arguments: Any) -> Any:
        return await ended_with_request(server, server.actions.commit_message(arguments[0] if arguments else None))
