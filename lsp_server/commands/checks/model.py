"""The model that the settings name: whether it is here or can be had, and whether it fits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lsp_server import places, printing
from lsp_server.codellama import VARIANTS
from lsp_server.commands import machine, models, stored
from lsp_server.commands.checks import Check, fine, here
from lsp_server.commands.machine import GIB
from lsp_server.engine.loading import checkpoint, gguf_file, hub, naming, plan, rates, sizes, starter
from lsp_server.engine.loading.devices import Device
from lsp_server.engine.loading.reading import UnknownModel
from lsp_server.engine.loading.sizes import Sizes
from lsp_server.errors import UserError
from lsp_server.model import local
from lsp_server.settings import Settings


def checks(settings: Settings) -> Iterator[Check]:
    """Nothing is fetched; what is not here is asked for at the hub."""
    model, fetch = settings.model, 0
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
    except UnknownModel as problem:
        mend = "name one that `codellama-ls models` lists with --model, or as `model` in the configuration file"
        yield Check("model", False, str(problem), mend)
        return
    except (UserError, OSError) as problem:
        yield Check("model", False, printing.sentence(problem))
        return
    yield fine("model", f"{model}, {said}")
    if fetch and here.disk().ok and not (room := here.disk(fetch)).ok:
        yield room
    if local.running(model) is None and (of := _sizes(model, folder)) is not None:
        yield fits(of, settings, machine.devices())


def is_of_hub(model: str) -> bool:
    """Whether it would have to be fetched from the hub."""
    return model != naming.STARTER and places.named_folder(model) is None and stored.here(model) is None


def fits(of: Sizes, settings: Settings, devices: tuple[Device, ...]) -> Check:
    """Whether the engine would find room for a model, in how many bits, where and how fast; or what it would say."""
    try:
        made = plan.choose(of, devices, settings.context_length, settings.quantization)
    except plan.DoesNotFit as refused:
        return Check("memory", False, str(refused), "codellama-ls models says what fits here, or set an engine URL")
    speed = "" if made.why else f"; {rates.words(rates.seconds(made))}"
    return fine("memory", f"it fits {models.where(made)}: {made.summary()}{speed}")


def _sizes(model: str, folder: Path | None) -> Sizes | None:
    if folder is not None:
        return sizes.of_folder(folder)
    shapes = {naming.STARTER: starter.SHAPE, **{each.hub_id: each.shape for each in VARIANTS}}
    return sizes.of_shape(shapes[model]) if model in shapes else None
