"""A server of others: what stands in front of an engine on a port, and is at fault from time to time.

It passes everything on, so that what is asked and answered is real, unless `fault` is set: that answers then.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx

from lsp_server.engine.loading.naming import checkpoint_folder

Fault = Callable[["Asked"], Awaitable[None]]

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


@dataclasses.dataclass
class Asked:
    """A request, and the means to answer it."""

    head: bytes
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    port: int

    @property
    def is_completion(self) -> bool:
        return b"completions" in self.head.partition(b"\r\n")[0]

    @property
    def fields(self) -> dict[str, Any]:
        return dict(json.loads(self.body or b"{}"))

    async def send(self, *parts: bytes) -> None:
        self.writer.writelines(parts)
        await self.writer.drain()

    async def refuse(self, status: int, message: str, *more: str) -> None:
        text = json.dumps({"error": {"message": message}}).encode()
        lines = [f"HTTP/1.1 {status} No", "Content-Type: application/json", f"Content-Length: {len(text)}", *more]
        await self.send("\r\n".join([*lines, "Connection: close", "", ""]).encode(), text)

    async def pass_on(self, most: int | None = None, pause: float = 0.0) -> None:
        """What the engine answers: of its body at most so many bytes, with a pause before each part."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        gone = asyncio.ensure_future(self.reader.read())  # who asked has had enough
        gone.add_done_callback(lambda _: writer.close())
        try:
            head = re.sub(rb"(?i)connection: [^\r]*", b"Connection: close", self.head)
            writer.write(head + self.body)
            await self.send(await reader.readuntil(b"\r\n\r\n"))
            while part := await reader.read(4096 if most is None else min(4096, most)):
                await asyncio.sleep(pause)
                await self.send(part)
                most = None if most is None else most - len(part)
        finally:
            gone.cancel()
            writer.close()


class Gateway:
    """`met`: how many requests met the fault. `tokenizer`: the folder of the engine's checkpoint."""

    def __init__(self, engine_port: int, tokenizer: str) -> None:
        self.tokenizer = tokenizer
        self.fault: Fault | None = None
        self.met = 0
        self._engine_port, self._port = engine_port, 0
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Listen, at the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, limit=1 << 24)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Be gone, with all connections."""
        assert self._server is not None
        self._server.close()
        self.cut_all()

    def cut_all(self) -> None:
        for each in list(self._serving):
            each.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                head = await reader.readuntil(b"\r\n\r\n")
                size = re.search(rb"(?i)content-length: (\d+)", head)
                body = await reader.readexactly(int(size[1]) if size else 0)
                asked = Asked(head, body, reader, writer, self._engine_port)
                if self.fault is None:
                    await asked.pass_on()
                else:
                    await self.fault(asked)
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def gateway() -> AsyncIterator[Gateway]:
    """One in front of the starter, in the folders of this environment."""
    command = [sys.executable, "-m", "lsp_server", "engine", "--listen", "127.0.0.1:0"]
    process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
    assert process.stderr is not None
    try:
        found = re.search(rb"127\.0\.0\.1:(\d+)", await process.stderr.readline())
        assert found is not None, (await process.stderr.read()).decode()
        emptied = asyncio.ensure_future(process.stderr.read())
        async with httpx.AsyncClient(timeout=60) as http:
            while (await http.get(f"http://127.0.0.1:{int(found[1])}/health")).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        made = Gateway(int(found[1]), str(checkpoint_folder("starter", lambda progress: None)))
        await made.start()
        yield made
        await made.stop()
        emptied.cancel()
    finally:
        process.kill()
        await process.wait()
