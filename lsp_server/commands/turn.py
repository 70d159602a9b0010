"""One turn of a chat in the terminal: a question, and its answer as it is written."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lsp_server.chat import export
from lsp_server.chat.asking import Ask
from lsp_server.chat.attachments import Refused, Wanted, attached
from lsp_server.chat.chats import Chats, Reply
from lsp_server.commands import Failed
from lsp_server.commands.console import notes
from lsp_server.commands.rendering import Shown
from lsp_server.context.uris import uri_of
from lsp_server.context.workspace import Workspace


@dataclasses.dataclass
class Talk:
    """Where a conversation in the terminal stands."""

    chats: Chats
    options: argparse.Namespace
    workspace: Workspace
    conversation: str = ""
    attached: tuple[Wanted, ...] = ()
    listed: tuple[str, ...] = ()
    system: str | None = None  # what the model is told of its role; None: what the settings say
    told: bool = False  # it is for the conversation at hand, which may have another


async def answer(talk: Talk, ask: Ask) -> Reply:
    """Ask, and show the answer as it is written. Ctrl-C stops it; a second one ends the command."""
    shown = Shown()

    def on_part(part: dict[str, Any]) -> None:
        for sentence in part.get("leftOut", ()):
            notes.print(sentence, style="yellow")
        if "reading" in part:
            shown.read(part["reading"]["message"])
        elif part["delta"]:
            shown.add(part["delta"])

    task = asyncio.ensure_future(talk.chats.send(complete(talk, ask), on_part))
    with _interrupts(task.cancel), _unechoed(), shown:
        reply = await task
    talk.conversation, talk.attached, talk.told = reply.conversation, (), False
    if talk.chats.store.problem:
        notes.print(talk.chats.store.problem, style="yellow")
        talk.chats.store.problem = ""
    stopped = {
        "stopped": "Stopped. ",
        "length": "Ended at the most tokens an answer may have. ",
        "repeats": "Ended as it began to repeat itself. ",
    }
    if reply.usage:
        notes.print(stopped.get(reply.finish_reason, "") + export.cost(reply.usage), style="dim")
    return reply


def complete(talk: Talk, ask: Ask) -> Ask:
    return dataclasses.replace(
        ask,
        conversation=talk.conversation,
        attachments=talk.attached or None,
        temperature=getattr(talk.options, "chat_temperature", None),
        max_tokens=getattr(talk.options, "chat_max_tokens", None),
        top_p=getattr(talk.options, "chat_top_p", None),
        seed=seed_of(talk.options, 0) if ask.seed is None else ask.seed,
        system=None if talk.conversation and not talk.told else talk.system,
    )


def seed_of(options: argparse.Namespace, number: int) -> int | None:
    """That of the answer with this number, from 0; None: another one each time."""
    seed = getattr(options, "seed", None)
    return None if seed is None else seed + number


def located(workspace: Workspace, place: str) -> Wanted:
    """`FILE` or `FILE:L1-L2` as an attachment. Raises Failed where it cannot be attached."""
    name, _, lines = place.rpartition(":")
    first, _, last = lines.partition("-")
    rows = None
    if name and first.isdecimal() and (not last or last.isdecimal()):
        rows = (int(first) - 1, int(last or first) - 1)
        if not 0 <= rows[0] <= rows[1]:
            raise Failed(f"{lines} are no lines of {name}: they count from 1, the first before the last.")
    else:
        name = place
    path = Path(name).absolute()
    if not path.exists():
        raise Failed(f"There is no {name}; check its name.")
    workspace.allow(path)
    request = Wanted(uri_of(path), "selection" if rows else "file", rows)
    try:
        attached(workspace, request)
    except Refused as error:
        raise Failed(str(error)) from error
    return request


@contextlib.contextmanager
def _unechoed() -> Iterator[None]:
    """Within this, the terminal does not show what is typed: a `^C` behind an answer would move what is drawn anew."""
    if not sys.stdin.isatty() or sys.platform == "win32":
        yield
        return
    import termios

    before = termios.tcgetattr(sys.stdin)
    silent = [*before]
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(sys.stdin, termios.TCSANOW, silent)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)


@contextlib.contextmanager
def _interrupts(stop: Any) -> Iterator[None]:
    """Within this, the first Ctrl-C calls `stop`, a second one ends the command."""
    loop = asyncio.get_running_loop()
    count = 0

    def interrupted(*_: Any) -> None:
        nonlocal count
        count += 1
        if count > 1:
            raise KeyboardInterrupt
        loop.call_soon_threadsafe(stop)

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
