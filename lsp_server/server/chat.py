"""The chat side panel: requests of this program's own, `codellama/chat/*`, announced under `experimental`.

    send     {conversationId?, message, attachments?, partialResultToken?, editTurn?, regenerate?, temperature?,
              maxTokens?, topP?, seed?, systemPrompt?, languageId?}
             -> {conversationId, message, turn, finishReason, usage, leftOut}
    stop     {conversationId} -> null
    preview  as send -> {attachments, messages, promptTokens, roomTokens, knownTokens, readSeconds, leftOut}: what
             would be sent, and how long the model would take to read it
    list     {query?} -> [{id, title, created, updated, turns, excerpt}], the last changed first
    get      {conversationId} -> {id, title, created, updated, temperature, maxTokens, turns}
    rename   {conversationId, title} -> null
    delete   {conversationId} -> null
    export   {conversationId} -> {text}, as Markdown
    commands {} -> [{name, description, instruction}], the slash commands

While an answer is written, `$/progress` with the token brings `{delta}` for each token; the first one has
`conversationId` and `turn` too, one may have `leftOut`: sentences on what could not be sent; and until the first
token some have `reading`: {percent, message}, how far the model has read the question. An attachment is
`{uri, range?, kind?, diagnostics?}` with a kind of chat.turns. A request that is cancelled is answered like one that is
stopped, with `finishReason` "stopped" and what there is of the answer. See `chat.fields` for the checks.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

from lsprotocol import types

from lsp_server.chat import export
from lsp_server.chat.asking import InvalidAsk
from lsp_server.chat.chats import Unanswered, state_of
from lsp_server.chat.fields import Fields
from lsp_server.chat.store import Conflict, NoConversation, StoreError
from lsp_server.chat.turns import Attachment, Turn
from lsp_server.server.session import Session

log = logging.getLogger(__name__)

# JSON-RPC's codes, and LSP's RequestFailed: all was right with the request, but it could not be done.
INVALID_PARAMS, INTERNAL_ERROR, REQUEST_FAILED = -32602, -32603, -32803

_HALVES = re.compile("[\ud800-\udfff]")


class NotAnswered(Exception):
    """A request is answered with an error instead: its sentence, its `code`, and what else the editor may know."""

    def __init__(self, sentence: str, code: int, data: Any = None) -> None:
        super().__init__(sentence)
        self.code, self.data = code, data


async def answered(session: Session, name: str, params: Any) -> Any:
    """The answer to `codellama/chat/` and `name`. Raises NotAnswered."""
    store = session.chats.store
    try:
        return await _HANDLERS[name](session, Fields.of(_as_text(params)))
    except (InvalidAsk, NoConversation) as error:
        raise NotAnswered(str(error), INVALID_PARAMS) from None
    except Unanswered as error:
        data = {"conversationId": error.conversation, "turn": error.turn}
        raise NotAnswered(str(error), REQUEST_FAILED, data) from None
    except (StoreError, Conflict) as error:
        raise NotAnswered(str(error), REQUEST_FAILED) from None
    except Exception as error:
        log.error("A chat request (%s) failed: %s", name, type(error).__name__)
        sentence = f"Chat failed ({type(error).__name__}); the log may say more."
        raise NotAnswered(sentence, INTERNAL_ERROR) from None
    finally:
        if store.problem:
            session.status.show(store.problem, types.MessageType.Warning)
            store.problem = ""


def _as_text(params: Any) -> Any:
    """The parameters with U+FFFD for half a surrogate pair: JSON can write one, but no text has it, and none is kept.
    A token stays what it is, for the editor to know it again."""
    if isinstance(params, str):
        return _HALVES.sub("\ufffd", params)
    if isinstance(params, list):
        return [_as_text(each) for each in params]
    if isinstance(params, dict):
        return {name: each if name == "partialResultToken" else _as_text(each) for name, each in params.items()}
    return params


async def _send(session: Session, fields: Fields) -> dict[str, Any]:
    token = fields.token("partialResultToken")

    def on_part(part: dict[str, Any]) -> None:
        if token is not None:
            session.editor.send_part(token, part)
        if "reading" in part:
            session.status.answering(part["reading"]["message"])
        elif part["delta"]:
            session.status.answering("Answering a question.")

    try:
        reply = await session.chats.send(fields.ask(lambda uri: _language(session, uri)), on_part)
    finally:
        session.status.answering("")
    return {
        "conversationId": reply.conversation,
        "message": reply.message,
        "turn": reply.turn,
        "finishReason": reply.finish_reason,
        "usage": reply.usage,
        "leftOut": list(reply.left_out),
    }


async def _stop(session: Session, fields: Fields) -> None:
    await session.chats.stop(fields.text("conversationId"))


async def _preview(session: Session, fields: Fields) -> dict[str, Any]:
    preview = await session.chats.preview(fields.ask(lambda uri: _language(session, uri)))
    fitted, begun, estimate = preview.fitted, preview.begun, preview.estimate
    attachments = fitted.attachments if fitted else begun.questions[-1].attachments
    return {
        "attachments": [_attachment(one) for one in attachments],
        "messages": fitted.messages if fitted else None,
        "promptTokens": len(fitted.ids) if fitted else None,
        "roomTokens": preview.budget or None,
        "knownTokens": estimate.known if estimate else None,
        "readSeconds": estimate.seconds if estimate else None,
        "leftOut": [*begun.left_out, *(fitted.left_out if fitted else ())],
    }


async def _list(session: Session, fields: Fields) -> list[dict[str, Any]]:
    found = await asyncio.to_thread(session.chats.store.summaries, fields.text("query", ""))
    return [dataclasses.asdict(summary) for summary in found]


async def _get(session: Session, fields: Fields) -> dict[str, Any]:
    found = await asyncio.to_thread(session.chats.store.get, fields.text("conversationId"))
    running = session.chats.is_running(found.id)
    following = [*found.turns[1:], None]
    return {
        **{name: getattr(found, name) for name in ("id", "title", "created", "updated")},
        "temperature": found.settings.get("temperature"),
        "maxTokens": found.settings.get("maxTokens"),
        "turns": [_turn(turn, after, running) for turn, after in zip(found.turns, following, strict=True)],
    }


async def _rename(session: Session, fields: Fields) -> None:
    title = " ".join(fields.text("title").split())
    if not title:
        raise InvalidAsk("The title is empty.")
    await asyncio.to_thread(session.chats.store.rename, fields.text("conversationId"), title)


async def _delete(session: Session, fields: Fields) -> None:
    name = fields.text("conversationId")
    await session.chats.stop(name)
    await asyncio.to_thread(session.chats.store.delete, name)


async def _export(session: Session, fields: Fields) -> dict[str, str]:
    found = await asyncio.to_thread(session.chats.store.get, fields.text("conversationId"))
    return {"text": export.markdown(found)}


async def _commands(session: Session, fields: Fields) -> list[dict[str, str]]:
    return [
        {"name": name, "description": _described(text), "instruction": text}
        for name, text in session.chats.instructions.items()
    ]


_HANDLERS: dict[str, Callable[[Session, Fields], Awaitable[Any]]] = {
    "send": _send,
    "stop": _stop,
    "preview": _preview,
    "list": _list,
    "get": _get,
    "rename": _rename,
    "delete": _delete,
    "export": _export,
    "commands": _commands,
}


def _described(instruction: str) -> str:
    """The first clause of what a slash command asks, which is short enough for a list."""
    return re.split(r"[.:]", instruction, maxsplit=1)[0]


def _language(session: Session, uri: str) -> str:
    buffer = session.workspace.buffer(uri)
    return buffer.language_id if buffer is not None else ""


def _turn(turn: Turn, following: Turn | None, running: bool) -> dict[str, Any]:
    return {
        "turn": turn.position,
        "role": turn.role,
        "content": turn.content,
        "attachments": [_attachment(one) for one in turn.attachments],
        "usage": turn.usage,
        "finishReason": state_of(turn, following, running=running and following is None),
    }


def _attachment(attachment: Attachment) -> dict[str, Any]:
    first, last = attachment.shown()
    return {
        "kind": attachment.kind,
        "name": attachment.name,
        "uri": attachment.uri,
        "firstLine": first,
        "lastLine": last,
        "text": attachment.rendered(),
    }
