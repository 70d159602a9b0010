"""Which models a machine can hold, how fast each would roughly be, and the one that `setup` proposes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from lsp_server.codellama import VARIANTS
from lsp_server.commands import machine, models, stored
from lsp_server.commands.machine import GIB
from lsp_server.engine.loading import rates, sizes, starter
from lsp_server.model import local
from lsp_server.settings import Settings

STARTER = Settings.model
# With less a suggestion comes after one has typed on.
USEFUL = 10.0
# And with less no answer comes while one waits for it: such a model is fetched by who names it.
SLOWEST = 0.5
# What a GGUF file of 4 bits is unpacked to, in its own size.
UNPACKED = 4


@dataclasses.dataclass(frozen=True)
class Choice:
    """A model that fits, in so many `bits`. `speed`: about how many tokens a second it writes, None where that is not
    known; `fetch`: bytes to download, 0 where it is here."""

    model: str
    name: str
    where: str
    infills: bool
    chats: bool
    speed: float | None
    fetch: int
    bits: int = 8

    @property
    def on_cards(self) -> bool:
        return "GPU" in self.where and "CPU" not in self.where


def choices(now: str, disk: int) -> list[Choice]:
    """The models that fit into the memory that is free, the smallest first, and that there is room for on the `disk`;
    and the one that the settings name `now`, which is in memory already or is one of the user's own."""
    devices = machine.devices()
    rows = {row["model"]: row for row in models.rows(devices)}
    shapes = {STARTER: starter.SHAPE, **{each.hub_id: each.shape for each in VARIANTS if each.flavour != "Python"}}
    found = []
    for model, shape in shapes.items():
        row = rows[model]
        fetch = starter.WHEEL_BYTES if model == STARTER else sizes.of_shape(shape).weights(16)
        does = row["infilling"] == "yes", row["chat"] != "no"
        if row["disk"] is None and model != STARTER and (row["tokensPerSecond"] or SLOWEST) < SLOWEST:
            continue
        if row["fits"] != "no" and (row["disk"] is not None or fetch < disk):
            found.append(_choice(row, model, *does, 0 if row["disk"] is not None else fetch))
    for row in models.others_here(rows, devices):
        if row["fits"] != "no" and row["file"] and UNPACKED * row["disk"] * GIB < disk:
            is_ours = "codellama" in row["name"].lower().replace("-", "")
            found.append(_choice(row, row["name"], is_ours, is_ours, 0))
    names = {each.model for each in found}
    if now not in names and (local.running(now) is not None or (now not in rows and stored.here(now) is not None)):
        found.append(Choice(now, now, "as it is set", False, False, None, 0))
    return found


def _choice(row: Mapping[str, Any], name: str, infills: bool, chats: bool, fetch: int) -> Choice:
    return Choice(row["model"], name, row["fits"], infills, chats, row["tokensPerSecond"], fetch, row["bits"])


def proposed(found: Sequence[Choice], now: str) -> Choice:
    """The one to propose: that which the settings name `now`, unless that is the starter; else the largest that infills
    and chats and is fast enough, one that is here before others, one in 8 bits before those in 4; else the starter."""
    by_name = {each.model: each for each in found}
    if now != STARTER and now in by_name:
        return by_name[now]
    useful = [each for each in found if each.infills and each.chats and each.model != STARTER]
    useful = [each for each in useful if each.on_cards or (each.speed or 0) >= USEFUL]
    useful = [each for each in useful if not each.fetch] or useful
    return [by_name[STARTER], *([each for each in useful if each.bits == 8] or useful)][-1]


def described(each: Choice) -> str:
    """One line on a choice, behind its name."""
    does = [word for word, has in (("infills", each.infills), ("chats", each.chats)) if has]
    speed = rates.words(1 / each.speed).replace("about ", "~") if each.speed else ""
    fetch = f"{each.fetch / GIB:.1f} GiB to fetch" if each.fetch else "on this disk"
    where = each.where + f" in {each.bits} bits" * (each.bits != 8)
    return ", ".join(filter(None, [" and ".join(does), where, speed, fetch]))
