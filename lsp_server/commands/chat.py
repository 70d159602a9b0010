"""`chat`: the conversation of the side panel in a terminal. With a question one answer, without one a conversation."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lsp_server import printing
from lsp_server.actions.wording import SLASH_COMMANDS
from lsp_server.chat.asking import Ask, InvalidAsk
from lsp_server.chat.attachments import Refused, Wanted
from lsp_server.chat.chats import Chats, Environment, Unanswered
from lsp_server.chat.store import Conflict, NoConversation, Store, StoreError
from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.commands import Failed, piped
from lsp_server.commands.console import notes
from lsp_server.commands.slash import check, do
from lsp_server.commands.terminal import progress, settings_of
from lsp_server.commands.turn import Talk, answer, located, seed_of
from lsp_server.context.buffer import Buffer
from lsp_server.context.workspace import Workspace
from lsp_server.model import roles
from lsp_server.model.access import ModelAccess, Reached
from lsp_server.model.client import ModelClient
from lsp_server.model.endpoint import Endpoint
from lsp_server.settings import Settings

# The name of a text that is piped in.
PIPED = "standard input"


def run(options: argparse.Namespace, instructions: Mapping[str, str] = SLASH_COMMANDS) -> int:
    """Ask one question, or talk until the user ends it. `instructions`: what each slash command asks the model."""
    question = getattr(options, "question", None)
    if question is not None and not question.strip():
        raise Failed("The question is empty; write one, or leave it out to talk.")
    return asyncio.run(_run(options, question, _piped() if question else [], instructions))


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


async def _run(
    options: argparse.Namespace, question: str | None, given: Sequence[Buffer], instructions: Mapping[str, str]
) -> int:
    settings = settings_of(options)
    workspace = Workspace((Path.cwd(),), lambda: given)
    files = tuple(located(workspace, place) for place in _files(options))
    files += tuple(Wanted(each.uri, "file") for each in given)

    async def reach() -> Reached:
        return await access.wait()

    around = Environment(lambda: settings, lambda: workspace, reach)
    talk = Talk(Chats(Store(), around, instructions), options, workspace, attached=files)
    talk.system = getattr(options, "system", None)
    if question:
        check(talk, question)
    with progress() as show:
        access = ModelAccess(roles.of_chat(settings), show)
        await reach()
    try:
        if question:
            count = getattr(options, "count", 1)
            for number in range(count):
                if count > 1:
                    notes.print(f"{number + 1} of {count}", style="dim")
                ask = Ask("", regenerate=True) if number else Ask(question)
                reply = await answer(talk, dataclasses.replace(ask, seed=seed_of(options, number)))
                if reply.finish_reason == "stopped":
                    return 130
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
            if line.strip() and await do(talk, line) is False:
                return 0
        except (Unanswered, InvalidAsk, StoreError, NoConversation, Conflict, Refused, Failed, OSError) as error:
            notes.print(printing.sentence(error), style="red")
        except asyncio.CancelledError:
            return 130
    return 0


def _piped() -> list[Buffer]:
    """The text that goes with a question as a document, where one is piped in. Raises Failed."""
    if not piped.is_there():
        return []
    doing = "Reading standard input to its end."
    if not notes.is_terminal:
        printing.note(doing)
    with notes.doing(doing):
        text = piped.text()
    return [Buffer(PIPED, text)] if text.strip() else []


def _files(options: argparse.Namespace) -> list[str]:
    given = getattr(options, "file", None) or []
    return [given] if isinstance(given, str) else list(given)


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
