"""The product of a few or of many tokens with weights of 8 or 4 bits, compiled, for CPUs.

For one token all depends on how fast weights are read, for many on how seldom anything else is. So some rows of weights
are taken a block at a time, which stays in the nearest of the processor's caches while all tokens are multiplied with
it. What a token gives does not depend on the tokens computed beside it, nor on the number of threads.

Weights of 8 bits are int8 [out, in] with scales float32 [out, 1], those of 4 bits uint8 [out, in / 2], as bitsandbytes
has them (`rounding`), with `shares` of its scales: these stand for numbers of 13 bits. The numbers' type says which
weights they are. What they are multiplied with is rounded in each block of up to `BLOCK` inputs, to 16 bits and to 14,
signs included: processors multiply whole numbers of 16 bits twice as fast as float32, and their sums are exact. The
16-bit floats in which bitsandbytes multiplies have eight bits. Small weights of 8 bits alone are multiplied in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numba import prange, types

from lsp_server.engine.passes import compiling, tiles
from lsp_server.engine.passes.compiling import Bytes, Scales, compiled, exactly, exactly_in_place, exactly_parallel
from lsp_server.engine.passes.floats import to_bfloat16
from lsp_server.engine.passes.reading import ROWS, read_ahead
from lsp_server.engine.passes.rounding import NF4_BLOCK
from lsp_server.engine.passes.tiles import READS_BY_ITSELF, TOKENS, WIDE

# How many inputs there are is a multiple of this; with weights of 4 bits of 64.
MULTIPLE = 8
# Inputs multiplied in one go, at most: those of a few tokens, and of the rows of weights, fit the nearest cache.
BLOCK = 512
# Inputs below which weights of 8 bits are those of a small model: its matrices stay in a cache, and its rows are short.
SHALLOW = 2048
# A scale that is smaller is none.
_LEAST_SCALE = 1e-30
# Numbers of 16 bits in a line of the cache.
_LINE = 32
# So far ahead weights are read of memory: bytes of each row.
_AHEAD = 2048
# So many times four rows are multiplied with the same few tokens one after the other.
_QUADS = 4
# Up to so many tokens one thread rounds all of them sooner, and weights of 8 bits are taken four rows at a time.
_FEW = 8

_tile_of_one, _tile_of_two, _tile_of_three, _tile_of_most = (tiles.tile(tokens) for tokens in (1, 2, 3, TOKENS))
_rows_of_one, _rows_of_two, _rows_of_three, _rows_of_most = (tiles.rows(tokens) for tokens in (1, 2, 3, TOKENS))
_BITS, _CODE_BITS = 15, 13  # of what weights are multiplied with, but for the sign
# Of the bits of a float32: all but the sign, those of infinity, and of what is so small that it counts as nothing; how
# many come below the exponent.
_MAGNITUDE, _INFINITE, _NOTHING = np.int32(0x7FFFFFFF), np.int32(0x7F800000), np.float32(1e-30).view(np.int32)
_FRACTION_BITS = np.int32(23)


def product(rows: torch.Tensor, weights: Bytes, scales: Scales) -> torch.Tensor:
    """The same of rows [rows, in] of any float type: float32 [rows, out]."""
    y: torch.Tensor = torch.from_numpy(
        linear(rows.float().contiguous().numpy(), weights, scales, compiling.set_threads())
    )
    return y


def shares(largest: torch.Tensor) -> torch.Tensor:
    """The scales float32 [out, in / 64] of weights of 4 bits, as they are multiplied by: int16 [out, blocks, 2 + in a
    block / 64], of each block what 1 is worth, a float32, and which share of the largest scale each is."""
    each = _block(largest.shape[1] * NF4_BLOCK) // NF4_BLOCK
    blocks = F.pad(largest, (0, -largest.shape[1] % each)).view(len(largest), -1, each)
    most = blocks.amax(-1, keepdim=True)
    found = blocks.div(most.clamp(min=_LEAST_SCALE)).mul_(tiles.MOST_SHARE).round_().to(torch.int16)
    units = most.mul_(2.0**15 / (tiles.MOST_SHARE * tiles.MOST_CODE))
    return torch.cat([units.view(torch.int16), found], -1)


def scales(shares: torch.Tensor, count: int) -> torch.Tensor:
    """The scales again, float32 [out, count], to 13 bits of the largest of their block."""
    units, found = shares[..., : tiles.UNIT].contiguous().view(torch.float32), shares[..., tiles.UNIT :]
    return found.mul(units * (tiles.MOST_CODE / 2.0**15)).flatten(1)[:, :count].contiguous()


@exactly
def _block(size: int) -> int:
    """How many of `size` inputs are multiplied in one go, so that not much less are left over at the end."""
    blocks = -(-size // BLOCK)
    return -(-size // (blocks * NF4_BLOCK)) * NF4_BLOCK


@exactly
def _aligned(rows: int, columns: int) -> Any:
    """An array of int16, not set, that begins with a line of the cache: what a register takes does not lie in two."""
    memory = np.empty(rows * columns + _LINE, np.int16)
    first = -memory.ctypes.data // 2 % _LINE
    return memory[first : first + rows * columns].reshape(rows, columns)


@exactly
def _round(x: Any, bits: int, whole: Any, marks: Any) -> None:
    """Put x [in] into `whole` [in] as int16 of so many bits and the sign, and what 1 is worth in each block into
    `marks` [blocks]: powers of two, or not a number where one of the block's is none."""
    size, seen, most = len(x), x.view(np.int32), np.float32(2**bits - 1)
    block, marked = _block(size), marks.view(np.int32)
    for number in range(-(-size // block)):
        first = number * block
        part, bits_of, into = x[first : first + block], seen[first : first + block], whole[first : first + block]
        largest = np.int32(0)  # without their signs, floats are in the order of their bits
        for k in range(len(part)):
            largest = max(largest, np.int32(bits_of[k] & _MAGNITUDE))
        factor = mark = np.float32(0)
        if largest >= _INFINITE:
            mark = np.float32(np.nan)
        elif largest >= _NOTHING:
            marked[number] = ((largest >> _FRACTION_BITS) + 1 - bits) << _FRACTION_BITS
            mark = marks[number]
            factor = np.float32(1) / mark
        marks[number] = mark
        for k in range(len(part)):
            into[k] = np.int16(np.int32(np.rint(max(min(part[k] * factor, most), -most))))


@exactly
def _arrange(whole: Any) -> None:
    """Put each 64 numbers into the order in which weights of 4 bits come."""
    for first in range(0, len(whole), NF4_BLOCK):
        tiles.arrange(whole, first)


@compiling.by_types
def _take(x: Any, weights: Any, whole: Any, marks: Any) -> Any:
    """Round x as it is multiplied with weights of this type."""
    if weights.dtype == types.uint8:

        def take(x: Any, weights: Any, whole: Any, marks: Any) -> None:
            _round(x, _CODE_BITS, whole, marks)
            _arrange(whole)

        return take
    return lambda x, weights, whole, marks: _round(x, _BITS, whole, marks)


@compiling.by_types
def _scale(weights: Any, scales: Any, row: Any) -> Any:
    """What a row's sums are times."""
    if weights.dtype == types.uint8:
        return lambda weights, scales, row: np.float32(1)
    return lambda weights, scales, row: scales[row, 0]


@exactly
def _write(sums: Any, quads: int, at: int, weights: Any, scales: Any, y: Any) -> None:
    """Put the sums of `quads` rows of each quarter, from its row `at` on, where they belong in y [tokens, out]."""
    out = y.shape[1]
    quarter = -(-out // ROWS)
    for t in range(len(y)):
        for n in range(ROWS):
            for quad in range(quads):
                row = n * quarter + at + quad
                if row < out:
                    y[t, row] = sums[t, quad, n] * _scale(weights, scales, row)


@exactly_in_place
def _add(  # noqa: PLR0913, PLR0917 - by position
    weights: Any, scales: Any, row: int, step: int, apart: int, first: int, quads: int, x: Any, marks: Any, start: int,
    block: int, count: int, sums: Any,
) -> None:  # fmt: skip
    """Add to the sums [tokens, quads, ROWS] what `count` weights of each row, from `first` on, give with all tokens,
    from `start` on, which is of this block: the rows are `row` and those `step` behind each other, for further quads
    those `apart` behind them."""
    tokens = len(x)
    if tokens == 1:
        for quad in range(quads):
            _tile_of_one(weights, scales, row + quad * apart, step, first, x, marks, 0, start, block, count, sums, quad)
        return
    # One token by itself has too few sums: with the three before it, it makes two and two.
    many = (tokens - 2) // TOKENS * TOKENS if tokens % TOKENS == 1 else tokens // TOKENS * TOKENS
    threes = many + (tokens - many - 2) // 3 * 3 if (tokens - many) % 3 else tokens
    for t in range(0, many, TOKENS):
        for quad in range(quads):
            at = row + quad * apart
            _tile_of_most(weights, scales, at, step, first, x, marks, t, start, block, count, sums, quad)
    for t in range(many, threes, 3):
        for quad in range(quads):
            at = row + quad * apart
            _tile_of_three(weights, scales, at, step, first, x, marks, t, start, block, count, sums, quad)
    for t in range(threes, tokens, 2):
        for quad in range(quads):
            at = row + quad * apart
            _tile_of_two(weights, scales, at, step, first, x, marks, t, start, block, count, sums, quad)


@exactly
def _as_they_are(  # noqa: PLR0917 - by position
    taken: Any, weights: Any, scales: Any, begin: int, end: int, at_once: int, y: Any
) -> None:
    """Of weights of 8 bits the columns of y: `begin` to `end` of each quarter of them, so many `at_once`. Rows of four
    quarters at a time: memory is read ahead best in a few long runs, on some processors by themselves where they do
    nothing but wait for them: with one token."""
    x, marks = taken
    size = x.shape[1]
    quarter, block = -(-len(weights) // ROWS), _block(size)
    sums = np.empty((len(x), at_once, ROWS), np.float32)
    waits = READS_BY_ITSELF and len(x) == 1
    for at in range(begin, end, at_once):
        quads = min(at_once, end - at)
        sums[:] = 0
        for number, first in enumerate(range(0, size, block)):
            count = min(block, size - first)
            if not waits:
                for quad in range(quads):
                    read_ahead(weights, at + quad, quarter, first + _AHEAD, block)
            _add(weights, scales, at, quarter, 1, first, quads, x, marks, first, number, count, sums)
        _write(sums, quads, at, weights, scales, y)


@exactly
def _of_few(taken: Any, weights: Any, scales: Any, begin: int, end: int, y: Any) -> None:
    """The same with weights of 4 bits and up to TOKENS: whole rows by one function."""
    x, marks = taken
    tokens, out = y.shape
    quarter, block, ahead = -(-len(weights) // ROWS), _block(x.shape[1]), 2 * _AHEAD
    sums = np.empty((tokens, ROWS), np.float32)
    for at in range(begin, end):
        if tokens == 1:
            _rows_of_one(weights, scales, at, quarter, ahead, x, marks, block, sums)
        elif tokens == 2:
            _rows_of_two(weights, scales, at, quarter, ahead, x, marks, block, sums)
        elif tokens == 3:
            _rows_of_three(weights, scales, at, quarter, ahead, x, marks, block, sums)
        else:
            _rows_of_most(weights, scales, at, quarter, ahead, x, marks, block, sums)
        for n in range(ROWS):
            row = n * quarter + at
            if row < out:
                for t in range(tokens):
                    y[t, row] = sums[t, n]


@exactly
def _looked_up(taken: Any, weights: Any, scales: Any, begin: int, end: int, y: Any) -> None:
    """The same with weights of 4 bits, best for many tokens: they are looked up once for all of them."""
    x, marks = taken
    size, last = x.shape[1], len(weights) - 1
    quarter, block = -(-len(weights) // ROWS), _block(size)
    whole, units = _aligned(_QUADS * ROWS, block), np.empty((_QUADS * ROWS, 1), np.float32)
    sums = np.empty((len(x), _QUADS, ROWS), np.float32)
    for at in range(begin, end, _QUADS):
        quads = min(_QUADS, end - at)
        sums[:] = 0
        for number, first in enumerate(range(0, size, block)):
            count = min(block, size - first)
            for quad in range(quads):
                read_ahead(weights, at + quad, quarter, first + 2 * _AHEAD, block)
                for n in range(ROWS):
                    row = min(n * quarter + at + quad, last)
                    tiles.bring_back(weights, scales, row, first, number, count, whole, units, quad * ROWS + n)
            _add(whole, units, 0, 1, ROWS, 0, quads, x, marks, first, number, count, sums)
        _write(sums, quads, at, weights, scales, y)


@compiling.by_types
def _part(taken: Any, weights: Any, scales: Any, begin: Any, end: Any, y: Any) -> Any:
    """What one thread computes."""
    if weights.dtype == types.uint8:

        def of_four_bits(taken: Any, weights: Any, scales: Any, begin: Any, end: Any, y: Any) -> None:
            if len(y) <= TOKENS:
                _of_few(taken, weights, scales, begin, end, y)
            else:
                _looked_up(taken, weights, scales, begin, end, y)

        return of_four_bits

    def of_eight_bits(taken: Any, weights: Any, scales: Any, begin: Any, end: Any, y: Any) -> None:
        _as_they_are(taken, weights, scales, begin, end, 1 if len(y) <= _FEW else _QUADS, y)

    return of_eight_bits


@compiled
def _of_eight_bits(x: Any, weights: Any, scales: Any, row: int, step: int, y: Any) -> None:
    """Four columns of y, `step` apart: four tokens against each row of W, or one token against all four.

    Either way four sums grow at once, so that a token's do not depend on how many there are; equal tokens fill up four.
    How they lie in registers is left to the compiler: of small matrices, which stay in a cache, it makes the most.
    """
    tokens, size = x.shape
    last = tokens - 1
    whole = tokens // 4 * 4 + (4 if tokens % 4 > 2 else 0)
    for t in range(0, whole, 4):
        t, u, v, w = t, min(t + 1, last), min(t + 2, last), min(t + 3, last)
        for n in range(4):
            i = row + n * step
            a = b = c = d = np.float32(0)
            for k in range(size):
                one = np.float32(weights[i, k])
                a += one * x[t, k]
                b += one * x[u, k]
                c += one * x[v, k]
                d += one * x[w, k]
            scale = _scale(weights, scales, i)
            y[t, i], y[u, i], y[v, i], y[w, i] = a * scale, b * scale, c * scale, d * scale
    g, h, i, j = row, row + step, row + 2 * step, row + 3 * step
    for t in range(whole, tokens):
        a = b = c = d = np.float32(0)
        for k in range(size):
            one = x[t, k]
            a += np.float32(weights[g, k]) * one
            b += np.float32(weights[h, k]) * one
            c += np.float32(weights[i, k]) * one
            d += np.float32(weights[j, k]) * one
        y[t, g], y[t, h] = a * _scale(weights, scales, g), b * _scale(weights, scales, h)
        y[t, i], y[t, j] = c * _scale(weights, scales, i), d * _scale(weights, scales, j)


@exactly_parallel
def linear(x: Any, weights: Any, scales: Any, threads: int) -> Any:
    """y = x W^T, [tokens, out], with x [tokens, in] float32, in as many parts as there are threads. `in` is a multiple
    of MULTIPLE."""
    out = weights.shape[0]
    y = np.empty((x.shape[0], out), np.float32)
    if weights.shape[1] == x.shape[1] and (x.shape[1] < SHALLOW or x.shape[1] % WIDE):
        # Rows of four quarters at a time: memory is read ahead best in a few long runs.
        for row in prange(out // 4):
            _of_eight_bits(x, weights, scales, np.int64(row), out // 4, y)
        for row in range(out // 4 * 4, out):
            _of_eight_bits(x, weights, scales, row, 0, y)
        return y
    tokens, size = x.shape
    whole, marks = _aligned(tokens, size), np.empty((tokens, -(-size // _block(size))), np.float32)
    if tokens <= _FEW:
        for t in range(tokens):
            _take(x[t], weights, whole[t], marks[t])
    else:
        for t in prange(tokens):
            _take(x[t], weights, whole[t], marks[t])
    quarter = -(-len(weights) // ROWS)
    for thread in prange(threads):
        begin, end = quarter * thread // threads, quarter * (thread + 1) // threads
        _part((whole, marks), weights, scales, begin, end, y)
    return y


@exactly_parallel
def bring_back(weights: Any, shares: Any, into: Any, threads: int) -> None:
    """Put weights of 4 bits into an array [out, in] of bfloat16, seen as uint16, in the order of `tiles.CODE_ORDER`."""
    out, size = into.shape
    block = _block(size)
    for thread in prange(threads):
        whole, units = np.empty((1, block), np.int16), np.empty((1, 1), np.float32)
        for row in range(out * thread // threads, out * (thread + 1) // threads):
            for number, first in enumerate(range(0, size, block)):
                # Arrays of their own, whose places need no looking after: numbers are computed side by side then.
                part = into[row, first : first + block]
                tiles.bring_back(weights, shares, row, first, number, len(part), whole, units, 0)
                codes, unit = whole[0, : len(part)], units[0, 0]
                for k in range(len(part)):
                    part[k] = to_bfloat16(np.float32(codes[k]) * unit)
