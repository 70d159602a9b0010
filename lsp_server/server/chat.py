"""The chat side panel: requests of this program's own, `codellama/chat/*`, announced under `experimental`.

    send     {conversationId?, message, attachments?, partialResultToken?, editTurn?, regenerate?, temperature?,
              maxTokens?, languageId?} -> {conversationId, message, turn, finishReason, usage, leftOut}
    stop     {conversationId} -> null
    preview  as send -> {attachments, messages, promptTokens, roomTokens, leftOut}: what would be sent
    list     {query?} -> [{id, title, created, updated, turns, excerpt}], the last changed first
    get      {conversationId} -> {id, title, created, updated, temperature, maxTokens, turns}
    rename   {conversationId, title} -> null
    delete   {conversationId} -> null
    export   {conversationId} -> {text}, as Markdown
    commands {} -> [{name, instruction}], the slash commands

While an answer is written, `$/progress` with the token brings `{delta}` for each token; the first one has
`conversationId` and `turn` too, one may have `leftOut`: sentences on what could not be sent. An attachment is
`{uri, range?, kind?, diagnostics?}` with a kind of chat.turns. A request that is cancelled is answered like one that is
stopped, with `finishReason` "stopped" and what there is of the answer. See `chat.fields` for the checks.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInternalError, JsonRpcInvalidParams

from lsp_server.chat import export
from lsp_server.chat.attachments import Workspace
from lsp_server.chat.chats import Chats, Environment, Unanswered, Wrong, state_of
from lsp_server.chat.fields import Fields
from lsp_server.chat.store import Conflict, NoConversation, Store, StoreError
from lsp_server.chat.turns import Attachment, Turn
from lsp_server.server.announced import CHAT, CHAT_METHODS

if TYPE_CHECKING:
    from lsp_server.server.app import CodeLlamaServer

log = logging.getLogger(__name__)

# LSP's RequestFailed: all was right with the request, but it could not be done.
REQUEST_FAILED = -32803


def register(
    server: CodeLlamaServer, instructions: Mapping[str, str] | None = None, *, store: Store | None = None
) -> Chats:
    """Add the requests. `instructions`: for each slash command, what it asks the model."""

    async def reach() -> Any:
        return await server.model.wait()

    around = Environment(
        settings=lambda: server.settings,
        workspace=lambda: Workspace(server.buffers.roots(), lambda: list(server.buffers.text_documents.values())),
        reach=reach,
        lost=lambda client: server.model.lost(client),
    )
    chats = Chats(store or Store(), around, instructions)

    def feature(name: str, handle: Callable[[Fields], Awaitable[Any]]) -> None:
        @server.feature(CHAT + name)
        @functools.wraps(handle)
        async def handler(params: Any) -> Any:
            try:
                return await handle(Fields.of(params))
            except (Wrong, NoConversation) as error:
                raise JsonRpcInvalidParams(str(error)) from None
            except Unanswered as error:
                data = {"conversationId": error.conversation, "turn": error.turn}
                raise JsonRpcException(str(error), REQUEST_FAILED, data) from None
            except (StoreError, Conflict) as error:
                raise JsonRpcException(str(error), REQUEST_FAILED) from None
            except Exception as error:
                log.error("%s%s failed: %s", CHAT, name, type(error).__name__)
                raise JsonRpcInternalError(f"Chat failed ({type(error).__name__}); the log may say more.") from None
            finally:
                if chats.store.problem:
                    server.status.show(chats.store.problem, types.MessageType.Warning)
                    chats.store.problem = ""

    async def send(fields: Fields) -> dict[str, Any]:
        token = fields.token("partialResultToken")
        ask = fields.ask(lambda uri: _language(server, uri))

        def on_part(part: dict[str, Any]) -> None:
            if token is not None:
                server.protocol.notify(types.PROGRESS, types.ProgressParams(token=token, value=part))

        reply = await chats.send(ask, on_part)
        return {
            "conversationId": reply.conversation,
            "message": reply.message,
            "turn": reply.turn,
            "finishReason": reply.finish_reason,
            "usage": reply.usage,
            "leftOut": list(reply.left_out),
        }

    async def stop(fields: Fields) -> None:
        await chats.stop(fields.text("conversationId"))

    async def preview(fields: Fields) -> dict[str, Any]:
        begun, fitted, room = await chats.preview(fields.ask(lambda uri: _language(server, uri)))
        attachments = fitted.attachments if fitted else begun.questions[-1].attachments
        return {
            "attachments": [_attachment(one) for one in attachments],
            "messages": fitted.messages if fitted else None,
            "promptTokens": len(fitted.ids) if fitted else None,
            "roomTokens": room or None,
            "leftOut": [*begun.left_out, *(fitted.left_out if fitted else ())],
        }

    async def list_(fields: Fields) -> list[dict[str, Any]]:
        found = await asyncio.to_thread(chats.store.summaries, fields.text("query", ""))
        return [dataclasses.asdict(summary) for summary in found]

    async def get(fields: Fields) -> dict[str, Any]:
        found = await asyncio.to_thread(chats.store.get, fields.text("conversationId"))
        running = chats.is_running(found.id)
        following = [*found.turns[1:], None]
        return {
            **{name: getattr(found, name) for name in ("id", "title", "created", "updated")},
            "temperature": found.settings.get("temperature"),
            "maxTokens": found.settings.get("maxTokens"),
            "turns": [_turn(turn, after, running) for turn, after in zip(found.turns, following, strict=True)],
        }

    async def rename(fields: Fields) -> None:
        title = " ".join(fields.text("title").split())
        if not title:
            raise Wrong("The title is empty.")
        await asyncio.to_thread(chats.store.rename, fields.text("conversationId"), title)

    async def delete(fields: Fields) -> None:
        name = fields.text("conversationId")
        await chats.stop(name)
        await asyncio.to_thread(chats.store.delete, name)

    async def export_(fields: Fields) -> dict[str, str]:
        return {"text": export.markdown(await asyncio.to_thread(chats.store.get, fields.text("conversationId")))}

    async def commands(fields: Fields) -> list[dict[str, str]]:
        return [{"name": name, "instruction": text} for name, text in chats.instructions.items()]

    handlers = (send, stop, preview, list_, get, rename, delete, export_, commands)
    for name, handle in zip(CHAT_METHODS, handlers, strict=True):
        feature(name, handle)
    return chats


def _language(server: CodeLlamaServer, uri: str) -> str:
    buffer = server.open_buffer(uri)
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
