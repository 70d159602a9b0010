"""A layer of a Llama over a few tokens as one compiled function, for CPUs.

For a token all weights are read once, which takes some milliseconds. A pass of separate operations spends more than
that on the way from one to the next, and torch's 8-bit product reads memory at half the speed that it has. numba
compiles these functions where they are first used, for some five seconds, and keeps the result on disk.

All arithmetic is in float32; keys and values are bfloat16, seen as uint16. For the weights see `products`.
What a token gives does not depend on the tokens computed beside it, nor on the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import prange

from lsp_server.engine.passes.compiling import Bytes, Floats, Numbers, Scales, compiled, parallel
from lsp_server.engine.passes.floats import as_float, from_bfloat16, to_bfloat16
from lsp_server.engine.passes.products import linear
from lsp_server.engine.passes.reading import read_ahead

# Above so many tokens torch's operations are faster, which make more of keys and values that are near.
MOST_TOKENS = 16
# So far ahead keys and values are read of memory, in four rows: numbers.
_AHEAD = 512


@compiled
def _exp(x: np.float32) -> np.float32:
    """e^x to seven digits: a power of two, and a polynomial for what is left (Cephes' expf)."""
    x = min(max(x, np.float32(-87.0)), np.float32(87.0))
    whole = np.floor(x * np.float32(1.44269504) + np.float32(0.5))
    x = x - whole * np.float32(0.693359375) + whole * np.float32(2.12194440e-4)
    y = np.float32(1.9875691500e-4)
    y = y * x + np.float32(1.3981999507e-3)
    y = y * x + np.float32(8.3334519073e-3)
    y = y * x + np.float32(4.1665795894e-2)
    y = y * x + np.float32(1.6666665459e-1)
    y = y * x + np.float32(5.0000001201e-1)
    y = y * x * x + x + np.float32(1.0)
    return y * as_float(np.uint32(np.int32(whole) + np.int32(127)) << np.uint32(23))


@compiled
def rms_norm(x: Any, weight: Any, eps: float) -> Any:
    y = np.empty_like(x)
    for t in range(x.shape[0]):
        squares = np.float32(0)
        for k in range(x.shape[1]):
            squares += x[t, k] * x[t, k]
        factor = np.float32(1) / np.sqrt(squares / np.float32(x.shape[1]) + eps)
        for k in range(x.shape[1]):
            y[t, k] = x[t, k] * factor * weight[k]
    return y


@compiled
def _rotate(  # noqa: PLR0917 - by position, as all that is compiled
    mixed: Any, rotations: Any, keys: Any, values: Any, start: int, heads: int, apart: int
) -> None:
    """Rotate queries and keys in place, pairs of numbers that lie so far `apart`; put new keys and values into the
    cache."""
    kv_heads, size = keys.shape[0], keys.shape[1]
    for t in range(mixed.shape[0]):
        for head in range(heads + kv_heads):
            for first in range(0, size, 2 * apart):
                for k in range(apart):
                    at, pair = head * size + first + k, first // 2 + k
                    real, imaginary = mixed[t, at], mixed[t, at + apart]
                    cosine, sine = rotations[t, 2 * pair], rotations[t, 2 * pair + 1]
                    mixed[t, at] = real * cosine - imaginary * sine
                    mixed[t, at + apart] = real * sine + imaginary * cosine
        for head in range(kv_heads):
            key, value = (heads + head) * size, (heads + kv_heads + head) * size
            for k in range(size):
                keys[head, k, start + t] = to_bfloat16(mixed[t, key + k])
                values[head, start + t, k] = to_bfloat16(mixed[t, value + k])


@compiled
def _add_rows(sums: Any, shares: Any, rows: Any) -> None:
    """Add shares @ rows to the sums [columns], with shares [n] and rows [n, at least so many columns] in bfloat16."""
    number, columns = shares.shape[0], sums.shape[0]
    ahead = 4 * max(1, _AHEAD // columns)
    for n in range(0, number - 3, 4):
        read_ahead(rows, n + ahead, 1, 0, columns)
        a, b, c, d = shares[n], shares[n + 1], shares[n + 2], shares[n + 3]
        for k in range(columns):
            sums[k] += (
                a * from_bfloat16(rows[n, k])
                + b * from_bfloat16(rows[n + 1, k])
                + c * from_bfloat16(rows[n + 2, k])
                + d * from_bfloat16(rows[n + 3, k])
            )
    for n in range(number // 4 * 4, number):
        for k in range(columns):
            sums[k] += shares[n] * from_bfloat16(rows[n, k])


@compiled
def _attend(query: Any, keys: Any, values: Any, length: int, more: Any, taken: Any) -> None:
    """What one head's query takes from the first `length` positions and those of `more`."""
    size = query.shape[0]
    scores = np.zeros(length + more.shape[0], np.float32)
    scaled = query * (np.float32(1) / np.sqrt(np.float32(size)))
    _add_rows(scores[:length], scaled, keys)
    for n in range(more.shape[0]):
        for k in range(size):
            scores[length + n] += scaled[k] * from_bfloat16(keys[k, more[n]])
    most = scores[0]
    for p in range(scores.shape[0]):
        most = max(most, scores[p])
    total = np.float32(0)
    for p in range(scores.shape[0]):
        scores[p] = _exp(scores[p] - most)
        total += scores[p]
    sums = np.zeros(size, np.float32)
    _add_rows(sums, scores[:length], values)
    for n in range(more.shape[0]):
        for k in range(size):
            sums[k] += scores[length + n] * from_bfloat16(values[more[n], k])
    for k in range(size):
        taken[k] = sums[k] / total


class Weights(NamedTuple):
    """Those of a layer: of each norm a factor [hidden], of each product the numbers and the scales (`products`).

    mixing: queries, keys and values, one below the other; gate_up: the gate's rows, then those of the values. apart:
    how far from each other the two numbers of a query or key are that are rotated together.
    """

    attention_norm: Floats
    mixing: Bytes
    mixing_scale: Scales
    output: Bytes
    output_scale: Scales
    feed_norm: Floats
    gate_up: Bytes
    gate_up_scale: Scales
    down: Bytes
    down_scale: Scales
    apart: int


class Seen(NamedTuple):
    """What each token of a pass sees: the first `lengths` [tokens] positions, and the first `counts` [tokens] of those
    in its row of `more` [tokens, any number]."""

    lengths: Numbers
    counts: Numbers
    more: Numbers

    @classmethod
    def in_a_row(cls, start: int, tokens: int) -> Seen:
        """Each token sees all that are before it, and itself."""
        lengths = np.arange(start + 1, start + tokens + 1)
        return cls(lengths, np.zeros(tokens, np.int64), np.zeros((tokens, 0), np.int64))

    @classmethod
    def on_branches(cls, trunk: int, paths: Sequence[Sequence[int]]) -> Seen:
        """Each token sees the first `trunk` positions and those of its path."""
        counts = np.array([len(path) for path in paths], np.int64)
        more = np.zeros((len(paths), counts.max()), np.int64)
        for row, path in zip(more, paths, strict=True):
            row[: len(path)] = path
        return cls(np.full(len(paths), trunk, np.int64), counts, more)


@parallel
def layer(  # noqa: PLR0913, PLR0917 - compiled functions take their arguments by position
    x: Any, weights: Weights, eps: float, rotations: Any, keys: Any, values: Any, start: int, seen: Seen,
    threads: int,
) -> None:  # fmt: skip
    """Add to x [tokens, hidden] what the layer says, in place, and put the new keys and values into the cache, from
    position `start` on."""
    tokens = x.shape[0]
    kv_heads, size = keys.shape[0], keys.shape[1]
    heads = weights.mixing.shape[0] // size - 2 * kv_heads
    mixed = linear(rms_norm(x, weights.attention_norm, eps), weights.mixing, weights.mixing_scale, threads)
    _rotate(mixed, rotations, keys, values, start, heads, weights.apart)
    taken = np.empty((tokens, heads * size), np.float32)
    for item in prange(tokens * heads):
        head, t = item // tokens, item % tokens  # of one head after the other, whose keys and values are near then
        part = slice(head * size, (head + 1) * size)
        of = head * kv_heads // heads
        more = seen.more[t, : seen.counts[t]]
        _attend(mixed[t, part], keys[of], values[of], seen.lengths[t], more, taken[t, part])
    x += linear(taken, weights.output, weights.output_scale, threads)
    both = linear(rms_norm(x, weights.feed_norm, eps), weights.gate_up, weights.gate_up_scale, threads)
    inner = both.shape[1] // 2
    fed = np.empty((tokens, inner), np.float32)
    for t in range(tokens):
        for k in range(inner):
            gate = both[t, k]
            fed[t, k] = gate / (np.float32(1) + _exp(-gate)) * both[t, inner + k]
    x += linear(fed, weights.down, weights.down_scale, threads)
