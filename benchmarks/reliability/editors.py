"""Many editors on one engine, each with somebody who types.

    python -m benchmarks.reliability.editors [--quick] [--minutes M] [--editors N]

Keys come in bursts, each asking for a suggestion; then the suggestion is waited for, as people do. Measured is how
long that takes, for whom it takes longest, whether a newer key ends the older one's request, and what all of it
holds. Writes results/reliability_editors.json.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import random
import sys
import time
from pathlib import Path

import psutil
from editor import Editor, editor

from benchmarks.figures import median, p95
from benchmarks.reliability.load import held, quarters, watched
from benchmarks.reliability.scene import SERVER, folders, the_engine
from benchmarks.reliability.user import SOURCE
from benchmarks.results import FOLDER, keep, target
from lsp_server.engine.loading import plan, sizes, starter
from lsp_server.engine.loading.checkpoint import validate

NAME = "reliability_editors"
# Nobody waits longer than that for the suggestion after their last key.
STARVED_SECONDS = 60.0


@dataclasses.dataclass
class Typist:
    """`waited`: seconds from the last key of each burst to its answer. `late`: requests that were answered after a
    newer one of the same window."""

    waited: list[float] = dataclasses.field(default_factory=list)
    keys: int = 0
    shown: int = 0
    late: int = 0
    errors: int = 0


async def typing(window: Editor, number: int, until: float, chance: random.Random) -> Typist:
    """Type in a file of one's own until that time."""
    done = Typist()
    start = chance.randrange(len(SOURCE) // 2)
    text, rest = SOURCE[:start], SOURCE[start:]
    uri = window.open(f"untitled:{number}.py", text)
    row, column = text.count("\n"), len(text) - (text.rfind("\n") + 1)
    newest = 0

    async def ask(key: int, row: int, column: int) -> bool:
        nonlocal newest
        items = []
        try:
            items = await window.suggest(uri, row, column, typed=True)
        except Exception:
            done.errors += 1
        done.late += key < newest
        newest = max(newest, key)
        return bool(items)

    at = 0
    while time.monotonic() < until:
        for _ in range(chance.randint(3, 15)):
            char, at = rest[at % len(rest)], at + 1
            window.insert(uri, row, column, char)
            row, column = (row + 1, 0) if char == "\n" else (row, column + 1)
            done.keys += 1
            asking = asyncio.ensure_future(ask(done.keys, row, column))
            await asyncio.sleep(min(1.0, chance.lognormvariate(-1.8, 0.5)))
        began = time.monotonic()
        done.shown += await asking
        done.waited.append(time.monotonic() - began)
        await asyncio.sleep(chance.uniform(1.0, 6.0))
    return done


def planned() -> int:
    """Bytes that an engine of the starter may take here once people type: keys and values, and headroom."""
    checkpoint = validate(starter.ensure(lambda progress: None))
    made = plan.roomy(sizes.measure(checkpoint.config, checkpoint.tensors), plan.devices(), 0, "auto")
    return made.kv_bytes + made.headroom


async def main(argv: list[str] | None = None) -> int:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="4 editors for 10 seconds")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--editors", type=int, default=32)
    parser.add_argument("--to", type=Path, default=FOLDER, metavar="FOLDER", help="where the results are written")
    options = parser.parse_args(argv)
    number, minutes = (4, 1 / 6) if options.quick else (options.editors, options.minutes)
    with folders():
        async with contextlib.AsyncExitStack() as stack:
            windows = [
                await stack.enter_async_context(editor({"idleMinutes": 0}, command=SERVER)) for _ in range(number)
            ]
            for window in windows:
                window.open("untitled:first.py", "")
                await window.ready(300)
            engine, servers = the_engine(), [psutil.Process(window.pid) for window in windows]

            def look() -> dict[str, float]:
                largest = max(each.memory_info().rss for each in servers) / 1e6
                return {**held(engine), "largest server MB": round(largest, 1)}

            before, until = engine.memory_info().rss, time.monotonic() + 60 * minutes
            async with watched(look) as samples:
                typists = await asyncio.gather(
                    *(typing(window, at, until, random.Random(at)) for at, window in enumerate(windows))
                )
    waited = [each for typist in typists for each in typist.waited]
    late, errors = sum(each.late for each in typists), sum(each.errors for each in typists)
    memory = quarters(samples)
    means = [sum(each.waited) / len(each.waited) for each in typists]
    worst = max(waited)
    figures = {
        "waits": {
            "editors": number,
            "minutes": round(minutes, 1),
            "keys": sum(each.keys for each in typists),
            "suggestions waited for": len(waited),
            "of these shown": sum(each.shown for each in typists),
            "wait, median s": round(median(waited), 2),
            "wait, 95th percentile s": round(p95(waited), 2),
            "wait, worst s": round(worst, 2),
            "mean wait of the luckiest editor s": round(min(means), 2),
            "of the unluckiest s": round(max(means), 2),
        },
        "held": {name if "server" in name else f"engine {name}": values for name, values in memory.items()},
    }
    most, held_most = max(means) / median(means), 1e6 * memory["MB"]["most"] / (before + planned())
    rows = [
        target("longest wait after a burst of keys, s", f"under {STARVED_SECONDS:.0f}", worst, worst < STARVED_SECONDS),
        target("mean wait of the unluckiest editor / of the median one", "under 2", most, most < 2),
        target("requests answered after a newer one of their window", "0", late, late == 0),
        target("errors", "0", errors, errors == 0),
        target("the engine's memory at most, times what its plan allows", "at most 1", held_most, held_most <= 1),
    ]
    keep(NAME, rows, options.to, figures=figures)
    return 0 if all(row["met"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
