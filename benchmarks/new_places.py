"""The first suggestions at places that the model has not seen, on this processor and as if it had AVX2 alone.

    python -m benchmarks.new_places [--quick] [--places 20]

Over the protocol, with the starter model. A new line is begun somewhere in a long file, without a rest before it: the
first suggestion there; then a key that no suggestion said, and the same key after some idle seconds, by when the rest
of the window has been computed. Beside it the same places in a window with `prefetch` off, which asks for the whole
window at once; the two take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / "tests")]

import editor as editors

from benchmarks import systems, texts
from benchmarks.figures import median, p95
from benchmarks.results import keep, target

SEED = 11
IDLE_SECONDS = 5.0
MOST_MS = 600
PROCESSORS: dict[str, dict[str, str]] = {"this processor": {}, "AVX2 alone": systems.AVX2}
WAYS: dict[str, dict[str, Any]] = {"short at first": {}, "whole at once": {"prefetch": False}}


async def main(argv: list[str] | None = None) -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="five places")
    parser.add_argument("--places", type=int, default=20, help="how many places")
    options = parser.parse_args(argv)
    places = 5 if options.quick else options.places
    rows, targets = [], []
    for processor, variables in PROCESSORS.items():
        times = await _measured(variables, places)
        for way, by_key in times.items():
            row: dict[str, Any] = {"processor": processor, "window": way, "places": places}
            for key, values in by_key.items():
                row |= {f"{key} median ms": round(median(values), 1), f"{key} p95 ms": round(p95(values), 1)}
            rows.append(row)
            print(f"new_places: {row}", flush=True)
        first = [values["first"] for values in times.values()]
        worst = p95(first[0])
        note = f"median {median(first[0]):.0f}; the whole window at once {median(first[1]):.0f} and {p95(first[1]):.0f}"
        what = f"first suggestion at a place not seen before, {processor}, ms, 95th percentile"
        targets.append(target(what, f"under {MOST_MS}", worst, worst < MOST_MS, note))
    keep("new_places", targets, figures=rows)


async def _measured(variables: dict[str, str], places: int) -> dict[str, dict[str, list[float]]]:
    """Milliseconds by the way of asking, and by the key at each place."""
    times: dict[str, dict[str, list[float]]] = {way: defaultdict(list) for way in WAYS}
    source = texts.standard_library(*texts.LONG_MODULES).splitlines(keepends=True)
    chance = random.Random(SEED)
    rows = [row for row in range(300, len(source) - 300) if source[row].strip() and source[row - 1].strip()]
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(systems.runtime())
        stack.enter_context(systems.environment(variables))
        await stack.enter_async_context(systems.engine())
        windows = {way: await stack.enter_async_context(_window(options)) for way, options in WAYS.items()}
        for number, row in enumerate(chance.sample(rows, places * len(WAYS))):
            way = list(WAYS)[number % len(WAYS)]
            # Each place is a file of its own: no window has a part of another's.
            near = source[max(0, row - 400) : row + 400]
            await _typed(windows[way], f"untitled:{number}.py", near, min(row, 400), times[way])
    return times


@contextlib.asynccontextmanager
async def _window(options: dict[str, Any]) -> AsyncIterator[editors.Editor]:
    settings = {"debounceMs": 0, "idleMinutes": 0, **options}
    async with editors.editor(settings, encoding="utf-32") as window:
        window.open("untitled:first.py", "")
        await window.ready()
        yield window


async def _typed(window: editors.Editor, uri: str, lines: list[str], row: int, times: dict[str, list[float]]) -> None:
    """Begin a line above `row` of a file, and type in it."""
    window.open(uri, "".join(lines))
    depth = lines[row][: len(lines[row]) - len(lines[row].lstrip())]

    async def key(name: str, text: str, column: int) -> None:
        started = time.perf_counter()
        window.insert(uri, row, column, text)
        await window.suggest(uri, row, column + len(text.rstrip("\n")), typed=True)
        times[name].append(1000 * (time.perf_counter() - started))

    await key("first", depth + "\n", 0)
    await key("second", "zq", len(depth))  # nothing that the model would suggest
    await asyncio.sleep(IDLE_SECONDS)
    await key("after a rest", "wv", len(depth) + 2)


if __name__ == "__main__":
    asyncio.run(main())
