"""The compiled functions for a few tokens: against exact arithmetic and torch, equal whatever is computed beside."""

import numba
import numpy as np
import pytest
import torch

from lsp_server.engine.passes import fused

RANDOM = np.random.default_rng(1)


@pytest.mark.parametrize("tokens", [1, 2, 3, 4, 5, 8, 16])
@pytest.mark.parametrize("out", [3, 48, 50])  # also where rows are left over
def test_a_product_worked_exactly(tokens: int, out: int) -> None:
    """Small whole numbers and scales that are powers of two: every step is exact, so the result must be."""
    weight = RANDOM.integers(-127, 128, (out, 72), dtype=np.int8)
    scale = RANDOM.choice(np.array([0.25, 0.5, 2.0], np.float32), out)
    x = RANDOM.integers(-9, 10, (tokens, 72)).astype(np.float32)
    assert (fused.linear(x, weight, scale) == (x @ weight.T.astype(np.float32)) * scale).all()


@pytest.mark.parametrize("size", [64, 72, 1000])
def test_a_product_is_equal_whatever_is_computed_beside(size: int) -> None:
    weight = RANDOM.integers(-127, 128, (96, size), dtype=np.int8)
    scale = RANDOM.random(96, np.float32)
    x = RANDOM.standard_normal((16, size), np.float32)
    together = fused.linear(x, weight, scale)
    for tokens in range(1, 16):
        assert (fused.linear(x[:tokens], weight, scale) == together[:tokens]).all()
        assert (fused.linear(x[tokens:], weight, scale) == together[tokens:]).all()


def test_bfloat16_is_read_and_rounded_as_torch_does() -> None:
    values = np.array([0.0, -0.0, 1.0, -2.5, 1e-30, 3e38, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20], np.float32)
    values = np.concatenate((values, RANDOM.standard_normal(1000, np.float32)))
    wanted = torch.from_numpy(values).bfloat16()
    bits = np.array([fused._to_bfloat16(value) for value in values], np.uint16)
    assert (bits == wanted.view(torch.uint16).numpy()).all()
    assert [fused._from_bfloat16(one) for one in bits] == wanted.tolist()


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


def test_on_any_number_of_threads() -> None:
    weight, scale = RANDOM.integers(-127, 128, (96, 576), dtype=np.int8), RANDOM.random(96, np.float32)
    x = RANDOM.standard_normal((3, 576), np.float32)
    results = []
    most = numba.get_num_threads()
    for threads in range(1, most + 1):
        numba.set_num_threads(threads)
        results.append(fused.linear(x, weight, scale))
    assert all((result == results[0]).all() for result in results)
