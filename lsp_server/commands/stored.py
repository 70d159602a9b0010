"""`models pull`, `models remove`, `models verify`: a model on this machine's disk."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path

from lsp_server import places, printing
from lsp_server.commands import Failed
from lsp_server.commands.console import notes
from lsp_server.commands.machine import GIB
from lsp_server.engine.loading import checkpoint, gguf_file, hub, naming, starter
from lsp_server.engine.loading.checkpoint import Checkpoint, Progress, Report
from lsp_server.engine.loading.meant import meant
from lsp_server.model import local


def pull(options: argparse.Namespace) -> int:
    """Have a model here, whole: what is missing of it is fetched, and so is what is damaged."""
    name = places.absolute_name(options.name)
    found = here(name)
    if found is not None and found == hub.ours(name):
        with _followed() as report:
            if damaged := hub.damaged(found, report):
                hub.forget(found, damaged)
    made = fetched(name)
    printing.say(f"{name} is here, {_size(made)}: {made.folder}")
    return 0


def fetched(name: str) -> Checkpoint:
    """A model's checkpoint, fetched or unpacked first where it is not here yet, which is shown. Raises
    CheckpointProblem."""
    with _followed() as report:
        return checkpoint.validate(naming.checkpoint_folder(name, report))


def verify(options: argparse.Namespace) -> int:
    """Look at each byte of a model that is here; the status is 1 where it is not as it came."""
    name = places.absolute_name(options.name)
    folder = here(name)
    if folder is None:
        if name != naming.STARTER and places.named_folder(name) is None:
            naming.hub_id(name)  # says what may be meant
        raise Failed(f"{name} is not here, or not whole: run `codellama-ls models pull {name}`.")
    found = checkpoint.validate(folder)
    with _followed() as report:
        damaged = hub.damaged(folder, report)
    if damaged:
        what = f"{', '.join(damaged)} of {name} {'is' if len(damaged) == 1 else 'are'} damaged"
        mend = f"codellama-ls models pull {name}" if folder == hub.ours(name) else f"hf cache rm model/{name}"
        raise Failed(f"{what}: run `{mend}`.")
    how = "each file has the hash that the hub lists"
    if damaged is None:
        how = "its index, headers and sizes fit; there are no hashes of its bytes to hold them against"
    printing.say(f"{name} is whole, {_size(found)}: {how}.")
    return 0


def remove(options: argparse.Namespace) -> int:
    """Remove what this program has put on the disk of a model."""
    name = places.absolute_name(options.name)
    if (running := local.running(name)) is not None:
        raise Failed(f"{name} is in use (process {running.pid}): run `codellama-ls stop {options.name}` first.")
    file = places.named_folder(name)
    if name == naming.STARTER:
        freed = starter.remove()
    elif file is None:
        freed = hub.remove(name)
    elif gguf_file.is_one(file):
        freed = gguf_file.remove(file)
    else:
        raise Failed(f"{name} was not put there by this program, which removes only what it has fetched or unpacked.")
    if freed is None:
        other = here(name)
        if other is not None:
            raise Failed(f"{name} lies where other programs look, too: `hf cache rm model/{name}` removes it.")
        instead = meant(name) if file is None else ""
        raise Failed(f"There is nothing of {name} here; {instead or '`codellama-ls models` says what is'}.")
    printing.say(f"{name} is gone, {freed / GIB:.1f} GiB are free again.")
    return 0


def here(name: str) -> Path | None:
    """The folder of a model that is on this disk, whole; None where something of it would have to be fetched."""
    file = places.named_folder(name)
    if name == naming.STARTER:
        return starter.here()
    if file is None:
        return hub.here(name)
    if gguf_file.is_one(file):
        return gguf_file.here(file)
    return file if file.is_dir() else None


@contextlib.contextmanager
def _followed() -> Iterator[Report]:
    with notes.following() as show:

        def report(progress: Progress) -> None:
            show(f"{progress.stage.capitalize()} {progress.message}", progress.done)

        yield report


def _size(found: Checkpoint) -> str:
    return f"{found.bytes / GIB:.1f} GiB in {len(found.shards)} shard{'s' * (len(found.shards) != 1)}"
