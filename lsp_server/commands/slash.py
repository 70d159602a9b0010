"""What is typed in a chat besides questions: the commands that begin with a slash."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from lsp_server import printing
from lsp_server.chat import export, mentions
from lsp_server.chat.asking import Ask, mistyped
from lsp_server.commands import Failed
from lsp_server.commands.console import notes, output
from lsp_server.commands.turn import Talk, answer, complete, located

INTRODUCTION = """\
A question, over several lines with \\ at their ends; @file, @file:10-20 and @function in it are attached."""
HELP = (
    ("/attach FILE[:L1-L2]", "attach to the next question"),
    ("/preview QUESTION", "what would be sent"),
    ("/regenerate", "answer the last question anew"),
    ("/edit QUESTION", "ask the last question so instead"),
    ("/list [WORDS]", "your conversations"),
    ("/open N", "go on with one of the list"),
    ("/new", "begin another"),
    ("/rename TITLE", "name this one"),
    ("/delete N", "delete one of the list"),
    ("/export FILE", "this conversation as Markdown"),
    ("/system TEXT", "what the model is told of its role in this conversation, or the next one"),
    ("Ctrl-C", "stop the answer; twice ends"),
    ("/quit", "end (also Ctrl-D)"),
)
# A terminal with fewer columns has what a command does on a line of its own.
WIDTH = 70


async def do(talk: Talk, line: str) -> bool:
    """Do what one line says; False ends the conversation."""
    word, _, rest = line.strip().partition(" ")
    asks = word.startswith("/") and word[1:] in talk.chats.instructions
    if word in ENDINGS and not asks:
        return False
    command = None if asks else COMMANDS.get(word)
    if command is not None:
        await command(talk, rest.strip())
    else:
        check(talk, line)
        await answer(talk, Ask(line))
    return True


def check(talk: Talk, question: str) -> None:
    """Raises Failed where a question is a mistyped command, or is about code that does not go with it."""
    word, _, rest = question.strip().partition(" ")
    if word[1:] in talk.chats.instructions and word.startswith("/"):
        if not (rest.strip() or talk.attached or talk.conversation):
            raise Failed(f"{word} is about code that goes with it: /attach FILE first, or write {word} @FILE.")
    elif word in (*COMMANDS, *ENDINGS):
        raise Failed(f"{word} is for a conversation: run `codellama-ls chat` without a question, and type it there.")
    elif said := mistyped(question, [name[1:] for name in (*COMMANDS, *ENDINGS)] + list(talk.chats.instructions)):
        raise Failed(said)
    if wrong := mentions.wrong_lines(talk.workspace, question):
        raise Failed(f"{' '.join(wrong)} Nothing was sent.")


async def _help(talk: Talk, rest: str) -> None:
    notes.print(INTRODUCTION)
    for command, does in HELP:
        notes.print(f"{command:<22}{does}" if notes.width >= WIDTH else f"{command}\n    {does}")
    if names := ", ".join(f"/{name}" for name in talk.chats.instructions):
        notes.print(names)


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
    await answer(talk, Ask("", regenerate=True))


async def _edit(talk: Talk, question: str) -> None:
    turns = talk.chats.store.get(_current(talk)).turns
    _given("/edit", question)
    last = max((turn.position for turn in turns if turn.role == "user"), default=0)
    await answer(talk, Ask(question, edit_turn=last))


async def _preview(talk: Talk, question: str) -> None:
    preview = await talk.chats.preview(complete(talk, Ask(question)))
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


def _listed(talk: Talk, number: str) -> str:
    if not number.isdecimal() or not 1 <= int(number) <= len(talk.listed):
        raise Failed("Say the number of a conversation in the last /list.")
    return talk.listed[int(number) - 1]
