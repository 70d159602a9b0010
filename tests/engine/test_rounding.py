"""Weights rounded to 8 bits, beside bitsandbytes' own rounding."""

import subprocess
import sys

import pytest
import torch

from lsp_server.engine.passes import rounding


@pytest.mark.parametrize("shape", [(1, 8), (7, 576), (300, 1536), (40, 4096), (3, 70_000)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_bit_for_bit_as_bitsandbytes_rounds(shape: tuple[int, int], dtype: torch.dtype) -> None:
    rounding.bitsandbytes()
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(shape[0])).to(dtype).to(torch.float16)
    weight[-1, : shape[1] // 2] = weight[-1].abs().max() / 2  # halves, which go to the even one
    weight[0] = 0.0 if shape[0] > 1 else weight[0]
    weight[-1, 3] = -9.0
    ints, largest, _ = torch.ops.bitsandbytes.int8_vectorwise_quant.default(weight)
    rounded, most = rounding.round_rows(weight)
    assert torch.equal(rounded, ints)
    assert torch.equal(most, largest)


@pytest.mark.parametrize("shape", [(1, 64), (7, 576), (40, 4096)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_four_bits_bit_for_bit_as_bitsandbytes_rounds(shape: tuple[int, int], dtype: torch.dtype) -> None:
    functional = rounding.bitsandbytes().functional
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(shape[0])).to(dtype)
    weight[-1, :64] = 0.0
    middles = (torch.tensor(rounding.NF4[1:]) + torch.tensor(rounding.NF4[:-1])) / 2
    weight[0, :15], weight[0, 15:64] = middles.to(dtype), 1.0  # as near to one as to the other
    packed, largest = torch.ops.bitsandbytes.quantize_4bit.default(weight, 64, "nf4", torch.uint8)
    mine, most = rounding.round_blocks(weight)
    assert torch.equal(mine.view(-1, 1), packed)
    assert torch.equal(most.flatten(), largest)
    whole, state = functional.quantize_4bit(weight, quant_type="nf4", blocksize=64)  # with `round_blocks` in it
    assert torch.equal(whole, packed)
    assert torch.equal(state.absmax, largest)
    assert (state.shape, state.dtype, state.nested) == (weight.shape, dtype, False)
    assert functional.quantize_4bit(weight, quant_type="fp4")[1].quant_type == "fp4"  # its own


def test_bitsandbytes_rounds_so_itself_when_it_loads_and_not_what_has_outliers() -> None:
    package = rounding.bitsandbytes()
    assert rounding.bitsandbytes().functional.int8_vectorwise_quant is package.functional.int8_vectorwise_quant
    weight = torch.randn(5, 64, generator=torch.Generator().manual_seed(0)).half()
    linear = package.nn.Linear8bitLt(64, 5, bias=False, has_fp16_weights=False)
    linear.weight = package.nn.Int8Params(weight, requires_grad=False, has_fp16_weights=False).to("cpu")
    assert torch.equal(linear.weight.CB, rounding.round_rows(weight)[0])
    weight[2, 7] = 50.0
    of_outliers = package.functional.int8_vectorwise_quant(weight.clone(), threshold=6.0)
    assert of_outliers[2].tolist() == [7]
    assert of_outliers[0][:, 7].tolist() == [0] * 5


def test_the_import_leaves_torchs_compiler_out_and_gives_it_back() -> None:
    code = (
        "import sys, torch; own = torch.compile; from lsp_server.engine.passes import rounding;"
        "rounding.bitsandbytes(); assert torch.compile is own; print('torch._inductor.compile_fx' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
