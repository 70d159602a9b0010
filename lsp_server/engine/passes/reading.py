"""Memory read ahead by instruction, for compiled functions: the processor computes while it comes."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from lsp_server.engine.passes.compiling import instructions
from lsp_server.engine.passes.vectors import I8, I32, I64, Array, function, steps

# So many rows are read at a time.
ROWS = 4
CACHE_LINE = 64  # bytes


@instructions(None)
def read_ahead(_: Any, weights: Any, row: Any, step: Any, first: Any, count: Any) -> Any:
    """Have the memory bring weights[row + n step, first : first + count] for the four n; behind the end of a row comes
    the next one."""
    signature = types.void(weights, row, step, first, count)

    def made(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        weights, (row, step, first, count) = Array(context, builder, signature.args[0], given[0]), given[1:]
        items = bytes_of(builder, weights, first)
        places = [
            builder.bitcast(weights.at(builder.add(row, builder.mul(step, I64(n))), items), I8.as_pointer())
            for n in range(ROWS)
        ]
        bytes_of_items = builder.mul(bytes_of(builder, weights, count), I64(weights.dtype.bitwidth // 8))
        with steps(builder, bytes_of_items, I64(CACHE_LINE)) as k:
            for place in places:
                prefetch(builder, builder.gep(place, [k]))
        return context.get_dummy_value()

    return signature, made


def prefetch(builder: Any, place: Any) -> None:
    """Have the memory bring the line of the cache that has this place: to be read, and kept in all caches."""
    pointer = I8.as_pointer()
    instruction = function(builder, "llvm.prefetch.p0", ir.VoidType(), [pointer, I32, I32, I32])
    builder.call(instruction, [builder.bitcast(place, pointer), I32(0), I32(3), I32(1)])


def bytes_of(builder: Any, weights: Array, count: Any) -> Any:
    """So many weights of 8 or 4 bits in bytes, and of others in items."""
    return builder.lshr(count, I64(1)) if weights.dtype == types.uint8 else count
