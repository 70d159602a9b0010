"""The shape of a result: {"machine", "targets": [{"name", "target", "measured", "met", "note"}]}, printed and kept."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

FOLDER = Path(__file__).parent / "results"
PACKAGES = ("codellama-ls", "torch", "transformers", "bitsandbytes", "accelerate")


def target(name: str, wanted: str, measured: float, met: bool, note: str = "") -> dict[str, Any]:
    """One row: what was to be reached, and what was."""
    return {"name": name, "target": wanted, "measured": round(measured, 3), "met": met, "note": note}


def keep(name: str, targets: list[dict[str, Any]], folder: Path = FOLDER, **measured: Any) -> None:
    """Print the rows and write them to `folder`/`name`.json, with whatever else was `measured` beside them."""
    for row in targets:
        print(
            f"{'met   ' if row['met'] else 'missed'} {row['name']}: {row['measured']} ({row['target']}) {row['note']}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine(), "targets": targets, **measured}
    (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """What was kept under that name; nothing where nothing was."""
    file = folder / f"{name}.json"
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}


def machine() -> dict[str, Any]:
    """Where it was measured: the machine, the versions, and the load at the end of the run."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "processors": os.cpu_count(),
        "gpu": _gpu(),
        "memory_gib": round(psutil.virtual_memory().total / 1024**3, 1),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
    }


def _processor() -> str:
    """The processor's name and its `instructions`."""
    text = _cpuinfo()
    name = re.search(r"model name\s*: (.*)", text)
    plain = platform.machine() if text else platform.processor() or platform.machine()
    return " ".join([name.group(1) if name else plain, *instructions()])


def instructions() -> list[str]:
    """Those of the processor's that decide how fast 8-bit and 16-bit products are, the newest last."""
    text = _cpuinfo()
    return [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8") if f" {flag} " in text]


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""


def _gpu() -> str | None:
    """The GPU's name and its driver's version, asked of the driver's own program: what only measures the language
    server needs no torch."""
    if not (program := shutil.which("nvidia-smi")):
        return None
    asked = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    lines = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.splitlines()
    return "; ".join(", driver ".join(line.rsplit(", ", 1)) for line in lines) or None
