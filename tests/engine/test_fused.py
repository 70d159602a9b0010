"""What a layer's compiled function is made of: against exact arithmetic and torch."""

import numpy as np
import pytest
import torch

from lsp_server.engine.passes import floats, fused

RANDOM = np.random.default_rng(1)


def test_bfloat16_is_read_and_rounded_as_torch_does() -> None:
    values = np.array([0.0, -0.0, 1.0, -2.5, 1e-30, 3e38, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20], np.float32)
    values = np.concatenate((values, RANDOM.standard_normal(1000, np.float32)))
    wanted = torch.from_numpy(values).bfloat16()
    bits = np.array([floats.to_bfloat16(value) for value in values], np.uint16)
    assert (bits == wanted.view(torch.uint16).numpy()).all()
    assert [floats.from_bfloat16(one) for one in bits] == wanted.tolist()


def test_the_exponential() -> None:
    for x in np.linspace(-86, 86, 20_001, dtype=np.float32):
        assert fused._exp(x) == pytest.approx(np.exp(np.float64(x)), rel=3e-7)
    assert fused._exp(np.float32(-1e30)) < 1e-37


@pytest.mark.parametrize("size", [64, 10])
@pytest.mark.parametrize("length", [1, 3, 4, 130, 1001])
def test_attention_is_that_of_torch(length: int, size: int) -> None:
    keys, values = (torch.randn(shape).bfloat16() for shape in ((size, 1024), (1024, size)))
    query, taken = torch.randn(size), np.zeros(size, np.float32)
    bits = keys.view(torch.uint16).numpy(), values.view(torch.uint16).numpy()
    fused._attend(query.numpy(), *bits, length, np.arange(0), taken)
    wanted = torch.nn.functional.scaled_dot_product_attention(
        query[None].double(), keys.T[:length].double(), values[:length].double()
    )
    assert torch.allclose(torch.from_numpy(taken).double(), wanted[0], atol=1e-5)


def test_attention_to_positions_that_are_not_in_a_row() -> None:
    keys, values = (torch.randn(shape).bfloat16() for shape in ((64, 256), (256, 64)))
    query, taken = torch.randn(64), np.zeros(64, np.float32)
    more = np.array([211, 130, 255])
    bits = keys.view(torch.uint16).numpy(), values.view(torch.uint16).numpy()
    fused._attend(query.numpy(), *bits, 101, more, taken)
    seen = [*range(101), *more.tolist()]
    wanted = torch.nn.functional.scaled_dot_product_attention(
        query[None].double(), keys.T[seen].double(), values[seen].double()
    )
    assert torch.allclose(torch.from_numpy(taken).double(), wanted[0], atol=1e-5)
