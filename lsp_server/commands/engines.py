"""`ps` and `stop`: the engines of this user that run, and their end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import datetime
import os
from pathlib import Path
from typing import Any

import psutil
from rich.text import Text

from lsp_server import places, printing
from lsp_server.commands import Failed, machine
from lsp_server.commands.console import output
from lsp_server.engine import address
from lsp_server.engine.address import Address
from lsp_server.model import endpoint, local
from lsp_server.model.client import Health, ModelClient
from lsp_server.model.exchange import EngineLost, EngineRefused

# An engine says how it is at once, in a thread of its own.
SAY_SECONDS = 3.0


@dataclasses.dataclass(frozen=True)
class Running:
    """An engine and what it says of itself, None where it says nothing; bytes of memory, and of all cards; the
    seconds of the epoch at which it began; and who has asked it and runs still, each with the program's name."""

    at: Address
    health: Health | None
    memory: int
    on_cards: int
    since: float
    users: dict[int, str]

    @property
    def state(self) -> str:
        if self.health is None:
            return "does not answer"
        if self.health.status == "ready":
            return f"ready on {self.health.device}"
        done = f" ({100 * self.health.progress:.0f}%)" if self.health.progress else ""
        return f"{self.health.status}{done}: {self.health.message}"


async def running() -> list[Running]:
    """All engines of this user. Raises UserError."""
    found, cards = address.every(), machine.on_cards()
    healths = await asyncio.gather(*map(says, found))
    return [made for at, health in zip(found, healths, strict=True) if (made := _seen(at, health, cards)) is not None]


async def says(at: Address) -> Health | None:
    """What an engine says of itself; None where it says nothing."""
    client = ModelClient(endpoint.local(at))
    try:
        return await asyncio.wait_for(client.health(), SAY_SECONDS)
    except (EngineLost, EngineRefused, TimeoutError, asyncio.TimeoutError):
        return None
    finally:
        await client.aclose()


def ps(options: argparse.Namespace) -> int:
    """Print what runs."""
    found = asyncio.run(running())
    if options.json:
        printing.as_json([_described(each) for each in found], indent=2)
        return 0
    for each in found:
        output.print(Text.assemble((each.at.model, "bold"), f": {each.state}"))
        if each.health is not None and each.health.status == "ready":
            output.print(Text(f"  planned with {each.health.message}"))
        began = datetime.datetime.fromtimestamp(each.since)
        when = began.strftime("%H:%M" if began.date() == datetime.date.today() else "%Y-%m-%d %H:%M")
        memory = f"holds {each.memory / machine.GIB:.1f} GiB of memory now"
        memory += f", {each.on_cards / machine.GIB:.1f} GiB on cards" if each.on_cards else ""
        output.print(f"  {memory}, process {each.at.pid}, since {when}, version {each.at.version}")
        users = ", ".join(f"{name} ({pid})" for pid, name in each.users.items()) or "nobody now"
        output.print(f"  used by {users}")
    if not found:
        printing.say("No engine runs; the first editor window or command that needs one starts it.")
    return 0


def stop(options: argparse.Namespace) -> int:
    """End the engine of a model, or all of them."""
    return asyncio.run(_stop(options.model))


async def _stop(model: str | None) -> int:
    found = address.every()
    if model is not None:
        files = address.files(places.absolute_name(model)).address
        found = [each for each in found if address.files(each.model).address == files]
        if not found:
            raise Failed(f"No engine of {model} runs; `codellama-ls ps` says which do.")
    for each in found:
        await local.end_engine(each)
        printing.say(f"The engine of {each.model} has ended (process {each.pid}).")
    if not found:
        printing.say("No engine runs.")
    for left in address.traces() if model is None else ():
        left.unlink(missing_ok=True)
        printing.say(f"Removed {left}, which one that crashed had left.")
    return 0


def _seen(at: Address, health: Health | None, on_cards: dict[int, int]) -> Running | None:
    """None where it has ended meanwhile."""
    try:
        process = psutil.Process(at.pid)
        memory, since = process.memory_info().rss, process.create_time()
    except psutil.Error:
        return None
    users = {}
    for pid in health.users if health is not None else ():
        with contextlib.suppress(psutil.Error):
            if pid != os.getpid():
                users[pid] = _user(psutil.Process(pid))
    return Running(at, health, memory, on_cards.get(at.pid, 0), since, users)


def _user(process: psutil.Process) -> str:
    """Who asks by a process: of a language server the program that started it, its editor; else the command."""
    words = process.cmdline()
    at = next((at for at, word in enumerate(words) if word == "lsp_server" or Path(word).stem == "codellama-ls"), None)
    command = "" if at is None else next(iter(words[at + 1 :]), "")
    if command and not command.startswith("-"):
        return f"codellama-ls {command}"
    parent = process.parent()
    return str((parent or process).name())


def _described(each: Running) -> dict[str, Any]:
    return {
        "model": each.at.model,
        "status": each.health.status if each.health is not None else "silent",
        "progress": each.health.progress if each.health is not None else None,
        "message": each.health.message if each.health is not None else "",
        "device": each.health.device if each.health is not None else "",
        "pid": each.at.pid,
        "version": each.at.version,
        "root": each.at.root,
        "memory": each.memory,
        "onCards": each.on_cards,
        "since": each.since,
        "users": [{"pid": pid, "program": name} for pid, name in each.users.items()],
    }
