"""Both ends of the language server in a test: an editor that speaks the protocol, and an OpenAI-compatible server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from forking import program

from lsp_server.codellama import CodeLlamaTokenizer

from .conftest import common


class Engine:
    """Answers `/v1/completions` with `answer`, token by token, or with an error that says `refusal`; remembers the
    prompts. `name` is that of its model."""

    def __init__(self, tokenizer: CodeLlamaTokenizer, context: int = 4096) -> None:
        self.tokenizer, self.context = tokenizer, context
        self.answer, self.pause = "Yes.", 0.0
        self.name, self.refusal = "told", ""
        self.prompts: list[list[int]] = []
        self.bodies: list[dict[str, Any]] = []
        self.ruled_out: list[set[str]] = []
        self.computed: list[list[int]] = []
        self.broken_off = 0

    @property
    def ids(self) -> list[int]:
        return self.tokenizer.encode_raw(" " + self.answer)

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """The URL at which it answers."""
        engine = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None: ...

            def do_GET(self) -> None:
                self._json({"data": [{"id": engine.name, "max_model_len": engine.context}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if engine.refusal:
                    return self._json({"error": {"message": engine.refusal}}, 400)
                cached = max((common(one, body["prompt"]) for one in engine.computed), default=0)
                engine.prompts.append(body["prompt"])
                engine.bodies.append(body)
                engine.ruled_out.append({name for name, bias in body.get("logit_bias", {}).items() if bias == -100})
                engine.computed.append(body["prompt"] + engine.ids)
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                try:
                    for each in engine.ids[: body["max_tokens"]]:
                        time.sleep(engine.pause)
                        self._event({"choices": [{"token_ids": [each], "text": ""}]})
                    usage = {"prompt_tokens_details": {"cached_tokens": cached}}
                    self._event({"choices": [{"finish_reason": "stop"}], "usage": usage})
                    self.wfile.write(b"data: [DONE]\n\n")
                except (BrokenPipeError, ConnectionResetError):
                    engine.broken_off += 1

            def _event(self, value: dict[str, Any]) -> None:
                self.wfile.write(f"data: {json.dumps(value)}\n\n".encode())
                self.wfile.flush()

            def _json(self, value: dict[str, Any], status: int = 200) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(value).encode())

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


class Failure(Exception):
    """The server answered with an error."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.code, self.data = error["code"], error.get("data")


class Editor:
    """Speaks JSON-RPC with a server process, without any library's idea of what an answer may look like."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.capabilities: dict[str, Any] = {}
        self.parts: dict[Any, list[dict[str, Any]]] = {}
        self.shown: list[str] = []
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._count = 0
        self._task = asyncio.ensure_future(self._read())

    def send(self, method: str, params: Any, id: int | None = None) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params} | ({} if id is None else {"id": id})
        body = json.dumps(message).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def begin(self, method: str, params: Any) -> tuple[int, asyncio.Future[Any]]:
        self._count += 1
        self._waiting[self._count] = asyncio.get_running_loop().create_future()
        self.send(method, params, self._count)
        return self._count, self._waiting[self._count]

    async def ask(self, method: str, params: Any) -> Any:
        return await asyncio.wait_for(self.begin(method, params)[1], 60)

    async def chat(self, method: str, **params: Any) -> Any:
        return await self.ask(f"codellama/chat/{method}", params)

    async def parts_of(self, token: Any, count: int) -> list[dict[str, Any]]:
        """The partial results of a token, once there are so many."""
        for _ in range(30000):
            if len(self.parts.get(token, ())) >= count:
                break
            await asyncio.sleep(0.002)
        return self.parts[token]

    async def _read(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                head = await self.process.stdout.readuntil(b"\r\n\r\n")
                length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
                message = json.loads(await self.process.stdout.readexactly(length))
                if message.get("method") == "$/progress":
                    self.parts.setdefault(message["params"]["token"], []).append(message["params"]["value"])
                elif message.get("method") == "window/showMessage":
                    self.shown.append(message["params"]["message"])
                elif "method" not in message:
                    waiting = self._waiting.pop(message["id"])
                    if "error" in message:
                        waiting.set_exception(Failure(message["error"]))
                    else:
                        waiting.set_result(message["result"])


@contextlib.asynccontextmanager
async def editor(data: Path, root: Path, **settings: Any) -> AsyncIterator[Editor]:
    """An editor with the folder `root` open; conversations are kept in `data`."""
    environment = {**os.environ, "CODELLAMA_LS_DATA": str(data), "PYTHONPATH": os.getcwd()}
    process = await asyncio.create_subprocess_exec(
        *program("-m", "lsp_server"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=open(data.parent / "stderr", "ab"),  # noqa: ASYNC230, SIM115
        env=environment,
        limit=1 << 26,
    )
    window = Editor(process)
    try:
        folder = {"uri": root.as_uri(), "name": "work"}
        params = {"processId": None, "rootUri": root.as_uri(), "workspaceFolders": [folder], "capabilities": {}}
        answer = await window.ask("initialize", {**params, "initializationOptions": settings})
        window.capabilities = answer["capabilities"]
        window.send("initialized", {})
        yield window
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
