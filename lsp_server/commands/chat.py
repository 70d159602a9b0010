"""`chat`: the conversation of the side panel in a terminal. With a question one answer, without one a conversation."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from lsp_server.actions.wording import SLASH_COMMANDS
from lsp_server.chat import export
from lsp_server.chat.asking import Ask, Wrong
from lsp_server.chat.attachments import Refused, Request, Workspace, attached, uri_of
from lsp_server.chat.chats import Chats, Environment, Reply, Unanswered
from lsp_server.chat.store import Conflict, NoConversation, Store, StoreError
from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.commands import Failed
from lsp_server.commands.rendering import Shown
from lsp_server.commands.terminal import notes, progress, settings_of
from lsp_server.model.access import ModelAccess, Reached
from lsp_server.model.client import ModelClient
from lsp_server.settings import Settings

HELP = """\
A question, over several lines with \\ at their ends; @file, @file:10-20 and @function in it are attached.
/attach FILE[:L1-L2]   attach to the next question      /list [WORDS]   your conversations
/preview QUESTION      what would be sent               /open N         go on with one of the list
/regenerate            answer the last question anew    /new            begin another
/edit QUESTION         ask the last question so instead /rename TITLE   name this one
/stop is Ctrl-C        twice ends                       /delete N       delete one of the list
/export FILE           this conversation as Markdown    /quit           end (also Ctrl-D)"""


@dataclasses.dataclass
class Talk:
    """Where a conversation in the terminal stands."""

    chats: Chats
    options: argparse.Namespace
    conversation: str = ""
    attached: tuple[Request, ...] = ()
    listed: tuple[str, ...] = ()


def run(options: argparse.Namespace, instructions: Mapping[str, str] = SLASH_COMMANDS) -> int:
    """Ask one question, or talk until the user ends it. `instructions`: what each slash command asks the model."""
    return asyncio.run(_run(options, instructions))


async def prompt_ids(
    settings: Settings,
    tokenizer: CodeLlamaTokenizer,
    context_length: int,
    question: str,
    files: Sequence[str],
    instructions: Mapping[str, str] = SLASH_COMMANDS,
) -> list[int]:
    """What a model would see of a first question with these files attached. Raises Failed."""
    workspace = Workspace((Path.cwd(),))

    async def reach() -> Reached:
        nobody = ModelClient("http://localhost")
        return Reached(nobody, tokenizer, context_length, settings.model, "")

    around = Environment(lambda: settings, lambda: workspace, reach, lambda client: None)
    ask = Ask(question, attachments=tuple(located(workspace, place) for place in files))
    try:
        _, fitted, _ = await Chats(Store(), around, instructions).preview(ask)
    except Wrong as error:
        raise Failed(str(error)) from error
    assert fitted is not None
    return fitted.ids


async def _run(options: argparse.Namespace, instructions: Mapping[str, str]) -> int:
    settings = settings_of(options)
    workspace = Workspace((Path.cwd(),))
    files = tuple(located(workspace, place) for place in _files(options))
    with progress() as show:
        access = ModelAccess(settings, show)

        async def reach() -> Reached:
            return await access.wait()

        around = Environment(lambda: settings, lambda: workspace, reach, access.lost)
        await reach()
    talk = Talk(Chats(Store(), around, instructions), options, attached=files)
    try:
        if getattr(options, "question", None):
            await _answer(talk, Ask(options.question))
            return 0
        return await _talk(talk)
    except (Unanswered, Wrong, StoreError) as error:
        raise Failed(str(error)) from error
    finally:
        talk.chats.store.close()
        if access.reached is not None:
            await access.reached.client.aclose()
        access.close()


async def _talk(talk: Talk) -> int:
    """Questions and answers until the user ends."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (gives `input` its history)
    if sys.stdin.isatty():
        notes.print("A question, or /help. Ctrl-C stops an answer, Ctrl-D ends.", style="dim")
    while (line := _read()) is not None:
        try:
            if line.strip() and await _do(talk, line) is False:
                return 0
        except (Unanswered, Wrong, StoreError, NoConversation, Conflict, Refused, Failed, OSError) as error:
            notes.print(str(error), style="red", markup=False)
        except asyncio.CancelledError:
            return 130
    return 0


async def _do(talk: Talk, line: str) -> bool:
    """Do what one line says; False ends the conversation."""
    word, _, rest = line.strip().partition(" ")
    rest, store = rest.strip(), talk.chats.store
    if word.removeprefix("/") in talk.chats.instructions and word.startswith("/"):
        word = ""
    match word:
        case "/quit" | "/exit":
            return False
        case "/help":
            names = ", ".join(f"/{name}" for name in talk.chats.instructions)
            notes.print(HELP + (f"\n{names}" if names else ""), markup=False)
        case "/new":
            talk.conversation = ""
        case "/attach":
            talk.attached += (located(Workspace((Path.cwd(),)), rest),)
        case "/list":
            found = store.summaries(rest)
            talk.listed = tuple(summary.id for summary in found)
            for number, one in enumerate(found, 1):
                when = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.updated))
                notes.print(f"{number:3}  {when}  {one.title}  {one.excerpt}", markup=False, style="")
        case "/open":
            talk.conversation = _listed(talk, rest)
            Console(highlight=False).print(export.markdown(store.get(talk.conversation)), markup=False)
        case "/delete":
            name = _listed(talk, rest)
            store.delete(name)
            talk.conversation = "" if name == talk.conversation else talk.conversation
        case "/rename":
            store.rename(talk.conversation, rest)
        case "/export":
            _export(talk, rest)
        case "/regenerate":
            await _answer(talk, Ask("", regenerate=True))
        case "/edit":
            turns = store.get(talk.conversation).turns
            last = max((turn.position for turn in turns if turn.role == "user"), default=0)
            await _answer(talk, Ask(rest, edit_turn=last))
        case "/preview":
            begun, fitted, room = await talk.chats.preview(_complete(talk, Ask(rest)))
            messages = fitted.messages if fitted else [{"role": "user", "content": begun.questions[-1].content}]
            notes.print("\n\n".join(f"{each['role']}:\n{each['content']}" for each in messages), markup=False)
            if fitted:
                notes.print(f"{len(fitted.ids)} tokens, of {room} there is room for", style="dim")
        case _:
            await _answer(talk, Ask(line))
    return True


async def _answer(talk: Talk, ask: Ask) -> Reply:
    """Ask, and show the answer as it is written. Ctrl-C stops it; a second one ends the command."""
    shown = Shown()
    conversation = talk.conversation

    def on_part(part: dict[str, Any]) -> None:
        nonlocal conversation
        conversation = part.get("conversationId", conversation)
        for sentence in part.get("leftOut", ()):
            notes.print(sentence, style="yellow", markup=False)
        shown.add(part["delta"])

    task = asyncio.ensure_future(talk.chats.send(_complete(talk, ask), on_part))
    with _interrupts(lambda: task.cancel()), shown:
        reply = await task
    talk.conversation, talk.attached = reply.conversation, ()
    if talk.chats.store.problem:
        notes.print(talk.chats.store.problem, style="yellow", markup=False)
        talk.chats.store.problem = ""
    stopped = {"stopped": "Stopped. ", "length": "Ended at the most tokens an answer may have. "}
    if reply.usage:
        notes.print(stopped.get(reply.finish_reason, "") + export.cost(reply.usage), style="dim", markup=False)
    return reply


def _complete(talk: Talk, ask: Ask) -> Ask:
    return dataclasses.replace(
        ask,
        conversation=talk.conversation,
        attachments=talk.attached or None,
        temperature=talk.options.temperature,
        max_tokens=talk.options.max_tokens,
    )


def located(workspace: Workspace, place: str) -> Request:
    """`FILE` or `FILE:L1-L2` as an attachment. Raises Failed where it cannot be attached."""
    name, _, lines = place.rpartition(":")
    first, _, last = lines.partition("-")
    rows = None
    if name and first.isdecimal() and (not last or last.isdecimal()):
        rows = (int(first) - 1, int(last or first) - 1)
    else:
        name = place
    request = Request(uri_of(Path(name).absolute()), "selection" if rows else "file", rows)
    try:
        attached(workspace, request)
    except Refused as error:
        raise Failed(str(error)) from error
    return request


def _export(talk: Talk, file: str) -> None:
    Path(file).write_text(export.markdown(talk.chats.store.get(talk.conversation)), encoding="utf-8")


def _files(options: argparse.Namespace) -> list[str]:
    given = getattr(options, "file", None) or []
    return [given] if isinstance(given, str) else list(given)


def _listed(talk: Talk, number: str) -> str:
    if not number.isdecimal() or not 1 <= int(number) <= len(talk.listed):
        raise Failed("Say the number of a conversation in the last /list.")
    return talk.listed[int(number) - 1]


def _read() -> str | None:
    """A line of the user's, or several joined by `\\`; None at the end. Ctrl-C once begins anew, twice ends."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    lines: list[str] = []
    interrupted = False
    prompt = "> " if sys.stdin.isatty() else ""
    try:
        while True:
            try:
                line = input(prompt)
            except EOFError:
                return "\n".join(lines) or None
            except KeyboardInterrupt:
                if interrupted:
                    return None
                interrupted, lines = True, []
                notes.print("\nCtrl-C again, or Ctrl-D, ends.", style="dim")
                continue
            if not line.endswith("\\"):
                return "\n".join([*lines, line])
            lines.append(line[:-1])
    finally:
        signal.signal(signal.SIGINT, before)


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
