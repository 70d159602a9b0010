"""The shape of a result: {"machine", "targets": [{"name", "target", "measured", "met", "note"}]}, printed and kept."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

import psutil

FOLDER = Path(__file__).parent / "results"


def target(name: str, wanted: str, measured: float, met: bool, note: str = "") -> dict[str, Any]:
    """One row: what was to be reached, and what was."""
    return {"name": name, "target": wanted, "measured": round(measured, 3), "met": met, "note": note}


def keep(name: str, targets: list[dict[str, Any]]) -> None:
    """Print the rows and write them to results/`name`.json."""
    for row in targets:
        print(
            f"{'met   ' if row['met'] else 'missed'} {row['name']}: {row['measured']} ({row['target']}) {row['note']}"
        )
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps({"machine": _machine(), "targets": targets}, indent=2) + "\n")


def _machine() -> dict[str, Any]:
    return {
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 1024**3, 1),
        "python": platform.python_version(),
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
    }
