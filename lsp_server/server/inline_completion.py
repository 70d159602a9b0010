"""`textDocument/inlineCompletion`: ghost text. Always a list and always a range, for clients need both."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from lsprotocol import types

from lsp_server.completion.suggest import Suggestion
from lsp_server.context.buffer import Buffer
from lsp_server.context.privacy import why_hidden
from lsp_server.model.access import Reached
from lsp_server.model.client import EngineLost, EngineRefused
from lsp_server.server.buffers import file_path

if TYPE_CHECKING:
    from lsp_server.server.app import CodeLlamaServer

T = TypeVar("T")


def register(server: CodeLlamaServer) -> None:
    # Without options the library does not announce the feature.
    @server.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, types.InlineCompletionOptions())
    async def inline_completion(params: types.InlineCompletionParams) -> types.InlineCompletionList:
        uri = params.text_document.uri
        typed = params.context.trigger_kind == types.InlineCompletionTriggerKind.Automatic
        suggestion = await suggestion_at(server, uri, params.position, at_once=not typed)
        buffer = server.open_buffer(uri)
        if suggestion is None or not suggestion.text or buffer is None:
            return types.InlineCompletionList(items=[])
        # Who asks at a place where a suggestion is known, and so shown already, asks for others.
        others = [] if typed or not suggestion.timings.get("known") else await _others(server, buffer, suggestion)
        return types.InlineCompletionList(items=[_item(buffer, each) for each in (suggestion, *others)])


async def suggestion_at(
    server: CodeLlamaServer, uri: str, position: types.Position, *, at_once: bool
) -> Suggestion | None:
    """The suggestion at a position, or None; why there is none is told through the status, never as an error.

    `at_once`: do not give the user the time to type on before the model is asked. A newer request or a change ends this
    one.
    """
    server.supersede(uri)
    buffer = server.open_buffer(uri)
    if (reason := _why_off(server, uri, buffer)) or buffer is None:
        server.status.suggestion(uri, shown=False, reason=reason, off=True)
        return None
    if position.line >= len(buffer.lines):
        reason = f"The cursor is on line {position.line + 1}, but the text has {len(buffer.lines)}; reopen the file."
        server.status.suggestion(uri, shown=False, reason=reason)
        return None
    server.want_model()
    if server.model.reached is None:
        server.status.suggestion(uri, shown=False, reason=server.model.state.message)
        return None
    row, column = buffer.locate(position.line, position.character)
    suggestion = server.suggester.known(buffer, row, column)
    if suggestion is None:
        suggestion = await _asked(server, server.model.reached, buffer, row, column, at_once=at_once)
    if suggestion is not None:
        server.status.suggestion(uri, shown=bool(suggestion.text), reason=suggestion.reason)
        if server.model.reached is not None and server.open_buffer(uri) is buffer:
            server.suggester.look_ahead(server.model.reached, buffer, suggestion, server.settings)
    return suggestion


def cursor_rests(server: CodeLlamaServer, uri: str, position: types.Position) -> None:
    """The cursor has come to rest at a position: the model begins with what the next key there will want."""
    buffer, model = server.open_buffer(uri), server.model.reached
    if model is None or buffer is None or position.line >= len(buffer.lines) or _why_off(server, uri, buffer):
        return
    row, column = buffer.locate(position.line, position.character)
    server.suggester.prefetch(model, buffer, row, column, server.settings)


async def _asked(
    server: CodeLlamaServer, model: Reached, buffer: Buffer, row: int, column: int, *, at_once: bool
) -> Suggestion | None:
    settings = dataclasses.replace(server.settings, debounce_ms=0) if at_once else server.settings
    work = server.suggester.ask(model, buffer, row, column, settings)
    return await _while_wanted(server, model, buffer.uri, work)


async def _others(server: CodeLlamaServer, buffer: Buffer, shown: Suggestion) -> list[Suggestion]:
    model = server.model.reached
    if model is None:
        return []
    work = server.suggester.others(model, buffer, shown, server.settings)
    found = await _while_wanted(server, model, buffer.uri, work)
    if found is not None:
        server.status.suggestion(buffer.uri, shown=True, reason="")
    return found or []


async def _while_wanted(server: CodeLlamaServer, model: Reached, uri: str, work: Coroutine[Any, Any, T]) -> T | None:
    """What `work` asks the model for; None where the text changes meanwhile or it fails, which the status tells."""
    server.status.thinking(uri)
    task = asyncio.ensure_future(work)
    server.supersede(uri, task)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        ended_by_other = task.cancelled()
        task.cancel()
        server.status.suggestion(uri, shown=False, reason="The text changed meanwhile.")
        if ended_by_other:
            return None
        raise  # the editor itself cancelled; the library answers so
    except EngineLost as error:
        server.model.lost(model.client)
        server.status.suggestion(uri, shown=False, reason=str(error))
        return None
    except EngineRefused as error:
        server.status.suggestion(uri, shown=False, reason=str(error))
        return None
    finally:
        if server.running.get(uri) is task:
            del server.running[uri]


def _why_off(server: CodeLlamaServer, uri: str, buffer: Buffer | None) -> str:
    """Why there are no suggestions in a document, as one sentence, or ""."""
    if not server.settings.enabled:
        return "Suggestions are turned off (codellama.enabled)."
    if buffer is None:
        return "This document is not open in the editor."
    if buffer.language_id in server.settings.disabled_languages:
        return f"Suggestions are turned off for {buffer.language_id} (codellama.disabledLanguages)."
    return why_hidden(file_path(uri), server.buffers.roots())


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
