"""What Triton makes of the kernels for cards that are not here, as JSON: one line for each kernel and card.

    python tests/cuda/machine_code.py CAPABILITY...

Needs no card, only Triton with the tools that its wheel brings. In a process of its own, since in one with
TRITON_INTERPRET nothing is compiled.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from lsp_server.engine.passes import cards, kernels, nf4_kernels
from lsp_server.engine.passes.rounding import NF4_BLOCK

HALF, FLOAT, LONG, INT = "*bf16", "*fp32", "*i64", "i32"
BYTE = {8: "*i8", 4: "*u8"}  # that holds weights of so many bits
# As torch gives memory, and as Triton finds of numbers that are multiples of 16.
ALIGNED = {"depth", "rows", "hidden", "heads"}
STATE = {"state": LONG, "layer": INT, "layers": INT, "heads": INT}
PRODUCT = {"x": HALF, "scale": FLOAT, "y": FLOAT, "tokens": INT, "depth": INT, "rows": INT}
NORM = {"x": FLOAT, "parts": FLOAT, "weight": HALF, "y": HALF, "tokens": INT, "hidden": INT, "eps": "fp32"}
PLACE = {
    "parts": FLOAT, "cosines": FLOAT, "sines": FLOAT, "queries": HALF, "tokens": INT, "kv_heads": INT, **STATE,
}  # fmt: skip
SPANS = {"queries": HALF, "taken": FLOAT, "most": FLOAT, "total": FLOAT, "factor": "fp32", **STATE}


@dataclass(frozen=True)
class Case:
    """A kernel as it is launched: for a product also how many weights a turn of its loop has."""

    name: str
    kernel: Any
    types: Mapping[str, str]
    constants: Mapping[str, Any]
    warps: int = 4
    stages: int = 3
    weights: int = 0


def cases(settings: cards.Settings) -> Iterator[Case]:
    """All kernels, for a model of 4,096 with heads of 128, of 70B's where they share most."""
    for bits, few, many in ((8, kernels.product, kernels.product), (4, nf4_kernels.few, nf4_kernels.many)):
        cuts = settings.cuts(bits)
        for name, kernel, tile, gated in (
            ("product", few, cuts.few, False),
            ("gated", few, cuts.gated, True),
            ("prompt", many, cuts.prompt, False),
            ("gated prompt", many, cuts.gated_prompt, True),
        ):
            constants = {"ROWS": tile.rows, "DEPTH": tile.depth, "TOKENS": tile.tokens, "PARTS": 1 if gated else 2}
            constants |= {"GATED": gated, "BLOCKS": tile.depth // NF4_BLOCK, "STAGES": tile.stages}
            taken = {name: value for name, value in constants.items() if name in kernel.arg_names}
            types = {**PRODUCT, "weight": BYTE[bits], "y": HALF if gated else FLOAT}
            weights = tile.rows * tile.depth * (2 if gated else 1)
            yield Case(f"{name}, {bits} bits", kernel, types, taken, tile.warps, tile.stages, weights)
    yield Case("embed", kernels.embed, {"state": LONG, "embeddings": HALF, "x": FLOAT, "hidden": INT}, {"WIDTH": 4096})
    for width in (4096, 8192):
        yield Case(f"norm of {width}", kernels.add_norm, NORM, {"PARTS": 4, "WIDTH": width})
    for in_a_row in (False, True):
        constants = {"PARTS": 2, "SIZE": 128, "IN_A_ROW": in_a_row}
        yield Case("place in a row" if in_a_row else "place", kernels.place, PLACE, constants, 1)
    for group in (1, 8):
        constants = {"GROUP": group, "ROWS": 16 * group, "SIZE": 128, "KEYS": settings.keys, "SPAN": settings.span}
        types = {**SPANS, "tokens": INT}
        yield Case(f"attend, {group} sharing", kernels.attend, types, constants, 4 if group == 1 else 8, 2)
    constants = {"SIZE": 128, "KEYS": 16, "SPAN": settings.span}
    yield Case("gather", kernels.gather, {**SPANS, "y": HALF, "group": INT}, constants, 1)


def compiled(case: Case, capability: int) -> dict[str, Any]:
    """Registers are those of a thread; `per_weight` the instructions that a warp's lanes run in the loop for each."""
    names = case.kernel.arg_names
    signature = {name: case.types.get(name, "constexpr") for name in names}
    aligned = [name for name, kind in case.types.items() if kind[0] == "*" or name in ALIGNED]
    made = triton.compile(
        ASTSource(
            case.kernel,
            signature,
            {(names.index(name),): value for name, value in case.constants.items()},
            {(names.index(name),): [["tt.divisibility", 16]] for name in aligned},
        ),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": case.warps, "num_stages": case.stages},
    )
    code = made.asm["sass"]
    loops = [loop for loop in loops_of(code) if any("MMA" in line for line in loop)]
    longest = max((len(loop) for loop in loops), default=0)
    return {
        "kernel": case.name,
        "capability": capability,
        "shared": made.metadata.shared,
        "spills": sum(bool(re.search(r"\b(LDL|STL)\b", line)) for line in code.splitlines()),
        "per_weight": longest * 32 * case.warps / case.weights if case.weights else None,
        "narrow": len(re.findall(r"\bLDG\S*\.[US](?:8|16)\b", code)),  # reads of a byte or two
        "instructions": sorted({word for word in re.findall(r"\b[HIQ]G?MMA\b", code)}),
    }


def loops_of(code: str) -> Iterator[list[str]]:
    """The instructions between each label and each jump back to it."""
    labels: dict[str, int] = {}
    instructions: list[str] = []
    for line in code.splitlines():
        if label := re.match(r"\s*\.?(L\w+|\S+):\s*$", line):
            labels[label[1].lstrip(".")] = len(instructions)
        elif re.search(r"\b[A-Z][A-Z0-9]+(\.\S+)?\b.*;", line):
            instructions.append(line)
            jump = re.search(r"\bBRA\S*\s+.*?`?\(?\.?(L\w+)\)?", line)
            if jump and jump[1] in labels:
                yield instructions[labels[jump[1]] :]


def main() -> None:
    """Print them as they come, two at a time."""
    wanted = [
        (case, int(number))
        for number in sys.argv[1:]
        for case in cases(cards.BY_CAPABILITY[int(number) // 10, int(number) % 10])
    ]
    with ThreadPoolExecutor(2) as threads:
        for row in threads.map(lambda each: compiled(*each), wanted):
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
