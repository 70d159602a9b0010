"""LLVM's vectors and loops, and numba's arrays, as they are written down for compiled functions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))


class Array:
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


@contextlib.contextmanager
def steps(builder: Any, count: Any, step: Any) -> Iterator[Any]:
    """A loop: what is built within is done for 0, `step`, 2 `step` ... below `count`, at least once."""
    before, loop, end = builder.block, builder.append_basic_block(), builder.append_basic_block()
    builder.branch(loop)
    builder.position_at_end(loop)
    k = builder.phi(I64)
    k.add_incoming(I64(0), before)
    yield k
    following = builder.add(k, step)
    k.add_incoming(following, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, count), loop, end)
    builder.position_at_end(end)


def plus(builder: Any, value: Any, number: int) -> Any:
    return builder.add(value, I64(number))


def load(builder: Any, pointer: Any, vector: Any) -> Any:
    """A vector from where its first item is, or from bytes, wherever they lie."""
    loaded = builder.load(builder.bitcast(pointer, vector.as_pointer()))
    loaded.align = 4 if vector.element == ir.FloatType() else 1
    return loaded


def store(builder: Any, vector: Any, pointer: Any) -> None:
    builder.store(vector, builder.bitcast(pointer, vector.type.as_pointer())).align = 2


def constant(vector: Any, value: float) -> Any:
    return ir.Constant(vector, [value] * vector.count)


def spread(builder: Any, value: Any, vector: Any) -> Any:
    """A vector of this type that has `value` in each lane."""
    nothing = ir.Constant(vector, ir.Undefined)
    return shuffled(builder, builder.insert_element(nothing, value, I32(0)), nothing, [0] * vector.count)


def shuffled(builder: Any, one: Any, other: Any, lanes: Sequence[int]) -> Any:
    return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(I32, len(lanes)), list(lanes)))


def function(builder: Any, name: str, made: Any, given: Sequence[Any]) -> Any:
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(made, given), name)
