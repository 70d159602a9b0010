"""The connections that a language server has open to a server while one types. `make soak` types for longer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time

import psutil
import pytest
from editor import ALONE, editor
from lsprotocol import types

from lsp_server.model import endpoint, servers
from lsp_server.model.client import PRIORITY_CHAT, ModelClient
from lsp_server.model.exchange import CONNECTIONS
from model.conftest import STREAM, Scripted, asked, said

KEYS, KEY_SECONDS, ANSWER_SECONDS = int(os.environ.get("KEYS", "1000")), 0.012, 0.25
MOST_OPEN = 4
MODELS = json.dumps({"data": [{"id": "slow", "max_model_len": 16384}]}).encode()
EVENTS = [
    {"choices": [{"text": "answer"}]},
    {"choices": [{"text": "", "finish_reason": "stop"}]},
]


@pytest.fixture
async def slow():
    """The URL of a server that begins to answer after a while, and keeps its connections open, as servers do."""

    async def serve(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                if head.startswith("get"):
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(MODELS), MODELS))
                    continue
                await reader.readexactly(int(head.partition("content-length:")[2].split()[0]))
                await asyncio.sleep(ANSWER_SECONDS)
                body = "".join(f"data: {json.dumps(event)}\n\n" for event in EVENTS) + "data: [DONE]\n\n"
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                )
                writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body.encode()))
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1") as listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


def connections(pid: int, port: int) -> int:
    """How many connections to that port a process has open."""
    found = psutil.Process(pid).net_connections("tcp")
    return sum(each.status == psutil.CONN_ESTABLISHED and each.raddr.port == port for each in found)


@pytest.mark.timeout(120 + KEYS * KEY_SECONDS * 3)
@pytest.mark.parametrize("cancelling", [True, False], ids=["the-editor-cancels", "the-editor-types-on"])
async def test_a_thousand_keys_leave_no_connection_behind(slow, tokenizer_folder, cancelling):
    options = {"engineUrl": slow, "tokenizer": str(tokenizer_folder("7b"))}
    keys = KEYS if cancelling else KEYS // 5
    async with editor(options, command=ALONE) as window:
        uri = window.open("untitled:typed.py", "\n")
        await window.ready()
        port, most = int(slow.rpartition(":")[2]), 0
        asked: list[asyncio.Task] = []
        began = time.monotonic()
        for key in range(keys):
            column = key % 60
            if column == 0:
                window.change(uri, types.TextDocumentContentChangeWholeDocument("\n"))
            window.insert(uri, 0, column, "abcde"[key % 5])
            if cancelling and key:
                window.client.protocol.notify("$/cancelRequest", types.CancelParams(str(key - 1)))
            asked.append(asyncio.ensure_future(suggestion(window, uri, column + 1, str(key))))
            if key % 50 == 49:
                most = max(most, connections(window.pid, port))
            await asyncio.sleep(max(0.0, began + key * KEY_SECONDS - time.monotonic()))
        await asyncio.gather(*asked[:-1], return_exceptions=True)
        (item,) = (await asyncio.wait_for(asked[-1], 60)).items
        assert item.insert_text.endswith("answer")
        assert connections(window.pid, port) <= MOST_OPEN
        assert 1 <= most <= MOST_OPEN
        window.change(uri, types.TextDocumentContentChangeWholeDocument("x = \n"))
        (item,) = await asyncio.wait_for(window.suggest(uri, 0, 4), 60)
        assert item.insert_text == "answer"


@pytest.fixture
async def prompt_():
    """A server that sends each answer in one piece, so that its end is there when its head is read."""
    scripted = Scripted()

    async def serve(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                size = head.partition("content-length:")[2].split()
                body = await reader.readexactly(int(size[0])) if size else b""
                status, kind, content = scripted.answer(json.loads(body)) if body else (200, "application/json", MODELS)
                begins = f"HTTP/1.1 {status} Prompt\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n"
                writer.write(begins.encode() + content)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1") as listening:
        scripted.port = listening.sockets[0].getsockname()[1]
        yield scripted


async def test_a_server_that_is_busy_for_long_keeps_no_connection(prompt_, monkeypatch):
    monkeypatch.setattr(servers, "FIRST_SECONDS", 0.001)
    monkeypatch.setattr(servers, "MOST_SECONDS", 0.001)
    left = [429] * (CONNECTIONS + 4)
    prompt_.answer = lambda body: (left.pop(), STREAM, b"{}") if left else (200, STREAM, said("yes"))
    client = ModelClient(endpoint.remote(prompt_.url))
    assert await asked(client, priority=PRIORITY_CHAT) == ("yes", "stop")
    await client.aclose()


async def test_who_leaves_an_answer_at_its_end_keeps_no_connection(prompt_):
    prompt_.answer = lambda body: (200, STREAM, said("yes", "no"))
    client = ModelClient(endpoint.remote(prompt_.url))
    for _ in range(CONNECTIONS + 4):
        async with contextlib.aclosing(client.complete([1, 2, 3], max_tokens=8)) as pieces:
            async for _ in pieces:
                break
    assert await asked(client) == ("yesno", "stop")
    await client.aclose()


def suggestion(window, uri, column, name):
    """The answer to a request of that id for a suggestion."""
    params = types.InlineCompletionParams(
        types.InlineCompletionContext(types.InlineCompletionTriggerKind.Automatic),
        types.TextDocumentIdentifier(uri),
        types.Position(0, column),
    )
    return window.client.protocol.send_request_async("textDocument/inlineCompletion", params, name)
