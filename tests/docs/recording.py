"""A session with the language server of which every message is kept: what the page for authors of clients shows."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

from forking import program

# What is another at each run, and what stands for it on the page.
CHANGING = (
    (re.compile(r'"conversationId": "[^"]+"'), '"conversationId": "c0ffee"'),
    (re.compile(r'"id": "[0-9a-f-]{8,}"'), '"id": "c0ffee"'),
    (re.compile(r'"(created|updated)": [\d.]+'), r'"\1": 1767225600.0'),
    (re.compile(r'"(seconds|firstTokenMs|totalMs|tokensPerSecond|queuedMs)": [\d.]+'), r'"\1": 0.5'),
    (re.compile(r"http://127\.0\.0\.1:\d+"), "http://127.0.0.1:8000"),
)
# What a client has to be able to do, to be given edits when an action is resolved.
CAPABILITIES = {
    "workspace": {"workspaceEdit": {"documentChanges": True}},
    "textDocument": {
        "codeAction": {
            "codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["quickfix", "refactor.rewrite", "source"]}},
            "resolveSupport": {"properties": ["edit"]},
            "dataSupport": True,
        },
    },
}


class Session:
    """Speaks JSON-RPC with a server; `examples` has what was kept under a name."""

    def __init__(self, process: asyncio.subprocess.Process, root: Path) -> None:
        self.examples: dict[str, Any] = {}
        self._process, self._root = process, root
        self._heard: list[dict[str, Any]] = []
        self._more = asyncio.Event()
        self._count = 0
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def begin(cls, data: Path, root: Path, settings: dict[str, Any]) -> Session:
        process = await asyncio.create_subprocess_exec(
            *program("-m", "lsp_server"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "CODELLAMA_LS_DATA": str(data)},
        )
        self = cls(process, root)
        folders = [{"uri": root.as_uri(), "name": "work"}]
        params = {"processId": None, "rootUri": None, "workspaceFolders": folders, "capabilities": CAPABILITIES}
        answer = await self.ask("initialize", {**params, "initializationOptions": settings})
        self.examples["experimental"] = answer["capabilities"]["experimental"]
        self.tell("initialized", {})
        return self

    def tell(self, method: str, params: Any, *, id: int | None = None, as_: str = "") -> None:
        message = {"jsonrpc": "2.0", **({} if id is None else {"id": id}), "method": method, "params": params}
        self._keep(as_, message)
        body = json.dumps(message).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    async def ask(self, method: str, params: Any, *, as_: str = "") -> Any:
        """The result of a request. Kept are `as_` and `as_ result`."""
        self._count += 1
        number = self._count
        self.tell(method, params, id=number, as_=as_)
        answer = await self.heard(lambda message: message.get("id") == number and "method" not in message)
        assert "error" not in answer, answer
        self._keep(as_ and f"{as_} result", answer["result"])
        return answer["result"]

    async def heard(self, is_it: Any, *, as_: str = "") -> Any:
        """The first message of the server's that `is_it`, if need be one that comes later."""

        async def wait() -> Any:
            while not (found := next((message for message in self._heard if is_it(message)), None)):
                self._more.clear()
                await self._more.wait()
            return found

        message = await asyncio.wait_for(wait(), 60)
        self._keep(as_, message)
        return message

    async def end(self) -> None:
        await self.ask("shutdown", None)
        self.tell("exit", None)
        await asyncio.wait_for(self._process.wait(), 60)
        self._reading.cancel()

    def _keep(self, name: str, message: Any) -> None:
        if not name:
            return
        text = json.dumps(message).replace(self._root.as_uri(), "file:///home/ada/work")
        for pattern, fixed in CHANGING:
            text = pattern.sub(fixed, text)
        kept = json.loads(text)
        if isinstance(kept, dict) and "jsonrpc" in kept:  # in the order in which one reads them
            kept = {key: kept[key] for key in ("jsonrpc", "id", "method", "params") if key in kept}
        self.examples[name] = kept

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while head := await self._process.stdout.readuntil(b"\r\n\r\n"):
            length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
            message = json.loads(await self._process.stdout.readexactly(length))
            if "method" in message and "id" in message:  # nothing that is asked of the editor needs an answer here
                self.tell_result(message["id"])
            self._heard.append(message)
            self._more.set()

    def tell_result(self, id: Any) -> None:
        body = json.dumps({"jsonrpc": "2.0", "id": id, "result": None}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
