"""The answer to one request, from the tokens as they come to JSON on the connection, whole or streamed.

Several answers to the same request come one after the other: each finds the prompt computed by the first.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from lsp_server.engine.generating.handle import Handle
from lsp_server.engine.generating.pace import Pace
from lsp_server.engine.generating.request import Candidate, Counts, Prefill, Token
from lsp_server.engine.serving import telling, wire
from lsp_server.engine.serving.shown import Shown
from lsp_server.engine.serving.state import TextCodec
from lsp_server.engine.serving.wire import ApiRequest, Refusal

EVENTS = "text/event-stream"


@dataclass(frozen=True)
class AnswerPart:
    """A part of an answer: text and tokens, of which one may be empty, and at its end the reason. Before the first:
    how far the prompt is computed, for who wants to know. `candidates` for its first line, each with its text, are in
    the first part."""

    text: str
    tokens: tuple[Token, ...]
    finish_reason: str | None = None
    stop_reason: int | str | None = None  # as in vLLM: the stop text, or a stop id that the request itself named
    candidates: tuple[tuple[str, Candidate], ...] = ()
    prefill: Prefill | None = None


class Sequences:
    """The answers to one request: so many generations in turn, the first of which is submitted at once.

    `submit` is given the number of each, from 0, and raises Refusal.
    """

    def __init__(self, submit: Callable[[int], Handle], count: int) -> None:
        self._submit, self._count = submit, count
        self._handle = submit(0)
        self._cancelled = False

    @property
    def counts(self) -> Counts:
        """What the one that runs, or ran last, has cost."""
        return self._handle.counts

    def cancel(self) -> None:
        """End the one that runs; no other begins."""
        self._cancelled = True
        self._handle.cancel()

    async def __aiter__(self) -> AsyncIterator[tuple[int, Handle]]:
        """(number, generation), each once the one before has been read."""
        for number in range(self._count):
            if number and not self._cancelled:
                self._handle = self._submit(number)
            yield number, self._handle


async def pieces(
    ask: ApiRequest, handle: Handle, stop_ids: frozenset[int], codec: TextCodec | None, pending: str = ""
) -> AsyncIterator[AnswerPart]:
    """The answer, piece by piece. The id that ends it is among the tokens, but not in the text; nor is `pending`, with
    which it begins.

    Raises Refusal if the generation fails.
    """
    decoder = codec.decoder() if codec is not None else None
    stops = Shown(pending, ask.stop_texts, ask.least_indent)
    first, last = None, None
    async for tokens in handle:
        if not tokens:
            yield AnswerPart("", (), prefill=handle.prefill)
            continue
        if first is None:
            first = time.monotonic()
            if codec is not None and handle.candidates:
                texts = (_text(each, stop_ids, codec, pending) for each in handle.candidates)
                yield AnswerPart("", (), candidates=tuple(zip(texts, handle.candidates, strict=True)))
        text = ""
        for number, token in enumerate(tokens, start=1):
            if token.id in stop_ids or decoder is None:
                continue
            text += stops.push(decoder.push([token.id]))
            late = ask.seconds is not None and stops.has_line and time.monotonic() - first > ask.seconds
            if stops.ended or late:
                handle.cancel()
                yield AnswerPart(
                    text, tuple(tokens[:number]), "stop" if stops.stop_text is not None else "length", stops.stop_text
                )
                return
        yield AnswerPart(text, tuple(tokens))
        last = tokens[-1].id
    result = handle.result
    if result is None or result.finish_reason == "error":
        raise Refusal(result.message if result else "The engine lost the request.", status=500)
    if result.finish_reason == "cancelled":
        raise Refusal("The engine is shutting down.", status=503)  # nobody else cancels what is waited for
    text = stops.push(decoder.flush()) + stops.flush() if decoder is not None else ""
    named = last if result.finish_reason == "stop" and last in ask.stop_ids else None
    yield AnswerPart(text, (), result.finish_reason, named)


def _text(candidate: Candidate, stop_ids: frozenset[int], codec: TextCodec, pending: str) -> str:
    """The line of a candidate, without what is pending at its beginning."""
    decoder, shown = codec.decoder(), Shown(pending, ())
    text = decoder.push([token.id for token in candidate.tokens if token.id not in stop_ids]) + decoder.flush()
    return shown.push(text) + shown.flush()


Parts = Callable[[Handle], AsyncIterator[AnswerPart]]


class Written(Protocol):
    """An answer in the form of one API. `media_type`: that of its events."""

    media_type: str

    async def whole(self) -> dict[str, Any]: ...

    def events(self) -> AsyncIterator[bytes]: ...


class Write(Protocol):
    """How an answer is written. `cut`: not all that was sent had room."""

    def __call__(
        self, ask: ApiRequest, sequences: Sequences, parts: Parts, model: str, pace: Pace, *, cut: bool
    ) -> Written: ...


class Answer:
    """Writes the pieces of one answer as JSON, in OpenAI's form: that of a conversation if `chat`, else of a
    completion."""

    media_type = EVENTS

    def __init__(
        self,
        ask: ApiRequest,
        sequences: Sequences,
        parts: Parts,
        model: str,
        pace: Pace,
        *,
        cut: bool = False,
        chat: bool = False,
    ) -> None:
        self._ask, self._sequences, self._parts, self._pace = ask, sequences, parts, pace
        self._chat = chat
        self._head = {
            "id": ("chatcmpl-" if self._chat else "cmpl-") + uuid.uuid4().hex,
            "object": "chat.completion" if self._chat else "text_completion",
            "created": int(time.time()),
            "model": model,
        }

    async def whole(self) -> dict[str, Any]:
        """The answer in one."""
        choices, generated = [], 0
        async for number, handle in self._sequences:
            piece = joined([part async for part in self._parts(handle)])
            generated += len(piece.tokens)
            choices.append(self._choice(number, piece, "message", {"role": "assistant", "content": piece.text}))
        return {**self._head, "choices": choices, **self._cost(generated)}

    async def events(self) -> AsyncIterator[bytes]:
        """The answer as server-sent events: chunks as they come, the last of each choice with the timings, `[DONE]`."""
        head = {**self._head, "object": "chat.completion.chunk"} if self._chat else self._head
        generated = 0
        try:
            async for number, handle in self._sequences:
                delta: dict[str, str] = {"role": "assistant"}
                async for piece in self._parts(handle):
                    generated += len(piece.tokens)
                    if piece.prefill is not None:
                        yield event({**head, "choices": [], **piece.prefill.told()})
                    said = piece.text or piece.finish_reason or piece.candidates
                    if not (said or (piece.tokens and self._shows_tokens)):
                        continue  # the text so far may be the beginning of a stop text, or half a character
                    choice = self._choice(number, piece, "delta", {**delta, "content": piece.text})
                    chunk: dict[str, Any] = {**head, "choices": [choice]}
                    delta = {}
                    if piece.finish_reason:
                        chunk["timings"] = self._cost(generated)["timings"]
                    yield event(chunk)
            if self._ask.include_usage:
                yield event({**head, "choices": [], **self._cost(generated)})
        except Refusal as refusal:  # too late for a status
            yield event(wire.error(str(refusal), status=refusal.status))
        yield b"data: [DONE]\n\n"

    @property
    def _shows_tokens(self) -> bool:
        return self._ask.return_token_ids or self._ask.sampling.logprobs is not None

    def _cost(self, generated: int) -> dict[str, Any]:
        counts = self._sequences.counts
        timings = telling.timings(counts, self._pace)
        return {"usage": telling.usage(counts, generated), "timings": timings}

    def _choice(self, number: int, piece: AnswerPart, name: str, message: dict[str, str]) -> dict[str, Any]:
        content = {name: message} if self._chat else {"text": piece.text}
        choice: dict[str, Any] = {"index": number, **content, "logprobs": None, "finish_reason": piece.finish_reason}
        if piece.finish_reason:
            choice["stop_reason"] = piece.stop_reason
        if self._ask.sampling.logprobs is not None:
            choice["logprobs"] = telling.logprobs(piece.tokens, chat=self._chat)
        if self._ask.return_token_ids:
            choice["token_ids"] = [token.id for token in piece.tokens]
        if piece.candidates:
            choice["candidates"] = [telling.candidate(text, each) for text, each in piece.candidates]
        return choice


def joined(parts: list[AnswerPart]) -> AnswerPart:
    """A whole answer of its parts, of which there is at least one."""
    tokens = tuple(token for part in parts for token in part.tokens)
    text, candidates = "".join(part.text for part in parts), parts[0].candidates
    return AnswerPart(text, tokens, parts[-1].finish_reason, parts[-1].stop_reason, candidates)


def event(data: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


@contextlib.asynccontextmanager
async def cancelled_on_disconnect(receive: Receive, handle: Sequences) -> AsyncIterator[None]:
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

    def __init__(self, events: AsyncIterator[bytes], handle: Sequences, media_type: str) -> None:
        self._events, self._handle, self.media_type = events, handle, media_type
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
