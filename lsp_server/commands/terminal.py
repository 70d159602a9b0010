"""What the commands share: their settings, the model, and what is said beside the answer."""

from __future__ import annotations

import argparse
import contextlib
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator

from lsp_server import printing
from lsp_server.commands import Failed
from lsp_server.commands.chosen import chosen
from lsp_server.commands.console import notes
from lsp_server.completion.suggest import Sampled
from lsp_server.model.access import ModelAccess, ModelState, Reached
from lsp_server.settings import Settings


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings of a command; what is wrong with the configuration file is told. Raises Failed."""
    found = chosen(options)
    for problem in found.problems:
        printing.note(problem)
    return found.settings


def agreed(question: str, *, yes: bool, by_enter: bool = True) -> bool:
    """Whether the user says yes, or has said so before; who cannot be asked does not. `by_enter`: saying nothing is
    yes. Raises Failed where nothing more is typed."""
    if yes or not sys.stdin.isatty():
        return yes
    while True:
        said = typed(f"{question} [{'Y/n' if by_enter else 'y/N'}] ").lower()
        if said in ("", "y", "yes", "n", "no"):
            return by_enter if not said else said.startswith("y")
        notes.print("Please type y or n.")


def typed(question: str) -> str:
    """What the user types. Raises Failed where that has ended."""
    # Broken between words; the space at its end stays.
    shown = textwrap.fill(question.rstrip(), max(notes.width, 20)) + " "
    try:
        return input(shown).strip()
    except EOFError as error:
        raise Failed("Nothing more was typed, so it ends here; what was fetched stays.") from error


def samplings(settings: Settings, options: argparse.Namespace) -> list[Sampled]:
    """How the tokens are chosen, for each of the answers that a command is asked for."""
    first = settings.fixed_seed if options.seed is None else options.seed
    if first is None and options.count == 1:
        return [Sampled(settings.temperature, settings.top_p)]
    return [Sampled(settings.temperature, settings.top_p, (first or 0) + number) for number in range(options.count)]


@contextlib.contextmanager
def progress() -> Iterator[Callable[[ModelState], None]]:
    """A line on standard error that says what the model is doing until it is ready; what it yields is told.

    Why it failed is not said here: that is the error which ends the command.
    """
    said = ""

    with notes.doing("Reaching the model.") as line:

        def show(state: ModelState) -> None:
            nonlocal said
            if state.kind == "failed":
                return
            percent = f" {100 * state.progress:.0f}%" if state.kind == "loading" and state.progress else ""
            line(f"{state.message}{percent}")
            if not notes.is_terminal and state.message != said and not state.progress:
                printing.note(state.message)
            said = state.message
            if state.note:
                notes.print(state.note, style="dim")

        yield show


@contextlib.asynccontextmanager
async def reached(settings: Settings) -> AsyncIterator[Reached]:
    """The model of `settings`, with what it is doing until then on standard error. Raises ModelUnavailable."""
    with progress() as show:
        model = await ModelAccess(settings, show).wait()
    try:
        yield model
    finally:
        await model.client.aclose()
