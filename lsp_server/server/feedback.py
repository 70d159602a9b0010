"""What the editor tells of suggestions, for the statistics.

codellama/shown     {suggestion}: one is on the screen, by the number in the arguments of its command
codellama.accepted  the command of each suggestion, which editors run once all of it is taken
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lsprotocol import types

from lsp_server.completion.suggest import Suggestion
from lsp_server.context.buffer import Buffer
from lsp_server.feedback.outcomes import Change, Offer
from lsp_server.server.announced import ACCEPTED
from lsp_server.server.session import Session


def shown(session: Session, params: Any) -> None:
    session.outcomes.shown(_number(params))


async def accepted(session: Session, argument: Any = None) -> None:
    session.outcomes.accepted(_number(argument))


def command(session: Session, buffer: Buffer, suggestion: Suggestion, *, first: bool) -> types.Command:
    """The command of a suggestion that is offered. `first`: it is the one to show."""
    character = buffer.units(suggestion.row, suggestion.column)
    offer = Offer(buffer.uri, buffer.language_id, suggestion.text, suggestion.row, character)
    number = session.outcomes.offered(offer, first=first)
    return types.Command(title="Accepted", command=ACCEPTED, arguments=[{"suggestion": number}])


def changes(events: Sequence[types.TextDocumentContentChangeEvent]) -> list[Change]:
    """The changes of a document, up to one of the whole of it."""
    found = []
    for event in events:
        if not isinstance(event, types.TextDocumentContentChangePartial):
            break
        start, end = event.range.start, event.range.end
        found.append(Change((start.line, start.character), (end.line, end.character), event.text))
    return found


def _number(value: Any) -> int:
    """That of a suggestion, as an editor sends it; 0, which none has, for anything else."""
    number = value.get("suggestion") if isinstance(value, Mapping) else None
    return number if isinstance(number, int) else 0
