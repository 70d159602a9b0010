"""An engine without a model, as a process of its own: announces itself, loads for a while, and says what it is told.

Started in the place of Python (`sys.executable`) with the arguments of the engine. `script.json` in the runtime folder
says how the first start goes, the second, ...; the last for ever: `loading` seconds, `fail` with a sentence, `die`
while loading, `says` a text in pieces, `hold` seconds before the first, `pause` after each, `linger` at its end,
`busy` seconds in which it computes before it answers and says nothing else either. `version`, beside it, is its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

from lsp_server import __version__
from lsp_server.engine import address

MODEL = sys.argv[sys.argv.index("--model") + 1]


async def main() -> None:
    files = address.files(MODEL)
    starts = files.lock.parent / "starts"
    script = json.loads((files.lock.parent / "script.json").read_text())
    note(starts)
    here = script["starts"][min(len(starts.read_text().split()), len(script["starts"])) - 1]
    began = time.monotonic()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        if head.startswith("get"):
            writer.write(body(json.dumps(answer(head))))
        else:
            await reader.readexactly(int(head.partition("content-length:")[2].split()[0]))
            note(files.lock.parent / "asked")
            deadline = time.monotonic() + here.get("busy", 0)
            while time.monotonic() < deadline:
                pass
            await asyncio.sleep(here.get("hold", 0))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
            for text in here.get("says", "yes").split(" "):
                writer.write(b"data: %s\n\n" % json.dumps({"choices": [{"text": text}]}).encode())
                await writer.drain()
                await asyncio.sleep(here.get("pause", 0))
            writer.write(b'data: {"choices": [{"text": "", "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n')
        await writer.drain()
        writer.close()

    def answer(head: str) -> dict:
        if "/v1/models" in head:
            return {"data": [{"id": MODEL}]}
        done = min(1.0, (time.monotonic() - began) / (here.get("loading") or 0.001))
        if here.get("die") and done > 0.5:
            os.kill(os.getpid(), signal.SIGKILL)
        status = "loading" if done < 1 else "failed" if here.get("fail") else "ready"
        return {
            **{"status": status, "progress": done, "message": here.get("fail") or "Reading.", "model": MODEL},
            **{"path": script["tokenizer"], "pid": os.getpid(), "context_length": 4096, "device": "cpu"},
        }

    listening = await asyncio.start_unix_server(serve, files.socket(os.getpid()))
    own = files.lock.parent / "version"
    version = own.read_text() if own.exists() else __version__
    address.write(files.address, address.Address(os.getpid(), version, MODEL, socket=str(files.socket(os.getpid()))))
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    await asyncio.sleep(here.get("linger", 0))
    listening.close()
    files.socket(os.getpid()).unlink()
    files.address.unlink()
    os._exit(0)


def note(file: Path) -> None:
    with open(file, "a") as log:
        log.write(f"{os.getpid()}\n")


def body(text: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}".encode()


asyncio.run(main())
