"""The innermost loops of a matrix product, in LLVM's own vectors: it is written down what is in a register.

A tile is four rows of weights against a few tokens: up to twelve sums of eight lanes each, with AVX-512 sixteen of
sixteen, with which the multipliers of today's processors have enough to do. All sums are exact in 32 bits, so that what
a token gives does not depend on the tokens computed beside it.

Weights are int8, or uint8 that hold two weights of 4 bits each. The type says which. They are multiplied with whole
numbers, int16, of which a mark says what they are worth. What scales int8 have for a whole row is no matter of the
tile.

Weights of 4 bits have scales for each 64 of them, which are `shares` (int4.py) of the largest of their block: times
that share each leads to a whole number of 13 bits. int16 are such numbers that were made before. They come out of the
registers in another order, `CODE_ORDER`, in which x is to be arranged.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import config

from lsp_server.engine.passes.compiling import instructions
from lsp_server.engine.passes.reading import CACHE_LINE, ROWS, bytes_of, prefetch
from lsp_server.engine.passes.rounding import NF4, NF4_BLOCK
from lsp_server.engine.passes.vectors import (
    I8,
    I16,
    I32,
    I64,
    Array,
    constant,
    function,
    load,
    plus,
    shuffled,
    spread,
    steps,
    store,
)


def has_avx2() -> bool:
    """Whether that is compiled for a processor which has these instructions."""
    return config.CPU_NAME in {None, "haswell", binding.get_host_cpu_name()} and _has("avx2")


def has_avx512() -> bool:
    """... and these, for 512 bits at a time."""
    return config.CPU_NAME in {None, binding.get_host_cpu_name()} and _has("avx512bw")


def _has(feature: str) -> bool:
    return bool(binding.get_host_cpu_features().get(feature, False))


# Whether the processor reads ahead best by itself, where it does nothing but wait for memory: AMD's do.
READS_BY_ITSELF = (binding.get_host_cpu_name() or "").startswith("znver")
LANES = 16 if has_avx512() else 8
WIDE = 2 * LANES  # whole numbers of 16 bits that are multiplied at a time
# At most: as many sums as there are registers for, beside what is multiplied. With six of AVX-512, 24 sums, compilers
# put some of them aside, for 1.3 times the time.
TOKENS = 4 if LANES == 16 else 3

_HALVES = [range(32)] if LANES == 16 else [[*range(8), *range(16, 24)], [*range(8, 16), *range(24, 32)]]
# Which of the 64 weights comes at each place: first those in the upper halves of the bytes.
CODE_ORDER = tuple(2 * byte + half for half in (0, 1) for part in _HALVES for byte in part)
# The largest whole number that a weight of 4 bits leads to, and the largest share. Their product, over 2**15, is the
# largest with which numbers of 13 bits are multiplied: the sum of the 64 that a lane has of a block is within 32 bits.
MOST_CODE, MOST_SHARE = 2**14 - 1, 2**13
CODES = tuple(round(MOST_CODE * number) for number in NF4)
# In the shares of a block, what stands before them, a float32, takes so many int16.
UNIT = 2

_FLOATS, _INTS = ir.VectorType(ir.FloatType(), LANES), ir.VectorType(I32, LANES)
_SHORTS = ir.VectorType(I16, WIDE)
_SUMS = ir.VectorType(ir.FloatType(), ROWS)
_BYTES = ir.VectorType(I8, NF4_BLOCK // 2)
# So far ahead shares are read of memory, in items.
_SHARES_AHEAD = 96
# How many weights are read at a time, by the type that they have.
_STEP = {types.int8: WIDE, types.uint8: NF4_BLOCK, types.int16: WIDE}


def tile(tokens: int) -> Callable[..., None]:
    """The tile of so many tokens. Called with weights, scales, row, step, first; x, marks, token, start; block, count;
    sums, quad.

    It adds to sums[token + t, quad, n] the product of weights[row + n step, first : first + count] and x[token + t,
    start : start + count], for the four n and the `tokens` t; the last row stands for those behind it. x is int16, of
    which marks [tokens, blocks] has what 1 is worth in this `block`. `count` is not 0, at most 2,048, and a multiple of
    WIDE. Weights are int8, or int16 that were brought back, with scales float32 [rows, 1]: with these x has 13 bits and
    is in `CODE_ORDER`. All arrays lie in memory without gaps.
    """

    @instructions(None)
    def tile_of_tokens(  # noqa: PLR0913, PLR0917 - by position, as all that is compiled
        _: Any, weights: Any, scales: Any, row: Any, step: Any, first: Any, x: Any, marks: Any, token: Any, start: Any,
        block: Any, count: Any, sums: Any, quad: Any,
    ) -> Any:  # fmt: skip
        signature = types.void(weights, scales, row, step, first, x, marks, token, start, block, count, sums, quad)

        def made(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            weights, scales, row, step, first, x, marks, token, start, block, count, sums, quad = (
                Array(context, builder, its_type, value) if isinstance(its_type, types.Array) else value
                for its_type, value in zip(signature.args, given, strict=True)
            )
            rows = [_Row(builder, weights, scales, each, first, block) for each in _four(builder, weights, row, step)]
            seen = [x.at(plus(builder, token, t), start) for t in range(tokens)]
            grown = _multiplied(builder, rows, seen, count)
            units = _units(builder, rows)
            for t in range(tokens):
                place = sums.at(plus(builder, token, t), quad, I64(0))
                more = _worth(builder, grown[t], units, marks.at(plus(builder, token, t), block))
                store(builder, builder.fadd(load(builder, place, _SUMS), more), place)
            return context.get_dummy_value()

        return signature, made

    return tile_of_tokens


def rows(tokens: int) -> Callable[..., None]:
    """The product of so many tokens with four rows of weights of 4 bits. Called with weights, shares, row, step, ahead;
    x, marks, block; sums.

    It puts the product of weights[row + n step] and x[t] into sums[t, n], for the four n and the `tokens` t: all
    blocks, each as a tile of weights brought back has it, without the way from one to the next. The last row stands for
    those behind it. Weights are read so far `ahead`, and their shares. x is as a tile has it, a `block` at most 512 and
    a multiple of NF4_BLOCK.
    """

    @instructions(None)
    def rows_of_tokens(  # noqa: PLR0913, PLR0917 - by position, as all that is compiled
        _: Any, weights: Any, shares: Any, row: Any, step: Any, ahead: Any, x: Any, marks: Any, block: Any, sums: Any,
    ) -> Any:  # fmt: skip
        signature = types.void(weights, shares, row, step, ahead, x, marks, block, sums)

        def made(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            weights, shares, row, step, ahead, x, marks, block, sums = (
                Array(context, builder, its_type, value) if isinstance(its_type, types.Array) else value
                for its_type, value in zip(signature.args, given, strict=True)
            )
            four, size, before = _four(builder, weights, row, step), x.shape[1], builder.block
            each_token = [I64(t) for t in range(tokens)]
            with steps(builder, size, block) as first:
                begun, number = [builder.phi(_SUMS) for _ in each_token], builder.phi(I64)
                left = builder.sub(size, first)
                count = builder.select(builder.icmp_signed("<", left, block), left, block)
                for each in four:
                    prefetch(builder, builder.gep(shares.at(each, number, I64(0)), [I64(_SHARES_AHEAD)]))
                places = [weights.at(each, bytes_of(builder, weights, builder.add(first, ahead))) for each in four]
                with steps(builder, bytes_of(builder, weights, count), I64(CACHE_LINE)) as k:
                    for place in places:
                        prefetch(builder, builder.gep(place, [k]))
                each_row = [_Row(builder, weights, shares, each, first, number) for each in four]
                grown = _multiplied(builder, each_row, [x.at(at, first) for at in each_token], count)
                units, added = _units(builder, each_row), []
                for at, its_sums, its_begun in zip(each_token, grown, begun, strict=True):
                    more = _worth(builder, its_sums, units, marks.at(at, number))
                    added.append(builder.fadd(its_begun, more))
                for its_begun, its_added in zip(begun, added, strict=True):
                    its_begun.add_incoming(ir.Constant(_SUMS, [0.0] * ROWS), before)
                    its_begun.add_incoming(its_added, builder.block)
                number.add_incoming(I64(0), before)
                number.add_incoming(plus(builder, number, 1), builder.block)
            for t, its_added in enumerate(added):
                store(builder, its_added, sums.at(I64(t), I64(0)))
            return context.get_dummy_value()

        return signature, made

    return rows_of_tokens


@instructions(None)
def arrange(_: Any, whole: Any, first: Any) -> Any:
    """Put the NF4_BLOCK numbers of whole [in], int16, from `first` on, into `CODE_ORDER`."""

    def made(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        place = Array(context, builder, signature.args[0], given[0]).at(given[1])
        numbers = load(builder, place, ir.VectorType(I16, NF4_BLOCK))
        store(builder, shuffled(builder, numbers, numbers, CODE_ORDER), place)
        return context.get_dummy_value()

    return types.void(whole, first), made


@instructions(None)
def bring_back(  # noqa: PLR0913, PLR0917 - by position, as all that is compiled
    _: Any, weights: Any, shares: Any, row: Any, first: Any, block: Any, count: Any, whole: Any, units: Any, n: Any
) -> Any:
    """Put weights[row, first : first + count] of 4 bits, all of this block, as int16 into whole[n], and what 1 is worth
    into units[n, 0]."""
    signature = types.void(weights, shares, row, first, block, count, whole, units, n)

    def made(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        weights, shares, row, first, block, count, whole, units, n = (
            Array(context, builder, its_type, value) if isinstance(its_type, types.Array) else value
            for its_type, value in zip(signature.args, given, strict=True)
        )
        one, place = _Row(builder, weights, shares, row, first, block), whole.at(n, I64(0))
        with steps(builder, count, I64(one.step)) as k:
            for at, numbers in enumerate(one.numbers(k)):
                store(builder, numbers, builder.gep(place, [plus(builder, k, at * WIDE)]))
        builder.store(one.unit(), units.at(n, I64(0)))
        return context.get_dummy_value()

    return signature, made


def _four(builder: Any, weights: Array, row: Any, step: Any) -> list[Any]:
    """The numbers of the rows row + n step; the last row's for those behind it."""
    last, found = builder.sub(weights.shape[0], I64(1)), []
    for n in range(ROWS):
        wanted = builder.add(row, builder.mul(step, I64(n)))
        found.append(builder.select(builder.icmp_signed("<", wanted, last), wanted, last))
    return found


class _Row:
    """A row of weights, from the number `first` on, which is of this block."""

    def __init__(self, builder: Any, weights: Array, scales: Array, row: Any, first: Any, block: Any) -> None:
        self._builder, self._array = builder, weights
        self.step = _STEP[weights.dtype]
        self._weights = weights.at(row, bytes_of(builder, weights, first))
        self._unit = None
        if weights.dtype == types.uint8:
            self._unit, self._shares = scales.at(row, block, I64(0)), scales.at(row, block, I64(UNIT))
        elif weights.dtype == types.int16:
            self._unit = scales.at(row, I64(0))

    def numbers(self, k: Any) -> list[Any]:
        """The next weights from k on, `step` of them, as whole numbers in vectors."""
        builder = self._builder
        place = builder.gep(self._weights, [bytes_of(builder, self._array, k)])
        if self._array.dtype == types.int8:
            return [builder.sext(load(builder, place, ir.VectorType(I8, WIDE)), _SHORTS)]
        if self._array.dtype == types.int16:
            return [load(builder, place, _SHORTS)]
        share = builder.load(builder.gep(self._shares, [builder.udiv(k, I64(NF4_BLOCK))]))
        return _looked_up(builder, load(builder, place, _BYTES), spread(builder, share, _SHORTS))

    def unit(self) -> Any:
        """What 1 of them is worth; None where they are all of the row's scale."""
        if self._unit is None:
            return None
        unit = self._builder.load(self._builder.bitcast(self._unit, ir.FloatType().as_pointer()))
        unit.align = 2
        return unit


def _multiplied(builder: Any, rows: Sequence[_Row], seen: Sequence[Any], count: Any) -> list[list[Any]]:
    """Of each place in x, and each row, the sums of `count` products in the lanes of a vector."""
    at_once = 2 if LANES == 16 and len(seen) <= 3 else 1
    # With one token, AVX-512 has registers for the weights' two vectors to be summed apart, neither waiting.
    ways = at_once if len(seen) == 1 and rows[0].step > WIDE else 1
    before = builder.block
    with steps(builder, count, I64(rows[0].step)) as k:
        begun = [[[builder.phi(_INTS) for _ in range(ways)] for _ in rows] for _ in seen]
        grown = [[list(sums) for sums in sums_of_token] for sums_of_token in begun]
        for n, row in enumerate(rows):
            if row.step > WIDE and n % at_once == 0:  # more would not have room in the registers
                builder.fence("seq_cst", "singlethread")
            for at, numbers in enumerate(row.numbers(k)):
                for t, place in enumerate(seen):
                    others = load(builder, builder.gep(place, [plus(builder, k, at * WIDE)]), _SHORTS)
                    sums = grown[t][n]
                    sums[at % ways] = builder.add(_in_pairs(builder, numbers, others), sums[at % ways])
        loop = builder.block
    for t in range(len(seen)):
        for n in range(len(rows)):
            for phi, sum_ in zip(begun[t][n], grown[t][n], strict=True):
                phi.add_incoming(ir.Constant(_INTS, [0] * LANES), before)
                phi.add_incoming(sum_, loop)
    return [[functools.reduce(builder.add, sums) for sums in sums_of_token] for sums_of_token in grown]


def _worth(builder: Any, grown: Sequence[Any], units: Any, mark: Any) -> Any:
    """What a token's sums of a block come to, those of four rows: with what 1 of each row is worth, and 1 of x."""
    found = _each_summed(builder, [builder.sitofp(each, _FLOATS) for each in grown])
    marks = spread(builder, builder.load(mark), _SUMS)
    return builder.fmul(found, builder.fmul(units, marks) if units is not None else marks)


def _units(builder: Any, rows: Sequence[_Row]) -> Any:
    """What 1 of each row is worth, in a vector, or None."""
    vector = ir.Constant(_SUMS, ir.Undefined)
    for n, row in enumerate(rows):
        unit = row.unit()
        if unit is None:
            return None
        vector = builder.insert_element(vector, unit, I32(n))
    return vector


def _looked_up(builder: Any, packed: Any, share: Any) -> list[Any]:
    """The whole numbers of 32 bytes, in whose halves are places in CODES, times this share, in `CODE_ORDER`."""
    if LANES == 16:
        table = _times_share(builder, ir.Constant(_SHORTS, [*CODES, *CODES]), share)
        lower = builder.zext(packed, _SHORTS)
        upper = builder.lshr(lower, constant(_SHORTS, 4))
        # Of a place, the instruction takes five bits: the table twice is looked up by four.
        return [_permuted_words(builder, table, places) for places in (upper, lower)]
    halves = builder.lshr(packed, constant(_BYTES, 4)), builder.and_(packed, constant(_BYTES, 15))
    planes = np.array(CODES, "<i2").view(np.uint8).reshape(16, 2).T.tolist()
    pairs = [[_permuted_bytes(builder, plane, half) for plane in planes] for half in halves]
    codes = [builder.bitcast(part, _SHORTS) for pair in pairs for part in _zipped(builder, *pair)]
    return [_times_share(builder, code, share) for code in codes]


def _of_processor(builder: Any, of_avx2: str, of_avx512: str, made: Any, given: Sequence[Any]) -> Any:
    """What the processor's instruction of one of these names gives; None where it has none."""
    if LANES == 16 and has_avx512():
        name = of_avx512
    elif LANES == 8 and has_avx2():
        name = of_avx2
    else:
        return None
    return builder.call(function(builder, f"llvm.x86.{name}", made, [each.type for each in given]), given)


def _in_pairs(builder: Any, one: Any, other: Any) -> Any:
    """The products of whole numbers, each with the one beside it added, in half as many lanes."""
    found = _of_processor(builder, "avx2.pmadd.wd", "avx512.pmaddw.d.512", _INTS, [one, other])
    if found is not None:
        return found
    wide = ir.VectorType(I32, WIDE)
    products = builder.mul(builder.sext(one, wide), builder.sext(other, wide))
    even, odd = (shuffled(builder, products, products, range(side, WIDE, 2)) for side in (0, 1))
    return builder.add(even, odd)


def _times_share(builder: Any, one: Any, share: Any) -> Any:
    """The products of whole numbers, over 2**15, rounded."""
    found = _of_processor(builder, "avx2.pmul.hr.sw", "avx512.pmul.hr.sw.512", _SHORTS, [one, share])
    if found is not None:
        return found
    wide = ir.VectorType(I32, WIDE)
    products = builder.add(builder.mul(builder.sext(one, wide), builder.sext(share, wide)), constant(wide, 2**14))
    return builder.trunc(builder.ashr(products, constant(wide, 15)), _SHORTS)


def _permuted_words(builder: Any, table: Any, places: Any) -> Any:
    """The numbers of a table to which the lower five bits of others lead."""
    found = _of_processor(builder, "", "avx512.permvar.hi.512", _SHORTS, [table, places])
    if found is not None:
        return found
    return _selected(builder, [shuffled(builder, table, table, [place] * WIDE) for place in range(16)], places)


def _permuted_bytes(builder: Any, table: Sequence[int], places: Any) -> Any:
    """The bytes of a table to which others lead, 0 to 15 each."""
    found = _of_processor(builder, "avx2.pshuf.b", "", _BYTES, [ir.Constant(_BYTES, [*table, *table]), places])
    return _selected(builder, [constant(_BYTES, item) for item in table], places) if found is None else found


def _selected(builder: Any, table: Sequence[Any], places: Any) -> Any:
    """The same of sixteen, on processors of any kind: each bit chooses half of what is left."""
    left = list(table)
    for bit in range(4):
        shifted = builder.lshr(places, constant(places.type, bit))
        chosen = builder.trunc(shifted, ir.VectorType(ir.IntType(1), places.type.count))
        left = [builder.select(chosen, odd, even) for even, odd in zip(left[::2], left[1::2], strict=True)]
    return left[0]


def _zipped(builder: Any, one: Any, other: Any) -> tuple[Any, Any]:
    """Two vectors' bytes by turns, as AVX2 has instructions for: of each half of a vector, the lower and the upper
    ones."""
    count = one.type.count
    each = count // 4

    def part(first: int) -> Any:
        places = [start + at for start in (first, first + count // 2) for at in range(each)]
        return shuffled(builder, one, other, [place + side for place in places for side in (0, count)])

    return part(0), part(each)


def _each_summed(builder: Any, four: Sequence[Any]) -> Any:
    """The sums of the lanes of four vectors, as one of four lanes."""
    groups = range(0, LANES, ROWS)

    def added(one: Any, other: Any, *parts: Sequence[int]) -> Any:
        return builder.fadd(
            *(shuffled(builder, one, other, [group + at for group in groups for at in part]) for part in parts)
        )

    one, other = (added(*pair, [0, LANES, 1, LANES + 1], [2, LANES + 2, 3, LANES + 3]) for pair in (four[:2], four[2:]))
    left = added(one, other, [0, 1, LANES, LANES + 1], [2, 3, LANES + 2, LANES + 3])
    while (count := left.type.count) > ROWS:
        halves = range(count // 2), range(count // 2, count)
        left = builder.fadd(*(shuffled(builder, left, left, half) for half in halves))
    return left
