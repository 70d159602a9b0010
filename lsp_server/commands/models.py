"""`models`: the Code Llama family, what fits on this machine, and what is here already."""

from __future__ import annotations

import argparse
import shlex
import subprocess
from typing import Any

import psutil
from rich.table import Table

from lsp_server import printing, processes
from lsp_server.codellama import VARIANTS, memory
from lsp_server.commands import at_hand
from lsp_server.commands.console import output

GIB = 1024**3
# The context that the sizes are told for: enough for completion and an ordinary chat.
CONTEXT = 4096
# Of each device's memory, what a model can count on: the rest is for the CUDA context and passing activations.
USABLE = 0.9


def run(options: argparse.Namespace) -> int:
    """Print the family as a table or as JSON."""
    made, here = rows(), at_hand.found()
    if options.json:
        printing.as_json([*made, *(_described(each) for each in here)], indent=2)
        return 0
    table = Table(title=f"Code Llama in 8 bits, with keys and values for {CONTEXT} tokens")
    for heading in ("model", "infills", "chats", "context", "memory", "fits here"):
        table.add_column(heading, justify="right" if heading in ("context", "memory") else "left", no_wrap=True)
    for row in made:
        size = f"{row['gib']:.1f} GiB"
        table.add_row(row["model"], row["infilling"], row["chat"], str(row["context"]), size, row["fits"])
    if not output.is_terminal:
        output.width = 130  # no column is cut
    output.print(table)
    for each in here:
        printing.say(
            f"Here already: {each.name}, {each.bytes / GIB:.1f} GiB, with --model {shlex.quote(str(each.path))}"
        )
    printing.say(
        "Name one with --model or codellama.model; its licence must be accepted at the hub once (`hf auth login`)."
    )
    return 0


def _described(model: at_hand.AtHand) -> dict[str, Any]:
    return {"model": str(model.path), "name": model.name, "gib": round(model.bytes / GIB, 1)}


def rows() -> list[dict[str, Any]]:
    """One row for each variant."""
    gpus, ram = gpu_memory(), psutil.virtual_memory().available
    made = []
    for variant in VARIANTS:
        needed = memory(variant.shape, CONTEXT).total
        made.append(
            {
                "model": variant.hub_id,
                "infilling": {"yes": "yes", "no": "no"}.get(variant.infilling, "disputed"),
                "chat": variant.chat_format or "no",
                "context": variant.context_length,
                "gib": round(needed / GIB, 1),
                "fits": fits(needed, gpus, ram),
            }
        )
    return made


def fits(needed: int, gpus: list[int], ram: int) -> str:
    """Where `needed` bytes fit, given the free bytes of each graphics card and of the main memory."""
    if gpus and needed <= USABLE * max(gpus):
        return "on one GPU"
    if needed <= USABLE * sum(gpus):
        return f"over {len(gpus)} GPUs"
    if needed <= USABLE * (sum(gpus) + ram):
        return "GPU and CPU, slow" if gpus else "on the CPU, slow"
    return "no"


def gpu_memory() -> list[int]:
    """Free bytes of each NVIDIA card; asked of the driver's own tool, so that torch need not be installed."""
    tool = processes.program("nvidia-smi")
    if tool is None:
        return []
    query = [tool, "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [int(line) * 1024**2 for line in answer.split() if line.isdecimal()]
