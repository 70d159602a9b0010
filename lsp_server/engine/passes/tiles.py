"""The innermost loops of a matrix product, in LLVM's own vectors: it is written down what is in a register.

A tile is four rows of weights against a few tokens: up to twelve sums of eight lanes each, with AVX-512 twenty-four of
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

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils, config

from lsp_server.engine.passes.compiling import instructions
from lsp_server.engine.passes.rounding import NF4, NF4_BLOCK


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
ROWS = 4
TOKENS = 6 if LANES == 16 else 3  # at most: as many sums as there are registers for, and those of what is multiplied

_HALVES = [range(32)] if LANES == 16 else [[*range(8), *range(16, 24)], [*range(8, 16), *range(24, 32)]]
# Which of the 64 weights comes at each place: first those in the upper halves of the bytes.
CODE_ORDER = tuple(2 * byte + half for half in (0, 1) for part in _HALVES for byte in part)
# The largest whole number that a weight of 4 bits leads to, and the largest share. Their product, over 2**15, is the
# largest with which numbers of 13 bits are multiplied: the sum of the 64 that a lane has of a block is within 32 bits.
MOST_CODE, MOST_SHARE = 2**14 - 1, 2**13
CODES = tuple(round(MOST_CODE * number) for number in NF4)
# In the shares of a block, what stands before them, a float32, takes so many int16.
UNIT = 2

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_FLOATS, _INTS = ir.VectorType(ir.FloatType(), LANES), ir.VectorType(_I32, LANES)
_SHORTS = ir.VectorType(_I16, WIDE)
_SUMS = ir.VectorType(ir.FloatType(), ROWS)
_BYTES = ir.VectorType(_I8, NF4_BLOCK // 2)
_CACHE_LINE = 64  # bytes
# How many weights are read at a time, by the type that they have.
_STEP = {types.int8: WIDE, types.uint8: NF4_BLOCK, types.int16: WIDE}


def tile(tokens: int) -> Callable[..., None]:
    """The tile of so many tokens. Called with weights, scales, row, step, first; x, marks, token, start; block, count;
    sums, quad.

    It adds to sums[token + t, quad, n] the product of weights[row + n step, first : first + count] and x[token + t,
    start : start + count], for the four n and the `tokens` t; the last row stands for those behind it. x is int16, of
    which marks [tokens, blocks] has what 1 is worth in this `block`. `count` is not 0, at most 2,048, and a multiple of
    WIDE; with weights of 4 bits at most 512, and a multiple of NF4_BLOCK. With these x has 13 bits and is in
    `CODE_ORDER`; their scales are `shares`, those of int16 float32 [rows, 1]. All arrays lie in memory without gaps.
    """

    @instructions(None)
    def tile_of_tokens(  # noqa: PLR0913, PLR0917 - by position, as all that is compiled
        _: Any, weights: Any, scales: Any, row: Any, step: Any, first: Any, x: Any, marks: Any, token: Any, start: Any,
        block: Any, count: Any, sums: Any, quad: Any,
    ) -> Any:  # fmt: skip
        signature = types.void(weights, scales, row, step, first, x, marks, token, start, block, count, sums, quad)

        def made(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            weights, scales, row, step, first, x, marks, token, start, block, count, sums, quad = (
                _Array(context, builder, its_type, value) if isinstance(its_type, types.Array) else value
                for its_type, value in zip(signature.args, given, strict=True)
            )
            last = builder.sub(weights.shape[0], _I64(1))
            rows = []
            for n in range(ROWS):
                wanted = builder.add(row, builder.mul(step, _I64(n)))
                within = builder.select(builder.icmp_signed("<", wanted, last), wanted, last)
                rows.append(_Row(builder, weights, scales, within, first, block))
            at_once = 2 if LANES == 16 and tokens <= 3 else 1
            seen = [x.at(_plus(builder, token, t), start) for t in range(tokens)]
            before = builder.block
            with _steps(builder, count, rows[0].step) as k:
                loop = builder.block
                begun = [[builder.phi(_INTS) for _ in rows] for _ in seen]
                grown = [list(sums_of_token) for sums_of_token in begun]
                for n, one in enumerate(rows):
                    if one.step > WIDE and n % at_once == 0:  # more would not have room in the registers
                        builder.fence("seq_cst", "singlethread")
                    for at, numbers in enumerate(one.numbers(k)):
                        for t, place in enumerate(seen):
                            others = _load(builder, builder.gep(place, [_plus(builder, k, at * WIDE)]), _SHORTS)
                            grown[t][n] = builder.add(_in_pairs(builder, numbers, others), grown[t][n])
            units = _units(builder, rows)
            for t in range(tokens):
                for n in range(ROWS):
                    begun[t][n].add_incoming(ir.Constant(_INTS, [0] * LANES), before)
                    begun[t][n].add_incoming(grown[t][n], loop)
                found = _each_summed(builder, [builder.sitofp(each, _FLOATS) for each in grown[t]])
                mark = _spread(builder, builder.load(marks.at(_plus(builder, token, t), block)), _SUMS)
                worth = builder.fmul(units, mark) if units is not None else mark
                place = sums.at(_plus(builder, token, t), quad, _I64(0))
                _store(builder, builder.fadd(_load(builder, place, _SUMS), builder.fmul(found, worth)), place)
            return context.get_dummy_value()

        return signature, made

    return tile_of_tokens


@instructions(None)
def bring_back(  # noqa: PLR0913, PLR0917 - by position, as all that is compiled
    _: Any, weights: Any, shares: Any, row: Any, first: Any, block: Any, count: Any, whole: Any, units: Any, n: Any
) -> Any:
    """Put weights[row, first : first + count] of 4 bits, all of this block, as int16 into whole[n], and what 1 is worth
    into units[n, 0]."""
    signature = types.void(weights, shares, row, first, block, count, whole, units, n)

    def made(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        weights, shares, row, first, block, count, whole, units, n = (
            _Array(context, builder, its_type, value) if isinstance(its_type, types.Array) else value
            for its_type, value in zip(signature.args, given, strict=True)
        )
        one, place = _Row(builder, weights, shares, row, first, block), whole.at(n, _I64(0))
        with _steps(builder, count, one.step) as k:
            for at, numbers in enumerate(one.numbers(k)):
                _store(builder, numbers, builder.gep(place, [_plus(builder, k, at * WIDE)]))
        builder.store(one.unit(), units.at(n, _I64(0)))
        return context.get_dummy_value()

    return signature, made


@instructions(None)
def read_ahead(_: Any, weights: Any, row: Any, step: Any, first: Any, count: Any) -> Any:
    """Have the memory bring weights[row + n step, first : first + count] for the four n; behind the end of a row comes
    the next one."""
    signature = types.void(weights, row, step, first, count)

    def made(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        weights, (row, step, first, count) = _Array(context, builder, signature.args[0], given[0]), given[1:]
        bytes_of = _I8.as_pointer()
        prefetch = _function(builder, "llvm.prefetch.p0", ir.VoidType(), [bytes_of, _I32, _I32, _I32])
        places = [
            builder.bitcast(
                weights.at(builder.add(row, builder.mul(step, _I64(n))), _bytes(builder, weights, first)), bytes_of
            )
            for n in range(ROWS)
        ]
        bytes_of_items = builder.mul(_bytes(builder, weights, count), _I64(weights.dtype.bitwidth // 8))
        with _steps(builder, bytes_of_items, _CACHE_LINE) as k:
            for place in places:  # to be read, and kept in all caches
                builder.call(prefetch, [builder.gep(place, [k]), _I32(0), _I32(3), _I32(1)])
        return context.get_dummy_value()

    return signature, made


def _bytes(builder: Any, weights: _Array, count: Any) -> Any:
    """So many weights of 8 or 4 bits in bytes, and of others in items."""
    return builder.lshr(count, _I64(1)) if weights.dtype == types.uint8 else count


class _Array:
    """An array as the instructions see it."""

    def __init__(self, context: Any, builder: Any, array_type: Any, array: Any) -> None:
        self._context, self._builder, self._type = context, builder, array_type
        self._parts = context.make_array(array_type)(context, builder, array)
        self.shape = cgutils.unpack_tuple(builder, self._parts.shape)
        self.dtype = array_type.dtype

    def at(self, *indices: Any) -> Any:
        """The pointer to an item."""
        strides = cgutils.unpack_tuple(self._builder, self._parts.strides)
        layout = self._type.layout
        return cgutils.get_item_pointer2(
            self._context, self._builder, self._parts.data, self.shape, strides, layout, indices
        )


class _Row:
    """A row of weights, from the number `first` on, which is of this block."""

    def __init__(self, builder: Any, weights: _Array, scales: _Array, row: Any, first: Any, block: Any) -> None:
        self._builder, self._array = builder, weights
        self.step = _STEP[weights.dtype]
        self._weights = weights.at(row, _bytes(builder, weights, first))
        self._unit = None
        if weights.dtype == types.uint8:
            self._unit, self._shares = scales.at(row, block, _I64(0)), scales.at(row, block, _I64(UNIT))
        elif weights.dtype == types.int16:
            self._unit = scales.at(row, _I64(0))

    def numbers(self, k: Any) -> list[Any]:
        """The next weights from k on, `step` of them, as whole numbers in vectors."""
        builder = self._builder
        place = builder.gep(self._weights, [_bytes(builder, self._array, k)])
        if self._array.dtype == types.int8:
            return [builder.sext(_load(builder, place, ir.VectorType(_I8, WIDE)), _SHORTS)]
        if self._array.dtype == types.int16:
            return [_load(builder, place, _SHORTS)]
        share = builder.load(builder.gep(self._shares, [builder.udiv(k, _I64(NF4_BLOCK))]))
        return _looked_up(builder, _load(builder, place, _BYTES), _spread(builder, share, _SHORTS))

    def unit(self) -> Any:
        """What 1 of them is worth; None where they are all of the row's scale."""
        if self._unit is None:
            return None
        unit = self._builder.load(self._builder.bitcast(self._unit, ir.FloatType().as_pointer()))
        unit.align = 2
        return unit


def _units(builder: Any, rows: Sequence[_Row]) -> Any:
    """What 1 of each row is worth, in a vector, or None."""
    vector = ir.Constant(_SUMS, ir.Undefined)
    for n, row in enumerate(rows):
        unit = row.unit()
        if unit is None:
            return None
        vector = builder.insert_element(vector, unit, _I32(n))
    return vector


def _looked_up(builder: Any, packed: Any, share: Any) -> list[Any]:
    """The whole numbers of 32 bytes, in whose halves are places in CODES, times this share, in `CODE_ORDER`."""
    if LANES == 16:
        table = _times_share(builder, ir.Constant(_SHORTS, [*CODES, *CODES]), share)
        lower = builder.zext(packed, _SHORTS)
        upper = builder.lshr(lower, _constant(_SHORTS, 4))
        # Of a place, the instruction takes five bits: the table twice is looked up by four.
        return [_permuted_words(builder, table, places) for places in (upper, lower)]
    halves = builder.lshr(packed, _constant(_BYTES, 4)), builder.and_(packed, _constant(_BYTES, 15))
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
    return builder.call(_function(builder, f"llvm.x86.{name}", made, [each.type for each in given]), given)


def _in_pairs(builder: Any, one: Any, other: Any) -> Any:
    """The products of whole numbers, each with the one beside it added, in half as many lanes."""
    found = _of_processor(builder, "avx2.pmadd.wd", "avx512.pmaddw.d.512", _INTS, [one, other])
    if found is not None:
        return found
    wide = ir.VectorType(_I32, WIDE)
    products = builder.mul(builder.sext(one, wide), builder.sext(other, wide))
    even, odd = (_shuffled(builder, products, products, range(side, WIDE, 2)) for side in (0, 1))
    return builder.add(even, odd)


def _times_share(builder: Any, one: Any, share: Any) -> Any:
    """The products of whole numbers, over 2**15, rounded."""
    found = _of_processor(builder, "avx2.pmul.hr.sw", "avx512.pmul.hr.sw.512", _SHORTS, [one, share])
    if found is not None:
        return found
    wide = ir.VectorType(_I32, WIDE)
    products = builder.add(builder.mul(builder.sext(one, wide), builder.sext(share, wide)), _constant(wide, 2**14))
    return builder.trunc(builder.ashr(products, _constant(wide, 15)), _SHORTS)


def _permuted_words(builder: Any, table: Any, places: Any) -> Any:
    """The numbers of a table to which the lower five bits of others lead."""
    found = _of_processor(builder, "", "avx512.permvar.hi.512", _SHORTS, [table, places])
    if found is not None:
        return found
    return _selected(builder, [_shuffled(builder, table, table, [place] * WIDE) for place in range(16)], places)


def _permuted_bytes(builder: Any, table: Sequence[int], places: Any) -> Any:
    """The bytes of a table to which others lead, 0 to 15 each."""
    found = _of_processor(builder, "avx2.pshuf.b", "", _BYTES, [ir.Constant(_BYTES, [*table, *table]), places])
    return _selected(builder, [_constant(_BYTES, item) for item in table], places) if found is None else found


def _selected(builder: Any, table: Sequence[Any], places: Any) -> Any:
    """The same of sixteen, on processors of any kind: each bit chooses half of what is left."""
    left = list(table)
    for bit in range(4):
        shifted = builder.lshr(places, _constant(places.type, bit))
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
        return _shuffled(builder, one, other, [place + side for place in places for side in (0, count)])

    return part(0), part(each)


def _each_summed(builder: Any, four: Sequence[Any]) -> Any:
    """The sums of the lanes of four vectors, as one of four lanes."""
    groups = range(0, LANES, ROWS)

    def added(one: Any, other: Any, *parts: Sequence[int]) -> Any:
        return builder.fadd(
            *(_shuffled(builder, one, other, [group + at for group in groups for at in part]) for part in parts)
        )

    one, other = (added(*pair, [0, LANES, 1, LANES + 1], [2, LANES + 2, 3, LANES + 3]) for pair in (four[:2], four[2:]))
    left = added(one, other, [0, 1, LANES, LANES + 1], [2, 3, LANES + 2, LANES + 3])
    while (count := left.type.count) > ROWS:
        halves = range(count // 2), range(count // 2, count)
        left = builder.fadd(*(_shuffled(builder, left, left, half) for half in halves))
    return left


@contextlib.contextmanager
def _steps(builder: Any, count: Any, step: int) -> Iterator[Any]:
    """A loop: what is built within is done for 0, `step`, 2 `step` ... below `count`, at least once."""
    before, loop, end = builder.block, builder.append_basic_block(), builder.append_basic_block()
    builder.branch(loop)
    builder.position_at_end(loop)
    k = builder.phi(_I64)
    k.add_incoming(_I64(0), before)
    yield k
    following = builder.add(k, _I64(step))
    k.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, count), loop, end)
    builder.position_at_end(end)


def _plus(builder: Any, value: Any, number: int) -> Any:
    return builder.add(value, _I64(number))


def _load(builder: Any, pointer: Any, vector: Any) -> Any:
    """A vector from where its first item is, or from bytes, wherever they lie."""
    loaded = builder.load(builder.bitcast(pointer, vector.as_pointer()))
    loaded.align = 4 if vector.element == ir.FloatType() else 1
    return loaded


def _store(builder: Any, vector: Any, pointer: Any) -> None:
    builder.store(vector, builder.bitcast(pointer, vector.type.as_pointer())).align = 2


def _constant(vector: Any, value: float) -> Any:
    return ir.Constant(vector, [value] * vector.count)


def _spread(builder: Any, value: Any, vector: Any) -> Any:
    """A vector of this type that has `value` in each lane."""
    nothing = ir.Constant(vector, ir.Undefined)
    return _shuffled(builder, builder.insert_element(nothing, value, _I32(0)), nothing, [0] * vector.count)


def _shuffled(builder: Any, one: Any, other: Any, lanes: Sequence[int]) -> Any:
    return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(_I32, len(lanes)), list(lanes)))


def _function(builder: Any, name: str, made: Any, given: Sequence[Any]) -> Any:
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(made, given), name)
