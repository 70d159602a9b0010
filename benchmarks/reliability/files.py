"""Large files: what a key costs in 100,000 lines, in 20 MB, in one line of 1 MB.

    python -m benchmarks.reliability.files [--quick]

A key is *taken in* when a request behind it is answered that needs no model. Writes results/reliability_files.json.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

import psutil
from editor import Editor, editor

from benchmarks.figures import median
from benchmarks.reliability.load import held
from benchmarks.reliability.scene import SERVER, folders
from benchmarks.reliability.user import SOURCE
from benchmarks.results import FOLDER, keep, target

NAME = "reliability_files"
TYPED = "zq = wv(kx, 7) + qj "
# A key, and the suggestion after it.
MOST_TAKEN_IN_MS, MOST_SUGGESTION_MS = 200.0, 4000.0


def lines(number: int) -> str:
    source = SOURCE.splitlines(keepends=True)
    return "".join((source * (number // len(source) + 1))[:number])


def one_line(size: int) -> str:
    return "values = [" + ", ".join(str(number) for number in range(size // 8))[:size] + "]\n"


FILES = {
    "100,000 lines": lambda: lines(100_000),
    "20 MB": lambda: (SOURCE * (20_000_000 // len(SOURCE) + 1))[:20_000_000],
    "one line of 1 MB": lambda: one_line(1_000_000),
}


async def keys(window: Editor, text: str, number: int) -> tuple[float, list[float], list[float]]:
    """Milliseconds from opening a text to its first suggestion; for keys typed in its middle, until they are taken in;
    and until there is an answer to a request for a suggestion."""
    began = time.perf_counter()
    uri = window.open("untitled:large.py", text)
    rows = text.count("\n")
    row, column = (rows // 2, 0) if rows > 1 else (0, len(text) // 2)
    await window.suggest(uri, row, column)
    opened = 1000 * (time.perf_counter() - began)
    taken_in, suggested = [], []
    for char in TYPED[:number]:
        began = time.perf_counter()
        window.insert(uri, row, column, char)
        column += 1
        await window.suggest("untitled:not-open.py", 0, 0)
        taken_in.append(1000 * (time.perf_counter() - began))
        await window.suggest(uri, row, column, typed=True)
        suggested.append(1000 * (time.perf_counter() - began))
    return opened, taken_in, suggested


async def main(argv: list[str] | None = None) -> int:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three keys in each file")
    parser.add_argument("--to", type=Path, default=FOLDER, metavar="FOLDER", help="where the results are written")
    options = parser.parse_args(argv)
    figures, rows = [], []
    with folders():
        for name, made in FILES.items():
            async with editor({"idleMinutes": 0}, command=SERVER) as window:
                window.open("untitled:first.py", "")
                await window.ready()
                opened, taken_in, suggested = await keys(window, made(), 3 if options.quick else len(TYPED))
                megabytes = held(psutil.Process(window.pid))["MB"]
            figures.append(
                {
                    "file": name,
                    "keys": len(taken_in),
                    "opened_to_first_suggestion_ms": round(opened),
                    "taken_in_median_ms": round(median(taken_in), 1),
                    "taken_in_worst_ms": round(max(taken_in), 1),
                    "suggestion_median_ms": round(median(suggested)),
                    "suggestion_worst_ms": round(max(suggested)),
                    "server_MB": megabytes,
                }
            )
            for what, times, most in (
                ("a key taken in", taken_in, MOST_TAKEN_IN_MS),
                ("its suggestion", suggested, MOST_SUGGESTION_MS),
            ):
                worst = max(times)
                rows.append(target(f"{what}, {name}, worst, ms", f"under {most:.0f}", worst, worst < most))
    keep(NAME, rows, options.to, figures=figures)
    return 0 if all(row["met"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
