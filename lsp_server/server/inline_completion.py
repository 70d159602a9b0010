"""`textDocument/inlineCompletion`: ghost text. Always a list and always a range, for clients need both."""

from __future__ import annotations

import re
import time

from lsprotocol import types

from lsp_server.completion.suggest import Suggestion
from lsp_server.completion.suggestions import Answer
from lsp_server.context.buffer import Buffer
from lsp_server.server import feedback
from lsp_server.server.session import Session


async def inline_completion(session: Session, params: types.InlineCompletionParams) -> types.InlineCompletionList:
    by_hand = params.context.trigger_kind != types.InlineCompletionTriggerKind.Automatic
    buffer = session.workspace.buffer(params.text_document.uri)
    answer = await answered(session, params, buffer, by_hand=by_hand)
    items: list[types.InlineCompletionItem] = []
    if buffer is None:
        return types.InlineCompletionList(items)
    for each in answer.suggestions:
        item = _item(buffer, each)
        item.command = feedback.command(session, buffer, each, first=not items)
        items.append(item)
    return types.InlineCompletionList(items=items)


async def answered(
    session: Session,
    params: types.InlineCompletionParams | types.CompletionParams,
    buffer: Buffer | None,
    *,
    by_hand: bool,
    waits: bool = True,
) -> Answer:
    """The suggestions for a request, of which the status tells what became: why there is none is never an error."""
    place, uri, asked = params.position, params.text_document.uri, time.perf_counter()
    try:
        answer = await session.suggestions.at(buffer, place.line, place.character, by_hand=by_hand, waits=waits)
    except Exception:
        fault = "A fault of this program; the log of the language server has more."
        session.status.suggestion(uri, shown=False, reason=fault)
        raise
    cost = None
    if buffer is not None and answer.suggestions:
        timings, milliseconds = answer.suggestions[0].timings, 1000 * (time.perf_counter() - asked)
        session.outcomes.answered(buffer.language_id, timings, milliseconds)
        if session.settings.show_cost:
            cost = {"milliseconds": round(milliseconds), "tokens": int(timings.get("tokens") or 0)}
    session.status.suggestion(uri, shown=bool(answer.suggestions), reason=answer.reason, off=answer.off, cost=cost)
    return answer


def _item(buffer: Buffer, suggestion: Suggestion) -> types.InlineCompletionItem:
    """The suggestion for the client: from the start of the typed word at a line's end, else as a pure insertion.

    Clients that match what is typed need the word in the text and in the range; with text to the right of the cursor a
    range that is not empty would hide it.
    """
    at_end = not buffer.lines[suggestion.row][suggestion.column :].strip()
    text, where = insertion(buffer, suggestion, with_word=at_end)
    return types.InlineCompletionItem(insert_text=text, filter_text=text, range=where)


def insertion(buffer: Buffer, suggestion: Suggestion, *, with_word: bool) -> tuple[str, types.Range]:
    """(text, the range that it replaces) in the client's units: the suggestion, with the word before it if wanted."""
    row, column = suggestion.row, suggestion.column
    match = re.search(r"\w+$", buffer.lines[row][:column]) if with_word else None
    word = match.group() if match else ""
    start = types.Position(row, buffer.units(row, column - len(word)))
    return word + suggestion.text, types.Range(start, types.Position(row, buffer.units(row, column)))
