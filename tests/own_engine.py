"""A stand-in for the engine of this machine, in the test's own process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from editor import Editor
from lsprotocol import types

from lsp_server import __version__
from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.engine import address


class OwnEngine:
    """An engine of this machine, that says how fast it is. `asked`: the completions; those made ahead of time are held
    back until `idle` is set. `say`: the choices of the events with which it answers one. `ended`: answers that were
    broken off."""

    def __init__(self, folder: Path, speed: float | None) -> None:
        self.folder, self.speed = folder, speed
        self.asked: list[dict[str, Any]] = []
        self.done: list[dict[str, Any]] = []
        self.ended: list[dict[str, Any]] = []
        self.idle = asyncio.Event()
        self.idle.set()
        self.say: Callable[[dict[str, Any]], list[dict[str, Any]]] = lambda asked: [
            {"text": "9"},
            {"text": "", "finish_reason": "stop"},
        ]

    @property
    def ahead(self) -> list[dict[str, Any]]:
        """The windows computed ahead."""
        return [each for each in self.asked if each["priority"] == 20 and each["max_tokens"] == 1]

    def end_of(self, asked: dict[str, Any]) -> str:
        """The end of a prompt, as text."""
        return CodeLlamaTokenizer.from_pretrained(self.folder).shown(asked["prompt"][-40:])

    @property
    def at_keys(self) -> list[int]:
        """Tokens of the prompts that somebody waited for."""
        return [len(each["prompt"]) for each in self.asked if each["priority"] == 0]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            if head.startswith("GET"):
                health = {"status": "ready", "path": str(self.folder), "model": "starter", "context_length": 8192}
                content = {
                    **{"version": __version__, "prefill_tokens_per_second": self.speed, "pid": 1},
                    **({"data": [{"id": "starter"}]} if "/v1/models" in head else health),
                }
                body = json.dumps(content).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
            else:
                length = int(head.lower().partition("content-length:")[2].split()[0])
                await self._complete(json.loads(await reader.readexactly(length)), reader, writer)
            await writer.drain()
        writer.close()

    async def _complete(
        self, asked: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.asked.append(asked)
        if asked["priority"] == 20 and not self.idle.is_set():
            gone, idle = (asyncio.ensure_future(each) for each in (reader.read(), self.idle.wait()))
            await asyncio.wait([gone, idle], return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                self.ended.append(asked)
                return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for choice in self.say(asked):
            writer.write(f"data: {json.dumps({'choices': [choice]})}\n\n".encode())
        writer.write(b"data: [DONE]\n\n")
        self.done.append(asked)


@contextlib.asynccontextmanager
async def engine(tokenizer: Path, speed: float | None) -> AsyncIterator[OwnEngine]:
    """One that is found where the engine of this machine is: a process by whose name and number it is known, and a
    socket, at which the test answers."""
    made, files = OwnEngine(tokenizer, speed), address.files("starter")
    command = [sys.executable, "-c", "import time; time.sleep(600)", "lsp_server"]
    process = subprocess.Popen(command)  # noqa: ASYNC220
    try:
        path = files.socket(process.pid)
        async with await asyncio.start_unix_server(made.serve, path):
            address.write(files.address, address.Address(process.pid, __version__, "starter", socket=str(path)))
            yield made
    finally:
        made.idle.set()
        process.kill()
        process.wait()


async def rest(window: Editor, uri: str, row: int, column: int) -> None:
    """The cursor comes to rest, as VS Code tells it."""
    at = types.Position(row, column)
    context = types.CodeActionContext([], trigger_kind=types.CodeActionTriggerKind.Automatic)
    params = types.CodeActionParams(types.TextDocumentIdentifier(uri), types.Range(at, at), context)
    await window.client.text_document_code_action_async(params)
