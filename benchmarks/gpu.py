"""The engine on a CUDA card, in 8 and in 4 bits, beside transformers' `generate` in as many (bitsandbytes) and in
bfloat16.

    python -m benchmarks.gpu [--quick] [--model SHAPE]

The models have the shapes of Code Llama 7B and 34B and random weights, made once (13 and 67 GB) in the cache folder.
In rounds, as in benchmarks/engine.py, all systems do the same with the same token ids; those that the card cannot hold
together are loaded one after the other, and then the rounds are not paired.

`--layers 2 --hidden 256` checks this script itself with a small model, also without a card; what that measures is
written to the cache folder, not among the results.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import gc
import shutil
import sys
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks import results, shapes, stock, systems, texts
from benchmarks.engine import BURSTS, END, OURS, Samples, Served, table, turned
from benchmarks.figures import median, paired_ratio
from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.engine.loading import plan, sizes
from lsp_server.engine.loading.devices import Device, gib
from lsp_server.places import cache_folder

SHAPES = ("7b", "34b")
LONG, WINDOW = 2000, 1000  # tokens of the prompts
KEYS = 4  # tokens typed one by one in a round, a suggestion asked for after each
SUGGESTED = 24
CONTEXT_LENGTH = 4096  # the engine's, for which room is kept on the card
AT_ONCE = 2 * plan.GIB  # what `generate` takes for the activations of a whole prompt, which the engine cuts in chunks
OURS_FOUR = f"{OURS} in 4 bits"
EIGHT, FOUR, SIXTEEN = (
    f"transformers, {what}, generate" for what in ("bitsandbytes 8-bit", "bitsandbytes 4-bit", "bfloat16")
)
ENGINES = {OURS: "8", OURS_FOUR: "4"}  # values of `quantization`
BITS = {EIGHT: 8, FOUR: 4, SIXTEEN: 16}
# How many times as fast as each of transformers' the engine is to be, with as many bits where it has them.
FASTER = ((EIGHT, OURS, 4.0), (FOUR, OURS_FOUR, 1.0), (SIXTEEN, OURS, 1.0))


@dataclasses.dataclass(frozen=True)
class Round:
    """What every system is asked in one round, in token ids that were never asked before."""

    long: list[int]
    window: list[int]
    more: int
    ends: list[list[int]]
    typed: list[int]


async def main(argv: list[str] | None = None) -> int:
    """Measure, print, and write the results; the exit status."""
    options = _parse(argv)
    small = bool(options.layers or options.hidden)
    card = _device()
    if card.kind != "cuda" and not small:
        print("There is no CUDA card here; `--layers 2 --hidden 256` checks the script without one.", file=sys.stderr)
        return 1
    figures: list[dict[str, Any]] = []
    targets: list[dict[str, Any]] = []
    counts: dict[str, Any] = {}
    for shape in [options.model] if options.model else SHAPES[:1] if options.quick else SHAPES:
        config = shapes.config(shape, options.layers, options.hidden)
        try:
            groups = fitting(config, card)
            _disk(shape, config)
        except (plan.DoesNotFit, OSError) as error:
            print(f"{shape} is left out: {error}")
            continue
        samples: Samples = defaultdict(lambda: defaultdict(list))
        await _shape(shape, config, groups, options.rounds or (2 if options.quick else 5), samples, counts)
        paired = len(groups) == 1
        figures += [{"shape": shape, "paired": paired, **row} for row in table(samples)]
        targets += [{**row, "name": f"{shape}: {row['name']}"} for row in _targets(shape, samples, paired)]
    folder = cache_folder() / "benchmarks" / "results" if small else results.FOLDER
    if not figures:
        print("No shape could be measured.", file=sys.stderr)
        return 1
    results.keep("gpu", targets, folder, figures=figures, counts=counts)
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two rounds, and of 7B alone")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--model", choices=tuple(shapes.VOCABULARIES), metavar="SHAPE", help="7b, 13b, 34b or 70b")
    parser.add_argument("--layers", type=int, default=0, help="fewer layers than the shape has")
    parser.add_argument("--hidden", type=int, default=0, help="another width than the shape's, a multiple of 128")
    return parser.parse_args(argv)


def _device() -> Device:
    """The first card; where there is none, the computer's memory."""
    kind = "cuda" if torch.cuda.is_available() else "cpu"
    return next(device for device in plan.devices() if device.kind == kind)


def fitting(config: dict[str, Any], card: Device) -> list[list[str]]:
    """The systems that `card` can hold, in groups that it can hold together: one group, or each system for itself.

    What does not fit alone is left out, and this said. Raises plan.DoesNotFit where the engine itself does not, in
    neither number of bits.
    """
    need: dict[str, float] = {}
    problem: plan.DoesNotFit | None = None
    for name, quantization in ENGINES.items():
        try:
            need[name] = _used(plan.make_roomy(config, (card,), CONTEXT_LENGTH, quantization=quantization))
        except plan.DoesNotFit as error:
            problem = error
            print(f"{name} is left out: {error}")
    if problem is not None and not need:
        raise problem
    measured = sizes.measure(config)
    for name, bits in BITS.items():
        size = measured.needed(bits, CONTEXT_LENGTH) + measured.working + AT_ONCE
        if size > card.free_bytes:
            print(f"{name} is left out: it needs {gib(size)}, and {gib(card.free_bytes)} are free.")
        else:
            need[name] = size
    return [list(need)] if sum(need.values()) <= card.free_bytes else [[name] for name in need]


def _used(made: plan.Plan) -> int:
    return sum(row.used_bytes for row in made.rows)


def _disk(shape: str, config: dict[str, Any]) -> None:
    """Raises OSError where the checkpoint is not there and the disk has no room for it."""
    place = shapes.folder(shape, config)
    if place.exists():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    need, free = sizes.measure(config).weights(16), shutil.disk_usage(place.parent).free
    if need + plan.GIB > free:
        raise OSError(f"its checkpoint needs {gib(need)} in {place.parent}, and {gib(free)} are free.")
    print(f"{shape}: a checkpoint of {gib(need)} is made in {place}; remove it when you are done.", flush=True)


async def _shape(
    shape: str,
    config: dict[str, Any],
    groups: Sequence[Sequence[str]],
    rounds: int,
    samples: Samples,
    counts: dict[str, Any],
) -> None:
    """Measure one shape: all systems of a group in turn in each round, one group after the other."""
    folder = shapes.make(shape, config)
    ids = texts.Ids(CodeLlamaTokenizer.from_pretrained(folder))
    warm = ids.take(LONG)
    asked = [
        Round(ids.take(LONG), ids.take(WINDOW), ids.take(1)[0], [ids.take(END) for _ in range(BURSTS)], ids.take(KEYS))
        for _ in range(rounds)
    ]
    for group in groups:
        async with contextlib.AsyncExitStack() as stack:
            servers: list[systems.System] = []
            for name in group:
                if name in ENGINES:
                    stack.enter_context(systems.runtime())  # one for each, as there is one engine for a model
                    engine = systems.engine(str(folder), context_length=CONTEXT_LENGTH, quantization=ENGINES[name])
                    servers.append(await stack.enter_async_context(engine))
                    servers[-1].name = name
            servers += [stock.Generate(stock.Stock(folder, BITS[name])) for name in group if name in BITS]
            for server in servers:
                await systems.run(server, warm, SUGGESTED)
            measured = [Served(server, samples, counts.setdefault(shape, {})) for server in servers]
            for number, one in enumerate(asked):
                await _round(measured, one, number)
                print(f"{shape}: {', '.join(group)}: round {number + 1} of {rounds}", flush=True)
        del servers, server, measured
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


async def _round(measured: Sequence[Served], asked: Round, number: int) -> None:
    for prompt in (asked.long, asked.window):
        for one in turned(measured, number):
            await one.begin(prompt, asked.more)
    for burst, end in enumerate(asked.ends):
        for one in turned(measured, number + burst):
            await one.decode(end)
    for key in range(1, len(asked.typed) + 1):
        for one in turned(measured, number + key):
            await one.suggest(asked.typed[:key], SUGGESTED)


def _targets(shape: str, samples: Samples, paired: bool) -> list[dict[str, Any]]:
    """Decoding is compared by the forward pass: how often a pass gives more than one token, random weights do not say.

    The ratio is that of the rounds where they are `paired`, else that of the medians.
    """
    rows = []
    passes = samples[f"forward pass of decoding at {WINDOW}"]
    for name, engine, least in FASTER:
        if name in passes and engine in passes:
            theirs, ours = passes[name], passes[engine]
            ratio = paired_ratio(theirs, ours) if paired else median(theirs) / median(ours)
            met = ratio >= least if name == EIGHT else ratio > least
            note = f"{median(ours):.1f} ms against {median(theirs):.1f} ms{'' if paired else ', not paired'}"
            what = f"decode at context {WINDOW}, without right guesses: times faster than {name}"
            rows.append(results.target(what, f"{'at least' if name == EIGHT else 'over'} {least:g}", ratio, met, note))
    # In the bits that are loaded unasked.
    engine = OURS if OURS in passes else OURS_FOUR
    if shape == "7b":
        first = median(samples[f"first token of a new prompt at {LONG}"][engine])
        rows.append(results.target(f"first token of {LONG:,} tokens, ms, median", "under 150", first, first < 150))
    suggestion = median(samples[f"suggestion of {SUGGESTED} tokens after a key at {WINDOW}"][engine])
    what = f"key to a suggestion of {SUGGESTED} tokens, ms, median"
    rows.append(results.target(what, "under 200", suggestion, suggestion < 200))
    return rows


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
