"""What this machine has, or one that is thought of: its graphics cards, asked of the driver's own tool, so that torch
need not be installed, and its memory."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import subprocess
from pathlib import Path

from lsp_server import processes
from lsp_server.engine.loading import devices as engine_devices
from lsp_server.engine.loading.devices import Device
from lsp_server.engine.loading.refusal import KEPT_FREE

GIB = 1024**3
_SECONDS = 20


@dataclasses.dataclass(frozen=True)
class Card:
    """An NVIDIA card; its memory in bytes."""

    name: str
    driver: str
    total: int
    free: int


def devices() -> tuple[Device, ...]:
    """What a model can lie on here, as the engine will see it: cards, memory, disk."""
    usable = cards() if torch_cuda() != "" else []
    named = [
        Device(f"GPU {number} ({card.name})", "cuda", number, card.free, card.total)
        for number, card in enumerate(usable)
    ]
    return engine_devices.beside(named)


def thought_of(cards: str | None, memory: float | None) -> tuple[Device, ...]:
    """This machine, with other cards ("24", "2x24", "24,80", "0" for none) or another free memory, in GiB, where those
    are given."""
    here = devices()
    gpus = [device for device in here if device.kind == "cuda"] if cards is None else _cards(cards)
    others = [device for device in here if device.kind != "cuda"]
    if memory is not None:
        size = int(memory * GIB)
        others = [
            dataclasses.replace(device, free_bytes=size, total_bytes=size) if device.kind == "cpu" else device
            for device in others
        ]
    return (*gpus, *others)


def _cards(text: str) -> list[Device]:
    found: list[Device] = []
    for word in text.split(",") if text not in ("0", "none") else []:
        count, _, size = word.rpartition("x")
        total = int(float(size) * GIB)
        for _ in range(int(count or 1)):
            found.append(Device(f"GPU {len(found)} ({size} GiB)", "cuda", len(found), int(KEPT_FREE * total), total))
    return found


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


def torch_cuda() -> str | None:
    """The version of CUDA that torch was built for, "" for none; None where there is no torch. Read from its files, as
    it takes seconds to load."""
    found = importlib.util.find_spec("torch")
    if found is None or not found.origin:
        return None
    text = (Path(found.origin).parent / "version.py").read_text(encoding="utf-8")
    said = re.search(r"^cuda\b[^=]*= '([\d.]+)'", text, re.MULTILINE)
    return said[1] if said else ""


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
