"""`codellama.prompt`: what the model would be asked for a suggestion at a place, without asking it.

    codellama.prompt  {uri, position} -> {kind, ids, text, related, names, leftOut, tokens, ..., report}

`report` is the same for people to read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lsp_server.completion import describing
from lsp_server.completion.suggest import prepare
from lsp_server.errors import UserError
from lsp_server.server.session import Session


class NoPrompt(UserError):
    """There is no prompt to show; the message says why."""


async def prompt(session: Session, values: Any = None) -> dict[str, Any]:
    given = values if isinstance(values, Mapping) else {}
    uri, position = given.get("uri"), given.get("position")
    position = position if isinstance(position, Mapping) else {}
    line, character = position.get("line"), position.get("character")
    if not (isinstance(uri, str) and isinstance(line, int) and isinstance(character, int)):
        raise NoPrompt('codellama.prompt takes {"uri": ..., "position": {"line": ..., "character": ...}}.')
    buffer = session.workspace.buffer(uri)
    if buffer is None:
        raise NoPrompt("This document is not open in the editor; open it first.")
    if hidden := await session.workspace.hidden(uri):
        raise NoPrompt(hidden)
    model = await session.reach()
    row, column = buffer.locate(line, character)
    # As the next key will have it.
    related = await session.related.at(buffer, row, column, rests=True, prefers=model.chooses)
    made = prepare(model, buffer, row, column, session.settings, related).prompt
    assert made is not None
    found = session.related.choice(buffer).left_out
    return {
        **describing.as_json(made, model.tokenizer, found),
        "report": describing.report(made, model.tokenizer, found),
    }
