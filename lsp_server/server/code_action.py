"""`textDocument/codeAction`, `codeAction/resolve`, and the commands of the actions.

The menu asks no model: it is there at once, whatever the model does. The work is done when an action is resolved, or
for clients that cannot resolve an edit, and for answers that are only read, by the command `codellama.action`.

    codellama.action         {action, uri, range, version?, diagnostic?, target?} -> {applied} or {answer, uri}
    codellama.explain        {uri, range} -> the same
    codellama.commitMessage  folder or its URI -> the message, or null with the reason shown
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lsprotocol import types

from lsp_server.server.session import Session

OPTIONS = types.CodeActionOptions(
    [types.CodeActionKind.QuickFix, types.CodeActionKind.RefactorRewrite, types.CodeActionKind.Source],
    resolve_provider=True,
)


async def code_action(session: Session, params: types.CodeActionParams) -> list[types.CodeAction | types.Command]:
    buffer, start = session.workspace.buffer(params.text_document.uri), params.range.start
    automatic = params.context.trigger_kind == types.CodeActionTriggerKind.Automatic
    if automatic and start == params.range.end and buffer is not None:
        # Editors that ask by themselves do so where the cursor rests, which nothing else in the protocol tells.
        session.suggestions.rests(buffer, start.line, start.character)
    return await (await session.menu()).at(buffer, params)


async def resolve(session: Session, action: types.CodeAction) -> types.CodeAction:
    return await (await session.actions()).resolve(action)


async def act(session: Session, values: Any = None) -> Any:
    return await (await session.actions()).command(values)


async def explain(session: Session, values: Any = None) -> Any:
    given = {**values, "action": "explain"} if isinstance(values, Mapping) else None
    return await (await session.actions()).command(given)


async def commit_message(session: Session, where: Any = None) -> str | None:
    return await (await session.actions()).commit_message(where)
