"""The kernels' products on slices of the shapes of Code Llama, against float64; bfloat16 the interpreter cannot do."""

from __future__ import annotations

import pytest
import torch
import triton
import triton.language as tl
from small import brought_back, error

from lsp_server.engine.passes import cards, int8, nf4_kernels, rounding
from lsp_server.engine.passes.card_weights import EightBits, FourBits, Weight, stacked
from lsp_server.engine.passes.cards import Cuts, Tile

FEW, PROMPT = Tile(32, 256, 16, 2, 4), Tile(128, 64, 128, 8, 3)
FOUR = cards.DEFAULT.four
# The depths of 7B to 70B, and that of the smallest model that is taken.
DEPTHS = (576, 4096, 5120, 8192, 11008, 13824, 22016, 28672)


def made(
    rows: int, depth: int, tokens: int, dtype: torch.dtype, bits: int = 8
) -> tuple[Weight, torch.Tensor, torch.Tensor]:
    """(weights, x, what their product is)."""
    random = torch.Generator().manual_seed(rows + depth)
    scale = torch.rand(rows, 1 if bits == 8 else depth // 64, generator=random) * 1e-2 + 1e-4
    if bits == 8:
        weight = torch.randint(-127, 128, (rows, depth), generator=random, dtype=torch.int8)
        given: Weight = EightBits(weight, scale[:, 0])
        numbers = weight.double() * scale.double()
    else:
        weight = torch.randint(0, 256, (rows, depth // 2), generator=random, dtype=torch.uint8)
        given = FourBits(weight, scale)
        codes = brought_back(weight, torch.ones(rows * depth // 64)).to(dtype)
        numbers = codes.double() * scale.double().repeat_interleave(64, 1)
    x = torch.randn(tokens, depth, generator=random).to(dtype)
    return given, x, x.double() @ numbers.T


def product(x: torch.Tensor, given: Weight, tile: Tile, parts: int = 1) -> torch.Tensor:
    """[parts, tokens, rows], from memory that is full of NaN."""
    out = torch.full((parts, len(x), given.rows), torch.nan)
    given.launch(x, out, tile, parts)
    return out


@pytest.mark.parametrize(("depth", "dtype"), [*((depth, torch.float16) for depth in DEPTHS), (4096, torch.float32)])
def test_of_few_tokens(depth: int, dtype: torch.dtype) -> None:
    given, x, wanted = made(40, depth, 3, dtype)  # rows and tokens that fill no tile
    for parts in (1, 4):
        assert error(product(x, given, FEW, parts).sum(0), wanted) < 2e-6


@pytest.mark.parametrize("depth", [576, 4096, 11008, 22016, 28672])
def test_of_few_tokens_in_four_bits(depth: int) -> None:
    given, x, wanted = made(40, depth, 3, torch.float16, 4)
    assert error(product(x, given, Tile(64, 256, 16, 4, 3), 1 + depth % 3).sum(0), wanted) < 2e-6


@pytest.mark.parametrize(("bits", "tile"), [(8, PROMPT), (4, FOUR.prompt)])
def test_of_a_prompt(bits: int, tile: Tile) -> None:
    given, x, wanted = made(200, 576, 150, torch.float16, bits)
    assert error(product(x, given, tile)[0], wanted) < 2e-6


@pytest.mark.parametrize("tokens", [1, 16, 130])
@pytest.mark.parametrize(("bits", "cuts"), [(8, Cuts(FEW, FEW, PROMPT, Tile(64, 64, 128, 8, 3))), (4, FOUR)])
def test_of_gates_and_values(tokens: int, bits: int, cuts: Cuts) -> None:
    given, x, wanted = made(2 * 80, 512, tokens, torch.float16, bits)
    gate, value = wanted.chunk(2, dim=-1)
    out = torch.full((tokens, 80), torch.nan)
    given.launch(x, out, cuts.tile(few=tokens <= 16, gated=True), 1, gated=True)
    assert error(out, torch.nn.functional.silu(gate) * value) < 1e-5


@pytest.mark.parametrize(("bits", "tile"), [(8, FEW), (4, FOUR.few)])
def test_a_token_alone_and_among_others_are_equal_bit_for_bit(bits: int, tile: Tile) -> None:
    given, x, _ = made(32, 4096 if bits == 8 else 1024, 16, torch.float16, bits)
    together = product(x, given, tile, 2)
    for token in (0, 7, 15):
        assert torch.equal(product(x[token : token + 1].contiguous(), given, tile, 2)[:, 0], together[:, token])
    four = product(x[4:8].contiguous(), given, tile, 2)
    assert torch.equal(four, together[:, 4:8])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_numbers_of_four_bits_are_those_of_bitsandbytes(dtype: torch.dtype) -> None:
    """Of all bytes, in both types of activations, although the interpreter does not multiply in one of them."""
    every = torch.arange(256, dtype=torch.uint8)
    out = torch.zeros(2, 256, dtype=dtype)
    numbers[1,](every, out)
    assert torch.equal(out.T, brought_back(every[:, None], torch.ones(8)).to(dtype))


@triton.jit
def numbers(given, out):  # type: ignore[no-untyped-def]
    i = tl.arange(0, 256)
    first, second = nf4_kernels.looked_up(tl.load(given + i), out.dtype.element_ty)
    tl.store(out + i, first)
    tl.store(out + 256 + i, second)


@pytest.mark.parametrize("nested", [False, True])
def test_layers_of_four_bits_are_taken_as_they_are(nested: bool) -> None:
    package = rounding.bitsandbytes()
    layers = [
        package.nn.Linear4bit(512, rows, bias=False, quant_type="nf4", compress_statistics=nested).to("cpu")
        for rows in (24, 16)
    ]
    x = torch.randn(2, 512, generator=torch.Generator().manual_seed(2)).half()
    exact = [package.functional.dequantize_4bit(each.weight.data, each.weight.quant_state) for each in layers]
    # What is rounded here beside is each of the sixteen numbers, to 11 bits.
    assert error(product(x, stacked(*layers), FOUR.few)[0], x.double() @ torch.cat(exact).double().T) < 2**-11
    alone = stacked(layers[0])
    assert alone.weight.data_ptr() == layers[0].weight.data_ptr(), "not copied"


def test_layers_of_bitsandbytes_are_taken_as_they_are() -> None:
    linear = rounding.bitsandbytes().nn.Linear8bitLt(512, 40, bias=False, has_fp16_weights=False)
    exact = torch.randn(40, 512, generator=torch.Generator().manual_seed(1))
    linear.load_state_dict({"weight": exact})
    linear.to("cpu")  # which rounds
    x = torch.randn(2, 512, generator=torch.Generator().manual_seed(2)).half()
    wanted = x.double() @ (linear.weight.CB.double() * linear.weight.SCB.double()[:, None] / 127).T
    for computed in range(2):
        rows = int8.rows_of(linear)
        assert rows is not None
        assert error(product(x, EightBits(*rows), FEW)[0], wanted) < 2e-6
        if not computed:
            linear.init_8bit_state()  # as at the first pass: the numbers are kept elsewhere from then on


def test_the_head_is_rounded_as_bitsandbytes_rounds() -> None:
    weight = torch.randn(5000, 64, generator=torch.Generator().manual_seed(3)).half()
    weight[7] = 0
    ours, (wanted, largest) = EightBits.rounded(weight), rounding.round_rows(weight)
    # bitsandbytes divides and multiplies in another order: a number in the middle between two may go the other way.
    apart = (ours.weight.int() - wanted.int()).abs()
    assert int(apart.max()) <= 1
    assert float((apart > 0).float().mean()) < 1e-3
    assert torch.allclose(ours.scale, largest / 127)


def test_the_depth_is_dealt_out_until_there_is_enough_to_do() -> None:
    settings = cards.BY_CAPABILITY[9, 0]

    def parts(rows: int, depth: int, kind: type[EightBits | FourBits] = EightBits) -> int:
        bytes_of_a_row = depth // (1 if kind is EightBits else 2)
        weight = torch.empty(rows, bytes_of_a_row, dtype=torch.int8, device="meta")
        return kind(weight, torch.empty(rows, 1, device="meta")).cut(settings, 1)[1]

    # Of 32 rows each, and 256 of the depth at a time:
    assert parts(12288, 4096) == 2  # 384 programs of 7B's queries, keys and values
    assert parts(4096, 11008) == 4
    assert parts(4096, 4096) == 4
    assert parts(32016, 4096) == 1
    assert parts(64, 512) == 1  # two steps of the depth are not worth several programs
    # Of 64, and 128 at a time:
    assert parts(10240, 8192, FourBits) == 4  # 160 programs of 34B's
    assert parts(8192, 22016, FourBits) == 4
    assert parts(64, 512, FourBits) == 2
