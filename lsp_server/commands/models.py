"""`models`: the Code Llama family, what fits on this machine, and what is here already."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from rich.table import Table

from lsp_server import printing
from lsp_server.codellama import VARIANTS, ModelShape, memory
from lsp_server.commands import at_hand, machine
from lsp_server.commands.console import output
from lsp_server.commands.machine import GIB

# The context that the sizes are told for: enough for completion and an ordinary chat.
CONTEXT = 4096
TABLE_WIDTH = 78
# Of each device's memory, what a model can count on: the rest is for the CUDA context and passing activations.
USABLE = 0.9


def run(options: argparse.Namespace) -> int:
    """Print the family as a table or as JSON."""
    made = rows()
    family = {row["model"] for row in made}
    others = others_here(family)
    if options.json:
        printing.as_json([*made, *(row for row in others if row["model"] not in family)], indent=2)
        return 0
    if not output.is_terminal:
        output.width = 130  # no column is cut
    if output.width < TABLE_WIDTH:
        for row in made:
            output.print(in_words(row))
    else:
        output.print(table(made))
    for row in others:
        model = shlex.quote(row["model"])
        more = f"with --model {model}" if row["whole"] else f"`codellama-ls models pull {model}` goes on"
        printing.say(f"{'Here already' if row['whole'] else 'Half here'}: {row['name']}, {row['disk']:.1f} GiB, {more}")
    printing.say(
        "Name one with --model or codellama.model; its licence must be accepted at the hub once (`hf auth login`)."
    )
    return 0


def in_words(row: Mapping[str, Any]) -> str:
    """One row as a sentence, where the terminal is too narrow for a table."""
    does = {"infills": row["infilling"], "chats": "no" if row["chat"] == "no" else "yes"}
    words = [word if has == "yes" else f"{word}: {has}" for word, has in does.items()]
    fits = "does not fit" if row["fits"] == "no" else f"fits {row['fits']}"
    words += [f"{row['context']} tokens", f"{row['gib']:.1f} GiB", fits]
    return f"{row['model']}: {', '.join(words)}" + (", is here" if row["disk"] is not None else "")


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The family as it is drawn: within 80 columns."""
    drawn = Table(
        title=f"In 8 bits, with keys and values for {CONTEXT} tokens", box=None, padding=(0, 1, 0, 0), pad_edge=False
    )
    for heading in ("model", "infills", "chats", "context", "GiB", "fits", "here"):
        drawn.add_column(
            heading, justify="right" if heading in ("context", "GiB") else "left", no_wrap=heading != "fits"
        )
    for row in rows:
        does = row["infilling"], "no" if row["chat"] == "no" else "yes"
        where = re.sub(r"^(on the|on|over) ", "", row["fits"])
        here = "" if row["disk"] is None else "yes"
        drawn.add_row(row["model"], *does, str(row["context"]), f"{row['gib']:.1f}", where, here)
    return drawn


def others_here(family: Collection[str]) -> list[dict[str, Any]]:
    """One row for each other model that lies on this disk: what was downloaded, half or whole, and GGUF files. Their
    abilities are read when they are loaded. `gib`: about, as they are not opened."""
    from lsp_server.engine.loading import hub

    gpus, ram = [card.free for card in machine.cards()], psutil.virtual_memory().available

    def row(model: str, name: str, size: int, eight_bit: int, whole: bool) -> dict[str, Any]:
        does = {"infilling": "unknown", "chat": "unknown", "fits": fits(eight_bit, gpus, ram)}
        gib = {"gib": round(eight_bit / GIB, 1), "disk": round(size / GIB, 1)}
        return {"model": model, "name": name, **does, **gib, "whole": whole}

    found = []
    for model, folder in hub.downloads():
        size, whole = sum(map(_size, folder.iterdir())), hub.ours(model) is not None
        if size and not (whole and model in family):
            found.append(row(model, model, size, size // 2, whole))
    return found + [row(str(each.path), each.name, each.bytes, each.bytes, True) for each in at_hand.found()]


def rows() -> list[dict[str, Any]]:
    """One row for the starter, and for each variant. `disk`: GiB of one that is here already, else None."""
    from lsp_server.engine.loading import hub, starter

    gpus, ram = [card.free for card in machine.cards()], psutil.virtual_memory().available

    def row(model: str, shape: ModelShape, infilling: str, chat: str, here: Path | None) -> dict[str, Any]:
        needed = memory(shape, CONTEXT).total
        return {
            "model": model,
            "infilling": infilling,
            "chat": chat or "no",
            "context": shape.context_length,
            "gib": round(needed / GIB, 1),
            "fits": fits(needed, gpus, ram),
            "disk": None if here is None else round(sum(map(_size, here.iterdir())) / GIB, 1),
        }

    first = row("starter", starter.SHAPE, "yes", "template", starter.here())
    first["fits"] = first["fits"].removesuffix(", slow")  # which it is for the others
    return [first, *(row(v.hub_id, v.shape, v.infilling, v.chat_format, hub.here(v.hub_id)) for v in VARIANTS)]


def _size(path: Path) -> int:
    """The bytes of a file, also of one that is a link, as in the hub's cache."""
    return path.stat().st_size if path.is_file() else 0


def fits(needed: int, gpus: list[int], ram: int) -> str:
    """Where `needed` bytes fit, given the free bytes of each graphics card and of the main memory."""
    if gpus and needed <= USABLE * max(gpus):
        return "on one GPU"
    if needed <= USABLE * sum(gpus):
        return f"over {len(gpus)} GPUs"
    if needed <= USABLE * (sum(gpus) + ram):
        return "GPU and CPU, slow" if gpus else "on the CPU, slow"
    return "no"
