"""`doctor`: what works here, what does not, and the command that mends it."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from rich.text import Text

from lsp_server import printing
from lsp_server.commands.checks import Check, editors, engine, fine, here, model
from lsp_server.commands.chosen import Chosen, chosen
from lsp_server.commands.console import output
from lsp_server.model import roles
from lsp_server.settings import Settings

_MARKS = {(True, True): ("ok  ", "green"), (False, True): ("no  ", "red"), (False, False): ("but ", "yellow")}


def run(options: argparse.Namespace) -> int:
    """Print every check; the status is 1 where something cannot work."""
    status = 0
    checks = []
    for check in examine(chosen(options)):
        status |= check.failed
        if options.json:
            checks.append({name: _private(value) for name, value in dataclasses.asdict(check).items()})
        else:
            show(check)
    if options.json:
        printing.as_json(checks, indent=2)
    return status


def show(check: Check) -> None:
    """Print one check, with what mends it."""
    mark = _MARKS[check.ok, check.ok or check.stops]
    output.print(Text.assemble(mark, (check.name, "bold"), f": {printing.visible(check.found)}"))
    if check.mend:  # as a command that can be copied
        output.print(f"    -> {check.mend}", soft_wrap=True)


def examine(found: Chosen) -> Iterator[Check]:
    """Look at this machine with these settings; nothing is started, fetched or changed."""
    settings = found.settings
    yield here.python()
    yield from of_settings(found)
    suggests, chats = roles.of_suggestions(settings), roles.of_chat(settings)
    used = {"": suggests} if suggests == chats else {" for suggestions": suggests, " for chat": chats}
    if not all(each.engine_url for each in used.values()):
        yield from here.engine()
        folder = list(engine.folder())
        yield from folder
        if any(check.failed for check in folder):  # then no engine is found or started
            return
    yield from engine.proxies([url for each in used.values() for url in addresses(each)])
    for purpose, each in used.items():
        for check in of_model(each):
            said = roles.worded_for_chat(check.found, settings) if each is chats else check.found
            yield dataclasses.replace(check, name=f"{check.name}{purpose}", found=said)
    yield from editors.checks()


def of_settings(found: Chosen) -> Iterator[Check]:
    """What is wrong with the configuration file."""
    for problem in found.problems:
        yield Check("settings", False, problem, stops=False)
    if not found.problems and found.file is not None and found.file.exists():
        yield fine("settings", f"those of {found.file} can all be used")


def of_model(settings: Settings) -> Iterator[Check]:
    """One model, and where it runs."""
    if settings.engine_url:
        yield engine.remote(settings)
    else:
        yield from model.checks(settings)
        yield engine.here(settings.model)


def addresses(settings: Settings) -> list[str]:
    """What is reached over the network for a model: its servers, or the hub."""
    if settings.engine_url:
        return [each.url for each in engine.servers(settings)]
    from lsp_server.engine.loading import hub

    return [hub.address()] if model.is_of_hub(settings.model) else []


def _private(value: object) -> object:
    """What can be shown to others: paths of this user begin with `~`."""
    return value.replace(str(Path.home()), "~") if isinstance(value, str) else value
