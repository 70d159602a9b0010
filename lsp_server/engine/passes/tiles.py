"""The innermost loops of a matrix product, in LLVM's own vectors: it is written down what is in a register.

A tile is four rows of weights against up to three tokens: twelve sums of eight lanes each, with which the multipliers
of today's processors have enough to do. Each sum grows in the same order in all tiles, so that what a token gives does
not depend on the tokens computed beside it.

Weights are int8, or uint8 that hold two weights of 4 bits each, with a scale for each block of them (`rounding`). The
type says which. What scales there are for a whole row is no matter of the tile. They are multiplied with whole numbers,
int16, of which a mark says what they are worth; with weights of 8 bits the sum of a tile is exact in 32 bits.

Those of 4 bits are looked up as whole numbers of 13 bits, `CODES`: the sum of a block is exact, and makes one float.
int16 are such numbers that were looked up before. They come out of the registers in another order, `CODE_ORDER`, in
which x is to be arranged, and as floats in `ORDER`.
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

LANES = 8
WIDE = 2 * LANES  # whole numbers of 16 bits that are multiplied at a time
ROWS = 4
TOKENS = 3  # at most

# Which of the 64 weights of a block comes at each place: first those in the upper halves of the bytes.
ORDER = tuple(
    2 * (16 * (lane // 4) + 4 * part + lane % 4) + half for half in (0, 1) for part in range(4) for lane in range(LANES)
)

CODE_ORDER = tuple(
    2 * (16 * (lane // 8) + 8 * part + lane % 8) + half for half in (0, 1) for part in range(2) for lane in range(16)
)
# The largest of the whole numbers: the products of them and of 16 bits that a lane has of a block are within 32 bits.
MOST = 4095
CODES = tuple(round(MOST * number) for number in NF4)

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_FLOATS, _INTS = ir.VectorType(ir.FloatType(), LANES), ir.VectorType(_I32, LANES)
_SHORTS = ir.VectorType(_I16, WIDE)
_SUMS = ir.VectorType(ir.FloatType(), ROWS)
_BYTES = ir.VectorType(_I8, NF4_BLOCK // 2)
_CACHE_LINE = 64  # bytes
# How many weights are read at a time, by the type that they have.
_STEP = {types.int8: WIDE, types.uint8: NF4_BLOCK, types.int16: NF4_BLOCK}


def tile(tokens: int) -> Callable[..., None]:
    """The tile of so many tokens. Called with weights, scales, row, step, first; x, marks, token, start; count, sums,
    quad.

    It adds to sums[token + t, quad, n] the product of weights[row + n step, first : first + count] and x[token + t,
    start : start + count], for the four n and the `tokens` t; the last row stands for those behind it. x is int16, of
    which marks [tokens, in / 64] has what 1 is worth: that at `start` is the mark of all of them. `count` is not 0, at
    most 2,048, and a multiple of WIDE, or with weights of 4 bits of NF4_BLOCK; with these x is in `CODE_ORDER`, and its
    marks are over MOST. All arrays lie in memory without gaps.
    """

    @instructions(None)
    def tile_of_tokens(  # noqa: PLR0913, PLR0917 - by position, as all that is compiled
        _: Any, weights: Any, scales: Any, row: Any, step: Any, first: Any, x: Any, marks: Any, token: Any, start: Any,
        count: Any, sums: Any, quad: Any,
    ) -> Any:  # fmt: skip
        signature = types.void(weights, scales, row, step, first, x, marks, token, start, count, sums, quad)

        def made(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            weights, scales, row, step, first, x, marks, token, start, count, sums, quad = (
                _Array(context, builder, its_type, value) if isinstance(its_type, types.Array) else value
                for its_type, value in zip(signature.args, given, strict=True)
            )
            last = builder.sub(weights.shape[0], _I64(1))
            rows = []
            for n in range(ROWS):
                wanted = builder.add(row, builder.mul(step, _I64(n)))
                within = builder.select(builder.icmp_signed("<", wanted, last), wanted, last)
                rows.append(_Row(builder, weights, scales, within, first))
            block = builder.udiv(start, _I64(NF4_BLOCK))
            seen = [x.at(_plus(builder, token, t), start) for t in range(tokens)]
            before = builder.block
            with _steps(builder, count, rows[0].step) as k:
                loop = builder.block
                begun = [[builder.phi(rows[0].sums) for _ in rows] for _ in seen]
                grown = [list(sums_of_token) for sums_of_token in begun]
                for n, one in enumerate(rows):
                    if one.step > WIDE:  # all rows at once would not have room in the registers
                        builder.fence("seq_cst", "singlethread")
                    grown_of_row = one.added(k, seen, [sums_of_token[n] for sums_of_token in grown])
                    for sums_of_token, sum_of_row in zip(grown, grown_of_row, strict=True):
                        sums_of_token[n] = sum_of_row
            for t in range(tokens):
                for n in range(ROWS):
                    begun[t][n].add_incoming(ir.Constant(rows[0].sums, [0] * LANES), before)
                    begun[t][n].add_incoming(grown[t][n], loop)
                place = sums.at(_plus(builder, token, t), quad, _I64(0))
                mark = builder.load(marks.at(_plus(builder, token, t), block))
                total = builder.fadd(_load(builder, place, _SUMS), rows[0].summed(grown[t], mark))
                _store(builder, total, place)
            return context.get_dummy_value()

        return signature, made

    return tile_of_tokens


@instructions(None)
def bring_back(  # noqa: PLR0917 - by position, as all that is compiled
    _: Any, weights: Any, scales: Any, row: Any, first: Any, count: Any, out: Any, n: Any
) -> Any:
    """Put weights[row, first : first + count] into out[n]: as float32, those of 4 bits times their scale; or, if it is
    of int16, as CODES."""
    signature = types.void(weights, scales, row, first, count, out, n)

    def made(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        weights, scales, row, first, count, out, n = (
            _Array(context, builder, its_type, value) if isinstance(its_type, types.Array) else value
            for its_type, value in zip(signature.args, given, strict=True)
        )
        one, place = _Row(builder, weights, scales, row, first), out.at(n, _I64(0))
        with _steps(builder, count, one.step) as k:
            for at, vector in enumerate(one.codes(k) if out.dtype == types.int16 else one.floats(k)):
                _store(builder, vector, builder.gep(place, [_plus(builder, k, at * vector.type.count)]))
        return context.get_dummy_value()

    return signature, made


@instructions(None)
def read_ahead(_: Any, weights: Any, row: Any, step: Any, first: Any, count: Any) -> Any:
    """Have the memory bring weights[row + n step, first : first + count] for the four n; behind the end of a row comes
    the next one. Only those of 4 bits: the processor itself reads those of 8 ahead as well as that."""
    signature = types.void(weights, row, step, first, count)

    def made(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        array, (row, step, first, count) = _Array(context, builder, signature.args[0], given[0]), given[1:]
        if array.dtype == types.uint8:
            bytes_of = _I8.as_pointer()
            prefetch = _function(builder, "llvm.prefetch.p0", ir.VoidType(), [bytes_of, _I32, _I32, _I32])
            rows = [builder.add(row, builder.mul(step, _I64(n))) for n in range(ROWS)]
            places = [builder.bitcast(array.at(one, builder.lshr(first, _I64(1))), bytes_of) for one in rows]
            with _steps(builder, builder.lshr(count, _I64(1)), _CACHE_LINE) as k:
                for place in places:  # to be read, and kept in all caches
                    builder.call(prefetch, [builder.gep(place, [k]), _I32(0), _I32(3), _I32(1)])
        return context.get_dummy_value()

    return signature, made


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
    """A row of weights, from the number `first` on."""

    def __init__(self, builder: Any, weights: _Array, scales: _Array, row: Any, first: Any) -> None:
        self._builder, self._dtype = builder, weights.dtype
        self.step = _STEP[weights.dtype]
        self.sums = _INTS if weights.dtype == types.int8 else _FLOATS
        self._packed = weights.at(row, builder.lshr(first, _I64(1)) if weights.dtype == types.uint8 else first)
        if self.step == NF4_BLOCK:
            self._scales = scales.at(row, builder.udiv(first, _I64(NF4_BLOCK)))

    def added(self, k: Any, seen: Sequence[Any], sums: Sequence[Any]) -> list[Any]:
        """The sums of each token, with what the next weights from k on give; `seen`: where its x begins."""
        builder, grown = self._builder, list(sums)
        if self._dtype == types.int8:
            weight = builder.sext(_load(builder, builder.gep(self._packed, [k]), ir.VectorType(_I8, WIDE)), _SHORTS)
            for t, x in enumerate(seen):
                number = _load(builder, builder.gep(x, [k]), _SHORTS)
                grown[t] = builder.add(_in_pairs(builder, weight, number), grown[t])
            return grown
        codes, scale = self.codes(k), self._scale(k)
        for t, x in enumerate(seen):
            places = [builder.gep(x, [_plus(builder, k, at * WIDE)]) for at in range(len(codes))]
            products = [
                _in_pairs(builder, code, _load(builder, place, _SHORTS))
                for code, place in zip(codes, places, strict=True)
            ]
            whole = builder.add(builder.add(*products[:2]), builder.add(*products[2:]))
            grown[t] = _multiply_add(builder, builder.sitofp(whole, _FLOATS), scale, grown[t])
        return grown

    def summed(self, grown: Sequence[Any], mark: Any) -> Any:
        """The sums of the lanes of a token's four, times its mark."""
        builder = self._builder
        floats = grown if self.sums == _FLOATS else [builder.sitofp(each, _FLOATS) for each in grown]
        spread = _spread(builder, mark)
        return builder.fmul(_each_summed(builder, floats), _shuffled(builder, spread, spread, range(ROWS)))

    def floats(self, k: Any) -> list[Any]:
        """The next weights of 4 bits from k on, a block of them, in vectors."""
        scale = self._scale(k)
        numbers = [number for half in self._halves(k) for number in _looked_up(self._builder, half)]
        return [self._builder.fmul(number, scale) for number in numbers]

    def codes(self, k: Any) -> list[Any]:
        """The next weights of 4 bits from k on, a block of them, as CODES in four vectors."""
        builder = self._builder
        if self._dtype == types.int16:
            places = [_plus(builder, k, at * WIDE) for at in range(4)]
            return [_load(builder, builder.gep(self._packed, [place]), _SHORTS) for place in places]
        return [code for half in self._halves(k) for code in _coded(builder, half)]

    def _halves(self, k: Any) -> tuple[Any, Any]:
        """The upper and the lower halves of the bytes that hold them."""
        builder = self._builder
        packed = _load(builder, builder.gep(self._packed, [builder.lshr(k, _I64(1))]), _BYTES)
        return builder.lshr(packed, _constant(_BYTES, 4)), builder.and_(packed, _constant(_BYTES, 15))

    def _scale(self, k: Any) -> Any:
        builder = self._builder
        return _spread(builder, builder.load(builder.gep(self._scales, [builder.udiv(k, _I64(NF4_BLOCK))])))


def _coded(builder: Any, index: Any) -> list[Any]:
    """The CODES to which 32 bytes lead, 0 to 15 each, in two vectors."""
    return [builder.bitcast(half, _SHORTS) for half in _zipped(builder, *_planes(builder, CODES, "<i2", index))]


def _planes(builder: Any, table: Sequence[float], kind: str, index: Any) -> list[Any]:
    """The bytes of the numbers to which 32 bytes lead: the first of each, the second ..."""
    look_up = _permuted if has_permute() else _selected
    planes = np.array(table, kind).view(np.uint8).reshape(16, -1).T
    return [look_up(builder, plane.tolist(), index) for plane in planes]


def _in_pairs(builder: Any, one: Any, other: Any) -> Any:
    """The products of sixteen whole numbers, each with the one beside it added, in eight lanes."""
    if has_permute():
        return builder.call(_function(builder, "llvm.x86.avx2.pmadd.wd", _INTS, [_SHORTS, _SHORTS]), [one, other])
    wide = ir.VectorType(_I32, WIDE)
    products = builder.mul(builder.sext(one, wide), builder.sext(other, wide))
    even, odd = (_shuffled(builder, products, products, range(side, WIDE, 2)) for side in (0, 1))
    return builder.add(even, odd)


def _looked_up(builder: Any, index: Any) -> list[Any]:
    """The numbers of NF4 to which 32 bytes lead, 0 to 15 each, in four vectors: each of their four bytes is looked up
    by itself, and put together with the others."""
    planes = _planes(builder, NF4, "<f4", index)
    words = [_zipped(builder, *planes[:2]), _zipped(builder, *planes[2:])]
    shorts = [[builder.bitcast(half, _SHORTS) for half in pair] for pair in words]
    return [
        builder.bitcast(quarter, _FLOATS)
        for lower, upper in zip(*shorts, strict=True)
        for quarter in _zipped(builder, lower, upper)
    ]


def _zipped(builder: Any, one: Any, other: Any) -> tuple[Any, Any]:
    """Two vectors' items by turns, as AVX2 has instructions for: of each half of a vector, the lower and the upper
    ones."""
    count = one.type.count
    each = count // 4

    def part(first: int) -> Any:
        places = [start + at for start in (first, first + count // 2) for at in range(each)]
        return _shuffled(builder, one, other, [place + side for place in places for side in (0, count)])

    return part(0), part(each)


def _permuted(builder: Any, table: Sequence[int], index: Any) -> Any:
    """The items of a table to which the bytes of `index` lead."""
    permute = _function(builder, "llvm.x86.avx2.pshuf.b", _BYTES, [_BYTES, _BYTES])
    return builder.call(permute, [ir.Constant(_BYTES, [*table, *table]), index])


def _selected(builder: Any, table: Sequence[int], index: Any) -> Any:
    """What `_permuted` gives, on processors of any kind: each bit chooses half of what is left."""
    left = [_constant(_BYTES, item) for item in table]
    for bit in range(4):
        chosen = builder.trunc(builder.lshr(index, _constant(_BYTES, bit)), ir.VectorType(ir.IntType(1), _BYTES.count))
        left = [builder.select(chosen, odd, even) for even, odd in zip(left[::2], left[1::2], strict=True)]
    return left[0]


def has_permute() -> bool:
    """Whether that is compiled for a processor which has the instruction (AVX2)."""
    if config.CPU_NAME not in {None, "haswell", binding.get_host_cpu_name()}:
        return False
    return bool(binding.get_host_cpu_features().get("avx2", False))


def _each_summed(builder: Any, four: Sequence[Any]) -> Any:
    """The sums of the lanes of four vectors, as one of four lanes."""
    pairs = [
        builder.fadd(
            _shuffled(builder, one, other, [0, 8, 1, 9, 4, 12, 5, 13]),
            _shuffled(builder, one, other, [2, 10, 3, 11, 6, 14, 7, 15]),
        )
        for one, other in (four[:2], four[2:])
    ]
    one, other = pairs
    halves = builder.fadd(
        _shuffled(builder, one, other, [0, 1, 8, 9, 4, 5, 12, 13]),
        _shuffled(builder, one, other, [2, 3, 10, 11, 6, 7, 14, 15]),
    )
    lower, upper = (_shuffled(builder, halves, halves, part) for part in ([0, 1, 2, 3], [4, 5, 6, 7]))
    return builder.fadd(lower, upper)


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


def _spread(builder: Any, value: Any) -> Any:
    """A vector that has `value` in each lane."""
    nothing = ir.Constant(_FLOATS, ir.Undefined)
    return _shuffled(builder, builder.insert_element(nothing, value, _I32(0)), nothing, [0] * LANES)


def _shuffled(builder: Any, one: Any, other: Any, lanes: Sequence[int]) -> Any:
    return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(_I32, len(lanes)), list(lanes)))


def _multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, rounded once where the processor has an instruction for that."""
    return builder.call(_function(builder, "llvm.fmuladd.v8f32", _FLOATS, [_FLOATS] * 3), [a, b, c])


def _function(builder: Any, name: str, made: Any, given: Sequence[Any]) -> Any:
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(made, given), name)
