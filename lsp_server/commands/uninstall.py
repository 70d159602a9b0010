"""`uninstall`: what this program has put on this machine, shown and removed; what the user wrote, when asked for."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from lsp_server import installing, places
from lsp_server.commands import clients
from lsp_server.commands.console import output
from lsp_server.commands.machine import GIB
from lsp_server.commands.terminal import agreed
from lsp_server.engine import address, priority
from lsp_server.engine.loading import making
from lsp_server.model import local

# What lies in these folders is ours; a folder that the user names may have other things in it.
_CACHE = ("starter", "hub", "gguf")
_RUNTIME = (*(f"[0-9a-f]*.{kind}" for kind in ("json", "lock", "sock", "tmp")), priority.FILE)
_LOGS = ("engine-*.log*", "server.log*")
_INDEXES = "[0-9a-f]*.db*"
_CHATS = ("chats.sqlite3*",)
_COUNTS = "statistics.sqlite3*"


class Ours(NamedTuple):
    """Something that can be removed: what it is, for the user, and how it is removed."""

    what: str
    remove: Callable[[], object]


def run(options: argparse.Namespace) -> int:
    """Show what is ours, and remove it where the user agrees. Raises Failed, UserError, OSError."""
    found = [*_engines(), *_files(options), *(Ours(each.what, each.do) for each in clients.installed())]
    if found:
        output.print("This would be removed:")
    for each in found:
        output.print(f"  - {each.what}", soft_wrap=True)
    for kept in _kept(options):
        output.print(f"It stays: {kept}", soft_wrap=True)
    if found:
        if not agreed("Remove it?", yes=options.yes, by_enter=False):
            words = installing.command("uninstall", "--yes")
            output.print(f"Nothing was removed; `{words}` does it without asking.", soft_wrap=True)
            return 0
        for each in found:
            each.remove()
        _tidy()
        output.print("Removed.")
    output.print(f"The program itself goes with: {installing.removing()}", soft_wrap=True)
    return 0


def _engines() -> list[Ours]:
    running = address.every()

    def end() -> None:
        for each in running:
            asyncio.run(local.end_engine(each))

    models = ", ".join(each.model for each in running)
    return [Ours(f"the running engine{'s' * (len(running) > 1)} of {models}", end)] if running else []


def _files(options: argparse.Namespace) -> list[Ours]:
    """Folders and files, each with its size."""
    paths = [places.cache_folder() / name for name in _CACHE]
    paths += places.data_folder().glob(_COUNTS)
    if options.chats:
        paths += [each for pattern in _CHATS for each in places.data_folder().glob(pattern)]
    if options.config:
        paths.append(places.config_file())
    found = [Ours(f"{path}, {_size(path)}", functools.partial(_removed, path)) for path in paths if path.exists()]
    runtime, logs = places.runtime_folder(), places.log_folder()
    left = [each for pattern in _RUNTIME for each in runtime.glob(pattern)]
    left += [each for pattern in _LOGS for each in logs.glob(pattern)]
    if indexes := list(places.index_folder().glob(_INDEXES)):
        found.append(Ours(f"indexes of workspaces in {places.index_folder()}", functools.partial(_removed, *indexes)))
    if left:
        where = " and ".join(sorted({str(runtime), str(logs)}))
        found.append(Ours(f"locks, sockets and logs in {where}", functools.partial(_removed, *left)))
    return found


def _kept(options: argparse.Namespace) -> list[str]:
    chats = [each for pattern in _CHATS for each in places.data_folder().glob(pattern)]
    kept = [f"{places.data_folder()}, your conversations (--chats removes them)"] if chats and not options.chats else []
    if places.config_file().exists() and not options.config:
        kept.append(f"{places.config_file()}, your settings (--config removes them)")
    return kept


def _removed(*paths: Path) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            making.remove(path)
        else:
            path.unlink(missing_ok=True)


def _tidy() -> None:
    """Remove the folders that are empty now, but those that the user named, which have other names."""
    folders = [places.index_folder(), places.cache_folder(), places.data_folder()]
    folders += [places.log_folder(), places.runtime_folder(), places.config_file().parent]
    for folder in folders:
        below = folder.parent.name == places.NAME  # as logs and indexes lie
        for each in (folder, folder.parent) if below else (folder,):
            if below or each.name.startswith(places.NAME):
                with contextlib.suppress(OSError):  # something is in it
                    each.rmdir()


def _size(path: Path) -> str:
    files = path.rglob("*") if path.is_dir() else [path]
    size = sum(os.lstat(each).st_size for each in files)
    return f"{size / GIB:.1f} GiB" if size > GIB / 20 else f"{size / 2**20:.1f} MiB"
