"""A server of others that fails in the middle of things: a sentence, what came is kept, and the next key works."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest
from chat.wire import Editor, Failure, editor
from faulty_answers import ANSWERS, TEXT, events
from model.conftest import STREAM, Scripted, said


@pytest.fixture
async def theirs() -> AsyncIterator[Scripted]:
    scripted = Scripted()
    async with await asyncio.start_server(scripted.serve, "127.0.0.1") as listening:
        scripted.port = listening.sockets[0].getsockname()[1]
        yield scripted


@pytest.fixture
async def window(theirs, tmp_path, tokenizer_folder) -> AsyncIterator[Editor]:
    (tmp_path / "work").mkdir()
    settings = {"engineUrl": theirs.url, "tokenizer": str(tokenizer_folder("7b")), "chatFormat": "inst"}
    async with editor(tmp_path / "data", tmp_path / "work", debounceMs=0, **settings) as made:
        yield made


@pytest.mark.parametrize("kind", [STREAM, "application/json", "text/html"])
async def test_each_fault_is_a_sentence_and_what_came_is_kept(theirs, window, kind) -> None:
    for name, (stream, kept, sentence) in ANSWERS.items():
        theirs.answer = lambda body, stream=stream: (200, kind, stream.encode())
        id = None
        with contextlib.suppress(Failure) if sentence else contextlib.nullcontext():
            id = (await window.chat("send", message="Hi", partialResultToken=name))["conversationId"]
        parts = window.parts[name] if sentence else window.parts.get(name, [])
        assert "".join(part.get("delta", "") for part in parts) == kept, name
        id = id or parts[0]["conversationId"]
        turns = (await window.chat("get", conversationId=id))["turns"]
        assert [turn["content"] for turn in turns[1:]] == [kept], name
        if sentence:
            with pytest.raises(Failure, match=sentence) as caught:
                await window.chat("send", message="Hi")
            assert caught.value.code != -32603, name
            assert "3 times" not in str(caught.value), name
        assert await suggested(window, theirs, f"{name}.py") == "one", name


async def suggested(window: Editor, theirs: Scripted, name: str) -> str:
    """What is suggested while the server is at fault, which is anything but an error; then, when it is well again."""
    uri = f"file:///work/{name.replace(' ', '-')}"
    item = {"uri": uri, "languageId": "python", "version": 1, "text": "def f():\n    return \n"}
    window.send("textDocument/didOpen", {"textDocument": item})
    params = {
        "textDocument": {"uri": uri},
        "position": {"line": 1, "character": 11},
        "context": {"triggerKind": 1},
    }
    await window.ask("textDocument/inlineCompletion", params)
    theirs.answer = lambda body: (200, STREAM, said("one"))
    change = {"range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}}, "text": "\n"}
    window.send("textDocument/didChange", {"textDocument": {"uri": uri, "version": 2}, "contentChanges": [change]})
    answer = await window.ask("textDocument/inlineCompletion", {**params, "position": {"line": 2, "character": 11}})
    items = answer["items"] if isinstance(answer, dict) else answer
    return items[0]["insertText"] if items else ""


@pytest.mark.parametrize("how", ["aborted", "closed"])
async def test_a_connection_that_is_cut_in_the_middle(tmp_path, tokenizer_folder, how) -> None:
    """Each time anew, as often as one likes: it is the server's fault each time, and no smaller model would help."""
    well = False

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            if head.startswith("GET"):
                body = json.dumps({"data": [{"id": "theirs"}]}).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
                )
            else:
                await reader.readexactly(int(head.lower().partition("content-length:")[2].split()[0]))
                body = said("one two") if well else events(TEXT).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(body), body))
                await writer.drain()
                if well:
                    writer.write(b"0\r\n\r\n")
                elif how == "aborted":
                    await asyncio.sleep(0.2)  # so that the event is read, which a reset takes away
                    writer.transport.abort()
                    return
            await writer.drain()
        writer.close()

    (tmp_path / "work").mkdir()
    async with await asyncio.start_server(serve, "127.0.0.1") as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        settings = {"engineUrl": url, "tokenizer": str(tokenizer_folder("7b")), "chatFormat": "inst"}
        async with editor(tmp_path / "data", tmp_path / "work", **settings) as window:
            for token in range(5):
                with pytest.raises(Failure, match="broke off in the middle of its answer; ask again") as caught:
                    await window.chat("send", message="Hi", partialResultToken=token)
                assert caught.value.code != -32603
                assert "".join(part.get("delta", "") for part in window.parts[token]) == "one two"
            well = True
            assert (await window.chat("send", message="Hi"))["message"] == "one two"
            assert not any("times" in each or "smaller" in each for each in window.shown)
