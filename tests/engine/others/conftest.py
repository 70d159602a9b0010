"""A server for other programs whose model says what the test tells it to, and what those programs send to it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.completion.for_others import infill
from lsp_server.engine.generating.handle import Handle
from lsp_server.engine.generating.pace import Pace
from lsp_server.engine.generating.request import Counts, Request, Result, Token
from lsp_server.engine.serving.http import create_app
from lsp_server.engine.serving.state import EngineState

RECORDED = {
    path.stem: json.loads(path.read_text("utf-8")) for path in sorted((Path(__file__).parent / "requests").glob("*"))
}
PREFIX = "import math\n\n\ndef area(radius):\n    return ma"
SUFFIX = "\n\n\ndef volume(radius):\n    return 4 / 3 * math.pi * radius**3\n"


class Scripted:
    """A scheduler whose model writes what is in `says`, token by token, behind what it is to spell first."""

    def __init__(self, tokenizer: CodeLlamaTokenizer) -> None:
        self.tokenizer, self.vocab_size, self.context_length = tokenizer, tokenizer.vocab_size, 4096
        self.pace, self.broken, self.idle_seconds = Pace(), None, 0.0
        self.totals = SimpleNamespace(requests=Counter())
        self.asked: list[Request] = []
        self.says: list[str] = [""]
        self.cancelled = 0
        self.finish = "stop"

    def submit(self, request: Request) -> Handle:
        self.asked.append(request)
        says = self.says[min(len(self.asked), len(self.says)) - 1]
        spelled = request.ids[len(request.ids) - request.heal :]
        ids = [*spelled, *self.tokenizer.encode_raw(says)]
        counts = Counts(len(request.ids), 3, len(request.ids) - 3, len(ids), len(ids), 0, 0, 0.5, 1.5)
        events: asyncio.Queue[Token | Result] = asyncio.Queue()
        for each in ids:
            events.put_nowait(Token(each))
        events.put_nowait(Result(self.finish, counts))  # type: ignore[arg-type]
        return Handle(events, counts, self._cancel)

    def _cancel(self) -> None:
        self.cancelled += 1


@pytest.fixture
def tokenizer(tokenizer_folder: Callable[..., Path]) -> CodeLlamaTokenizer:
    return CodeLlamaTokenizer.from_pretrained(tokenizer_folder("7b"), chat_format="inst")


@pytest.fixture
def scheduler(tokenizer: CodeLlamaTokenizer) -> Scripted:
    return Scripted(tokenizer)


@pytest.fixture
def state(tokenizer: CodeLlamaTokenizer, scheduler: Scripted) -> EngineState:
    make = functools.partial(infill, tokenizer)
    served: Any = scheduler
    return EngineState("codellama/CodeLlama-7b-hf", "/m", "1", "ready", scheduler=served, codec=tokenizer, infill=make)


@contextlib.asynccontextmanager
async def connected(
    state: EngineState, base: str = "http://127.0.0.1:8012", **how: Any
) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(state, others=True, **how))
    async with httpx.AsyncClient(transport=transport, base_url=base) as client:
        yield client


@pytest.fixture
async def client(state: EngineState) -> AsyncIterator[httpx.AsyncClient]:
    async with connected(state) as client:
        yield client


async def replay(client: httpx.AsyncClient, name: str, **changed: Any) -> httpx.Response:
    recorded = RECORDED[name]
    body = json.dumps({**recorded["body"], **changed})
    return await client.post(recorded["path"], content=body, headers=recorded["headers"])


def answers(response: httpx.Response) -> list[dict[str, Any]]:
    """What was answered: in one, or in the events of a stream."""
    kind = response.headers["content-type"].partition(";")[0]
    if kind not in ("text/event-stream", "application/x-ndjson"):
        return [response.json()]
    lines = [line.removeprefix("data: ") for line in response.text.split("\n") if line]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def text_in(part: dict[str, Any]) -> str:
    """The text in a part of an answer, in whatever form; some parts of llama.cpp's have none."""
    if "choices" in part:
        choice = part["choices"][0]
        return str(choice["text"] if "text" in choice else choice.get("delta", choice.get("message"))["content"])
    return str(part.get("content", part.get("response", part.get("message", {}).get("content", ""))))


def read(answer: Any, path: str) -> Any:
    """A field as the client gets at it: llama.cpp keeps the path as the name where fields are selected."""
    if path in answer:
        return answer[path]
    for name in path.split("/"):
        answer = answer[int(name)] if isinstance(answer, list) else answer[name]
    return answer
