"""`textDocument/codeAction`, `codeAction/resolve`, and the commands of the actions.

The menu asks no model: it is there at once, whatever the model does. The work is done when an action is resolved, or
for clients that cannot resolve an edit, and for answers that are only read, by the command `codellama.action`.

    codellama.action         {action, uri, range, version?, diagnostic?, target?} -> {applied} or {answer, uri}
    codellama.explain        {uri, range} -> the same
    codellama.commitMessage  folder or its URI -> the message, or null with the reason shown

Clients that show an edit before it is applied send the request `codellama/action` instead, with what an entry of the
menu has as its `data`, or with `action` "edit" and an `instruction` in the user's own words:

    codellama/action  {action, uri, range, version?, diagnostic?, target?, instruction?, partialResultToken?}
                      -> {title, edit, problem, answer}, or null where the user stopped it

`edit` is a workspace edit of the document as it was when the request came, which the client moves along; `problem` why
the user should look closely before it is applied; `answer` what is only read. Where there is no edit the request fails
with the reason. While the model writes, `$/progress` with the token brings `{message}`, in a few
words how far it is, `{version, edits}`, all edits so far of that version, and `{delta}`, the next words of an answer.
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


async def perform(session: Session, params: Any) -> Any:
    return await (await session.actions()).perform(params)


async def explain(session: Session, values: Any = None) -> Any:
    given = {**values, "action": "explain"} if isinstance(values, Mapping) else None
    return await (await session.actions()).command(given)


async def commit_message(session: Session, where: Any = None) -> str | None:
    return await (await session.actions()).commit_message(where)
