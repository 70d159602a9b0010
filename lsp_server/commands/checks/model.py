"""The model that the settings name: whether it is here or can be had, and whether it fits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

from lsp_server import places, printing
from lsp_server.codellama import VARIANTS, ModelShape, memory
from lsp_server.commands import machine, models, stored
from lsp_server.commands.checks import Check, fine, here
from lsp_server.commands.machine import GIB
from lsp_server.engine.loading import checkpoint, gguf_file, hub, naming, starter
from lsp_server.errors import UserError
from lsp_server.model import local


def checks(model: str) -> Iterator[Check]:
    """Nothing is fetched; what is not here is asked for at the hub."""
    fetch = 0
    try:
        folder = stored.here(model)
        if folder is not None:
            found = checkpoint.validate(folder)
            said = f"{found.bytes / GIB:.1f} GiB in {len(found.shards)} shards, {folder}"
        elif model == naming.STARTER:
            said, fetch = "will be fetched (93 MB) when needed", starter.BYTES_NEEDED
        elif (file := places.named_folder(model)) is not None:
            said, fetch = gguf_file.state(file), 4 * file.stat().st_size
        else:
            fetch = hub.bytes_to_fetch(naming.hub_id(model))
            said = f"will be downloaded ({fetch / GIB:.1f} GiB) when needed"
    except (UserError, OSError) as problem:
        yield Check("model", False, printing.sentence(problem))
        return
    yield fine("model", f"{model}, {said}")
    if fetch and not (room := here.disk(fetch)).ok:
        yield room
    if local.running(model) is None and (shape := _shape(model, folder)) is not None:
        yield fits(shape)


def is_of_hub(model: str) -> bool:
    """Whether it would have to be fetched from the hub."""
    return model != naming.STARTER and places.named_folder(model) is None and stored.here(model) is None


def fits(shape: ModelShape) -> Check:
    """Whether a model has room in the memory that is free, and what else would have."""
    gpus, ram = [card.free for card in machine.cards()], psutil.virtual_memory().available
    needed = memory(shape, models.CONTEXT).total
    where = models.fits(needed, gpus, ram)
    if where != "no":
        return fine("memory", f"it needs {needed / GIB:.1f} GiB in 8 bits, and fits {where.removesuffix(', slow')}")
    free = sum(gpus) + ram
    others = [row["model"] for row in models.rows() if row["fits"] != "no"]
    would = f"set a smaller model: {others[-1]} would fit" if others else "end other programs, or set an engine URL"
    return Check("memory", False, f"it needs {needed / GIB:.1f} GiB in 8 bits, and {free / GIB:.1f} are free", would)


def _shape(model: str, folder: Path | None) -> ModelShape | None:
    if folder is not None:
        return ModelShape.from_config(folder)
    return starter.SHAPE if model == naming.STARTER else {each.hub_id: each.shape for each in VARIANTS}.get(model)
