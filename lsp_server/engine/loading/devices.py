"""The devices that there are for a model, with their free memory. Needs torch only to see GPUs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lsp_server.engine.address import reserved_by_others

GIB = 1024**3


@dataclass(frozen=True)
class Device:
    """A place for weights: `kind` is "cuda", "cpu" (the computer's memory) or "disk"; sizes in bytes. `bandwidth`: the
    bytes a second that it reads, 0 where that is to be found out (`rates.py`)."""

    name: str
    kind: str
    index: int
    free_bytes: int
    total_bytes: int
    bandwidth: float = 0.0

    @property
    def key(self) -> str:
        """As torch calls it."""
        return f"cuda:{self.index}" if self.kind == "cuda" else self.kind


def devices(folder: Path | None = None) -> tuple[Device, ...]:
    """GPUs in the order of their index, then memory, then the disk that holds `folder` (default: the cache). What other
    engines have planned to take is not free."""
    return beside(_gpus(), folder)


def beside(gpus: Sequence[Device], folder: Path | None = None) -> tuple[Device, ...]:
    """`devices`, of GPUs that are known. Needs no torch."""
    from lsp_server.places import cache_folder

    free, total = _memory()
    found = [*gpus, Device("memory", "cpu", 0, free, total)]
    reserved = reserved_by_others()
    found = [replace(each, free_bytes=max(each.free_bytes - reserved.get(each.key, 0), 0)) for each in found]
    place = (folder or cache_folder()).absolute()
    while not place.exists():
        place = place.parent
    usage = shutil.disk_usage(place)
    found.append(Device("disk", "disk", 0, usage.free, usage.total))
    return tuple(found)


def _gpus() -> list[Device]:
    try:
        import torch
    except ImportError:
        return []
    if not torch.cuda.is_available():
        return []
    found = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        found.append(Device(f"GPU {index} ({torch.cuda.get_device_name(index)})", "cuda", index, free, total))
    return found


def _memory() -> tuple[int, int]:
    """Free and total bytes of memory, as far as this process may use them: a container's limit counts."""
    import psutil

    memory = psutil.virtual_memory()
    free, total = int(memory.available), int(memory.total)
    group = Path("/sys/fs/cgroup")
    for limit_name, used_name in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            limit, used = int((group / limit_name).read_text()), int((group / used_name).read_text())
        except (OSError, ValueError):  # no control group, or "max": no limit
            continue
        free, total = min(free, max(limit - used, 0)), min(total, limit)
    return free, total


def held(device: Device) -> int:
    """The bytes of a device that this process holds."""
    if device.kind == "cuda":
        import torch

        return int(torch.cuda.memory_reserved(device.index))
    import psutil

    memory = psutil.Process().memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))  # what is read from files the system can take back


def gib(size: int) -> str:
    """Bytes as "6.5 GiB", or "120 MiB" below a tenth of a GiB."""
    return f"{size / GIB:.1f} GiB" if size >= GIB / 10 else f"{size / 1024**2:.0f} MiB"


def describe_places(places: tuple[Device, ...]) -> str:
    """ "7.5 GiB on GPU 0 (...) and 12.0 GiB of memory", for a sentence."""
    words = [
        f"{gib(place.free_bytes)} of memory" if place.kind == "cpu" else f"{gib(place.free_bytes)} on {place.name}"
        for place in places
    ]
    if not words:
        return "no devices"
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
