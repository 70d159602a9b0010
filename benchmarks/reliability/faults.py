"""Each fault for real, at a random moment of somebody's work, a few times over.

    python -m benchmarks.reliability.faults [--quick] [--times N] [--only WORDS] [--add] [--seed N]

Writes results/reliability_faults.json; with `--only`, the kinds whose name has that in it, beside what is there of the
others.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from benchmarks.reliability import engine_faults, machine_faults, server_faults
from benchmarks.reliability.fault import Fault, Injection, added, row
from benchmarks.reliability.gateway import Gateway, gateway
from benchmarks.reliability.scene import folders, scene
from benchmarks.results import FOLDER, keep, read, target

FAULTS: list[Fault] = [*engine_faults.FAULTS, *machine_faults.FAULTS, *server_faults.FAULTS]
# For a run of a minute or two, each once.
QUICK = ("engine's socket removed", "server cuts connections in mid-answer")
NAME = "reliability_faults"
TIMES = 6


async def injected(fault: Fault, folder: Path, chance: random.Random, at: Gateway | None) -> Injection:
    """A fault in a window of its own."""
    async with scene(folder, chance, at) as here:
        user = await here.open()
        await asyncio.sleep(chance.uniform(0.5, 3.0))
        user.forget_seen()
        before = user.asked
        async with fault.happens(here, chance):
            await asyncio.sleep(chance.uniform(*fault.lasts))
        user = here.user
        over = here.over or time.monotonic()
        await user.until_served()
        seconds = time.monotonic() - over
        await user.stop()
        await user.look_for_losses()
        return Injection(seconds, user.asked - before, user.seen(), user.broken, user.restarts)


async def of_kind(fault: Fault, times: int, seed: int, at: Gateway | None) -> dict[str, Any]:
    """So many injections of a kind, and what they came to. `at`: the gateway, where the fault is one of a server."""
    chance, done = random.Random(f"{seed} {fault.name}"), []
    with fault.place() as folder:
        for _ in range(max(1, round(times * fault.share))):
            began = time.monotonic()
            try:
                done.append(await injected(fault, folder, chance, at))
            except Exception as error:  # the window itself, which is as bad as anything
                traceback.print_exc()
                said = [f"the window: {type(error).__name__}: {error}"]
                done.append(Injection(time.monotonic() - began, 0, [], said))
            print(f"  {done[-1].seconds:5.1f} s  {done[-1].seen[:3]} {done[-1].broken or ''}", flush=True)
    return row(fault, done, seed)


async def main(argv: list[str] | None = None) -> int:
    """Inject, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few kinds, each once")
    parser.add_argument("--times", type=int, default=TIMES, help="injections of a kind")
    parser.add_argument("--only", default="", metavar="WORDS", help="of the kinds with these words, split by commas")
    parser.add_argument("--seed", type=int, default=random.randrange(1000), help="which moments, and which of several")
    parser.add_argument("--add", action="store_true", help="to what is there of a kind, not in its place")
    parser.add_argument("--to", type=Path, default=FOLDER, metavar="FOLDER", help="where the results are written")
    options = parser.parse_args(argv)
    words = options.only.split(",")
    chosen = [each for each in FAULTS if (each.name in QUICK if options.quick else any(w in each.name for w in words))]
    print(f"seed {options.seed}", flush=True)
    broken = 0
    async with contextlib.AsyncExitStack() as stack:
        at: Gateway | None = None
        for fault in chosen:
            if why := fault.missing():
                print(f"left out: {fault.name}, which {why}", flush=True)
                continue
            print(fault.name, flush=True)
            if fault.remote and at is None:
                stack.enter_context(folders())
                at = await stack.enter_async_context(gateway())
            times = 1 if options.quick else options.times
            new = await of_kind(fault, times, options.seed, at if fault.remote else None)
            _keep(new, options.to, add=options.add)
            broken += len(new["broken"])
    return 1 if broken else 0


def _keep(new: dict[str, Any], folder: Path, *, add: bool) -> None:
    """Write a row beside those that are there, at once, so that a run that is ended loses nothing."""
    rows = {each["fault"]: each for each in read(NAME, folder).get("figures", [])}
    name = new["fault"]
    rows[name] = added(rows[name], new) if add and name in rows else new
    figures = [rows[fault.name] for fault in FAULTS if fault.name in rows]
    broken = sum(len(each["broken"]) for each in figures)
    number = sum(len(each["seconds"]) for each in figures)
    missing = sum(fault.name not in rows for fault in FAULTS)
    note = f"of {len(FAULTS)} kinds {missing} are left out" if missing else f"of {len(FAULTS)} kinds"
    targets = [
        target("faults injected", "at least 200", number, number >= 200, note),
        target("promises broken", "0", broken, broken == 0, "answers, sentences, buffers and conversations"),
    ]
    keep(NAME, targets, folder, figures=figures)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
