"""The kernels' products on slices of the shapes of Code Llama, against float64; bfloat16 the interpreter cannot do."""

from __future__ import annotations

import pytest
import torch
from small import error

from lsp_server.engine.passes import cards, int8, rounding
from lsp_server.engine.passes.card_weights import Weight, launch_product
from lsp_server.engine.passes.cards import Tile

FEW, PROMPT = Tile(32, 256, 16, 2, 4), Tile(128, 64, 128, 8, 3)
# The depths of 7B to 70B, and that of the smallest model that is taken.
DEPTHS = (576, 4096, 5120, 8192, 11008, 13824, 22016, 28672)


def made(rows: int, depth: int, tokens: int, dtype: torch.dtype) -> tuple[Weight, torch.Tensor, torch.Tensor]:
    """(weights, x, what their product is)."""
    random = torch.Generator().manual_seed(rows + depth)
    weight = torch.randint(-127, 128, (rows, depth), generator=random, dtype=torch.int8)
    scale = torch.rand(rows, generator=random) * 1e-2 + 1e-4
    x = torch.randn(tokens, depth, generator=random).to(dtype)
    return Weight(weight, scale), x, x.double() @ (weight.double() * scale.double()[:, None]).T


def product(x: torch.Tensor, given: Weight, tile: Tile, parts: int = 1) -> torch.Tensor:
    """[parts, tokens, rows], from memory that is full of NaN."""
    out = torch.full((parts, len(x), given.rows), torch.nan)
    launch_product(x, given, out, tile, min(tile.depth, given.step), parts)
    return out


@pytest.mark.parametrize(("depth", "dtype"), [*((depth, torch.float16) for depth in DEPTHS), (4096, torch.float32)])
def test_of_few_tokens(depth: int, dtype: torch.dtype) -> None:
    given, x, wanted = made(40, depth, 3, dtype)  # rows and tokens that fill no tile
    for parts in (1, 4):
        assert error(product(x, given, FEW, parts).sum(0), wanted) < 2e-6


def test_of_a_prompt() -> None:
    given, x, wanted = made(200, 576, 150, torch.float16)
    assert error(product(x, given, PROMPT)[0], wanted) < 2e-6


@pytest.mark.parametrize(("tokens", "tile"), [(1, FEW), (16, FEW), (130, Tile(64, 64, 128, 8, 3))])
def test_of_gates_and_values(tokens: int, tile: Tile) -> None:
    given, x, wanted = made(2 * 80, 512, tokens, torch.float16)
    gate, value = wanted.chunk(2, dim=-1)
    out = torch.full((tokens, 80), torch.nan)
    launch_product(x, given, out, tile, min(tile.depth, given.step), 1, gated=True)
    assert error(out, torch.nn.functional.silu(gate) * value) < 1e-5


def test_a_token_alone_and_among_others_are_equal_bit_for_bit() -> None:
    given, x, _ = made(32, 4096, 16, torch.float16)
    together = product(x, given, FEW, 2)
    for token in (0, 7, 15):
        assert torch.equal(product(x[token : token + 1].contiguous(), given, FEW, 2)[:, 0], together[:, token])
    four = product(x[4:8].contiguous(), given, FEW, 2)
    assert torch.equal(four, together[:, 4:8])


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
        assert error(product(x, Weight(*rows), FEW)[0], wanted) < 2e-6
        if not computed:
            linear.init_8bit_state()  # as at the first pass: the numbers are kept elsewhere from then on


def test_the_head_is_rounded_as_bitsandbytes_rounds() -> None:
    weight = torch.randn(5000, 64, generator=torch.Generator().manual_seed(3)).half()
    weight[7] = 0
    ours, (wanted, largest) = Weight.rounded(weight), rounding.round_rows(weight)
    # bitsandbytes divides and multiplies in another order: a number in the middle between two may go the other way.
    apart = (ours.weight.int() - wanted.int()).abs()
    assert int(apart.max()) <= 1
    assert float((apart > 0).float().mean()) < 1e-3
    assert torch.allclose(ours.scale, largest / 127)


def test_the_depth_is_dealt_out_until_there_is_enough_to_do() -> None:
    settings = cards.BY_CAPABILITY[9, 0]  # 32 rows each
    assert settings.parts(12288, 4096, 256) == 2  # 384 programs of 7B's queries, keys and values
    assert settings.parts(4096, 11008, 256) == 4
    assert settings.parts(4096, 4096, 256) == 4
    assert settings.parts(32016, 4096, 256) == 1
    assert settings.parts(64, 512, 256) == 1  # two steps of the depth are not worth several programs
