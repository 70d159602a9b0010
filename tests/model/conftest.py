"""A server that is not the project's own engine, and answers as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from lsp_server.model import endpoint
from lsp_server.model.client import Choice, ModelClient

MODELS = json.dumps({"data": [{"id": "theirs", "max_model_len": 16384}]})
STREAM = "text/event-stream"


class Scripted:
    """`answer(body)` is what a completion is answered with: (status, type, content), with `more` lines in its head.
    `asked`: the bodies so far, and `posts` where they were sent; `streams`, if set, writes the answer itself. `pages`:
    what is at other addresses than that of the models, and `refuses` with which status."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.posts: list[str] = []
        self.pages: dict[str, Any] = {}
        self.refuses: dict[str, int] = {}
        self.heads: list[str] = []
        self.answer: Callable[[dict[str, Any]], tuple[int, str, bytes]] = lambda body: (200, STREAM, said("yes"))
        self.models: tuple[int, str] = (200, MODELS)
        self.more = ""
        self.streams: Callable[[asyncio.StreamWriter], Awaitable[None]] | None = None
        self.port = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """End those that still write."""
        for task in self._tasks:
            task.cancel()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                if head.startswith("GET"):
                    path = head.split()[1]
                    status, text = (200, json.dumps(self.pages[path])) if path in self.pages else self.models
                    if path in self.refuses:
                        status, text = self.refuses[path], ""
                    await self._send(writer, status, "application/json", text.encode())
                    continue
                body = await reader.readexactly(int(head.lower().partition("content-length:")[2].split()[0]))
                self.asked.append(json.loads(body))
                self.posts.append(head.split()[1])
                if self.streams is not None:
                    await self.streams(writer)
                    continue
                await self._send(writer, *self.answer(self.asked[-1]))
        writer.close()

    async def _send(self, writer: asyncio.StreamWriter, status: int, kind: str, content: bytes) -> None:
        head = f"HTTP/1.1 {status} Scripted\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n"
        writer.write(f"{head}{self.more}\r\n".encode())
        for at in range(0, len(content), 7):  # so that no line and no character comes whole
            writer.write(content[at : at + 7])
            await writer.drain()
            await asyncio.sleep(0)


def said(*texts: str, finish: str = "stop") -> bytes:
    """A stream with these texts."""
    events = [{"choices": [{"text": text, "finish_reason": None}]} for text in texts]
    events.append({"choices": [{"text": "", "finish_reason": finish}]})
    return b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events) + b"data: [DONE]\n\n"


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


@contextlib.asynccontextmanager
async def serving(ssl: Any = None) -> AsyncIterator[Scripted]:
    """A server of its own."""
    scripted = Scripted()
    async with await asyncio.start_server(scripted.serve, "127.0.0.1", ssl=ssl) as listening:
        scripted.port = listening.sockets[0].getsockname()[1]
        yield scripted
        scripted.close()


@pytest.fixture
async def theirs() -> AsyncIterator[Scripted]:
    async with serving() as scripted:
        yield scripted


@pytest.fixture
async def client(theirs: Scripted) -> AsyncIterator[ModelClient]:
    made = ModelClient(endpoint.remote(theirs.url))
    yield made
    await made.aclose()


async def asked(client: ModelClient, **more: Any) -> tuple[str, str]:
    """(text, finish reason) of an answer."""
    text, finish = "", ""
    choice = Choice(**{field.name: more.pop(field.name) for field in dataclasses.fields(Choice) if field.name in more})
    async for piece in client.complete([1, 2, 3], max_tokens=8, choice=choice, **more):
        text += "".join(f"<{each}>" for each in piece.ids) or piece.text
        finish = piece.finish_reason or finish
    return text, finish
