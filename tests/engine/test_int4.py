"""The 4-bit product on the CPU: against exact arithmetic on what bitsandbytes brings its weights back to."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from small_llamas import IDS, random_llama, run

from lsp_server.engine.passes import fused, int4, linears, llama_cpu, rounding


def in_four_bits(rows: int, columns: int, **options: Any) -> Any:
    """A layer of bitsandbytes, rounded by it as it is loaded."""
    nn = rounding.bitsandbytes().nn
    layer = nn.Linear4bit(columns, rows, bias=True, compute_dtype=torch.float32, **{"quant_type": "nf4", **options})
    layer.weight.data.normal_(generator=torch.Generator().manual_seed(rows))
    layer.bias.data = torch.arange(rows, dtype=torch.bfloat16)
    return layer.to("cpu")


@pytest.mark.parametrize("product", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("nested", [False, True])
def test_layers_of_bitsandbytes_are_replaced_and_give_the_same(
    nested: bool, product: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linears, "PRODUCT", product)
    monkeypatch.setattr(linears, "TILES", product is torch.bfloat16)
    monkeypatch.setattr(linears, "PART_BYTES", 10 * 256 * 2)  # parts of ten rows and of five
    model = torch.nn.Sequential(in_four_bits(48, 256, compress_statistics=nested))
    weight = model[0].weight
    exact = rounding.bitsandbytes().functional.dequantize_4bit(weight.data, weight.quant_state).double()
    assert int4.replace_linears(model) == int4.replaced(model) == 1
    assert model[0].weight.data_ptr() == weight.data_ptr()  # not copied
    for rows in (1, 3, int4.MOST_ROWS_WITH_TILES, int4.MOST_ROWS_WITH_TILES + 1):
        x = torch.randn(rows, 256, generator=torch.Generator().manual_seed(rows)).bfloat16()
        wanted = x.double() @ exact.T + model[0].bias.double()
        assert (model(x).double() - wanted).norm() < 2**-7 * wanted.norm()


def test_other_formats_are_left_as_they_are() -> None:
    model = torch.nn.Sequential(
        in_four_bits(8, 256, quant_type="fp4"), in_four_bits(8, 32), torch.nn.Linear(64, 8), in_four_bits(8, 64)
    )
    assert int4.replace_linears(model) == 1
    assert isinstance(model[3], int4.Int4Linear)


def small_llama() -> Any:
    """A Llama whose weights come in whole blocks."""
    return random_llama(4, 2, tied=True, inner=192).to(torch.bfloat16)


@pytest.mark.parametrize("product", [torch.bfloat16, torch.float32])
def test_logits_are_those_of_transformers(product: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linears, "PRODUCT", product)
    monkeypatch.setattr(linears, "TILES", product is torch.bfloat16)
    small = small_llama()
    reference = copy.deepcopy(small).float()
    functional = rounding.bitsandbytes().functional
    for name, module in reference.named_modules():
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            module.weight.data = functional.dequantize_4bit(*functional.quantize_4bit(module.weight, quant_type="nf4"))
    linears.round_linears(small, int4.Int4Linear)
    assert llama_cpu.can_take(small)
    model = llama_cpu.LlamaOnCpu(small)
    with torch.inference_mode():
        wanted = reference(torch.tensor([IDS[:150]])).logits[0]
    for chunk in (150, 16, 1):
        logits = run(model, IDS[:150], chunk, model.new_keys_values())
        assert (logits.float() - wanted).norm() < 0.03 * wanted.norm()


def test_a_token_gives_the_same_whatever_it_is_computed_with() -> None:
    small = small_llama()
    linears.round_linears(small, int4.Int4Linear)
    model = llama_cpu.LlamaOnCpu(small)
    single = run(model, IDS[:60], 1, model.new_keys_values())
    for chunk in (2, 3, 5, fused.MOST_TOKENS):
        assert torch.equal(run(model, IDS[:60], chunk, model.new_keys_values()), single)
