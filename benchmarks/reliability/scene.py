"""Where a fault happens: folders of this program that nobody else uses, what runs in them, and who works there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks import systems
from benchmarks.reliability.gateway import Gateway
from benchmarks.reliability.user import User, at_work

# The language server as users start it.
SERVER = [sys.executable, "-m", "lsp_server"]


class Scene:
    """`folder` has the folders of the environment in it, and `work`, which is open in the editor. `gateway`: what
    stands in front of the engine, where that is a server elsewhere. `command`: of the language server. `over`: when
    the fault was, where that was before its block ends."""

    def __init__(self, folder: Path, chance: random.Random, gateway: Gateway | None = None) -> None:
        self.folder, self.chance, self.gateway = folder, chance, gateway
        self.work = folder / "work"
        self.work.mkdir(exist_ok=True)
        self.options: dict[str, Any] = {}
        self.command = SERVER
        self.stack = contextlib.AsyncExitStack()
        self.over: float | None = None
        self.user: User

    async def open(self) -> User:
        """Somebody at a new window, at work; in the place of one whose window is gone."""
        self.user = await self.stack.enter_async_context(at_work(self.work, self.chance, self.options, self.command))
        self.user.begin()
        return self.user

    async def until(self, condition: Callable[[], Any], seconds: float = 60.0) -> bool:
        """Wait until something holds; whether it did in time."""
        for _ in range(int(seconds / 0.05)):
            if condition():
                return True
            await asyncio.sleep(0.05)
        return False


def running(module: str) -> list[psutil.Process]:
    """The processes of this program with the runtime folder of this environment."""
    own, found = os.environ["CODELLAMA_LS_RUNTIME"], []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if module in process.cmdline() and process.environ().get("CODELLAMA_LS_RUNTIME") == own:
                found.append(process)
    return found


def the_engine() -> psutil.Process:
    """The engine of these folders: of several the oldest, for the others wait for its lock, or end."""
    return min(running("lsp_server.engine"), key=lambda each: each.create_time())


@contextlib.contextmanager
def folders(disk_megabytes: int = 0, **more: str) -> Iterator[Path]:
    """Folders of this program, on a disk of that size if one is given, in the environment together with `more`. What
    runs in them ends with them."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that being ended ends what was started, too
    with tempfile.TemporaryDirectory(prefix="cl-", dir="/tmp" if os.path.isdir("/tmp") else None) as name:
        folder, small = Path(name), disk_megabytes > 0
        if small:
            mount("-t", "tmpfs", "-o", f"size={disk_megabytes}m,mode=700", "tmpfs", name)
        own = {f"CODELLAMA_LS_{kind}": f"{name}/{kind.lower()}" for kind in ("RUNTIME", "DATA", "INDEX")}
        with systems.environment({**own, **{key: value.format(folder=name) for key, value in more.items()}}):
            try:
                yield folder
            finally:
                for process in [*running("lsp_server.engine"), *running("lsp_server")]:
                    with contextlib.suppress(psutil.Error):
                        process.kill()
                        process.wait(10)
                if small:
                    unmount(name)


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def unmount(folder: str) -> None:
    """Also where a process still has something of it open."""
    subprocess.run(["umount", "--lazy", folder], check=True)


@contextlib.asynccontextmanager
async def scene(folder: Path, chance: random.Random, gateway: Gateway | None = None) -> AsyncIterator[Scene]:
    """A scene without a window as yet."""
    made = Scene(folder, chance, gateway)
    if gateway is not None:
        made.options = {"engineUrl": gateway.url, "tokenizer": gateway.tokenizer}
        made.options |= {"firstTokenSeconds": 40, "nextTokenSeconds": 10}
    async with made.stack:
        yield made
