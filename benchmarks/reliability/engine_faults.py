"""Faults of the engine on this machine, of what it is found by, and of the programs that use it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import psutil

import lsp_server
from benchmarks.reliability.fault import Fault, Happens
from benchmarks.reliability.scene import SERVER, Scene, running, the_engine
from lsp_server.engine import address

# An editor as far as the server knows one: it holds the server's pipes, and passes on what comes.
RELAY = textwrap.dedent("""
    import os, subprocess, sys, threading
    server = subprocess.Popen([sys.executable, "-m", "lsp_server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    def pass_on(taken, given):
        while part := os.read(taken, 65536):
            while part:
                part = part[os.write(given, part):]
        os.close(given)
    threading.Thread(target=pass_on, args=(0, server.stdin.fileno()), daemon=True).start()
    pass_on(server.stdout.fileno(), 1)
""")
# So much may be shown in the tenth of a second before a server's death.
LAST_CHARACTERS = 40
# Of that size is what another program sends to the engine.
BODY_MEGABYTES = 31


def signalled(number: signal.Signals) -> Happens:
    @contextlib.asynccontextmanager
    async def happens(scene: Scene, chance: random.Random) -> AsyncIterator[None]:
        the_engine().send_signal(number)
        yield

    return happens


@contextlib.asynccontextmanager
async def killed_again_and_again(scene: Scene, chance: random.Random) -> AsyncIterator[None]:
    """Three times, as soon as there is an engine: the user is told that it makes no sense to go on."""
    for last in (False, False, True):
        await _killed(scene)
        if not last:
            await scene.user.until_served()
    yield


@contextlib.asynccontextmanager
async def killed_while_loading(scene: Scene, chance: random.Random) -> AsyncIterator[None]:
    """The engine that was started for another one that died."""
    await _killed(scene)
    if await scene.until(lambda: running("lsp_server.engine")):
        await asyncio.sleep(chance.uniform(0.0, 4.0))
        await _killed(scene)
    yield


def removed(what: Callable[[address.EngineFiles], list[Path]]) -> Happens:
    @contextlib.asynccontextmanager
    async def happens(scene: Scene, chance: random.Random) -> AsyncIterator[None]:
        for path in what(address.files("starter")):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        if chance.random() < 0.5:  # somebody needs it again
            the_engine().kill()
        yield

    return happens


@contextlib.asynccontextmanager
async def editor_killed(scene: Scene, chance: random.Random) -> AsyncIterator[None]:
    """With its window, in which an answer is streamed; then it is opened again."""
    scene.command = [sys.executable, "-c", RELAY]
    await _closed(scene)
    user = await scene.open()
    await asyncio.sleep(chance.uniform(0.5, 3.0))
    editor = psutil.Process(user.window.pid)
    servers = editor.children()
    scene.command = SERVER
    await _closed(scene, kill=True)
    if not await scene.until(lambda: not any(_runs(each) for each in servers), 5):
        user.broken.append("the server outlives its editor")
    await _opened_again(scene)
    yield


@contextlib.asynccontextmanager
async def server_killed(scene: Scene, chance: random.Random) -> AsyncIterator[None]:
    """The language server itself; the editor starts it again. It may not have kept the last tenth of a second."""
    await _closed(scene, kill=True)
    await _opened_again(scene, LAST_CHARACTERS)
    yield


@contextlib.asynccontextmanager
async def two_versions(scene: Scene, chance: random.Random) -> AsyncIterator[None]:
    """A window of another version is opened beside this one, and both are used in turn: then there is one engine for
    both, or one for each, but none is ended at each key."""
    ours = Path(lsp_server.__file__).parent
    theirs = scene.folder / "other" / "lsp_server"
    if not theirs.exists():
        shutil.copytree(ours, theirs, ignore=shutil.ignore_patterns("__pycache__"))
        number = chance.choice(["0.0.1", "99.0.0"])
        (theirs / "__init__.py").write_text(f'__version__ = "{number}"\n', encoding="utf-8")
    code = (
        f"import sys; sys.path.insert(0, {str(theirs.parent)!r}); from lsp_server.cli import main; sys.exit(main([]))"
    )
    first = scene.user
    scene.command = [sys.executable, "-c", code]
    second = await scene.open()
    scene.command, scene.user = SERVER, first
    await second.until_served()
    await first.until_served()
    engines = {each.pid for each in running("lsp_server.engine")}
    for _ in range(3):
        await second.until_served()
        await first.until_served()
        if not {each.pid for each in running("lsp_server.engine")} <= engines:
            first.broken.append("windows of two versions end each other's engine")
            break
    await second.stop()
    first.broken += second.broken
    yield


@contextlib.asynccontextmanager
async def huge_body(scene: Scene, chance: random.Random) -> AsyncIterator[None]:
    """Another program sends the engine a body that no prompt has."""
    found = address.read(address.files("starter").address)
    assert found is not None
    transport = httpx.AsyncHTTPTransport(uds=found.socket)
    async with httpx.AsyncClient(transport=transport, base_url=found.url, timeout=60) as http:
        sending = asyncio.ensure_future(
            http.post("/v1/completions", json={"prompt": "x " * (BODY_MEGABYTES * 500_000), "max_tokens": 1})
        )
        yield
        with contextlib.suppress(httpx.HTTPError):
            if (await sending).status_code == 200:
                scene.user.broken.append(f"the engine takes a body of {BODY_MEGABYTES} MB")


async def _killed(scene: Scene) -> None:
    """The engine, and it is gone."""
    died = the_engine()
    died.kill()
    await scene.until(lambda: not _runs(died))


async def _closed(scene: Scene, *, kill: bool = False) -> None:
    """End the window at hand, if need be by force, with what is still asked there."""
    user, window = scene.user, scene.user.window
    if kill:
        os.kill(window.pid, signal.SIGKILL)
        scene.over = time.monotonic()
        window.client.error = RuntimeError("killed")  # so that nobody waits for its orderly end
    user.abandon()


async def _opened_again(scene: Scene, lacking: int = 0) -> None:
    before = scene.user
    user = await scene.open()
    user.broken += before.broken
    user.asked += before.asked
    await user.look_for_words(before.said, lacking)


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


FAULTS = [
    Fault("engine killed (SIGKILL)", signalled(signal.SIGKILL)),
    Fault("engine stopped (SIGSTOP)", signalled(signal.SIGSTOP)),
    Fault("engine ended (SIGTERM)", signalled(signal.SIGTERM)),
    Fault("engine killed three times in two minutes", killed_again_and_again, share=0.34),
    Fault("engine killed while it loads", killed_while_loading),
    Fault("engine's address removed", removed(lambda files: [files.address])),
    Fault("engine's socket removed", removed(lambda files: files.sockets())),
    Fault("engine's lock removed", removed(lambda files: [files.lock])),
    Fault("engine's whole folder removed", removed(lambda files: [files.lock.parent])),
    Fault("editor killed", editor_killed),
    Fault("language server killed", server_killed),
    Fault("two versions of the program at once", two_versions, share=0.67),
    Fault("a body of 31 MB sent to the engine", huge_body, (0.5, 1.0)),
]
