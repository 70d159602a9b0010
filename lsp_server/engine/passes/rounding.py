"""Weights rounded to 8 bits on a CPU, bit for bit as bitsandbytes rounds them and some ten times as fast.

bitsandbytes rounds by separate operations over a whole matrix, of which torch does the last, float32 to int8, number
by number: 9 ns a weight, more than a minute for a model of 7B. Its import takes another quarter of the time in which
the engine starts, for a compiler (torch's inductor) that the engine has switched off.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numba
import numpy as np
import torch

# The largest magnitude in a row is stored as 127 (bitsandbytes: row-wise absmax).
FULL_SCALE = 127
# Numbers that are float32 at a time: they fit the processor's cache, and torch calls no other threads for so few.
_PART = 1 << 15
# The sixteen numbers of the format nf4, and how many weights have a scale in common: the quantiles of a normal
# distribution, from -1 to 1 (QLoRA, appendix E; bitsandbytes.functional.get_4bit_type).
NF4 = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
    *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
    *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)
NF4_BLOCK = 64


def has_bitsandbytes() -> bool:
    """Whether bitsandbytes is there; it is not made for macOS."""
    return importlib.util.find_spec("bitsandbytes") is not None


def bitsandbytes() -> Any:
    """The package, imported without torch's compiler, and with `round_rows` in the place of its own on a CPU."""
    compiler, torch.compile = torch.compile, _not_compiled
    try:
        import bitsandbytes as package
    finally:
        torch.compile = compiler
    own = package.functional.int8_vectorwise_quant
    if own.__module__ != __name__:

        def int8_vectorwise_quant(A: torch.Tensor, threshold: float = 0.0) -> Any:
            if threshold or A.device.type != "cpu" or A.ndim != 2:
                return own(A, threshold)
            return (*round_rows(A), None)

        package.functional.int8_vectorwise_quant = int8_vectorwise_quant
    return package


def _not_compiled(model: Any = None, **_: Any) -> Any:
    """In the place of `torch.compile`, called or as a decorator: what is given, as it is."""
    return (lambda function: function) if model is None else model


def round_rows(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A weight [out, in] of any float type on the CPU in int8, and the largest magnitude of each row, float32 [out]."""
    rows, columns = weight.shape
    rounded, largest = torch.empty(rows, columns, dtype=torch.int8), torch.empty(rows)
    step = max(1, _PART // max(1, columns))
    for first in range(0, rows, step):
        part = slice(first, first + step)
        _round(weight[part].detach().float().contiguous().numpy(), rounded[part].numpy(), largest[part].numpy())
    return rounded, largest


@numba.njit(cache=True, error_model="numpy", nogil=True)  # type: ignore[untyped-decorator]
def _round(rows: Any, rounded: Any, largest: Any) -> None:
    """Of rows float32 [rows, columns]: int8 of that shape, to the even one of two as near, and their largest."""
    for row in range(len(rows)):
        bits = rows[row].view(np.uint32)
        most = np.uint32(0)
        for column in range(len(bits)):  # positive floats are in the order of their bits
            most = max(most, bits[column] & np.uint32(0x7FFFFFFF))
        largest[row] = np.array([most], dtype=np.uint32).view(np.float32)[0]
        # As torch divides a number by a tensor.
        factor = np.float32(1) / largest[row] * np.float32(127) if most else np.float32(0)
        for column in range(len(bits)):
            rounded[row, column] = np.int8(np.int32(np.rint(rows[row, column] * factor)))
