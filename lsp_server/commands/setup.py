"""`setup`: from an installed program to the first suggestion, shown step by step; may be run again at any time."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import functools
import json
import shutil
import sys
import time
from collections.abc import Sequence

from rich.text import Text

from lsp_server import __version__, installing, places, printing, settings_file
from lsp_server.commands import Failed, clients, demo, doctor, proposing, stored
from lsp_server.commands.checks import here
from lsp_server.commands.chosen import chosen
from lsp_server.commands.clients import Change
from lsp_server.commands.console import notes, output
from lsp_server.commands.machine import GIB
from lsp_server.commands.proposing import STARTER, Choice
from lsp_server.commands.terminal import agreed, reached, typed
from lsp_server.engine.loading.checkpoint import CheckpointProblem
from lsp_server.model.access import Reached
from lsp_server.model.answering import Answer, Question
from lsp_server.settings import Settings, camel

# What its speed is measured by: so many tokens behind so many characters, as far as it comes in that time.
SPEED_TOKENS, SPEED_TEXT, SPEED_SECONDS = 64, 1500, 6.0


def run(options: argparse.Namespace) -> int:
    """Choose a model, fetch it, show a completion, and offer what else makes the editors ready.

    Raises Failed where the engine is not installed, and CheckpointProblem where a model that was named cannot be had.
    """
    found = chosen(options)
    for problem in found.problems:
        printing.note(problem)
    settings = found.settings
    _headline("This machine")
    checks = [here.python(), *([] if settings.engine_url else here.engine())]
    for check in checks:
        doctor.show(check)
    if not settings.engine_url:
        if broken := [check for check in checks if check.failed]:
            raise Failed(f"Mend this first, then run setup again: {', '.join(each.name for each in broken)}.")
        _headline("Model")
        settings = _with_model(settings, options)
    _headline("The first suggestion")
    speed = asyncio.run(_first(settings))
    if speed:
        said = f"{speed:.0f} tokens a second" if speed > 2 else f"a token in {1 / speed:.1f} s"
        output.print(f"It writes {said} here.")
    _headline("Your editors")
    typed = [name for name, source in found.sources.items() if source == "command line"]
    changes = [*_of_file(settings, typed), *_of_editors(options)]
    if _make(changes, options):
        works = installing.command("doctor")
        output.print(f"Open a file in your editor and type. `{works}` says what works.", soft_wrap=True)
    return 0


def _with_model(settings: Settings, options: argparse.Namespace) -> Settings:
    """The settings with the model that was chosen, which is on the disk then."""
    model = settings.model if options.model is not None else _chosen(settings, options)
    try:
        made = stored.fetched(model)
    except CheckpointProblem as problem:
        if options.model is not None or model == STARTER or not (options.yes or sys.stdin.isatty()):
            raise
        notes.print(str(problem), style="yellow")
        if not agreed("Take the starter for now?", yes=options.yes):
            raise Failed(f"No model was chosen; `{installing.command('setup')}` begins anew.") from problem
        model, made = STARTER, stored.fetched(STARTER)
    output.print(f"{model} is here, {made.bytes / GIB:.1f} GiB: {made.folder}")
    return dataclasses.replace(settings, model=model)


def _chosen(settings: Settings, options: argparse.Namespace) -> str:
    """What the user wants of that which fits; with `--yes` what is proposed."""
    cache = places.cache_folder()
    there = next(parent for parent in (cache, *cache.parents) if parent.exists())
    with notes.doing("Looking at what fits."):
        found = proposing.choices(settings.model, shutil.disk_usage(there).free)
    proposal = proposing.proposed(found, settings.model)
    for number, each in enumerate(found, 1):
        mark = "*" if each == proposal else " "
        style = "bold" if each == proposal else ""
        output.print(Text(f"{mark} {number}  {each.name}: {proposing.described(each)}", style=style))
    if options.yes or not (proposal.fetch or sys.stdin.isatty()):
        return proposal.model
    if not sys.stdin.isatty():
        raise Failed("Nobody can be asked here: say which with --model, or take what is proposed with --yes.")
    return _picked(found, proposal)


def _picked(found: Sequence[Choice], proposal: Choice) -> str:
    while True:
        word = typed(f"Which one, 1 to {len(found)}, or any other as --model names it [{found.index(proposal) + 1}]? ")
        if not word:
            return proposal.model
        if word.isdecimal() and 1 <= int(word) <= len(found):
            return found[int(word) - 1].model
        if not word.isdecimal():
            return places.absolute_name(word)
        notes.print(f"There is no {word} in this list.")


async def _first(settings: Settings) -> float:
    """Load the model and show what it suggests in a real file; the tokens that it writes in a second, 0 if it did not
    say."""
    async with reached(settings) as model:
        await demo.show_completion(model, demo.REST, settings)
        output.print(Text(f"By {model.model} on {model.device}.", style="dim"))
        with notes.doing("Measuring how fast it writes."):
            return await _speed(model)


async def _speed(model: Reached) -> float:
    """The tokens that a model writes in a second, as far as it comes in SPEED_SECONDS; 0 where that is no token."""
    text = demo.REST.file.read_text(encoding="utf-8")[:SPEED_TEXT]
    answer = Answer(model, Question(model.tokenizer.completion_ids(text), (), SPEED_TOKENS))
    seconds = 0.0
    async with contextlib.aclosing(answer.parts()) as parts:
        async for _ in parts:
            seconds = time.perf_counter() - answer.first
            if seconds > SPEED_SECONDS:
                break
    return (answer.tokens - 1) / seconds if seconds else 0.0


def _of_file(settings: Settings, typed: Sequence[str]) -> list[Change]:
    """What has the editors and the commands use the model from now on: the one that was chosen, and what else was
    `typed` of where it is. A token has to be written by hand, as others could see it here."""
    file, changes = settings_file.read(), []
    for field in dataclasses.fields(Settings):
        name, value = camel(field.name), getattr(settings, field.name)
        wanted = name == "model" or (name in typed and name != "engineToken")
        if wanted and value != getattr(file.settings, field.name):
            shown = json.dumps(value, ensure_ascii=False)
            write = functools.partial(settings_file.written, name, value)
            changes.append(Change(f"set `{name} = {shown}` in {file.path}", write))
    return changes


def _of_editors(options: argparse.Namespace) -> list[Change]:
    if options.no_editors:
        return []
    with notes.doing("Looking for editors."):
        found = clients.editors()
    changes: list[Change] = []
    for editor in found:
        if editor.version == __version__:
            output.print(f"{editor.name} has the client, for version {editor.version}.")
            continue
        made = clients.install(editor)
        if isinstance(made, str):
            output.print(f"{editor.name} is here; {made}.")
        else:
            changes += made
    if not found:
        output.print("None that there is a client for was found; docs/getting-started.md has the others.")
    return changes


def _make(changes: Sequence[Change], options: argparse.Namespace) -> bool:
    """Show what would be changed, and do it where the user agrees; whether all is as it should be. Raises Failed,
    OSError."""
    if not changes:
        return True
    output.print("\nThis would be changed:")
    for change in changes:
        output.print(f"  - {change.what}", soft_wrap=True)
    if not agreed("Do it?", yes=options.yes):
        output.print(
            f"Nothing was changed; `{installing.command('setup', '--yes')}` does it without asking.", soft_wrap=True
        )
        return False
    for change in changes:
        change.do()
        output.print(f"Done: {change.what}.", soft_wrap=True)
    return True


def _headline(text: str) -> None:
    output.rule(Text(text, style="bold"), align="left")
