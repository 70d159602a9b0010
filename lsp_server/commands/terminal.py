"""What the commands share: their settings, the model, and what is said beside the answer."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator

from lsp_server import places, printing, settings_sent
from lsp_server.commands import Failed
from lsp_server.commands.console import notes
from lsp_server.completion.suggest import Sampled
from lsp_server.model import roles
from lsp_server.model.access import ModelAccess, ModelState, Reached
from lsp_server.settings import Settings, camel


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings that a command's options stand for."""
    server = ("engine_url", "engine_token", "allow_plain_http", "ca_file", "remote_model")
    names = ("model", *server, "tokenizer", *roles.NAMES.values(), "infilling", "chat_format", "layout", "multiline")
    given = {name: getattr(options, name) for name in names if hasattr(options, name)}
    # A relative path is meant from where the command was typed.
    for name in ("model", "tokenizer", "chat_model", "chat_tokenizer"):
        if given.get(name):
            given[name] = places.absolute_name(given[name])
    if "place" in options and "max_tokens" in options:
        given["max_tokens"] = options.max_tokens
    settings, problems = settings_sent.read({camel(name): value for name, value in given.items()})
    if problems:
        raise Failed(problems[0])
    return settings


def samplings(options: argparse.Namespace) -> list[Sampled]:
    """How the tokens are chosen, for each of the answers that a command is asked for."""
    if options.seed is None and options.count == 1:
        return [Sampled(options.temperature, options.top_p)]
    first = options.seed or 0
    return [Sampled(options.temperature, options.top_p, first + number) for number in range(options.count)]


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
