"""Weights rounded to 8 or 4 bits on a CPU, bit for bit as bitsandbytes rounds them and some ten times as fast.

bitsandbytes rounds by separate operations over a whole matrix, of which torch does the last, float32 to int8, number
by number: 9 ns a weight, more than a minute for a model of 7B. Its import takes another quarter of the time in which
the engine starts, for a compiler (torch's inductor) that the engine has switched off.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
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
    """The package, imported without torch's compiler, and with `round_rows` and `round_blocks` in the place of its own
    on a CPU."""
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
        package.functional.quantize_4bit = _quantize_4bit(package.functional)
    return package


def _quantize_4bit(functional: Any) -> Any:
    """bitsandbytes' function of that name, with `round_blocks` in it where it does the same."""
    own = functional.quantize_4bit
    signature = inspect.signature(own)

    @functools.wraps(own)
    def quantize_4bit(*given: Any, **named: Any) -> Any:
        bound = signature.bind(*given, **named)
        bound.apply_defaults()
        asked = bound.arguments
        weight = asked["A"]
        plain = {"absmax": None, "out": None, "compress_statistics": False, "quant_type": "nf4"}
        taken = (
            all(asked[name] == value for name, value in plain.items())
            and asked["blocksize"] in {None, NF4_BLOCK}
            and asked["quant_storage"] == torch.uint8
            and weight.device.type == "cpu"
            and weight.ndim == 2
            and weight.shape[1] % NF4_BLOCK == 0
        )
        if not taken:
            return own(*given, **named)
        packed, largest = round_blocks(weight)
        state = functional.QuantState(
            absmax=largest.flatten(),
            shape=weight.shape,
            dtype=weight.dtype,
            blocksize=NF4_BLOCK,
            code=functional.get_4bit_type("nf4", device=weight.device),
            quant_type="nf4",
        )
        return packed.view(-1, 1), state

    return quantize_4bit


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


def round_blocks(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A weight [out, in] of any float type on the CPU in nf4, two to a byte of uint8 [out, in / 2], the first in the
    upper half; and the largest magnitude of each block, float32 [out, in / NF4_BLOCK]."""
    rows, columns = weight.shape
    if columns % NF4_BLOCK:
        raise ValueError(f"{columns} weights are no whole number of blocks")
    packed = torch.empty(rows, columns // 2, dtype=torch.uint8)
    largest = torch.empty(rows, columns // NF4_BLOCK)
    step = max(1, _PART // max(1, columns))
    for first in range(0, rows, step):
        part = slice(first, first + step)
        floats = weight[part].detach().float().contiguous().numpy()
        _round_blocks(
            floats.reshape(-1, NF4_BLOCK), packed[part].view(-1, NF4_BLOCK // 2).numpy(), largest[part].view(-1).numpy()
        )
    return packed, largest


# Half-way between each two of the numbers: from the one on, the other is the nearest.
_NF4_BOUNDS = (np.array(NF4[:-1], np.float32) + np.array(NF4[1:], np.float32)) / np.float32(2)


@numba.njit(cache=True, error_model="numpy", nogil=True)  # type: ignore[untyped-decorator]
def _round_blocks(blocks: Any, packed: Any, largest: Any) -> None:
    """Of blocks float32 [blocks, 64]: two weights in each uint8 [blocks, 32], and their largest [blocks]."""
    numbers = np.empty(64, np.uint8)
    for block in range(len(blocks)):
        bits = blocks[block].view(np.uint32)
        most = np.uint32(0)
        for n in range(64):  # positive floats are in the order of their bits
            most = max(most, bits[n] & np.uint32(0x7FFFFFFF))
        largest[block] = np.array([most], dtype=np.uint32).view(np.float32)[0]
        factor = np.float32(1) / max(largest[block], np.float32(1e-38))
        numbers[:] = 0
        for bound in range(15):
            for n in range(64):
                numbers[n] += blocks[block, n] * factor > _NF4_BOUNDS[bound]
        for n in range(32):
            packed[block, n] = numbers[2 * n] << 4 | numbers[2 * n + 1]
