"""The menu of code actions on a file of 5,000 lines, over the protocol, while the model is idle and while it works.

    python -m benchmarks.menu

The engine is a stand-in that never answers: what is measured is the language server. Writes results/menu.json.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
import typing
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / "tests"), str(Path(__file__).parents[1] / "tests" / "actions")]

import checkpoints
from acting_editor import ActingEditor, acting_editor
from stand_in import stand_in

from benchmarks.results import keep, target

LINES, REQUESTS = 5000, 100
FILES, KEYSTROKES = 8, 20
# Seconds between the opening of a file and its first menu, at least.
SETTLED = 0.3


async def main() -> None:
    """Measure, print, and write the results."""
    source = "".join(Path(module.__file__ or "").read_text(encoding="utf-8") for module in (argparse, typing)) * 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "long.py"
        file.write_text("".join(source.splitlines(keepends=True)[:LINES]), encoding="utf-8")
        tokenizer = checkpoints.code_llama_tokenizer(folder / "tokenizer")
        async with stand_in() as engine:
            options = {"engineUrl": engine.url, "tokenizer": str(tokenizer), "chatFormat": "inst"}
            async with acting_editor(options, folder) as window:
                uri = window.open(file)
                await window.ready()

                async def menu(row: int, *, typed: bool) -> float:
                    if typed:
                        window.type(uri, row + 1, "    # typed\n")
                    started = time.perf_counter()
                    await window.menu(uri, (row, 8))
                    return 1000 * (time.perf_counter() - started)

                rows = await _just_opened(window, folder, file)
                for model in ("idle", "busy"):
                    if model == "busy":
                        engine.hold.clear()
                        items = await window.menu(uri, (LINES // 2, 8))
                        working = asyncio.ensure_future(window.choose(items, "Explain"))
                        await window.until(lambda: engine.asked)
                    for typed in (False, True):
                        times = [await menu(100 + i * 47 % (LINES - 200), typed=typed) for i in range(REQUESTS)]
                        worst = statistics.quantiles(times, n=20)[-1]
                        when = "after each keystroke" if typed else "text unchanged"
                        what = f"menu, model {model}, {when}, ms, 95th percentile"
                        rows.append(
                            target(what, "under 20", worst, worst < 20, f"median {statistics.median(times):.1f}")
                        )
                engine.hold.set()
                await working
    keep("menu", rows)


async def _just_opened(window: ActingEditor, folder: Path, file: Path) -> list[dict[str, Any]]:
    """How long the server takes for a keystroke while it parses a file, and for the first menu of the file."""

    async def asked(uri: str, *, automatic: bool) -> float:
        started = time.perf_counter()
        await window.menu(uri, (LINES // 2, 8), automatic=automatic)
        return 1000 * (time.perf_counter() - started)

    keystrokes, first = [], []
    for number in range(FILES):
        again = folder / f"again{number}.py"
        again.write_bytes(file.read_bytes())
        uri = window.open(again)
        await asked(uri, automatic=True)  # by its answer the file has arrived
        for _ in range(KEYSTROKES):
            window.type(uri, 1, "# typed\n")
            keystrokes.append(await asked(uri, automatic=True))  # answered as soon as the change is taken in
        await asyncio.sleep(SETTLED)
        first.append(await asked(uri, automatic=False))
    worst = statistics.quantiles(keystrokes, n=20)[-1]
    middle = statistics.median(first[1:])  # the first of all warms up this client too
    what = "a keystroke while a file just opened is parsed, ms, 95th percentile"
    return [
        target(what, "under 5", worst, worst < 5, f"median {statistics.median(keystrokes):.1f}"),
        target("the first menu of a file, ms, median", "under 20", middle, middle < 20, f"worst {max(first[1:]):.1f}"),
    ]


if __name__ == "__main__":
    asyncio.run(main())
