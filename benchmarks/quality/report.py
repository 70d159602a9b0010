"""The results as one page with tables.

    python -m benchmarks.quality.report

Reads results/quality.json, results/named.json and results/humaneval.json; writes RESULTS.md beside this file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.quality.published import PUBLISHED
from benchmarks.report import table
from benchmarks.results import FOLDER

PAGE = Path(__file__).parent / "RESULTS.md"
SHARES = (
    "shown",
    "exact",
    "exact_shown",
    "parses",
    "hidden",
    "right_hidden",
    "right_shown",
    "pass@1",
    "named",
    "known",
    "right",
)


def write() -> None:
    """Write the page from the results that are there."""
    found = {}
    for part in ("quality", "named", "humaneval"):
        file = FOLDER / f"{part}.json"
        if file.exists():
            found[part] = json.loads(file.read_text(encoding="utf-8"))
    PAGE.write_text(page(found), encoding="utf-8")


def page(results: dict[str, dict[str, Any]]) -> str:
    """The Markdown of the results of some parts."""
    lines = [
        "# Measured",
        "",
        "Written by `python -m benchmarks.quality`. What each figure is, README.md beside this says.",
    ]
    lines += [
        "Counts do not depend on what else a machine does; milliseconds do, and the load is given with the machine."
    ]
    if quality := results.get("quality"):
        lines += ["", f"## Holes in real code: {quality['model']}", "", _machine(quality), ""]
        lines += _rows(quality["holes"])
        for name, row in quality["differences"].items():
            lines += ["", f"**As it is, against {name}**", "", *_rows([row])]
        lines += ["", "## A threshold on the model's own probability", ""]
        lines += _rows(quality["threshold"])
    if named := results.get("named"):
        lines += ["", "## Names of other files that are said", "", _machine(named), "", *_rows(named["named"])]
        lines += ["", "## Names that are preferred", "", *_rows(named["preferred"])]
    if humaneval := results.get("humaneval"):
        lines += ["", "## HumanEval infilling", "", _machine(humaneval), ""]
        lines += _rows([*humaneval["tasks"], *PUBLISHED])
    return "\n".join(lines) + "\n"


def _machine(result: dict[str, Any]) -> str:
    machine = result["machine"]
    load = ", ".join(f"{value:.1f}" for value in machine["load"] or [])
    return f"{machine['processor']}, {machine['processors']} processors, load {load}."


def _rows(rows: Sequence[dict[str, Any]]) -> list[str]:
    heads = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_shown(head, row.get(head)) for head in heads] for row in rows]
    return table([head.replace("_", " ") for head in heads], cells)


def _shown(head: str, value: Any) -> Any:
    return f"{value:.1%}" if head in SHARES and isinstance(value, float) else value


if __name__ == "__main__":
    write()
