"""The results as one page with tables and a plot.

    python -m benchmarks.report

Reads results/*.json; writes RESULTS.md beside this file and results/speed.svg.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import FOLDER

PAGE = Path(__file__).parent / "RESULTS.md"
PLOT = FOLDER / "speed.svg"


def write() -> None:
    """Write the page and the plot from all results that are there; those of reliability have a page of their own."""
    files = (path for path in sorted(FOLDER.glob("*.json")) if not path.stem.startswith("reliability"))
    results = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}
    PAGE.write_text(page(results), encoding="utf-8")
    if {"engine", "typing"} <= results.keys():
        plot(results)


def page(results: dict[str, dict[str, Any]]) -> str:
    """The Markdown of some results, by the name of their part."""
    lines = ["# Measured", "", "Written by `make bench`. How is said in [README.md](README.md),"]
    lines += ["why a target is missed in [NOTES.md](NOTES.md).", ""]
    targets = [(part, row) for part, result in results.items() for row in result["targets"]]
    met = sum(row["met"] for _, row in targets)
    lines += [f"## Targets: {met} of {len(targets)} met", ""]
    lines += table(
        ("", "part", "what", "target", "measured", "note"),
        (
            ("met" if row["met"] else "**missed**", part, row["name"], row["target"], row["measured"], row["note"])
            for part, row in targets
        ),
    )
    if "typing" in results and "engine" in results:
        lines += ["", f"![Keystroke to suggestion, and time of a token](results/{PLOT.name})"]
    for part, result in results.items():
        machine = result["machine"]
        versions = ", ".join(f"{name} {version}" for name, version in machine.get("versions", {}).items())
        lines += ["", f"## {part}", ""]
        lines += [
            f"{machine.get('processor') or machine['system']}, {machine['processors']} processors, "
            f"{machine['memory_gib']} GiB, {machine.get('gpu') or 'no GPU'}; Python {machine['python']}"
            f"{', ' + versions if versions else ''}; load {[round(value, 1) for value in machine['load'] or []]}."
        ]
        figures = result.get("figures")
        if isinstance(figures, list) and figures:
            heads = list(dict.fromkeys(name for row in figures for name in row))
            rows = [[row.get(head) for head in heads] for row in figures]
            lines += ["", *table([head.replace("_", " ") for head in heads], rows)]
        elif isinstance(figures, dict):
            for what, values in figures.items():
                lines += ["", f"**{what}**", "", *table(list(values), [list(values.values())])]
    return "\n".join(lines) + "\n"


def table(heads: Sequence[Any], rows: Iterable[Sequence[Any]]) -> list[str]:
    """The lines of a Markdown table."""

    def line(cells: Sequence[Any]) -> str:
        return "| " + " | ".join(_cell(cell) for cell in cells) + " |"

    return [line(heads), "|" + "---|" * len(heads), *(line(row) for row in rows)]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|")


def plot(results: dict[str, dict[str, Any]]) -> None:
    """Left: how many keystrokes have their suggestion within a time. Right: the time of a token by context."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "benchmarks"  # the same picture has the same bytes
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2))
    for name, events in results["typing"]["events"].items():
        times = sorted(max(1.0, event["milliseconds"]) for event in events)
        shares = [100 * (index + 1) / len(times) for index in range(len(times))]
        left.step(times, shares, where="post", label=name)
    left.set(xscale="log", xlabel="milliseconds from key to suggestion", ylabel="% of keys", ylim=(0, 100))
    left.grid(alpha=0.3)
    figures = [row for row in results["engine"]["figures"] if row["what"].startswith("decode of a token at ")]
    for name in dict.fromkeys(row["system"] for row in figures):
        own = [row for row in figures if row["system"] == name]
        contexts = [int(row["what"].rpartition(" ")[2]) for row in own]
        right.plot(contexts, [row["median_ms"] for row in own], marker="o", label=name)
    right.set(xlabel="tokens of context", ylabel="milliseconds for a token", ylim=(0, None))
    right.grid(alpha=0.3)
    for half in (left, right):
        half.legend(fontsize=7, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.15))
    figure.tight_layout()
    figure.savefig(PLOT, metadata={"Date": None})


if __name__ == "__main__":
    write()
