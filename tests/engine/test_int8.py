"""The 8-bit product on the CPU: against exact arithmetic, and against the unrounded weights of a real model."""

import statistics
from pathlib import Path

import pytest
import torch
import transformers

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.engine.loading import plan, weights
from lsp_server.engine.loading.checkpoint import validate
from lsp_server.engine.passes import int8, rounding
from lsp_server.engine.passes.stock import DynamicKeysValues, TransformersModel


@pytest.mark.parametrize("rows", [1, 3, int8.MOST_ROWS_IN_BFLOAT16, int8.MOST_ROWS_IN_BFLOAT16 + 1])
def test_a_product_worked_exactly(rows: int) -> None:
    """Small whole numbers and scales that are powers of two: every step is exact, so the result must be."""
    generator = torch.Generator().manual_seed(rows)
    weight = torch.randint(-8, 8, (48, 64), generator=generator, dtype=torch.int8)
    scale = torch.tensor([0.25, 0.5, 1.0, 2.0] * 12, dtype=torch.bfloat16)
    bias = torch.arange(48, dtype=torch.bfloat16)
    x = torch.zeros(rows, 64, dtype=torch.bfloat16)
    x[:, ::16] = torch.randint(-2, 3, (rows, 4), generator=generator).to(torch.bfloat16)
    expected = (x.double() @ weight.double().T) * scale.double() + bias.double()
    assert torch.equal(int8.Int8Linear(weight, scale, bias)(x).double(), expected)
    assert int8.Int8Linear(weight, scale, None)(x[None]).shape == (1, rows, 48)


def test_nearer_to_the_unrounded_weights_than_the_stock_product(starter: Path) -> None:
    text = (
        "def fibonacci(n):\n    if n < 2:\n        return n\n    return fibonacci(n - 1) + fibonacci(n - 2)\n\n\ndef "
    )
    ids = CodeLlamaTokenizer.from_pretrained(starter).completion_ids(text)
    lengths = range(len(ids) - 15, len(ids) + 1)
    with torch.inference_mode():
        exact = transformers.AutoModelForCausalLM.from_pretrained(starter, dtype=torch.float32)
        wanted = exact(torch.tensor([ids])).logits[0].double()
    checkpoint = validate(starter)
    loaded = weights.load(checkpoint, plan.make(checkpoint.config, plan.devices(), 1024), lambda progress: None)
    model = TransformersModel(loaded.model)

    def error(logits: torch.Tensor, length: int) -> float:
        return 1 - float(torch.cosine_similarity(logits[-1].double(), wanted[length - 1], dim=0))

    def usual_error() -> float:
        """The geometric mean: from place to place errors differ by a factor of a hundred."""
        logits = model.forward(ids, DynamicKeysValues(), len(lengths))
        return statistics.geometric_mean(error(row[None], length) for row, length in zip(logits, lengths, strict=True))

    stock = usual_error()
    replaced = int8.replace_linears(loaded.model)
    assert replaced == 7 * checkpoint.config["num_hidden_layers"]
    assert not any(isinstance(module, rounding.bitsandbytes().nn.Linear8bitLt) for module in loaded.model.modules())
    assert usual_error() < stock / 2
    # ... and as near when the beginning is taken from kept keys and values.
    kept = DynamicKeysValues()
    model.forward(ids[: lengths[0] - 1], kept)
    each = [error(model.forward(ids[length - 1 : length], kept), length) for length in lengths]
    assert statistics.geometric_mean(each) < stock / 2
