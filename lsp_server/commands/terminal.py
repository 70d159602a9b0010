"""What the commands share: their settings, the model, and what is said beside the answer."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator

from rich.console import Console

from lsp_server import settings as settings_module
from lsp_server.commands import Failed
from lsp_server.model.access import ModelAccess, ModelState, Reached
from lsp_server.settings import Settings

# Standard error, so that standard output has the answer alone.
notes = Console(stderr=True, highlight=False)


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings that a command's options stand for."""
    names = ("model", "engine_url", "engine_token", "tokenizer", "infilling", "chat_format", "layout", "multiline")
    given = {name: getattr(options, name) for name in names if hasattr(options, name)}
    if "place" in options and "max_tokens" in options:
        given["max_tokens"] = options.max_tokens
    settings, problems = settings_module.read({settings_module.camel(name): value for name, value in given.items()})
    if problems:
        raise Failed(problems[0])
    return settings


@contextlib.contextmanager
def progress() -> Iterator[Callable[[ModelState], None]]:
    """A line on standard error that says what the model is doing until it is ready; what it yields is told."""
    said = ""

    with notes.status("Starting the engine.") as line:

        def show(state: ModelState) -> None:
            nonlocal said
            percent = f" {100 * state.progress:.0f}%" if state.kind == "loading" and state.progress else ""
            line.update(f"{state.message}{percent}")
            if not notes.is_terminal and state.message != said and not state.progress:
                notes.print(state.message, markup=False)
            said = state.message

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
