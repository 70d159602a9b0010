"""`doctor`: what works here, what does not, and the command that mends it."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import importlib.metadata
import shutil
import sys
from collections.abc import Iterator

import psutil
from rich.text import Text

from lsp_server import __version__, installing, places, printing
from lsp_server.commands.console import output
from lsp_server.commands.machine import GIB, cards
from lsp_server.commands.terminal import settings_of
from lsp_server.errors import UserError
from lsp_server.model import endpoint, local, roles
from lsp_server.model.client import ModelClient
from lsp_server.model.exchange import EngineLost, EngineRefused
from lsp_server.settings import Settings

ENGINE_PACKAGES = ["torch", "transformers", "accelerate", "starlette", "uvicorn"]
if sys.platform != "darwin":  # there it is not made, and not needed
    ENGINE_PACKAGES.append("bitsandbytes")


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing looked at: what was found, and where it is not right, the way to mend it."""

    name: str
    ok: bool
    found: str
    mend: str = ""


def run(options: argparse.Namespace) -> int:
    """Print every check; the status is 1 if one failed."""
    checks = list(examine(settings_of(options)))
    if options.json:
        printing.as_json([dataclasses.asdict(check) for check in checks], indent=2)
    else:
        for check in checks:
            mark = ("ok  ", "green") if check.ok else ("no  ", "red")
            output.print(Text.assemble(mark, (check.name, "bold"), ": "), end="")
            output.print(check.found, soft_wrap=True)
            if check.mend:
                output.print(f"    -> {check.mend}", soft_wrap=True)
    return 0 if all(check.ok for check in checks) else 1


def examine(settings: Settings) -> Iterator[Check]:
    """Look at this machine with these settings; nothing is started, fetched or changed."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("codellama-ls", True, f"{__version__}, Python {version}, {sys.executable}")
    suggests, chats = roles.of_suggestions(settings), roles.of_chat(settings)
    used = {"": suggests} if suggests == chats else {" for suggestions": suggests, " for chat": chats}
    if not all(each.engine_url for each in used.values()):
        yield _packages()
        yield _devices()
        yield _disk()
    for purpose, each in used.items():
        checks = [] if each.engine_url else [_model(each.model)]
        for check in (*checks, asyncio.run(_remote(each) if each.engine_url else _engine(each))):
            found = roles.worded_for_chat(check.found, settings) if each is chats else check.found
            yield dataclasses.replace(check, name=f"{check.name}{purpose}", found=found)


def _packages() -> Check:
    versions, missing = [], []
    for name in ENGINE_PACKAGES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Check(
            "engine packages", False, f"{', '.join(missing)} missing", f"{installing.engine()}, or set an engine URL"
        )
    return Check("engine packages", True, ", ".join(versions))


def _devices() -> Check:
    memory = psutil.virtual_memory()
    ram = (
        f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB of memory free, {psutil.cpu_count()} processors"
    )
    found = "; ".join(f"{card.name}, {card.free / GIB:.1f} of {card.total / GIB:.1f} GiB free" for card in cards())
    return Check("devices", True, f"{found or 'no NVIDIA GPU'}; {ram}")


def _disk() -> Check:
    folder = places.cache_folder()
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    mend = "" if free > GIB else "free some space, or set CODELLAMA_LS_CACHE to a folder on another disk"
    return Check("disk", not mend, f"{free / GIB:.1f} GiB free for {folder}", mend)


def _model(model: str) -> Check:
    if model == "starter":
        from lsp_server.engine.loading import starter

        state = "ready to load" if starter.here() else "will be fetched (93 MB) when needed"
        return Check("model", True, f"starter, {state}")
    folder = places.named_folder(model)
    if folder is not None:
        from lsp_server.engine.loading import checkpoint, gguf_file

        if gguf_file.is_one(folder):
            return Check("model", True, f"{folder}, {gguf_file.state(folder)}")
        try:
            found = checkpoint.validate(folder)
        except checkpoint.CheckpointProblem as problem:
            return Check("model", False, str(problem))
        return Check("model", True, f"{folder}, {len(found.shards)} shards")
    return Check("model", True, f"{model}, from the hub")


async def _engine(settings: Settings) -> Check:
    at = local.running(settings.model)
    if at is None:
        return Check("engine", True, "not running; the first editor window starts it")
    client = ModelClient(endpoint.local(at))
    try:
        health = await client.health()
    except (EngineLost, EngineRefused) as error:
        return Check("engine", False, str(error), f"kill {at.pid}")
    finally:
        await client.aclose()
    found = f"{health.status}: {health.message} (process {at.pid}, version {at.version})"
    return Check(
        "engine",
        health.status != "failed",
        found,
        f"see {local.log_file(settings.model)}" * (health.status == "failed"),
    )


async def _remote(settings: Settings) -> Check:
    try:
        client = ModelClient(*endpoint.remotes(settings))
    except UserError as error:  # its sentence says how to mend it
        return Check("engine", False, str(error))
    try:
        model, context = await client.served_model()
    except (EngineLost, EngineRefused) as error:
        return Check("engine", False, str(error), "check the URL, the token, and that the server runs")
    finally:
        await client.aclose()
    where = ", ".join(at.url for at in client.servers.endpoints)
    return Check("engine", True, f"{where} serves {model}, context {context or 'unknown'}")
