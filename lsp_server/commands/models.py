"""`models`: the Code Llama family, what fits on this machine or on one that is thought of, how fast that would be, and
what is here already."""

from __future__ import annotations

import argparse
import contextlib
import functools
import shlex
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from lsp_server import printing
from lsp_server.codellama import VARIANTS, ModelShape
from lsp_server.codellama.errors import CheckpointError
from lsp_server.commands import at_hand, machine
from lsp_server.commands.console import output
from lsp_server.commands.machine import GIB
from lsp_server.engine.loading import plan, rates, sizes
from lsp_server.engine.loading.checkpoint import CheckpointProblem
from lsp_server.engine.loading.devices import Device
from lsp_server.engine.loading.plan import Plan
from lsp_server.engine.loading.sizes import Sizes

# The context that the sizes are told for: enough for completion and an ordinary chat.
CONTEXT = 4096
TABLE_WIDTH = 78
BITS = ("8", "4", "16")


def run(options: argparse.Namespace) -> int:
    """Print the family as tables or as JSON."""
    devices = machine.thought_of(options.gpus, options.memory)
    made = rows(devices)
    family = {row["model"] for row in made}
    others = others_here(family, devices)
    if options.json:
        printing.as_json([*made, *(row for row in others if row["model"] not in family)], indent=2)
        return 0
    if not output.is_terminal:
        output.width = 130  # no column is cut
    if output.width < TABLE_WIDTH:
        for row in made:
            output.print(in_words(row))
    else:
        output.print(abilities(made))
        output.print(Text(f"\nWith {described(devices)}:", style="bold"))
        output.print(fitting([*of_sizes(made), *(row for row in others if not row["problem"])]))
        output.print(f"GiB: with keys and values for {CONTEXT} tokens. *: what `quantization` auto takes.")
    for row in others:
        model = shlex.quote(row["model"])
        if row["problem"]:
            printing.say(f"Here, and not to be loaded: {row['name']}, {row['disk']:.1f} GiB. {row['problem']}")
            continue
        more = f"with --model {model}" if row["whole"] else f"`codellama-ls models pull {model}` goes on"
        printing.say(f"{'Here already' if row['whole'] else 'Half here'}: {row['name']}, {row['disk']:.1f} GiB, {more}")
    output.print(
        "Name one with --model or codellama.model; its licence must be accepted at the hub once (`hf auth login`)."
    )
    return 0


def in_words(row: Mapping[str, Any]) -> str:
    """One row as a sentence, where the terminal is too narrow for a table."""
    does = {"infills": row["infilling"], "chats": "no" if row["chat"] == "no" else "yes"}
    words = [word if has == "yes" else f"{word}: {has}" for word, has in does.items()]
    words.append(f"{row['context']} tokens")
    for bits, each in row["quantizations"].items():
        fits = f", {each['fits']}, {each['speed']}" if each["fits"] != "no" else ", does not fit"
        words.append(f"{'*' * (int(bits) == row['bits'])}{bits} bits: {each['gib']:.1f} GiB{fits}")
    return f"{row['model']}: {'; '.join(words)}" + ("; is here" if row["disk"] is not None else "")


def abilities(rows: Sequence[Mapping[str, Any]]) -> Table:
    """What each can do, as it is drawn: within 80 columns."""
    drawn = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("model", "infills", "chats", "context", "here"):
        drawn.add_column(heading, justify="right" if heading == "context" else "left", no_wrap=True)
    for row in rows:
        does = row["infilling"], "no" if row["chat"] == "no" else "yes"
        drawn.add_row(row["model"], *does, str(row["context"]), "" if row["disk"] is None else "yes")
    return drawn


def fitting(rows: Sequence[Mapping[str, Any]]) -> Table:
    """What fits, as it is drawn: a line for each model and each number of bits, within 80 columns."""
    drawn = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("model", "bits", "GiB", "fits", "context", "speed"):
        right = heading in ("bits", "GiB", "context")
        drawn.add_column(heading, justify="right" if right else "left", no_wrap=heading != "model", overflow="fold")
    for row in rows:
        for number, (bits, each) in enumerate(row["quantizations"].items()):
            cells = f"{each['gib']:.1f}", each["fits"], "" if each["context"] is None else str(each["context"])
            mark = "*" * (int(bits) == row["bits"])
            drawn.add_row("" if number else row["name"], mark + bits, *cells, each["speed"])
    return drawn


def described(devices: tuple[Device, ...]) -> str:
    """What there is to lie on: "2 cards of 24 GiB and 60 GiB of memory"."""
    cards = Counter(round(device.total_bytes / GIB) for device in devices if device.kind == "cuda")
    there = [f"{count} card{'s' * (count > 1)} of {size} GiB" for size, count in cards.items()]
    there += [f"{device.free_bytes / GIB:.0f} GiB of memory" for device in devices if device.kind == "cpu"]
    return " and ".join(there)


def of_sizes(rows: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Of the rows of the family one for each size: its kinds fit alike."""
    base = {variant.hub_id: variant.size for variant in VARIANTS if variant.flavour == "base"}
    for row in rows:
        if row["model"] in base:
            yield {**row, "name": f"Code Llama {base[row['model']]}"}
        elif not row["model"].startswith("codellama/"):
            yield {**row, "name": row["model"]}


def rows(devices: tuple[Device, ...]) -> list[dict[str, Any]]:
    """One row for the starter, and for each variant. `disk`: GiB of one that is here already, else None."""
    from lsp_server.engine.loading import hub, starter

    def row(model: str, shape: ModelShape, infilling: str, chat: str, here: Path | None) -> dict[str, Any]:
        return {
            "model": model,
            "infilling": infilling,
            "chat": chat or "no",
            "context": shape.context_length,
            **_fitting(sizes.of_shape(shape), devices),
            "disk": None if here is None else round(sum(map(_size, here.iterdir())) / GIB, 1),
        }

    first = row("starter", starter.SHAPE, "yes", "template", starter.here())
    return [first, *(row(v.hub_id, v.shape, v.infilling, v.chat_format, hub.here(v.hub_id)) for v in VARIANTS)]


def others_here(family: Collection[str], devices: tuple[Device, ...]) -> list[dict[str, Any]]:
    """One row for each other model that lies on this disk: what was downloaded, half or whole, and GGUF files. Their
    abilities are read when they are loaded. What is not a checkpoint yet is known by its bytes alone, about."""
    from lsp_server.engine.loading import hub

    def row(model: str, name: str, size: int, of: Sizes | str, whole: bool, file: bool = False) -> dict[str, Any]:
        does = {"infilling": "unknown", "chat": "unknown", **_fitting(of, devices)}
        return {"model": model, "name": name, **does, "disk": round(size / GIB, 1), "whole": whole, "file": file}

    found = []
    for model, folder in hub.downloads():
        size, whole = sum(map(_size, folder.iterdir())), hub.ours(model)
        if size and not (whole is not None and model in family):
            found.append(row(model, model, size, _sizes(whole, size // 2), whole is not None))
    for each in at_hand.found():  # of 4 to 8 bits, it has about as many bytes in 8
        found.append(row(str(each.path), each.name, each.bytes, _sizes(_unpacked(each.path), each.bytes), True, True))
    return found


def _unpacked(file: Path) -> Path | None:
    from lsp_server.engine.loading import gguf_file

    with contextlib.suppress(OSError):  # it has gone meanwhile
        return gguf_file.here(file)
    return None


def _sizes(folder: Path | None, weights: int) -> Sizes | str:
    """Those of a checkpoint's folder, or about, of so many weights; why it cannot be loaded where that is so."""
    try:
        return sizes.of_folder(folder) if folder is not None else sizes.about(weights)
    except (CheckpointError, CheckpointProblem) as problem:
        return str(problem)


def _fitting(of: Sizes | str, devices: tuple[Device, ...]) -> dict[str, Any]:
    """What a row says of a model's room: `bits`, `gib`, `fits` and the speed of what `auto` takes, and of each
    quantization. `of`: why there is none, as text."""
    if isinstance(of, str):
        nothing = {"gib": None, "fits": "no", "tokensPerSecond": None, "speed": ""}
        return {"bits": None, **nothing, "quantizations": {}, "problem": of}
    taken = planned(of, devices, "auto")
    possible = (str(of.fixed_bits),) if of.fixed_bits else BITS
    each = {bits: _said(of, planned(of, devices, bits), int(bits)) for bits in possible}
    auto = each[str(taken.bits)] if taken is not None else each[possible[0]]
    return {
        "problem": "",
        "bits": taken.bits if taken is not None else None,
        **{key: auto[key] for key in ("gib", "fits", "tokensPerSecond", "speed")},
        "quantizations": each,
    }


def _said(of: Sizes, made: Plan | None, bits: int) -> dict[str, Any]:
    gib = round(of.needed(bits, CONTEXT) / GIB, 1)
    if made is None:
        return {"gib": gib, "fits": "no", "context": None, "tokensPerSecond": None, "speed": ""}
    seconds = rates.seconds(made)
    speed = rates.words(seconds).replace("about ", "~")
    context = {"context": made.context_length, "tokensPerSecond": round(1 / seconds, 2), "speed": speed}
    return {"gib": gib, "fits": where(made), **context}


@functools.lru_cache(maxsize=256)
def planned(of: Sizes, devices: tuple[Device, ...], quantization: str) -> Plan | None:
    """The engine's own plan; None where it would refuse."""
    try:
        return plan.choose(of, devices, 0, quantization)
    except plan.DoesNotFit:
        return None


def where(made: Plan) -> str:
    """Where a plan puts a model, for a table."""
    kinds = [row.device.kind for row in made.rows]
    if set(kinds) == {"cuda"}:
        return "on one GPU" if len(kinds) == 1 else f"over {len(kinds)} GPUs"
    names = {"cuda": "GPU", "cpu": "CPU", "disk": "disk"}
    parts = list(dict.fromkeys(names[kind] for kind in kinds))
    return "on the CPU" if parts == ["CPU"] else " and ".join([", ".join(parts[:-1]), parts[-1]])


def _size(path: Path) -> int:
    """The bytes of a file, also of one that is a link, as in the hub's cache."""
    return path.stat().st_size if path.is_file() else 0
