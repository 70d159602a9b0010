"""This machine: its Python, the engine's packages, cards, memory, disk."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from lsp_server import __version__, installing, places
from lsp_server.commands import machine
from lsp_server.commands.checks import Check, fine, note
from lsp_server.commands.machine import GIB, Card
from lsp_server.settings import SECTION

OLDEST, NEWEST = (3, 10), (3, 13)
# Without the extra `engine` the program is there and the engine is not.
ENGINE_PACKAGES = ["torch", "transformers", "accelerate", "starlette", "uvicorn"]
if sys.platform != "darwin":  # there it is not made, and not needed
    ENGINE_PACKAGES.append("bitsandbytes")
# The oldest driver of each major version of CUDA, as NVIDIA's "CUDA Compatibility" has it for Linux.
DRIVERS = {11: (450, 80, 2), 12: (525, 60, 13), 13: (580, 65, 6)}
_SPACE = GIB


def python() -> Check:
    """The program and the Python that runs it."""
    version = ".".join(map(str, sys.version_info[:3]))
    found = f"{__version__}, Python {version}, {sys.executable}"
    span = f"Python {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"
    if sys.maxsize < 2**32:
        return Check("codellama-ls", False, f"{found}, of 32 bits", f"install it with a {span} of 64 bits")
    if sys.version_info[:2] < OLDEST:
        return Check("codellama-ls", False, f"{found}, which is too old", f"install it with {span}")
    if sys.version_info[:2] > NEWEST:
        return note("codellama-ls", f"{found}, which it was not tried with", f"install it with {span}")
    return fine("codellama-ls", found)


def engine() -> Iterator[Check]:
    """What a model on this machine needs."""
    yield packages()
    cards = machine.cards()
    yield devices(cards)
    if cards and (version := machine.torch_cuda()) is not None:
        yield from cuda(cards, version)
    yield disk()


def packages() -> Check:
    """Those of the engine: there, and not older than this program needs."""
    versions, missing, wrong = [], [], []
    needed = _needed()
    for name in ENGINE_PACKAGES:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            continue
        versions.append(f"{name} {version}")
        if name in needed and not needed[name].specifier.contains(version, prereleases=True):
            wrong.append(f"{name} {version} is not {needed[name].specifier}")
    if missing:
        wrong.insert(0, f"{', '.join(missing)} missing")
    if wrong:
        return Check("engine packages", False, "; ".join(wrong), f"{installing.engine()}, or set an engine URL")
    return fine("engine packages", ", ".join(versions))


def _needed() -> dict[str, Requirement]:
    try:
        stated = importlib.metadata.requires(installing.PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:  # run where it lies
        return {}
    return {each.name: each for each in map(Requirement, stated) if each.marker and "extra" in str(each.marker)}


def devices(cards: Sequence[Card]) -> Check:
    """Memory, processors, and cards."""
    memory = psutil.virtual_memory()
    ram = (
        f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB of memory free, {psutil.cpu_count()} processors"
    )
    found = "; ".join(f"{card.name}, {card.free / GIB:.1f} of {card.total / GIB:.1f} GiB free" for card in cards)
    return fine("devices", f"{found or 'no NVIDIA GPU'}; {ram}")


def cuda(cards: Sequence[Card], version: str) -> Iterator[Check]:
    """Whether torch, bitsandbytes and the driver go together beside a card. `version`: the CUDA that torch was built
    for, "" for none."""
    python = sys.executable
    if not version:
        mend = f"install the torch with CUDA in the environment of {python}, as https://pytorch.org has it for yours"
        yield note("torch", f"was built without CUDA, so that {cards[0].name} is not used", mend)
        return
    oldest = DRIVERS.get(int(version.partition(".")[0]), (0,))
    if any(_numbers(card.driver) < oldest for card in cards):
        least = ".".join(map(str, oldest))
        found = f"{cards[0].driver} is too old for CUDA {version}, which torch was built for"
        yield Check("driver", False, found, f"install NVIDIA's driver {least} or newer, or a torch for an older CUDA")
    libraries = _bitsandbytes()
    name = f"cuda{version.replace('.', '')}"
    if libraries is not None and name not in libraries:
        there = ", ".join(sorted(each for each in libraries if each.startswith("cuda"))) or "none for CUDA"
        mend = f"install a bitsandbytes that has one, in the environment of {python}"
        yield Check("bitsandbytes", False, f"has no library for CUDA {version} ({there})", mend)


def _bitsandbytes() -> set[str] | None:
    """What the libraries in it are for: "cpu", "cuda128"; None where it is not installed."""
    found = importlib.util.find_spec("bitsandbytes")
    if found is None or not found.origin:
        return None
    names = (path.stem for path in Path(found.origin).parent.glob("libbitsandbytes_*"))
    return {name.removeprefix("libbitsandbytes_") for name in names}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))


def disk(needed: int = 0) -> Check:
    """Room for a model of so many bytes."""
    folder = places.cache_folder()
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    usage = shutil.disk_usage(there)
    if not there.is_dir() or not usage.total or not os.access(there, os.W_OK):
        mend = "set CODELLAMA_LS_CACHE to a folder of your own"
        said = f"{folder} cannot be made, as {there}" if there != folder else f"{folder}"
        return Check("disk", False, f"{said} cannot be written into", mend)
    free = usage.free
    found = f"{free / GIB:.1f} GiB free for {folder}"
    if free > max(needed, _SPACE):
        return fine("disk", found)
    wanted = f", and {SECTION}.model needs {needed / GIB:.1f}" if needed else ""
    mend = "free some space, or set CODELLAMA_LS_CACHE to a folder on another disk"
    return Check("disk", False, f"{found}{wanted}", mend)
