"""Which models a machine can hold, how fast each would roughly be, and the one that `setup` proposes."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import psutil

from lsp_server.codellama import VARIANTS, eight_bit_bytes
from lsp_server.commands import at_hand, machine, models, stored
from lsp_server.commands.machine import GIB
from lsp_server.engine.loading import starter
from lsp_server.model import local
from lsp_server.settings import Settings

STARTER = Settings.model
# With less a suggestion comes after one has typed on.
USEFUL = 10.0
# What bitsandbytes' products reach whatever the card: published for 7B, whose layers are 32, are 4 to 10.
CARD_TOKENS, CARD_LAYERS = 8.0, 32
# What a GGUF file of 4 bits is unpacked to, in its own size.
UNPACKED = 4
# Read often enough to see how fast the memory is, not the caches.
_PROBE_BYTES, _PROBES = 2**27, 4


@dataclasses.dataclass(frozen=True)
class Choice:
    """A model that fits. `speed`: about how many tokens a second it writes, None where that is not known; `fetch`:
    bytes to download, 0 where it is here."""

    model: str
    name: str
    where: str
    infills: bool
    chats: bool
    speed: float | None
    fetch: int

    @property
    def on_cards(self) -> bool:
        return _on_cards(self.where)


def choices(now: str, disk: int, bandwidth: float) -> list[Choice]:
    """The models that fit into the memory that is free, the smallest first, and that there is room for on the `disk`;
    and the one that the settings name `now`, which is in memory already or is one of the user's own. `bandwidth`: bytes
    a second that the processors read."""
    rows = {row["model"]: row for row in models.rows()}
    shapes = {STARTER: starter.SHAPE, **{each.hub_id: each.shape for each in VARIANTS if each.flavour != "Python"}}
    found = []
    for model, shape in shapes.items():
        row, weights = rows[model], eight_bit_bytes(shape)
        speed = CARD_TOKENS * CARD_LAYERS / shape.layers if _on_cards(row["fits"]) else bandwidth / weights
        fetch = 0 if row["disk"] is not None else starter.WHEEL_BYTES if model == STARTER else 2 * weights
        if row["fits"] != "no" and fetch < disk:
            does = row["infilling"] == "yes", row["chat"] != "no"
            found.append(Choice(model, model, row["fits"], *does, speed, fetch))
    gpus, ram = [card.free for card in machine.cards()], psutil.virtual_memory().available
    for each in at_hand.found():  # of 4 to 8 bits, it has about as many bytes in 8
        if (where := models.fits(each.bytes, gpus, ram)) != "no" and UNPACKED * each.bytes < disk:
            is_ours = "codellama" in each.name.lower().replace("-", "")
            found.append(Choice(str(each.path), each.name, where, is_ours, is_ours, None, 0))
    names = {each.model for each in found}
    if now not in names and (local.running(now) is not None or (now not in rows and stored.here(now) is not None)):
        found.append(Choice(now, now, "as it is set", False, False, None, 0))
    return found


def _on_cards(where: str) -> bool:
    return "GPU" in where and "CPU" not in where


def proposed(found: Sequence[Choice], now: str) -> Choice:
    """The one to propose: that which the settings name `now`, unless that is the starter; else the largest that infills
    and chats and is fast enough, one that is here before others; else the starter."""
    by_name = {each.model: each for each in found}
    if now != STARTER and now in by_name:
        return by_name[now]
    useful = [each for each in found if each.infills and each.chats and each.model != STARTER]
    useful = [each for each in useful if each.on_cards or (each.speed or 0) >= USEFUL]
    here = [each for each in useful if not each.fetch]
    return ([by_name[STARTER]] + (here or useful))[-1]


def bandwidth() -> float:
    """Bytes a second that the processors read and write of the memory, measured in a moment."""
    import numpy as np

    source = np.zeros(_PROBE_BYTES, np.uint8)
    source += 1  # until it is written, there is nothing behind it
    target = np.empty_like(source)
    cores = psutil.cpu_count(logical=False) or 1
    parts = list(zip(np.array_split(source, cores), np.array_split(target, cores), strict=True))
    best = 0.0
    with ThreadPoolExecutor(cores) as threads:
        for _ in range(_PROBES):
            began = time.perf_counter()
            list(threads.map(lambda part: np.copyto(part[1], part[0]), parts))
            best = max(best, 2 * _PROBE_BYTES / (time.perf_counter() - began))
    return best


def described(each: Choice) -> str:
    """One line on a choice, behind its name."""
    does = [word for word, has in (("infills", each.infills), ("chats", each.chats)) if has]
    speed = f"~{each.speed:.0f} tokens/s" if each.speed else ""
    if each.speed and each.speed < 2:
        speed = f"~{1 / each.speed:.1f} s/token"
    fetch = f"{each.fetch / GIB:.1f} GiB to fetch" if each.fetch else "on this disk"
    where = each.where.removesuffix(", slow")
    return ", ".join(filter(None, [" and ".join(does), where, speed, fetch]))
