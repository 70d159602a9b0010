"""The instructions of a card that kernels are written in themselves, for Triton's interpreter, which has none of them.

Written from NVIDIA's "Parallel Thread Execution ISA", not from the kernels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from triton.runtime import interpreter

Words = np.ndarray[Any, np.dtype[np.uint32]]
LANE = 5  # of the 32 threads of a warp, the one that is told which it is
SPECIAL = {"%lanemask_lt": (1 << LANE) - 1, "%lanemask_eq": 1 << LANE}


def permuted(a: Words, b: Words, selector: Words) -> Words:
    """`prmt.b32`: of the eight bytes of b and a the four whose numbers are in the selector. Of a number's four bits the
    uppermost says that the byte's sign is wanted, eight times."""
    numbers = selector[..., None] >> np.array([0, 4, 8, 12], np.uint32) & 0xF
    bytes_of_both = np.stack(np.broadcast_arrays(a, b, selector)[:2], axis=-1).view(np.uint8)
    found = np.take_along_axis(bytes_of_both, np.broadcast_to(numbers & 7, (*bytes_of_both.shape[:-1], 4)), axis=-1)
    found = np.where(numbers & 8, np.where(found & 0x80, 0xFF, 0), found).astype(np.uint8)
    return found.view(np.uint32)[..., 0]


def looked_up(a: Words, b: Words, c: Words, table: Words) -> Words:
    """`lop3.b32`: the bit of a table of eight that three bits say together."""
    found = np.zeros_like(a)
    for number in range(8):
        if int(table[0]) >> number & 1:
            found |= (a if number & 4 else ~a) & (b if number & 2 else ~b) & (c if number & 1 else ~c)
    return found


INSTRUCTIONS = {
    "mov.u32": lambda a: a,
    "and.b32": lambda a, b: a & b,
    "shr.u32": lambda a, by: a >> by,
    "prmt.b32": permuted,
    "lop3.b32": looked_up,
}


def run(text: str, given: Mapping[str, Words]) -> dict[str, Words]:
    """What is in the registers at the end, of those that had something at the beginning and of all others: of as many
    threads as there are numbers in them, or of all alike."""
    registers = {**given, **{name: np.array([value], np.uint32) for name, value in SPECIAL.items()}}
    for line in re.findall(r"[^{};]+", text):
        name, *operands = line.replace(",", " ").split() or [".reg"]
        if name != ".reg":
            into, *read = operands
            values = [registers[each] if each in registers else np.array([int(each, 0)], np.uint32) for each in read]
            registers[into] = INSTRUCTIONS[name](*values)
    return registers


class Given:
    """What the interpreter takes in the place of an operation with several results."""

    def __init__(self, results: Sequence[Any]) -> None:
        self._results = results

    def get_result(self, number: int) -> Any:
        return self._results[number]


def _inline_asm(
    _: Any, text: str, registers: str, values: Sequence[Any], kinds: Sequence[Any], is_pure: bool, pack: int
) -> Given:
    """`pack` numbers of each of `values` at a time, side by side in registers; results of `kinds` in the same way."""
    wide = registers.count("=r") // len(kinds)
    whole = values[0].data.shape
    number, given = len(kinds) * wide, {}
    for value in values:
        words = np.ascontiguousarray(value.data).reshape(-1, pack).view(np.uint32)
        for at in range(words.shape[1]):
            given[f"${number}"] = words[:, at]
            number += 1
    left = run(text, given)
    results = []
    for at, kind in enumerate(kinds):
        both = np.stack([left[f"${wide * at + each}"] for each in range(wide)], axis=1)
        numbers = both.view(interpreter._get_np_dtype(kind)).reshape(whole)
        results.append(interpreter.TensorHandle(numbers, kind.scalar))
    return Given(results)


def install() -> None:
    """Have the interpreter take them."""
    interpreter.InterpreterBuilder.create_inline_asm = _inline_asm
