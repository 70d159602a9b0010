"""Suggestions at holes in real code that the starter never saw, asked for as an editor asks.

    python -m benchmarks.quality.holes [--quick] [--holes N] [--model M] [--with NAME]... [--without NAME]...
                                       [--kept FILE]

Every hole is asked for with the settings as they are, and once more in each other way; the names are those of
`codellama-ls eval`. With `--kept` the outcomes are added to a file, and those that are in it are not asked for again.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import systems
from benchmarks.quality.packages import sample
from benchmarks.results import keep, target
from lsp_server.evaluation import threshold, variants
from lsp_server.evaluation.asking import HIDES_NOTHING, Desk, Outcome, Place
from lsp_server.evaluation.figures import Figures, difference, figures, grouped
from lsp_server.evaluation.sample import NAMES
from lsp_server.evaluation.scores import scores
from lsp_server.evaluation.variants import Variant
from lsp_server.settings import Settings

HOLES, QUICK = 2_000, 42
AS_IT_IS = "as it is"
# Nothing is hidden, so that it can be told what each threshold would hide; and what is written does not depend on how
# busy the machine is.
BASE = Settings(min_probability=HIDES_NOTHING, time_budget_ms=0)


async def main(argv: list[str] | None = None) -> None:
    """Ask, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} holes")
    parser.add_argument("--holes", type=int, default=HOLES)
    parser.add_argument("--model", default=BASE.model)
    parser.add_argument("--with", dest="on", metavar="NAME", action="append", default=[])
    parser.add_argument("--without", dest="off", metavar="NAME", action="append", default=[])
    parser.add_argument("--kept", type=Path, metavar="FILE")
    options = parser.parse_args(argv)
    base = dataclasses.replace(BASE, model=options.model)
    ways = [Variant(AS_IT_IS, base)]
    ways += [variants.changed(base, name, on=True) for name in options.on]
    ways += [variants.changed(base, name, on=False) for name in options.off]
    places = sample(QUICK if options.quick else options.holes)
    with systems.runtime():
        outcomes = await ask(places, ways, options.kept)
    write(outcomes, options.model)


def write(outcomes: dict[str, list[Outcome]], model: str) -> None:
    """Print and keep the results of some outcomes, by the way in which was asked."""
    first = outcomes[AS_IT_IS]
    steps = threshold.calibration(first)
    keep(
        "quality",
        targets(first, steps),
        model=model,
        holes=rows(outcomes),
        threshold=[_rounded(dataclasses.asdict(step)) for step in steps],
        differences={
            name: _rounded(dataclasses.asdict(difference(first, each)))
            for name, each in outcomes.items()
            if name != AS_IT_IS
        },
    )


async def ask(places: Sequence[Place], ways: Sequence[Variant], kept: Path | None) -> dict[str, list[Outcome]]:
    """The outcomes at all places, by the way in which was asked."""
    known = {} if kept is None or not kept.exists() else dict(map(_read, kept.read_text("utf-8").splitlines()))
    found: dict[str, list[Outcome]] = {way.name: [] for way in ways}
    desk = Desk(ways[0].settings)
    for number, place in enumerate(places, 1):
        for way in ways:
            key = _key(way.name, place)
            if key in known:
                text = known[key]["text"]
                outcome = Outcome(**{**known[key], "scores": scores(place.hole, text)})
            else:
                with way.chosen() as settings:
                    desk.use(settings)
                    outcome = await desk.at(place)
                if kept is not None:
                    with kept.open("a", encoding="utf-8") as out:
                        out.write(json.dumps({"key": key, **dataclasses.asdict(outcome)}) + "\n")
            found[way.name].append(outcome)
        if sys.stderr.isatty():
            print(f"\r{number} of {len(places)}", end="", file=sys.stderr, flush=True)
    desk.close()
    return found


def targets(outcomes: Sequence[Outcome], steps: Sequence[threshold.Step]) -> list[dict[str, Any]]:
    """What is to be reached."""
    whole = figures(outcomes)
    ends = [each for each in outcomes if each.kind in ("rest", "piece") and each.language == "python"]
    pieces = [each for each in outcomes if each.kind == "piece"]
    least = threshold.best(steps)
    step = next((each for each in steps if each.threshold == least), None)
    parse = figures(ends).parses if ends else None
    shown = figures(pieces).shown if pieces else 0.0
    wrong = whole.repeats + whole.unbalanced
    chosen = f"of those below {least}" if step else "no threshold serves"
    return [
        target("suggestions that repeat what stands behind them, or leave brackets of their own open", "0", wrong,
               wrong == 0, f"{whole.repeats} and {whole.unbalanced} of {round(whole.shown * whole.places)}"),
        target("Python files that parse with the suggestion in them, ends and middles of lines", "at least 0.97",
               parse or 0.0, bool(parse and parse >= 0.97), f"{len(ends)} places"),
        target("middles of lines where something is shown", "at least 0.9", shown, shown >= 0.9,
               f"{len(pieces)} places"),
        target("of what the threshold hides, the share that is right", "at most 0.1",
               step.right_hidden if step else 1.0, step is not None, chosen),
        target("of what the threshold shows, how many times as often it is right as of all", "at least 1.3",
               step.gain if step else 1.0, step is not None, f"{step.hidden:.0%} are hidden" if step else ""),
    ]  # fmt: skip


def rows(outcomes: dict[str, list[Outcome]]) -> list[dict[str, Any]]:
    """The figures by way, kind and language, as rows of a table."""
    found: list[dict[str, Any]] = []
    for way, each in outcomes.items():
        groups = {"all": figures(each)}
        groups |= {NAMES[kind]: one for kind, one in sorted(grouped(each, lambda one: one.kind).items())}
        groups |= dict(sorted(grouped(each, lambda one: one.language).items()))
        groups |= dict(sorted(grouped(each, lambda one: f"{one.language}, {NAMES[one.kind]}").items()))
        found += [{"asked": way, "holes": name, **_row(one)} for name, one in groups.items()]
    return found


def _row(one: Figures) -> dict[str, Any]:
    return _rounded(dataclasses.asdict(one))


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in values.items()}


def _key(way: str, place: Place) -> str:
    hole = place.hole
    return f"{way} | {hole.kind} {place.root.name} {hole.name} {len(hole.prefix)}"


def _read(line: str) -> tuple[str, dict[str, Any]]:
    found = json.loads(line)
    return found.pop("key"), found


if __name__ == "__main__":
    asyncio.run(main())
