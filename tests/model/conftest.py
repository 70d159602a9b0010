"""Servers that answer as they are told: one that is not the project's own engine, and engines that have no model."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.model import endpoint
from lsp_server.model.access import ModelAccess, Reached
from lsp_server.model.answering import Answer, Question
from lsp_server.model.client import Choice, ModelClient
from lsp_server.settings import Settings

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


DIALOG = [{"role": "user", "content": "What is </s>?"}]


def lists(**more: Any) -> tuple[int, str]:
    """How a server lists the model that it has."""
    return 200, json.dumps({"data": [{"id": "theirs", **more}]})


@pytest.fixture
def tokenizer(tokenizer_folder: Callable[..., Path]) -> CodeLlamaTokenizer:
    return CodeLlamaTokenizer.from_pretrained(tokenizer_folder("7b"), chat_format="inst")


@pytest.fixture
def count(tokenizer_folder: Callable[..., Path]) -> Callable[[str], int]:
    """count(text): the tokens that a server makes of it which has this checkpoint."""
    from tokenizers import Tokenizer

    backend = Tokenizer.from_file(str(tokenizer_folder("7b") / "tokenizer.json"))
    return lambda text: len(backend.encode(text, add_special_tokens=False).ids)


@pytest.fixture
async def reach(theirs: Scripted, tokenizer_folder: Callable[..., Path]) -> AsyncIterator[Any]:
    """reach(): the scripted server as a model. reach.access: the way to it; reach.states: what was told of it."""
    made: list[ModelAccess] = []

    async def reached(**more: Any) -> Reached:
        options = {"engine_url": theirs.url, "tokenizer": str(tokenizer_folder("7b")), "chat_format": "inst", **more}
        told.states = []
        made.append(ModelAccess(Settings(**options), told.states.append))
        told.access = made[-1]
        return await told.access.wait()

    told: Any = reached
    yield reached
    for each in made:
        each.close()


async def text_of(model: Reached, ids: Sequence[int], stop_ids: Sequence[int] = (), **more: Any) -> str:
    """What the model answers."""
    return "".join(["".join(part) async for part in Answer(model, Question(ids, stop_ids, 8, **more)).parts()])


class Engines:
    """What is known of the engines that were started."""

    def __init__(self, folder: Path, tokenizer: Path) -> None:
        self.folder, self.tokenizer = folder, tokenizer

    def script(self, *starts: dict[str, object]) -> None:
        text = json.dumps({"tokenizer": str(self.tokenizer), "starts": starts})
        (self.folder / "script.json").write_text(text)

    def version(self, number: str) -> None:
        """Engines that are started from now on are of that one."""
        (self.folder / "version").write_text(number)

    @property
    def started(self) -> list[int]:
        return self._pids("starts")

    @property
    def asked(self) -> list[int]:
        return self._pids("asked")

    def _pids(self, name: str) -> list[int]:
        file = self.folder / name
        return [int(each) for each in file.read_text().split()] if file.exists() else []


@pytest.fixture
def fakes(engines, tmp_path, tokenizer_folder, monkeypatch):
    program = tmp_path / "python"
    fake = Path(__file__).with_name("fake_engine.py")
    program.write_text(f'#!/bin/sh\nPYTHONPATH={Path(__file__).parents[2]} exec {sys.executable} {fake} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    made = Engines(engines, tokenizer_folder("7b"))
    made.script({})
    return made
