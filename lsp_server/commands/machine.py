"""What this machine has: its graphics cards, asked of the driver's own tool, so that torch need not be installed."""

from __future__ import annotations

import dataclasses
import subprocess

from lsp_server import processes

GIB = 1024**3
_SECONDS = 20


@dataclasses.dataclass(frozen=True)
class Card:
    """An NVIDIA card; its memory in bytes."""

    name: str
    driver: str
    total: int
    free: int


def cards() -> list[Card]:
    """The NVIDIA cards, as the driver numbers them."""
    found = []
    for line in _asked("--query-gpu=name,driver_version,memory.total,memory.free"):
        name, driver, *memory = line
        if len(memory) == 2 and all(each.isdecimal() for each in memory):
            total, free = (int(each) * 2**20 for each in memory)
            found.append(Card(name, driver, total, free))
    return found


def on_cards() -> dict[int, int]:
    """The bytes that each process has on all cards together, by its id."""
    total: dict[int, int] = {}
    for pid, *memory in _asked("--query-compute-apps=pid,used_memory"):
        if pid.isdecimal() and memory and memory[0].isdecimal():
            total[int(pid)] = total.get(int(pid), 0) + int(memory[0]) * 2**20
    return total


def _asked(query: str) -> list[list[str]]:
    """The lines of an answer in their fields; none where there is no such tool, or it does not answer."""
    tool = processes.program("nvidia-smi")
    if tool is None:
        return []
    command = [tool, query, "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [[field.strip() for field in line.split(",")] for line in done.stdout.splitlines() if "," in line]
