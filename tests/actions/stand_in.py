"""A stand-in for an engine, in the test's own process: an OpenAI-compatible server that says what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from lsp_server.codellama import CodeLlamaTokenizer

_read = functools.cache(CodeLlamaTokenizer.from_pretrained)


class StandIn:
    """`answers` are given in turn, the last one for ever; `hold` keeps an answer back until it is set, `loaded` the
    model itself. `models`: those that it lists. `read`: of the 1,000 tokens of a prompt it says that it has
    read so many. `probability`: what it says of the first piece of an answer, where it is asked for that; None:
    nothing. `pause`: seconds behind each piece of an answer.

    `asked` holds the bodies of the completions asked for; `ended` counts those that the client broke off.
    """

    def __init__(self) -> None:
        self.answers: list[str] = ["I have nothing to say."]
        self.pause = 0.0
        self.finish_reason = "stop"
        self.probability: float | None = None
        self.error = ""
        self.read = 0
        self.models = ["stand-in"]
        self.hold = asyncio.Event()
        self.hold.set()
        self.loaded = asyncio.Event()
        self.loaded.set()
        self.asked: list[dict[str, Any]] = []
        self.ended = 0
        self.url = ""
        self.tokenizer = Path()

    @property
    def prompt(self) -> str:
        """The last prompt that was sent, as text."""
        return self.prompt_of(self.asked[-1])

    def prompt_of(self, asked: dict[str, Any]) -> str:
        return _read(self.tokenizer).shown(asked["prompt"])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(
                (
                    int(line.partition(":")[2])
                    for line in head.split("\r\n")
                    if line.lower().startswith("content-length")
                ),
                0,
            )
            body = await reader.readexactly(length)
            if head.startswith("GET"):
                await self.loaded.wait()
                listed = [{"id": each, "max_model_len": 16384} for each in self.models]
                await self._send(writer, "200 OK", "application/json", json.dumps({"data": listed}).encode())
            else:
                await self._complete(json.loads(body), reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _complete(
        self, asked: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.asked.append(asked)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if self.error:
            await self._send(
                writer, "400 Bad Request", "application/json", json.dumps({"error": {"message": self.error}}).encode()
            )
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        await writer.drain()
        gone = asyncio.ensure_future(reader.read())  # ends when the client closes the connection
        held = asyncio.ensure_future(self.hold.wait())
        said = json.dumps({"prompt_progress": {"total": 1000, "processed": self.read, "cache": 0}})
        while not (gone.done() or held.done()):
            writer.write(f"data: {said}\n\n".encode() * bool(self.read))
            await asyncio.wait([gone, held], timeout=0.3, return_when=asyncio.FIRST_COMPLETED)
        held.cancel()
        if gone.done():
            self.ended += 1
            return
        pieces = [answer[at : at + 7] for at in range(0, len(answer), 7)]
        events: list[dict[str, Any]] = [{"choices": [{"text": piece}]} for piece in pieces]
        if self.probability is not None and "logprobs" in asked:
            for at, event in enumerate(events):
                logprob = 0.0 if at else math.log(self.probability)
                event["choices"][0]["logprobs"] = {"token_logprobs": [logprob]}
        events.append({"choices": [{"text": "", "finish_reason": self.finish_reason}], "usage": {}})
        for event in events:
            writer.write(f"data: {json.dumps(event)}\n\n".encode())
            await asyncio.sleep(self.pause)
        writer.write(b"data: [DONE]\n\n")
        await writer.drain()
        gone.cancel()

    async def _send(self, writer: asyncio.StreamWriter, status: str, kind: str, body: bytes) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()


@contextlib.asynccontextmanager
async def stand_in() -> AsyncIterator[StandIn]:
    engine = StandIn()
    server = await asyncio.start_server(engine._serve, "127.0.0.1", 0)
    engine.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield engine
    finally:
        engine.hold.set()
        engine.loaded.set()
        server.close()
