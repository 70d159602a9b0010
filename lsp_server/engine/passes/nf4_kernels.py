"""Products of weights in 4 bits on a CUDA card, in Triton: bitsandbytes' nf4 as it lies, two weights in each byte, the
first in the upper half, and a float32 scale for each block of 64; 16-bit activations, sums in float32.

A weight is one of sixteen numbers, here rounded to the activations' type. A card has an instruction that picks four
bytes out of eight at once, `prmt`, and the numbers of four weights side by side are what it picks by. It takes three
for the lower bytes of four numbers, three for the upper ones, and two to put them together: with all else in the loop
four instructions a weight, where bringing weights back one by one would be more than that for the look-up alone.

Scales are not multiplied into weights, which would round these again, but into the sums of a block.

The two weights of a byte go into two products, of the activations with even and with odd numbers. These are read as
pairs, 32 bits wide, and taken apart in registers.
"""

import torch
import triton
import triton.language as tl

from lsp_server.engine.passes.kernels import PLAIN
from lsp_server.engine.passes.rounding import NF4, NF4_BLOCK

_BYTES = tl.constexpr(NF4_BLOCK // 2)
_BLOCK = tl.constexpr(NF4_BLOCK)
# Of PTX's `lop3`: (a & b) | c.
_AND_OR = "0xEA"


def _look_up(dtype: torch.dtype) -> str:
    """PTX that turns four bytes, $4, into the numbers of their upper halves, $0 and $1, and of their lower, $2 and $3.

    A selector of `prmt` is four numbers of 4 bits, which is what weights are, but the uppermost bit means something
    else there: it is masked away, and later says which of the two halves of the table was meant.
    """
    bits = [number & 0xFFFF for number in torch.tensor(NF4).to(dtype).view(torch.int16).tolist()]
    lower, upper = (
        [sum((number >> shift & 0xFF) << 8 * at for at, number in enumerate(bits[n : n + 4])) for n in (0, 4, 8, 12)]
        for shift in (0, 8)
    )
    lines = [
        ".reg .b32 codes, halves, some, others, low, high, low0, low8, high0, high8;",
        # No bit is in both, which the assembler does not know: constants it would copy to a register for each use.
        "mov.u32 some, %lanemask_lt;",
        "mov.u32 others, %lanemask_eq;",
        *(
            f"lop3.b32 {name}, some, others, {word}, {_AND_OR};"
            for name, word in (("low0", lower[0]), ("low8", lower[2]), ("high0", upper[0]), ("high8", upper[2]))
        ),
        "and.b32 codes, $4, 0x77777777;",
        "shr.u32 halves, $4, 1;",
        f"lop3.b32 halves, halves, 0x44444444, 0x32103210, {_AND_OR};",
    ]
    for pair in (0, 1):  # of bytes
        for name, words in (("low", lower), ("high", upper)):
            lines += [
                f"prmt.b32 some, {name}0, {words[1]}, codes;",
                f"prmt.b32 others, {name}8, {words[3]}, codes;",
                f"prmt.b32 {name}, some, others, halves;",
            ]
        lines += [f"prmt.b32 ${pair}, low, high, 0x7351;", f"prmt.b32 ${2 + pair}, low, high, 0x6240;"]
        lines += ["shr.u32 codes, codes, 16;", "shr.u32 halves, halves, 16;"] if pair == 0 else []
    return "{ " + " ".join(lines) + " }"


_BFLOAT16 = tl.constexpr(_look_up(torch.bfloat16))
_FLOAT16 = tl.constexpr(_look_up(torch.float16))
_REGISTERS = tl.constexpr("=r,=r,=r,=r,r")


@triton.jit
def looked_up(given, kind: tl.constexpr):
    """The numbers of the first and of the second weight in each byte, in the type `kind`."""
    tl.static_assert(kind == tl.bfloat16 or kind == tl.float16)
    if kind == tl.bfloat16:
        return tl.inline_asm_elementwise(_BFLOAT16, _REGISTERS, [given], (tl.bfloat16, tl.bfloat16), True, 4)
    else:
        return tl.inline_asm_elementwise(_FLOAT16, _REGISTERS, [given], (tl.float16, tl.float16), True, 4)


@triton.jit
def _apart(pairs, kind: tl.constexpr):
    """The first and the second number of each pair."""
    return pairs.to(tl.int16).to(kind, bitcast=True), (pairs >> 16).to(tl.int16).to(kind, bitcast=True)


@triton.jit
def _of_blocks(at, mine, first, second, scales):
    """The product of some blocks, times their scales: bytes [..., rows, 32] and activations [..., 32, tokens]."""
    upper, lower = looked_up(tl.load(at, mask=mine, other=0), first.dtype)
    return tl.dot(lower, second, tl.dot(upper, first)) * scales


@triton.jit(do_not_specialize=PLAIN)
def few(
    x,
    weight,
    scale,
    y,
    tokens,
    depth,
    rows,
    ROWS: tl.constexpr,
    BLOCKS: tl.constexpr,
    TOKENS: tl.constexpr,
    PARTS: tl.constexpr,
    GATED: tl.constexpr,
    STAGES: tl.constexpr,
):
    """`kernels.product` of few tokens, at most TOKENS, with weight uint8 [rows, depth / 2] and scale [blocks, rows].

    Each warp takes blocks of its own, BLOCKS in a turn, and sums them for itself until the end.
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    part = tl.program_id(1)
    token = tl.arange(0, TOKENS)
    block = part * BLOCKS + tl.arange(0, BLOCKS)
    i = tl.arange(0, _BYTES)
    mine = (row < rows)[None, :]
    here = (token < tokens)[None, None, :]
    width = tl.multiple_of(depth // 2, 32)
    at = weight + (block[:, None, None] * _BYTES + row.to(tl.int64)[None, :, None] * width + i[None, None, :])
    pairs = x.to(tl.pointer_type(tl.int32))
    xs = pairs + (block[:, None, None] * _BYTES + token[None, None, :] * width + i[None, :, None])
    all_rows = rows * 2 if GATED else rows
    scales = scale + block[:, None] * all_rows + row[None, :]
    sums = tl.zeros((BLOCKS, ROWS, TOKENS), tl.float32)
    if GATED:
        others = tl.zeros((BLOCKS, ROWS, TOKENS), tl.float32)
        below = at + rows.to(tl.int64) * width
    for _ in tl.range(part * BLOCKS, depth // _BLOCK, PARTS * BLOCKS, num_stages=STAGES):
        first, second = _apart(tl.load(xs, mask=here, other=0), x.dtype.element_ty)
        one = tl.load(scales, mask=mine, other=0.0)[:, :, None]
        sums += _of_blocks(at, mine[:, :, None], first, second, one)
        if GATED:
            one = tl.load(scales + rows, mask=mine, other=0.0)[:, :, None]
            others += _of_blocks(below, mine[:, :, None], first, second, one)
            below += PARTS * BLOCKS * _BYTES
        at += PARTS * BLOCKS * _BYTES
        xs += PARTS * BLOCKS * _BYTES
        scales += PARTS * BLOCKS * all_rows
    total = tl.sum(sums, axis=0)
    if GATED:
        total = total * tl.sigmoid(total) * tl.sum(others, axis=0)
    to = y + (part * tokens + token)[None, :].to(tl.int64) * rows + row[:, None]
    tl.store(to, total.to(y.dtype.element_ty), mask=(row < rows)[:, None] & (token < tokens)[None, :])


@triton.jit(do_not_specialize=PLAIN)
def many(
    x,
    weight,
    scale,
    y,
    tokens,
    depth,
    rows,
    ROWS: tl.constexpr,
    TOKENS: tl.constexpr,
    GATED: tl.constexpr,
    STAGES: tl.constexpr,
):
    """The same of a prompt: y [tokens, rows], a block at a time."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    token = tl.program_id(1) * TOKENS + tl.arange(0, TOKENS)
    i = tl.arange(0, _BYTES)
    mine = row < rows
    here = token < tokens
    width = tl.multiple_of(depth // 2, 32)
    at = weight + (row.to(tl.int64)[:, None] * width + i[None, :])
    xs = x.to(tl.pointer_type(tl.int32)) + (token[None, :] * width + i[:, None])
    all_rows = rows * 2 if GATED else rows
    scales = scale + row
    sums = tl.zeros((ROWS, TOKENS), tl.float32)
    if GATED:
        others = tl.zeros((ROWS, TOKENS), tl.float32)
        below = at + rows.to(tl.int64) * width
    for _ in tl.range(0, depth // _BLOCK, num_stages=STAGES):
        first, second = _apart(tl.load(xs, mask=here[None, :], other=0), x.dtype.element_ty)
        one = tl.load(scales, mask=mine, other=0.0)[:, None]
        sums += _of_blocks(at, mine[:, None], first, second, one)
        if GATED:
            one = tl.load(scales + rows, mask=mine, other=0.0)[:, None]
            others += _of_blocks(below, mine[:, None], first, second, one)
            below += _BYTES
        at += _BYTES
        xs += _BYTES
        scales += all_rows
    if GATED:
        sums = sums * tl.sigmoid(sums) * others
    to = y + token[None, :].to(tl.int64) * rows + row[:, None]
    tl.store(to, sums.to(y.dtype.element_ty), mask=mine[:, None] & here[None, :])
