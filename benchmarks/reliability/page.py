"""The tables of docs/reliability.md, from what was measured; the words around them are written by hand.

python -m benchmarks.reliability.page
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import median
from benchmarks.report import table
from benchmarks.results import FOLDER, read

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
FAULTS = ("fault", "times", "what the user saw", "lost", "served again after, median / worst, s", "restarts")
MOST_SENTENCES = 3
_MARKED = re.compile(r"(<!-- made by make reliability: (\w+) -->\n).*?(<!-- until here -->)", re.DOTALL)


def write(page: Path = PAGE, results: Path = FOLDER) -> None:
    """Make the tables of a page anew, each of which lies between two comments."""

    def made(found: re.Match[str]) -> str:
        result = read(f"reliability_{found[2]}", results)
        lines = [*_TABLES[found[2]](result), "", machine(result)] if result else ["Not measured yet."]
        return "\n".join([found[1], *lines, "", found[3]])

    page.write_text(_MARKED.sub(made, page.read_text(encoding="utf-8")), encoding="utf-8")


def machine(result: dict[str, Any]) -> str:
    """Where it was measured."""
    about = result["machine"]
    load = ", ".join(f"{value:.1f}" for value in about["load"] or [])
    return (
        f"*{about['processor'] or about['system']}, {about['processors']} processors, {about['memory_gib']} GiB, "
        f"Python {about['python']}; load at the end {load}.*"
    )


def faults(result: dict[str, Any]) -> list[str]:
    figures = result["figures"]
    rows = [
        (
            each["fault"],
            len(each["seconds"]),
            "<br>".join(_most(each["seen"])) or "nothing",
            "; ".join(each["broken"]) or "nothing",
            f"{median(each['seconds']):.1f} / {max(each['seconds']):.1f}",
            each["restarted"] or "",
        )
        for each in figures
    ]
    number, asked = sum(len(each["seconds"]) for each in figures), sum(each["requests"] for each in figures)
    seeds = sorted({seed for each in figures for seed in each["seeds"]})
    said = f"{number} faults, {asked:,} requests meanwhile; seeds: {', '.join(map(str, seeds))}."
    return [*table(FAULTS, rows), "", said]


def _most(seen: dict[str, int]) -> list[str]:
    """The sentences that were seen the most often, and how often."""
    ordered = sorted(seen.items(), key=lambda each: -each[1])
    return [f"{sentence} ({times})" for sentence, times in ordered[:MOST_SENTENCES]]


def editors(result: dict[str, Any]) -> list[str]:
    waits = result["figures"]["waits"]
    return [*table(list(waits), [list(waits.values())]), "", *_held(result["figures"]["held"])]


def soak(result: dict[str, Any]) -> list[str]:
    asked = result["targets"][0]
    return [*_held(result["figures"]), "", f"{asked['measured']:,.0f} requests in {asked['note']}."]


def _held(quarters: dict[str, dict[str, float]]) -> list[str]:
    """What processes held, as `load.quarters` has it."""
    rows = [(name, each["first"], each["last"], each["most"]) for name, each in quarters.items()]
    return table(("what is held", "first quarter", "last quarter", "most"), rows)


def files(result: dict[str, Any]) -> list[str]:
    rows: Sequence[dict[str, Any]] = result["figures"]
    return table([name.replace("_", " ") for name in rows[0]], [list(row.values()) for row in rows])


_TABLES: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "faults": faults,
    "editors": editors,
    "soak": soak,
    "files": files,
}

if __name__ == "__main__":
    write()
