"""Models of the sizes that people want on this computer's processor: beside llama.cpp, and beside what the memory and
the processor can do at all.

    python -m benchmarks.processor [--quick] [--model SHAPE] [--avx2] [--without llama.cpp]

The models have the shapes of Code Llama 7B and 13B and random weights, made once (13 and 26 GB) in the cache folder, as
are llama.cpp's files of them. The engine in 8 bits stands beside Q8_0, in 4 beside Q4_0; in rounds, in each of which
both do the same with the same token ids. What the memory cannot hold together is loaded one after the other, and then
the rounds are not paired. Minutes are what this takes: a prompt of 1,000 tokens is 13 trillion multiplications.

Results are kept for each kind of processor, in `processor_KIND.json`; what is not measured anew stays there. `--avx2`
is as on a processor with AVX2 and nothing newer: the engine computes so, and llama.cpp is compiled for one. `--layers 2
--hidden 256` checks this script itself with a small model; what that measures is written to the cache folder, not among
the results.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import os
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmarks import llama_cpp, results, shapes, systems, texts
from benchmarks.engine import END, OURS, Samples, Served, table, turned
from benchmarks.figures import median, paired_ratio
from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.engine.loading import plan, sizes
from lsp_server.engine.loading.devices import gib
from lsp_server.engine.passes import products, threads
from lsp_server.engine.passes.rounding import NF4_BLOCK
from lsp_server.places import cache_folder

SHAPES = ("7b", "13b")
BITS = {"8": "Q8_0", "4": "Q4_0"}
WINDOW, CHUNK = 1000, 256  # tokens
CONTEXT_LENGTH = 2048  # of the engine and of llama.cpp
ROUNDS, QUICK = 3, 1
# Of what a token reads, how much longer it may take than the memory needs; how many times as fast as llama.cpp a prompt
# is to be in 8 bits; and in 4 bits the share of the time that a token may take of that in 8.
MOST_OF_MEMORY, FASTER, MOST_OF_EIGHT = 1.15, 1.5, 0.6
# Read often enough to see what the memory gives, of more than the caches hold.
PROBE_BYTES, PROBES = 2**30, 5
PROBE_SIDE = 4096
# Memory that is left free where two engines are loaded, of which one reads a checkpoint.
ROOM = 4 * 2**30
# The types that torch multiplies fast, by the instructions which that takes; none without them.
PEAKS = {torch.float32: "", torch.bfloat16: "avx512_bf16", torch.int8: "avx512_vnni"}


@dataclasses.dataclass
class Measured:
    """Of one shape in one number of bits. `read`: the bytes that a token after the prompt reads; `operations`: those of
    a token of a prompt, without attention's; `planned`, `held`: bytes, of the engine's process; `memory`: bytes a
    second that were read of it in each round; `beside`: milliseconds of a forward pass of decoding in 8 bits and in
    these, in the same rounds."""

    shape: str
    bits: str
    paired: bool
    window: int
    read: int
    operations: int
    planned: int
    held: int = 0
    samples: Samples = dataclasses.field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    memory: list[float] = dataclasses.field(default_factory=list)
    beside: tuple[list[float], list[float]] = dataclasses.field(default_factory=lambda: ([], []))

    @property
    def named(self) -> str:
        return _named(self.shape, self.bits)

    @property
    def llama(self) -> str:
        return f"llama.cpp {BITS[self.bits]}"

    def of(self, what: str, name: str = OURS) -> list[float]:
        """The milliseconds of one thing; empty where that was not measured."""
        return self.samples[f"{what} at {self.window}"].get(name, [])


async def main(argv: list[str] | None = None) -> int:
    """Measure, print, and write the results; the exit status."""
    options = _parse(argv)
    if options.avx2 and any(os.environ.get(name) != value for name, value in systems.AVX2.items()):
        # What multiplies here for the peaks has been told at its start.
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.processor", *(argv or sys.argv[1:])],
                  {**os.environ, **systems.AVX2})  # fmt: skip
    found: list[Measured] = []
    for shape in [options.model] if options.model else SHAPES:
        config = shapes.config(shape, options.layers, options.hidden)
        for bits in options.bits or BITS:
            try:
                found.append(await _measure(shape, config, bits, options))
            except (plan.DoesNotFit, OSError) as error:
                print(f"{_named(shape, bits)} is left out: {error}")
        if [each.bits for each in found if each.shape == shape] == ["8", "4"]:
            await _both(shapes.folder(shape, config), found[-2], found[-1], options)
        if found:
            _keep(found, options)  # the next shape takes half an hour
    if not found:
        print("No shape could be measured.", file=sys.stderr)
        return 1
    return 0


def _keep(found: Sequence[Measured], options: argparse.Namespace) -> None:
    """Print and write what was measured, beside what was before and not anew."""
    small = options.layers or options.hidden
    folder = cache_folder() / "benchmarks" / "results" if small else results.FOLDER
    has = ["avx2"] if options.avx2 else results.instructions()
    name = f"processor_{(has or ['other'])[-1]}"
    before, anew = results.read(name, folder), {each.named for each in found}
    figures = [
        {"shape": each.shape, "bits": each.bits, "paired": each.paired, **row}
        for each in found
        for row in table(each.samples)
    ]

    def stay(kind: str) -> list[dict[str, Any]]:
        return [row for row in before.get(kind, []) if _named(row["shape"], row["bits"]) not in anew]

    results.keep(
        name,
        [row for row in before.get("targets", []) if row["name"].partition(":")[0] not in anew] + targets(found),
        folder,
        figures=stay("figures") + figures,
        bounds=stay("bounds") + [bounds(each) for each in found],
        peaks=_peaks(has),
    )


def _named(shape: str, bits: str) -> str:
    return f"{shape} in {bits} bits"


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"one round, after a prompt of {CHUNK} tokens")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--model", choices=tuple(shapes.VOCABULARIES), metavar="SHAPE", help="7b, 13b, 34b or 70b")
    parser.add_argument("--bits", action="append", choices=tuple(BITS), help="8 or 4 alone")
    parser.add_argument("--avx2", action="store_true", help="as on a processor with AVX2 and nothing newer")
    parser.add_argument("--without", action="append", default=[], choices=("llama.cpp",))
    parser.add_argument("--layers", type=int, default=0, help="fewer layers than the shape has")
    parser.add_argument("--hidden", type=int, default=0, help="another width than the shape's, a multiple of 128")
    return parser.parse_args(argv)


async def _measure(shape: str, config: dict[str, Any], bits: str, options: argparse.Namespace) -> Measured:
    """Raises DoesNotFit and OSError where memory or disk have no room."""
    memory = next(device for device in plan.devices() if device.kind == "cpu")
    placed = plan.make_roomy(config, (memory,), CONTEXT_LENGTH, quantization=bits)
    with_llama = "llama.cpp" not in options.without
    folder, kind = _made(shape, config), BITS[bits].lower()
    theirs = llama_cpp.gguf(folder, kind).stat().st_size if with_llama else 0
    window = CHUNK if options.quick else WINDOW
    found = Measured(
        shape,
        bits,
        placed.used_bytes + theirs + plan.GIB < memory.free_bytes,
        window,
        read(config, int(bits), window),
        operations(config),
        placed.used_bytes,
    )
    ids = texts.Ids(CodeLlamaTokenizer.from_pretrained(folder))
    rounds = _rounds(options)
    prompt, more = ids.take(window), ids.take(1)[0]
    asked = [(ids.take(END), ids.take(CHUNK)) for _ in range(rounds)]
    names = [OURS, found.llama] if with_llama else [OURS]
    for group in [names] if found.paired else [[name] for name in names]:
        async with contextlib.AsyncExitStack() as stack:
            servers: list[systems.System] = []
            if OURS in group:
                stack.enter_context(systems.runtime())
                engine = systems.engine(str(folder), context_length=CONTEXT_LENGTH, quantization=bits)
                servers.append(await stack.enter_async_context(engine))
            if found.llama in group:
                servers.append(
                    await stack.enter_async_context(
                        systems.llama_server(folder, kind, CONTEXT_LENGTH, avx2=options.avx2)
                    )
                )
                servers[-1].name = found.llama
            for server in servers:
                await systems.run(server, ids.take(END), 2)
            measured = [Served(server, found.samples, {}) for server in servers]
            for one in measured:
                await one.begin(prompt, more)
            for number, (end, chunk) in enumerate(asked):
                for one in turned(measured, number):
                    await one.decode(end)
                found.memory.append(read_bytes_a_second())
                for one in turned(measured, number):
                    await one.prefill(chunk)
                print(f"{shape}, {bits} bits: {', '.join(group)}: round {number + 1} of {rounds}", flush=True)
            if OURS in group:
                held = psutil.Process(servers[0].pid).memory_info()
                found.held = held.rss - getattr(held, "shared", 0)
    return found


async def _both(folder: Path, eight: Measured, four: Measured, options: argparse.Namespace) -> None:
    """Both engines in the same rounds, where the memory holds them together: from one hour to the next, memory that
    others read as well may be half as fast."""
    if eight.held + four.held + ROOM > psutil.virtual_memory().available:
        return
    ids, both = texts.Ids(CodeLlamaTokenizer.from_pretrained(folder)), [eight, four]
    prompt, more = ids.take(four.window), ids.take(1)[0]
    samples: Samples = defaultdict(lambda: defaultdict(list))
    async with contextlib.AsyncExitStack() as stack:
        engines = []
        for each in both:
            stack.enter_context(systems.runtime())
            engine = systems.engine(str(folder), context_length=CONTEXT_LENGTH, quantization=each.bits)
            engines.append(await stack.enter_async_context(engine))
            engines[-1].name = each.bits
        measured = [Served(engine, samples, {}) for engine in engines]
        for one in measured:
            await one.begin(prompt, more)
        for number in range(_rounds(options)):
            end = ids.take(END)
            for one in turned(measured, number):
                await one.decode(end)
    passes = samples[f"forward pass of decoding at {four.window}"]
    four.beside = passes["8"], passes["4"]


def _rounds(options: argparse.Namespace) -> int:
    return int(options.rounds or (QUICK if options.quick else ROUNDS))


def _made(shape: str, config: dict[str, Any]) -> Path:
    """The checkpoint. Raises OSError where it is not there and the disk has no room for it and llama.cpp's files."""
    place = shapes.folder(shape, config)
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        need, free = 2 * sizes.measure(config).weights(16), shutil.disk_usage(place.parent).free
        if need > free:
            raise OSError(f"its files need {gib(need)} in {place.parent}, and {gib(free)} are free.")
        print(f"{shape}: a checkpoint is made in {place}; remove it when you are done.", flush=True)
    return shapes.make(shape, config)


def targets(found: Sequence[Measured]) -> list[dict[str, Any]]:
    """What is to be reached. A token is told by the forward pass: how often one gives more, random weights do not
    say."""
    rows = []
    tokens: dict[tuple[str, str], float] = {}
    for each in found:
        name = each.named
        token = median(each.of("forward pass of decoding"))
        tokens[each.shape, each.bits] = token
        of_memory = token / (1000 * each.read / median(each.memory))
        if each.bits == "8":
            what = f"{name}: a token, times as long as the memory needs for what it reads"
            note = f"{token:.0f} ms at context {each.window}; {median(each.memory) / 1e9:.1f} GB/s are read"
            rows.append(results.target(what, f"at most {MOST_OF_MEMORY}", of_memory, of_memory <= MOST_OF_MEMORY, note))
        elif (each.shape, "8") in tokens:
            if all(each.beside):
                eight, four = each.beside
                share, note = paired_ratio(four, eight), f"{median(four):.0f} ms against {median(eight):.0f}"
            else:
                share, note = token / tokens[each.shape, "8"], f"{token:.0f} ms, not in the same rounds"
            what = f"{name}: a token, of the time in 8 bits"
            rows.append(results.target(what, f"at most {MOST_OF_EIGHT}", share, share <= MOST_OF_EIGHT, note))
        faster = FASTER if each.bits == "8" else 1.0
        for what, least in (("first token of a new prompt", faster), ("prefill of a token", faster),
                            ("decode of a token", 1.0)):  # fmt: skip
            if theirs := each.of(what, each.llama):
                ours = each.of(what)
                ratio = paired_ratio(theirs, ours) if each.paired else median(theirs) / median(ours)
                note = f"{median(ours):.0f} ms against {median(theirs):.0f}{'' if each.paired else ', not paired'}"
                named = f"{name}: {what}: times faster than {each.llama}"
                rows.append(results.target(named, f"at least {least:g}", ratio, ratio >= least, note))
        share = each.held / each.planned
        note = f"{gib(each.held)} of {gib(each.planned)}"
        rows.append(results.target(f"{name}: memory held, of that planned", "at most 1", share, share <= 1, note))
    return rows


def bounds(each: Measured) -> dict[str, Any]:
    """What the memory and the processor gave, in billions a second."""
    chunk = each.of("prefill of a token")
    return {
        "shape": each.shape,
        "bits": each.bits,
        "GB/s read by a token": round(each.read / median(each.of("forward pass of decoding")) / 1e6, 1),
        "GB/s read by a sum": round(median(each.memory) / 1e9, 1),
        "GFLOP/s of a prompt": round(each.operations / median(chunk) / 1e6),
    }


def read(config: Mapping[str, Any], bits: int, tokens: int) -> int:
    """The bytes that a token after so many others reads: the weights of the layers, those of the head, which has 8 bits
    in any case, and keys and values."""
    size = sizes.measure(config)
    layers = sum(_bytes(rows, columns, bits) for rows, columns in _matrices(size))
    return int(layers + config["vocab_size"] * config["hidden_size"] + tokens * size.kv_bytes)


def _bytes(rows: int, columns: int, bits: int) -> int:
    """Those of a matrix as the engine holds it."""
    if bits == 8:
        return sizes.linear_bytes(rows, columns, bits)
    return rows * (columns // 2 + products.shares(torch.empty(1, columns // NF4_BLOCK)).nbytes)


def operations(config: Mapping[str, Any]) -> int:
    """Those of a token of a prompt: a multiplication and an addition for each weight of the layers."""
    return 2 * sum(rows * columns for rows, columns in _matrices(sizes.measure(config)))


def _matrices(size: sizes.Sizes) -> list[tuple[int, int]]:
    return [shape for piece in size.pieces if piece.layer is not None for shape in piece.linear]


def read_bytes_a_second() -> float:
    """What a sum reads of the memory, on all cores: the median, as of all that is measured beside it."""
    torch.set_num_threads(threads.cores())
    numbers = torch.ones(PROBE_BYTES // 4)
    found = []
    for _ in range(PROBES):
        began = time.perf_counter()
        numbers.sum()
        found.append(PROBE_BYTES / (time.perf_counter() - began))
    return median(found)


def _peaks(has: Sequence[str]) -> dict[str, float]:
    """The most that torch's products reach with these instructions, in billions of operations a second, by the type of
    their numbers."""
    return {
        str(dtype).removeprefix("torch."): round(_peak(dtype) / 1e9, 1)
        for dtype, with_ in PEAKS.items()
        if with_ in {"", *has}
    }


def _peak(dtype: torch.dtype) -> float:
    """Operations a second of the best product of that type that torch has, on all cores."""
    torch.set_num_threads(threads.cores())
    one = torch.ones(CHUNK, PROBE_SIDE, dtype=dtype)
    other = torch.ones(PROBE_SIDE, PROBE_SIDE, dtype=dtype)
    product = torch._int_mm if dtype == torch.int8 else torch.mm
    best = 0.0
    for _ in range(PROBES):
        began = time.perf_counter()
        product(one, other)
        best = max(best, 2 * CHUNK * PROBE_SIDE**2 / (time.perf_counter() - began))
    return best


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
