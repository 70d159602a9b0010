"""The products of the pass on CUDA cards, each for itself: whether they are right, and how they are best cut."""

from __future__ import annotations

import copy
import dataclasses
import functools
import itertools
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from benchmarks.figures import median
from lsp_server.engine.passes import cards
from lsp_server.engine.passes.card_weights import EightBits, FourBits, Weight
from lsp_server.engine.passes.cards import Tile
from lsp_server.engine.passes.rounding import NF4, NF4_BLOCK

FAR = 400_000_000  # bytes of weights that take turns, so that none is left in a cache


@dataclasses.dataclass(frozen=True)
class Product:
    """Rows and depth of one, and the bits of its weights; `gated`: half of the rows are gates."""

    name: str
    rows: int
    depth: int
    gated: bool = False
    bits: int = 8


def products(config: dict[str, Any], bits: int = 8) -> list[Product]:
    """Those of a layer, and the head, which is in 8 bits always."""
    hidden, fed, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    shared = 2 * (config.get("num_key_value_heads") or heads) * hidden // heads
    layer = [
        Product("queries, keys, values", hidden + shared, hidden, bits=bits),
        Product("output", hidden, hidden, bits=bits),
        Product("gate and up", 2 * fed, hidden, gated=True, bits=bits),
        Product("down", hidden, fed, bits=bits),
    ]
    return layer if bits == 4 else [*layer, Product("head", config["vocab_size"], hidden)]


def made(product: Product, tokens: int, device: torch.device) -> tuple[Weight, torch.Tensor]:
    """Random weights, and activations of the type that they are multiplied in."""
    random = torch.Generator(device).manual_seed(product.rows)
    rows, depth = product.rows, product.depth
    kind = torch.bfloat16 if device.type == "cuda" else torch.float16
    x = torch.randn(tokens, depth, device=device, generator=random).to(kind)
    scale = torch.rand(rows, 1 if product.bits == 8 else depth // NF4_BLOCK, device=device, generator=random)
    scale = scale * 1e-2 + 1e-4
    if product.bits == 8:
        weight = torch.randint(-127, 128, (rows, depth), dtype=torch.int8, device=device, generator=random)
        return EightBits(weight, scale[:, 0]), x
    weight = torch.randint(0, 256, (rows, depth // 2), dtype=torch.uint8, device=device, generator=random)
    return FourBits(weight, scale), x


def brought_back(given: Weight, kind: torch.dtype) -> torch.Tensor:
    """The weights in float32; those of 4 bits from numbers that are rounded to `kind`, as in the kernels."""
    if given.bits == 8:
        return given.weight.float() * given.scale[:, None]
    numbers = torch.tensor(NF4, device=given.weight.device).to(kind).float()
    codes = torch.stack([given.weight >> 4, given.weight & 15], dim=-1).flatten(1).long()
    return numbers[codes] * given.scale.T.repeat_interleave(NF4_BLOCK, 1)


def error(product: Product, tokens: int, settings: cards.Settings, device: torch.device) -> float:
    """How far from the same in float32, relative; of memory that was full of NaN."""
    given, x = made(product, tokens, device)
    tile, parts = given.cut(settings, tokens, gated=product.gated)
    rows = product.rows // 2 if product.gated else product.rows
    out = torch.full((parts, tokens, rows), math.nan, device=device)
    given.launch(x, out, tile, parts, gated=product.gated)
    wanted = x.float() @ brought_back(given, x.dtype).T
    if product.gated:
        gate, value = wanted.chunk(2, dim=-1)
        wanted = torch.nn.functional.silu(gate) * value
    return float((out.sum(0) - wanted).norm() / wanted.norm())


def candidates(settings: cards.Settings, bits: int, *, all_of_them: bool) -> Iterator[tuple[Tile, int]]:
    """Ways to cut a product for few tokens: a tile, and how many programs share the depth."""
    if not all_of_them:
        yield from ((settings.cuts(bits).few, parts) for parts in (1, 2))
        return
    if bits == 8:  # of 16 rows or more for each warp
        cuts = itertools.product([(16, 1), (32, 1), (32, 2), (64, 2), (64, 4)], (128, 256, 512))
    else:  # of a block or more for each
        cuts = itertools.product([(16, 2), (32, 2), (64, 2), (32, 1), (64, 1)], (128, 256))
    for ((rows, warps), depth), stages, parts in itertools.product(cuts, (3, 4, 5), (1, 2, 4, 8)):
        yield Tile(rows, depth, 16, warps, stages), parts


def sweep(
    config: dict[str, Any], bits: int, device: torch.device, seconds: float, *, whole: bool
) -> list[dict[str, Any]]:
    """For each product the three best cuts that were found in so many seconds, the best first."""
    rows, deadline = [], time.monotonic() + seconds
    for number, product in enumerate(every := products(config, bits)):
        share = (deadline - time.monotonic()) / (len(every) - number)
        rows += _best(product, device, time.monotonic() + share, whole=whole)
    return rows


def _best(product: Product, device: torch.device, until: float, *, whole: bool) -> list[dict[str, Any]]:
    given, x = made(product, 1, device)
    rows = product.rows // 2 if product.gated else product.rows

    def call(way: tuple[Tile, int], given: Weight) -> None:
        tile, parts = way
        out = torch.empty(parts, 1, rows, device=device)
        given.launch(x, out, tile, parts, gated=product.gated)

    ways = [
        (tile, parts)
        for tile, parts in candidates(cards.settings(device), product.bits, all_of_them=whole)
        if parts <= (1 if product.gated else given.depth // min(tile.depth, given.step))
        and (not whole or given.depth % tile.depth == 0)
    ]
    copies = [given]
    while whole and len(copies) * given.weight.nbytes < FAR:
        copies.append(copy.copy(given))
        copies[-1].weight = given.weight.clone()
    timed: list[dict[str, Any]] = []
    for way in _compiled(ways, lambda way: call(way, given), until):
        if time.monotonic() > until and timed:
            break
        took = microseconds([functools.partial(call, way, each) for each in copies], device)
        timed.append({
            "product": product.name,
            "tile": dataclasses.asdict(way[0]),
            "parts": way[1],
            "microseconds": took,
            "gb_per_second": (given.weight.nbytes + given.scale.nbytes) / took / 1000,
        })  # fmt: skip
    return sorted(timed, key=_microseconds_of)[:3]


def _microseconds_of(row: dict[str, Any]) -> float:
    return float(row["microseconds"])


def _compiled(
    ways: list[tuple[Tile, int]], call: Callable[[tuple[Tile, int]], None], until: float
) -> list[tuple[Tile, int]]:
    """Those that a card has room for, compiled side by side before any is measured."""

    def compiled(way: tuple[Tile, int]) -> bool:
        if time.monotonic() > until - (until - begun) / 2:
            return False
        try:
            call(way)
        except Exception:  # Triton has many: too much shared memory, too many registers
            return False
        return True

    begun = time.monotonic()
    first = [way for way in ways[:1] if compiled(way)]  # as much is measured whatever the time
    with ThreadPoolExecutor(12) as threads:
        return first + [way for way, fits in zip(ways[1:], threads.map(compiled, ways[1:]), strict=True) if fits]


def microseconds(calls: list[Callable[[], Any]], device: torch.device, rounds: int = 5) -> float:
    """The median of some rounds of what each call takes on the card, all of them one after the other."""
    if device.type != "cuda":
        started = time.perf_counter()
        for call in calls:
            call()
        return 1e6 * (time.perf_counter() - started) / len(calls)
    took = []
    for _ in range(rounds):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for call in calls:
            call()
        end.record()
        end.synchronize()
        took.append(1000 * begin.elapsed_time(end) / len(calls))
    return median(took)


def prompts(config: dict[str, Any], bits: int, tokens: int, device: torch.device) -> list[dict[str, Any]]:
    """A prompt's products: by the kernel, by torch's in 16 bits, and by that on weights which are first converted."""
    return [_prompt(product, tokens, device) for product in products(config, bits)[:4]]


def _prompt(product: Product, tokens: int, device: torch.device) -> dict[str, Any]:
    given, x = made(product, tokens, device)
    tile, parts = given.cut(cards.settings(device), tokens, gated=product.gated)
    out = torch.empty(parts, tokens, product.rows // (2 if product.gated else 1), device=device)
    plain = brought_back(given, x.dtype).to(x.dtype)
    calls: dict[str, Callable[[], Any]] = {
        "kernel": lambda: given.launch(x, out, tile, parts, gated=product.gated),
        "16 bits": lambda: x @ plain.T,
    }
    if product.bits == 8:
        calls["converted"] = lambda: x @ given.weight.to(x.dtype).T
    for call in calls.values():
        call()
    took = {name: microseconds([call] * 3, device) for name, call in calls.items()}
    return {"product": product.name, "tokens": tokens, "microseconds": took}
