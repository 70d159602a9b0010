"""The next edit: where the last change leads.

codellama/nextEdit  {textDocument: {uri}, position} -> {edit: null | {id, kind, title, textDocument, range, oldText,
                    newText}}; the version of a document that is not open is null
codellama/nextEdit/outcome  {id, outcome: "accepted" | "rejected" | "ignored"}
textDocument/copilotInlineEdit  the same in the shape that plugins for another server know: {edits: [...]}, each with a
                            command that tells that it was accepted
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lsp_server.next_edit.offers import Offer
from lsp_server.server.announced import NEXT_EDIT_ACCEPTED
from lsp_server.server.editor import InvalidParameters
from lsp_server.server.session import Session

OUTCOMES = ("accepted", "rejected", "ignored")


async def next_edit(session: Session, params: Any) -> dict[str, Any]:
    return {"edit": await _offered(session, params)}


async def inline_edit(session: Session, params: Any) -> dict[str, Any]:
    """Of the document that was asked for alone: such a client shows no others."""
    found = await _offered(session, params)
    if found is None or found["textDocument"]["uri"] != params["textDocument"]["uri"]:
        return {"edits": []}
    command = {"title": found["title"], "command": NEXT_EDIT_ACCEPTED, "arguments": [found["id"]]}
    return {
        "edits": [
            {
                "text": found["newText"],
                "range": found["range"],
                "textDocument": found["textDocument"],
                "command": command,
            }
        ]
    }


def outcome(session: Session, params: Any) -> None:
    given = params if isinstance(params, Mapping) else {}
    id, outcome = given.get("id"), given.get("outcome")
    if isinstance(id, str) and outcome in OUTCOMES:
        session.next_edits.tell(id, outcome)


async def accepted(session: Session, id: Any = None) -> None:
    if isinstance(id, str):
        session.next_edits.tell(id, "accepted")


async def _offered(session: Session, params: Any) -> dict[str, Any] | None:
    given = params if isinstance(params, Mapping) else {}
    document, position = given.get("textDocument"), given.get("position")
    uri = document.get("uri") if isinstance(document, Mapping) else None
    line = position.get("line") if isinstance(position, Mapping) else None
    if not isinstance(uri, str) or not isinstance(line, int) or isinstance(line, bool):
        raise InvalidParameters("This request needs a textDocument with its uri, and a position.")
    buffer, settings = session.workspace.buffer(uri), session.settings
    if buffer is None or not (settings.enabled and settings.next_edit):
        return None
    if buffer.language_id in settings.disabled_languages:
        return None
    character = position.get("character") if isinstance(position, Mapping) else None
    row, column = buffer.locate(line, character if isinstance(character, int) else 0)
    offer = await session.next_edits.at(buffer, row, column)
    return None if offer is None else _shown(session, offer)


def _shown(session: Session, offer: Offer) -> dict[str, Any] | None:
    """An offer as JSON; None where its document has changed, or was opened, since."""
    proposal = offer.proposal
    buffer = session.workspace.buffer(proposal.uri)
    if (buffer.version if buffer is not None else None) != proposal.version:
        return None
    return {
        "id": offer.id,
        "kind": proposal.kind,
        "title": proposal.why,
        "textDocument": {"uri": proposal.uri, "version": proposal.version},
        "range": {
            "start": {"line": proposal.row, "character": offer.start},
            "end": {"line": proposal.end_row, "character": offer.end},
        },
        "oldText": proposal.old,
        "newText": proposal.new,
    }
