"""The product of a few or of many tokens with weights of 8 or 4 bits, compiled, for CPUs.

For one token all depends on how fast weights are read, for many on how seldom anything else is. So some rows of weights
are taken a block at a time, which stays in the nearest of the processor's caches while all tokens are multiplied with
it. What a token gives does not depend on the tokens computed beside it, nor on the number of threads.

Weights of 8 bits are int8 [out, in] with scales float32 [out, 1], those of 4 bits uint8 [out, in / 2] with scales
float32 [out, in / 64], as bitsandbytes has them (`rounding`): these stand for numbers that are rounded to 13 bits. The
numbers' type says which weights they are. What they are multiplied with is rounded to 16 bits in each block of up to
`BLOCK` inputs: processors multiply whole numbers of 16 bits twice as fast as float32, and their sums are exact. The
16-bit floats in which bitsandbytes multiplies have eight bits. Small weights of 8 bits alone are multiplied in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import prange, types

from lsp_server.engine.passes import compiling, tiles
from lsp_server.engine.passes.compiling import Bytes, Floats, compiled, exactly, exactly_parallel
from lsp_server.engine.passes.rounding import NF4_BLOCK
from lsp_server.engine.passes.tiles import ROWS, TOKENS, WIDE, bring_back, read_ahead

# Inputs multiplied in one go, at most: those of a few tokens, and of the rows of weights, fit the nearest cache.
BLOCK = 576
# Inputs below which weights of 8 bits are those of a small model: its matrices stay in a cache, and its rows are short.
SHALLOW = 2048
# So far ahead weights are read of memory.
_AHEAD = 2048
# So many times four rows are multiplied with the same few tokens one after the other.
_QUADS = 4
# Up to so many tokens, weights are sooner brought back for each few of them anew.
_FEW = 8

_tile_of_one, _tile_of_two, _tile_of_three = (tiles.tile(tokens) for tokens in range(1, TOKENS + 1))
_ORDER, _UNIT = np.arange(NF4_BLOCK), np.float32(1)
_CODE_ORDER, _CODE_UNIT = np.array(tiles.CODE_ORDER), np.float32(tiles.MOST)
_MOST_WHOLE = np.float32(2**15 - 1)
# Of the bits of a float32: all but the sign, those of infinity, and of what is so small that it counts as nothing; how
# many come below the exponent, and what that of 1/2 is.
_MAGNITUDE, _INFINITE, _NOTHING = np.int32(0x7FFFFFFF), np.int32(0x7F800000), np.float32(1e-30).view(np.int32)
_FRACTION_BITS, _EXPONENT_OF_HALF = np.int32(23), 126


def product(rows: torch.Tensor, weights: Bytes, scales: Floats) -> torch.Tensor:
    """The same of rows [rows, in] of any float type: float32 [rows, out]."""
    y: torch.Tensor = torch.from_numpy(
        linear(rows.float().contiguous().numpy(), weights, scales, compiling.set_threads())
    )
    return y


@exactly
def _block(size: int) -> int:
    """How many of `size` inputs are multiplied in one go, so that not much less are left over at the end."""
    blocks = -(-size // BLOCK)
    return -(-size // (blocks * NF4_BLOCK)) * NF4_BLOCK


@exactly
def _rounded(x: Any, order: Any, unit: Any) -> Any:
    """x [tokens, in] as int16 in 16 bits, in each 64 in this order, and the marks [tokens, in / 64]: over `unit` powers
    of two, in each block the same; not a number where one of the block's is none."""
    tokens, size = x.shape
    block = _block(size)
    bits = x.view(np.int32)
    natural, whole = np.empty(size, np.int16), np.empty((tokens, size), np.int16)
    marks = np.empty((tokens, -(-size // NF4_BLOCK)), np.float32)
    for t in range(tokens):
        for first in range(0, size, block):
            last = min(first + block, size)
            largest = np.int32(0)  # without their signs, floats are in the order of their bits
            for k in range(first, last):
                largest = max(largest, bits[t, k] & _MAGNITUDE)
            exponent = np.int64(largest >> _FRACTION_BITS) - _EXPONENT_OF_HALF
            factor = mark = np.float32(0)
            if largest >= _INFINITE:
                mark = np.float32(np.nan)
            elif largest >= _NOTHING:
                factor, mark = np.float32(2.0 ** (15 - exponent)), np.float32(2.0 ** (exponent - 15)) / unit
            marks[t, first // NF4_BLOCK : -(-last // NF4_BLOCK)] = mark
            for k in range(first, last):
                natural[k] = np.int16(min(np.rint(x[t, k] * factor), _MOST_WHOLE))
        for first in range(0, size, NF4_BLOCK):
            for k in range(min(NF4_BLOCK, size - first)):
                whole[t, first + k] = natural[first + order[k]]
    return whole, marks


@exactly
def _write(sums: Any, quads: int, at: int, scales: Any, by_row: bool, y: Any) -> None:
    """Put the sums of `quads` rows of each quarter, from its row `at` on, where they belong in y [tokens, out], times
    the row's scale where there is one."""
    out = y.shape[1]
    quarter = -(-out // ROWS)
    for t in range(len(y)):
        for n in range(ROWS):
            for quad in range(quads):
                row = n * quarter + at + quad
                if row < out:
                    y[t, row] = sums[t, quad, n] * (scales[row, 0] if by_row else np.float32(1))


@exactly
def _add(  # noqa: PLR0913, PLR0917 - by position
    weights: Any, scales: Any, row: int, step: int, apart: int, first: int, quads: int, x: Any, marks: Any, start: int,
    count: int, sums: Any,
) -> None:  # fmt: skip
    """Add to the sums [tokens, quads, ROWS] what `count` weights of each row, from `first` on, give with all tokens,
    from `start` on: the rows are `row` and those `step` behind each other, for further quads those `apart` behind
    them."""
    tokens = len(x)
    if tokens == 1:
        for quad in range(quads):
            _tile_of_one(weights, scales, row + quad * apart, step, first, x, marks, 0, start, count, sums, quad)
        return
    # One token by itself has too few sums: with the three before it, it makes two and two.
    threes = (tokens - 2) // TOKENS * TOKENS if tokens % TOKENS else tokens
    for t in range(0, threes, TOKENS):
        for quad in range(quads):
            _tile_of_three(weights, scales, row + quad * apart, step, first, x, marks, t, start, count, sums, quad)
    for t in range(threes, tokens, 2):
        for quad in range(quads):
            _tile_of_two(weights, scales, row + quad * apart, step, first, x, marks, t, start, count, sums, quad)


@exactly
def _as_they_are(  # noqa: PLR0917 - by position
    taken: Any, weights: Any, scales: Any, begin: int, end: int, at_once: int, y: Any
) -> None:
    """Columns of y: `begin` to `end` of each quarter of them, so many `at_once`. Rows of four quarters at a time:
    memory is read ahead best in a few long runs."""
    x, marks = taken
    size = x.shape[1]
    quarter, block = -(-len(weights) // ROWS), _block(size)
    sums = np.empty((len(x), at_once, ROWS), np.float32)
    for at in range(begin, end, at_once):
        quads = min(at_once, end - at)
        sums[:] = 0
        for first in range(0, size, block):
            read_ahead(weights, at, quarter, first + _AHEAD, block)
            _add(weights, scales, at, quarter, 1, first, quads, x, marks, first, min(block, size - first), sums)
        _write(sums, quads, at, scales, weights.shape[1] == size, y)


@exactly
def _looked_up(taken: Any, weights: Any, scales: Any, begin: int, end: int, y: Any) -> None:
    """The same with weights of 4 bits, best for many tokens: they are looked up once for all of them."""
    x, marks = taken
    size, last = x.shape[1], len(weights) - 1
    quarter, block = -(-len(weights) // ROWS), _block(size)
    codes = np.empty((_QUADS * ROWS, block), np.int16)
    their_scales = np.empty((_QUADS * ROWS, block // NF4_BLOCK), np.float32)
    sums = np.empty((len(x), _QUADS, ROWS), np.float32)
    for at in range(begin, end, _QUADS):
        quads = min(_QUADS, end - at)
        sums[:] = 0
        for first in range(0, size, block):
            count = min(block, size - first)
            for quad in range(quads):
                for n in range(ROWS):
                    row = min(n * quarter + at + quad, last)
                    bring_back(weights, scales, row, first, count, codes, quad * ROWS + n)
                    for at_block in range(count // NF4_BLOCK):
                        their_scales[quad * ROWS + n, at_block] = scales[row, first // NF4_BLOCK + at_block]
            _add(codes, their_scales, 0, 1, ROWS, 0, quads, x, marks, first, count, sums)
        _write(sums, quads, at, scales, False, y)


@compiling.by_types
def _part(x: Any, weights: Any, scales: Any, begin: Any, end: Any, y: Any) -> Any:
    """What one thread computes."""
    if weights.dtype == types.uint8:

        def of_four_bits(x: Any, weights: Any, scales: Any, begin: Any, end: Any, y: Any) -> None:
            if len(y) <= _FEW:
                _as_they_are(x, weights, scales, begin, end, 1, y)
            else:
                _looked_up(x, weights, scales, begin, end, y)

        return of_four_bits

    def of_eight_bits(x: Any, weights: Any, scales: Any, begin: Any, end: Any, y: Any) -> None:
        _as_they_are(x, weights, scales, begin, end, 1 if len(y) <= _FEW else _QUADS, y)

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
            scale = scales[i, 0]
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
        y[t, g], y[t, h] = a * scales[g, 0], b * scales[h, 0]
        y[t, i], y[t, j] = c * scales[i, 0], d * scales[j, 0]


@compiling.by_types
def _taken(x: Any, weights: Any) -> Any:
    """x as it is multiplied with weights, and its marks."""
    if weights.dtype == types.uint8:
        return lambda x, weights: _rounded(x, _CODE_ORDER, _CODE_UNIT)
    return lambda x, weights: _rounded(x, _ORDER, _UNIT)


@exactly_parallel
def linear(x: Any, weights: Any, scales: Any, threads: int) -> Any:
    """y = x W^T, [tokens, out], with x [tokens, in] float32, in as many parts as there are threads. `in` is a multiple
    of 8, with weights of 4 bits of 64."""
    out = weights.shape[0]
    y = np.empty((x.shape[0], out), np.float32)
    if weights.shape[1] == x.shape[1] and (x.shape[1] < SHALLOW or x.shape[1] % WIDE):
        # Rows of four quarters at a time: memory is read ahead best in a few long runs.
        for row in prange(out // 4):
            _of_eight_bits(x, weights, scales, np.int64(row), out // 4, y)
        for row in range(out // 4 * 4, out):
            _of_eight_bits(x, weights, scales, row, 0, y)
        return y
    taken = _taken(x, weights)
    quarter = -(-len(weights) // ROWS)
    for thread in prange(threads):
        begin, end = quarter * thread // threads, quarter * (thread + 1) // threads
        _part(taken, weights, scales, begin, end, y)
    return y


@exactly_parallel
def brought_back(weights: Any, scales: Any, threads: int) -> Any:
    """Weights of 4 bits as float32 [out, in], in the order of `tiles.ORDER`."""
    out = len(weights)
    floats = np.empty((out, weights.shape[1] * 2), np.float32)
    for thread in prange(threads):
        for row in range(out * thread // threads, out * (thread + 1) // threads):
            bring_back(weights, scales, row, 0, floats.shape[1], floats, row)
    return floats
