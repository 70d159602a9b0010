"""`chat`: the conversation of the side panel in a terminal. With a question one answer, without one a conversation."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lsp_server import printing
from lsp_server.actions.wording import SLASH_COMMANDS
from lsp_server.chat import export
from lsp_server.chat.asking import Ask, InvalidAsk
from lsp_server.chat.attachments import Refused, Wanted, attached
from lsp_server.chat.chats import Chats, Environment, Reply, Unanswered
from lsp_server.chat.store import Conflict, NoConversation, Store, StoreError
from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.commands import Failed
from lsp_server.commands.console import notes, output
from lsp_server.commands.rendering import Shown
from lsp_server.commands.terminal import progress, settings_of
from lsp_server.context.uris import uri_of
from lsp_server.context.workspace import Workspace
from lsp_server.model import roles
from lsp_server.model.access import ModelAccess, Reached
from lsp_server.model.client import ModelClient
from lsp_server.model.endpoint import Endpoint
from lsp_server.settings import Settings

HELP = """\
A question, over several lines with \\ at their ends; @file, @file:10-20 and @function in it are attached.
/attach FILE[:L1-L2]   attach to the next question      /list [WORDS]   your conversations
/preview QUESTION      what would be sent               /open N         go on with one of the list
/regenerate            answer the last question anew    /new            begin another
/edit QUESTION         ask the last question so instead /rename TITLE   name this one
Ctrl-C                 stop the answer; twice ends      /delete N       delete one of the list
/export FILE           this conversation as Markdown    /quit           end (also Ctrl-D)
/system TEXT           what the model is told of its role in this conversation, or the next one"""


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
        nobody = ModelClient(Endpoint("http://localhost"))
        return Reached(nobody, tokenizer, context_length, settings.model, "")

    around = Environment(lambda: settings, lambda: workspace, reach)
    ask = Ask(question, attachments=tuple(located(workspace, place) for place in files))
    try:
        preview = await Chats(Store(), around, instructions).preview(ask)
    except InvalidAsk as error:
        raise Failed(str(error)) from error
    assert preview.fitted is not None
    return preview.fitted.ids


async def _run(options: argparse.Namespace, instructions: Mapping[str, str]) -> int:
    settings = settings_of(options)
    workspace = Workspace((Path.cwd(),))
    files = tuple(located(workspace, place) for place in _files(options))
    with progress() as show:
        access = ModelAccess(roles.of_chat(settings), show)

        async def reach() -> Reached:
            return await access.wait()

        around = Environment(lambda: settings, lambda: workspace, reach)
        await reach()
    talk = Talk(Chats(Store(), around, instructions), options, workspace, attached=files)
    talk.system = getattr(options, "system", None)
    try:
        if getattr(options, "question", None):
            count = getattr(options, "count", 1)
            for number in range(count):
                if count > 1:
                    notes.print(f"{number + 1} of {count}", style="dim")
                ask = Ask("", regenerate=True) if number else Ask(options.question)
                await _answer(talk, dataclasses.replace(ask, seed=_seed(options, number)))
            return 0
        return await _talk(talk)
    except (Unanswered, InvalidAsk, StoreError) as error:
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
        except (Unanswered, InvalidAsk, StoreError, NoConversation, Conflict, Refused, Failed, OSError) as error:
            notes.print(printing.sentence(error), style="red")
        except asyncio.CancelledError:
            return 130
    return 0


async def _do(talk: Talk, line: str) -> bool:
    """Do what one line says; False ends the conversation."""
    word, _, rest = line.strip().partition(" ")
    asks = word.startswith("/") and word[1:] in talk.chats.instructions
    if word in ENDINGS and not asks:
        return False
    command = None if asks else COMMANDS.get(word)
    if command is not None:
        await command(talk, rest.strip())
    else:
        await _answer(talk, Ask(line))
    return True


async def _help(talk: Talk, rest: str) -> None:
    names = ", ".join(f"/{name}" for name in talk.chats.instructions)
    notes.print(HELP + (f"\n{names}" if names else ""))


async def _new(talk: Talk, rest: str) -> None:
    talk.conversation = ""


async def _system(talk: Talk, text: str) -> None:
    talk.system, talk.told = _given("/system", text), bool(talk.conversation)
    which = "this conversation" if talk.conversation else "the next conversation"
    notes.print(f"That is what the model is told of its role in {which}.", style="dim")


async def _attach(talk: Talk, place: str) -> None:
    talk.attached += (located(talk.workspace, _given("/attach", place)),)
    notes.print(f"{place} goes with the next question.", style="dim")


async def _list(talk: Talk, words: str) -> None:
    found = talk.chats.store.summaries(words)
    talk.listed = tuple(summary.id for summary in found)
    if not found:
        notes.print("There are no such conversations." if words else "There are no conversations yet.")
    for number, one in enumerate(found, 1):
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.updated))
        notes.print(f"{number:3}  {when}  {printing.one_line(f'{one.title}  {one.excerpt}')}")


async def _open(talk: Talk, number: str) -> None:
    talk.conversation = _listed(talk, number)
    output.print(export.markdown(talk.chats.store.get(talk.conversation)))


async def _delete(talk: Talk, number: str) -> None:
    name = _listed(talk, number)
    title = talk.chats.store.get(name).title
    talk.chats.store.delete(name)
    talk.conversation = "" if name == talk.conversation else talk.conversation
    notes.print(f"Deleted: {title}", style="dim", markup=False)


async def _rename(talk: Talk, title: str) -> None:
    talk.chats.store.rename(_current(talk), _given("/rename", title))


async def _export(talk: Talk, file: str) -> None:
    conversation = talk.chats.store.get(_current(talk))
    _export_to(_given("/export", file), export.markdown(conversation))
    notes.print(f"Written to {file}.", style="dim")


def _export_to(file: str, text: str) -> None:
    if not (folder := Path(file).absolute().parent).is_dir():
        raise Failed(f"There is no folder {folder} to write into; make it first, or name another.")
    if os.path.isfile(file):
        raise Failed(f"{file} is there already, and would be lost; name a new file.")
    printing.write(file, text)


async def _regenerate(talk: Talk, rest: str) -> None:
    _current(talk)
    await _answer(talk, Ask("", regenerate=True))


async def _edit(talk: Talk, question: str) -> None:
    turns = talk.chats.store.get(_current(talk)).turns
    _given("/edit", question)
    last = max((turn.position for turn in turns if turn.role == "user"), default=0)
    await _answer(talk, Ask(question, edit_turn=last))


async def _preview(talk: Talk, question: str) -> None:
    preview = await talk.chats.preview(_complete(talk, Ask(question)))
    fitted = preview.fitted
    messages = fitted.messages if fitted else [{"role": "user", "content": preview.begun.questions[-1].content}]
    notes.print("\n\n".join(f"{each['role']}:\n{each['content']}" for each in messages))
    if fitted:
        notes.print(f"{len(fitted.ids)} tokens, of {preview.budget} there is room for", style="dim")


ENDINGS = ("/quit", "/exit")
COMMANDS: dict[str, Callable[[Talk, str], Awaitable[None]]] = {
    "/help": _help,
    "/new": _new,
    "/system": _system,
    "/attach": _attach,
    "/list": _list,
    "/open": _open,
    "/delete": _delete,
    "/rename": _rename,
    "/export": _export,
    "/regenerate": _regenerate,
    "/edit": _edit,
    "/preview": _preview,
}


async def _answer(talk: Talk, ask: Ask) -> Reply:
    """Ask, and show the answer as it is written. Ctrl-C stops it; a second one ends the command."""
    shown = Shown()
    conversation = talk.conversation

    def on_part(part: dict[str, Any]) -> None:
        nonlocal conversation
        conversation = part.get("conversationId", conversation)
        for sentence in part.get("leftOut", ()):
            notes.print(sentence, style="yellow")
        if "reading" in part:
            shown.read(part["reading"]["message"])
        elif part["delta"]:
            shown.add(part["delta"])

    task = asyncio.ensure_future(talk.chats.send(_complete(talk, ask), on_part))
    with _interrupts(lambda: task.cancel()), shown:
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


def _complete(talk: Talk, ask: Ask) -> Ask:
    return dataclasses.replace(
        ask,
        conversation=talk.conversation,
        attachments=talk.attached or None,
        temperature=getattr(talk.options, "chat_temperature", None),
        max_tokens=getattr(talk.options, "chat_max_tokens", None),
        top_p=getattr(talk.options, "chat_top_p", None),
        seed=_seed(talk.options, 0) if ask.seed is None else ask.seed,
        system=None if talk.conversation and not talk.told else talk.system,
    )


def _seed(options: argparse.Namespace, number: int) -> int | None:
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


def _current(talk: Talk) -> str:
    """The conversation that a command is about. Raises Failed where none has begun."""
    if not talk.conversation:
        raise Failed("No conversation has begun; ask a question, or /open one of the /list.")
    return talk.conversation


def _given(command: str, words: str) -> str:
    """What stands after a command. Raises Failed where that is nothing."""
    if not words:
        raise Failed(f"{command} needs more: see /help.")
    return words


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
