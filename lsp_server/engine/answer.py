"""The answer to one request, from the tokens as they come to JSON on the connection, whole or streamed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from lsp_server.engine import wire
from lsp_server.engine.request import Token
from lsp_server.engine.state import TextCodec
from lsp_server.engine.stop_texts import StopTexts
from lsp_server.engine.wire import Ask, Refusal

if TYPE_CHECKING:
    from lsp_server.engine.scheduler import Handle


@dataclass(frozen=True)
class Piece:
    """A part of an answer: text and tokens, of which one may be empty, and at its end the reason."""

    text: str
    tokens: tuple[Token, ...]
    finish_reason: str | None = None
    stop_reason: int | str | None = None  # as in vLLM: the stop text, or a stop id that the request itself named


async def pieces(ask: Ask, handle: Handle, stop_ids: frozenset[int], codec: TextCodec | None) -> AsyncIterator[Piece]:
    """The answer, piece by piece. The id that ends it is among the tokens, but not in the text.

    Raises Refusal if the generation fails.
    """
    decoder = codec.decoder() if codec is not None else None
    stops = StopTexts(ask.stop_texts)
    last = None
    async for tokens in handle:
        text = ""
        for number, token in enumerate(tokens, start=1):
            if token.id in stop_ids or decoder is None:
                continue
            text += stops.push(decoder.push([token.id]))
            if stops.found is not None:
                handle.cancel()
                yield Piece(text, tuple(tokens[:number]), "stop", stops.found)
                return
        yield Piece(text, tuple(tokens))
        last = tokens[-1].id
    result = handle.result
    if result is None or result.finish_reason == "error":
        raise Refusal(result.message if result else "The engine lost the request.", status=500)
    if result.finish_reason == "cancelled":
        raise Refusal("The request was cancelled.", status=503)
    text = stops.push(decoder.flush()) + stops.flush() if decoder is not None else ""
    named = last if result.finish_reason == "stop" and last in ask.stop_ids else None
    yield Piece(text, (), result.finish_reason, named)


class Answer:
    """Writes the pieces of one answer as JSON."""

    def __init__(self, ask: Ask, handle: Handle, model: str) -> None:
        self._ask, self._handle, self._chat = ask, handle, ask.messages is not None
        self._head = {
            "id": ("chatcmpl-" if self._chat else "cmpl-") + uuid.uuid4().hex,
            "object": "chat.completion" if self._chat else "text_completion",
            "created": int(time.time()),
            "model": model,
        }

    async def whole(self, parts: AsyncIterator[Piece]) -> dict[str, Any]:
        """The answer in one."""
        pieces = [piece async for piece in parts]
        tokens = tuple(token for part in pieces for token in part.tokens)
        piece = Piece("".join(part.text for part in pieces), tokens, pieces[-1].finish_reason, pieces[-1].stop_reason)
        counts = self._handle.counts
        choice = self._choice(piece, "message", {"role": "assistant", "content": piece.text})
        return {
            **self._head,
            "choices": [choice],
            "usage": wire.usage(counts, len(tokens)),
            "timings": wire.timings(counts),
        }

    async def events(self, parts: AsyncIterator[Piece]) -> AsyncIterator[bytes]:
        """The answer as server-sent events: chunks as they come, the last choice with the timings, `[DONE]`."""
        head = {**self._head, "object": "chat.completion.chunk"} if self._chat else self._head
        delta: dict[str, str] = {"role": "assistant"}
        generated = 0
        try:
            async for piece in parts:
                generated += len(piece.tokens)
                shows_tokens = piece.tokens and (self._ask.return_token_ids or self._ask.sampling.logprobs is not None)
                if not (piece.text or piece.finish_reason or shows_tokens):
                    continue  # the text so far may be the beginning of a stop text, or half a character
                choice = self._choice(piece, "delta", {**delta, "content": piece.text})
                chunk: dict[str, Any] = {**head, "choices": [choice]}
                delta = {}
                if piece.finish_reason:
                    chunk["timings"] = wire.timings(self._handle.counts)
                yield _event(chunk)
            if self._ask.include_usage:
                counts = self._handle.counts
                last = {"usage": wire.usage(counts, generated), "timings": wire.timings(counts)}
                yield _event({**head, "choices": [], **last})
        except Refusal as refusal:  # too late for a status
            yield _event(wire.error(str(refusal), status=refusal.status))
        yield b"data: [DONE]\n\n"

    def _choice(self, piece: Piece, name: str, message: dict[str, str]) -> dict[str, Any]:
        content = {name: message} if self._chat else {"text": piece.text}
        choice: dict[str, Any] = {"index": 0, **content, "logprobs": None, "finish_reason": piece.finish_reason}
        if piece.finish_reason:
            choice["stop_reason"] = piece.stop_reason
        if self._ask.sampling.logprobs is not None:
            choice["logprobs"] = wire.logprobs(piece.tokens, chat=self._chat)
        if self._ask.return_token_ids:
            choice["token_ids"] = [token.id for token in piece.tokens]
        return choice


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


@contextlib.asynccontextmanager
async def cancelled_on_disconnect(receive: Receive, handle: Handle) -> AsyncIterator[None]:
    """Cancels the request when its connection closes, and in any case at the end of the block."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        handle.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        handle.cancel()
        watcher.cancel()


class EventStream(Response):
    """A streamed answer. Unlike Starlette's StreamingResponse it notices a closed connection the same way under every
    server and while nothing is being sent: during a long prefill, for instance."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes], handle: Handle) -> None:
        self._events, self._handle = events, handle
        self.status_code = 200
        self.background = None
        self.init_headers({"cache-control": "no-store"})
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with cancelled_on_disconnect(receive, self._handle):
            with contextlib.suppress(OSError):  # how some servers say that the connection is closed
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                async for event in self._events:
                    await send({"type": "http.response.body", "body": event, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
