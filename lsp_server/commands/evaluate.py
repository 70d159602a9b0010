"""`eval`: how good suggestions are on the user's own code, and whether 8 bits, a setting or a filter harm them."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from lsp_server import __version__, printing
from lsp_server.commands import Failed
from lsp_server.commands.console import notes, output
from lsp_server.commands.terminal import progress, settings_of
from lsp_server.evaluation import other_bits, sample, variants
from lsp_server.evaluation.asking import Desk, Outcome, Place
from lsp_server.evaluation.figures import Difference, Figures, difference, figures, grouped
from lsp_server.evaluation.variants import Variant
from lsp_server.settings import Settings

INTERRUPTED = 130
AS_IT_IS = "as it is"
# What can be held against the weights as the settings have them: the value of `quantization` for each.
AGAINST = {"4bit": "4", "bf16": "16"}
HEADS = (
    "exact: the first line is that of the file; similar: from 0 to 1, 0 where nothing is shown. Of what is shown: "
    "parses, the file with it in; repeats, of what stands behind it; brackets, of its own that fit nothing."
)


@dataclasses.dataclass
class Run:
    """What was measured so far: the outcomes of each way of asking, at the same places in the same order."""

    places: list[Place]
    outcomes: dict[str, list[Outcome]] = dataclasses.field(default_factory=dict)
    model: str = ""

    @property
    def complete(self) -> bool:
        return all(len(each) == len(self.places) for each in self.outcomes.values())


def run(options: argparse.Namespace) -> int:
    """Ask for holes in the files of a folder, and print what became of it. Ctrl+C ends it, and what was measured until
    then is printed and written."""
    root, settings = _folder(options.folder), settings_of(options)
    _check(options, settings)
    ways = _ways(settings, options)
    if options.json:  # before the work, not after it
        open(options.json, "a", encoding="utf-8").close()
    with notes.doing(f"Looking for code in {root}."):
        files, _ = sample.files_of(root)
        found = sample.places(root, files, options.holes, options.seed)
    if not found:
        raise Failed(f"{root} has no place for a hole: its files are too short, or all alike; name another folder.")
    made, interrupted = Run(found), False
    try:
        _measure(made, settings, ways, against=options.against)
    except KeyboardInterrupt:
        interrupted = True
    if any(made.outcomes.values()):
        report(made)
        if options.json:
            printing.write(options.json, json.dumps(as_json(made, root), indent=1) + "\n")
    return INTERRUPTED if interrupted else 0


def _folder(name: str) -> Path:
    root = Path(name).expanduser()
    if not root.is_dir():
        raise Failed(f"{name} is not a folder; name one that has your code.")
    return root.resolve()


def _check(options: argparse.Namespace, settings: Settings) -> None:
    """Raises Failed where there is nothing to hold it against."""
    if options.against != "none" and settings.engine_url:
        raise Failed(
            f"--against {options.against} loads the weights on this machine; leave it out where a server has the "
            "model, and compare two servers by running this twice."
        )


def _ways(settings: Settings, options: argparse.Namespace) -> list[Variant]:
    """As the settings say, and in each of the other ways; where none was asked for, without context, if there is one.
    Raises NoSwitch."""
    others = [variants.changed(settings, name, on=True) for name in options.on]
    others += [variants.changed(settings, name, on=False) for name in options.off]
    if not others and options.against == "none" and (plain := variants.without_context(settings)):
        others = [plain]
    return [Variant(AS_IT_IS, settings), *others]


def _measure(made: Run, settings: Settings, ways: Sequence[Variant], *, against: str) -> None:
    asyncio.run(_ask(made, ways))
    if against in AGAINST:
        with other_bits.engine(settings, AGAINST[against]):
            asyncio.run(_ask(made, [Variant(f"in {against}", settings)]))


async def _ask(made: Run, ways: Sequence[Variant]) -> None:
    """Ask at each place in every way, one right after the other, so that whatever was measured can be compared.
    Raises ModelUnavailable."""
    with progress() as show:
        desk = Desk(ways[0].settings, show)
        reached = await desk.session.reach()
    made.model = made.model or reached.model
    asked = [made.outcomes.setdefault(way.name, []) for way in ways]
    with (
        contextlib.closing(desk),
        notes.counting(", ".join(way.name for way in ways), len(made.places) * len(ways)) as count,
    ):
        for place in made.places:
            answers = []
            for way in ways:
                with way.chosen() as settings:
                    desk.use(settings)
                    answers.append(await desk.at(place))
                count()
            for outcomes, answer in zip(asked, answers, strict=True):
                outcomes.append(answer)


def report(made: Run) -> None:
    """Print the figures of the first way by kind and language, of all ways together, and how they differ."""
    (name, first), *others = ((name, each) for name, each in made.outcomes.items() if each)
    output.print(f"{made.model} {name}: {len(first)} of {len(made.places)} places.")
    kinds = grouped(first, lambda each: sample.NAMES[each.kind])
    output.print(table("kind", {**kinds, "all": figures(first)}))
    output.print()
    output.print(table("language", grouped(first, lambda each: each.language)))
    output.print()
    output.print(HEADS)
    if others:
        output.print()
        output.print(table("asked", {each: figures(outcomes) for each, outcomes in made.outcomes.items() if outcomes}))
    for each, outcomes in others:
        output.print(said(name, each, _difference(first, outcomes)))


def table(title: str, rows: dict[str, Figures]) -> Table:
    """Figures as they are printed."""
    drawn = Table(box=None, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    drawn.add_column(title)
    for head in ("places", "shown", "exact", "similar", "parses", "repeats", "brackets", "tokens", "ms"):
        drawn.add_column(head, justify="right", no_wrap=True)
    for name, each in rows.items():
        drawn.add_row(
            name,
            str(each.places),
            _percent(each.shown),
            _percent(each.exact),
            f"{each.similarity:.2f}",
            _percent(each.parses),
            str(each.repeats),
            str(each.unbalanced),
            "" if each.tokens is None else f"{each.tokens:.0f}",
            f"{each.ms:.0f}",
        )
    return drawn


def said(name: str, other: str, found: Difference) -> str:
    """What a difference comes to, in a sentence: the answers of `name` against those of `other`."""
    verdict = "no more than chance"
    if found.certain:
        verdict = f"{'better' if found.similarity > 0 else 'worse'} than {other}"
    return (
        f"{name}, against {other}: {found.same} of {found.places} answers are the same; "
        f"{found.exact_gained} first lines are right by it alone, {found.exact_lost} by the other alone; similarity "
        f"{found.similarity:+.3f} ± {found.margin:.3f}, {verdict}; {found.slower:.2f} times the time."
    )


def as_json(made: Run, root: Path) -> dict[str, Any]:
    """All of it. The code that was asked about is in it."""
    first = next(each for each in made.outcomes.values() if each)
    return {
        "version": __version__,
        "folder": str(root),
        "model": made.model,
        "complete": made.complete,
        "ways": {
            name: {
                "figures": dataclasses.asdict(figures(each)),
                "kinds": _plain(grouped(each, lambda one: one.kind)),
                "languages": _plain(grouped(each, lambda one: one.language)),
                "against the first": dataclasses.asdict(_difference(first, each)),
                "places": [dataclasses.asdict(one) for one in each],
            }
            for name, each in made.outcomes.items()
            if each
        },
    }


def _difference(one: Sequence[Outcome], other: Sequence[Outcome]) -> Difference:
    """At the places where both were asked."""
    count = min(len(one), len(other))
    return difference(one[:count], other[:count])


def _plain(groups: dict[str, Figures]) -> dict[str, Any]:
    return {name: dataclasses.asdict(each) for name, each in groups.items()}


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"
