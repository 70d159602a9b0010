"""float32 and their bits, and bfloat16, which numpy has not and which are seen as uint16: for compiled functions."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from lsp_server.engine.passes.compiling import compiled, instructions


@instructions(np.float32)
def as_float(_: Any, __: Any) -> Any:
    """The float32 with these 32 bits."""
    return types.float32(types.uint32), lambda _, builder, __, given: builder.bitcast(given[0], ir.FloatType())


@instructions(np.uint32)
def as_bits(_: Any, __: Any) -> Any:
    """The 32 bits of a float32."""
    return types.uint32(types.float32), lambda _, builder, __, given: builder.bitcast(given[0], ir.IntType(32))


@compiled
def from_bfloat16(bits: np.uint16) -> np.float32:
    return as_float(np.uint32(bits) << np.uint32(16))


@compiled
def to_bfloat16(value: np.float32) -> np.uint16:
    """Rounded to the nearest, of two as near to the even one."""
    bits = as_bits(value)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    rounded: np.uint16 = np.uint16((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16))
    return rounded
