"""The compiled products: against exact arithmetic, and equal whatever is computed beside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
import torch

from lsp_server.engine.passes import compiling, products, rounding, tiles
from lsp_server.engine.passes.compiling import Floats

RANDOM = np.random.default_rng(1)


def shares(scales: Floats) -> compiling.Scales:
    found: compiling.Scales = products.shares(torch.from_numpy(scales)).numpy()
    return found


def linear(x: Floats, weights: compiling.Bytes, scales: compiling.Scales) -> Floats:
    return products.product(torch.from_numpy(x), weights, scales).numpy()


def brought_back(weights: compiling.Bytes, scales: compiling.Scales) -> Floats:
    found = torch.empty(len(weights), 2 * weights.shape[1], dtype=torch.bfloat16)
    products.bring_back(weights, scales, found.view(torch.uint16).numpy(), 2)
    return found.float().numpy()


@numba.njit(error_model="numpy")  # type: ignore[untyped-decorator]
def codes_brought_back(weights: Any, scales: Any) -> Any:
    """The same before they are rounded to bfloat16."""
    out, size = len(weights), 2 * weights.shape[1]
    block, found = products._block(size), np.empty((out, size), np.float32)
    whole, units = np.empty((1, block), np.int16), np.empty((1, 1), np.float32)
    for row in range(out):
        for number, first in enumerate(range(0, size, block)):
            count = min(block, size - first)
            tiles.bring_back(weights, scales, row, first, number, count, whole, units, 0)
            for k in range(count):
                found[row, first + k] = np.float32(whole[0, k]) * units[0, 0]
    return found


# Weights of small models are multiplied otherwise than those of large ones, and so are those that fill no register.
SIZES = [products.BLOCK + 72, products.SHALLOW + tiles.WIDE, products.SHALLOW + 72]


@pytest.mark.parametrize("tokens", [1, 2, 3, 4, 5, 8, 16, 40])
@pytest.mark.parametrize("out", [3, 48, 50])  # also where rows are left over
@pytest.mark.parametrize("size", SIZES)
def test_a_product_worked_exactly(tokens: int, out: int, size: int) -> None:
    """Small whole numbers and scales that are powers of two: every step is exact, so the result must be."""
    weights = RANDOM.integers(-127, 128, (out, size), dtype=np.int8)
    scales = RANDOM.choice(np.array([0.25, 0.5, 2.0], np.float32), (out, 1))
    x = RANDOM.integers(-9, 10, (tokens, weights.shape[1])).astype(np.float32)
    assert (linear(x, weights, scales) == (x @ weights.T.astype(np.float32)) * scales.T).all()


@pytest.mark.parametrize("size", [64, 72, 1000, products.SHALLOW, products.SHALLOW + tiles.WIDE])
def test_a_product_is_equal_whatever_is_computed_beside(size: int) -> None:
    weights = RANDOM.integers(-127, 128, (96, size), dtype=np.int8)
    scales = RANDOM.random((96, 1), np.float32)
    x = RANDOM.standard_normal((20, size), np.float32)
    together = linear(x, weights, scales)
    exact = x.astype(np.float64) @ (weights * scales.astype(np.float64)).T
    # Of large weights, x in 16 bits.
    assert np.abs(together - exact).max() < (1e-6 if size < products.SHALLOW else 1e-4) * np.abs(exact).max()
    for tokens in range(1, 20):
        assert (linear(x[:tokens], weights, scales) == together[:tokens]).all()
        assert (linear(x[tokens:], weights, scales) == together[tokens:]).all()


def test_large_weights_of_eight_bits_are_nearer_to_exact_than_with_sixteen_bit_floats() -> None:
    """Also where some inputs are a hundred times as large as the others, as in Llamas' hidden states."""
    weights = RANDOM.integers(-127, 128, (64, 4096), dtype=np.int8)
    scales = RANDOM.random((64, 1), np.float32)
    for largest in (1, 10, 100):
        x = RANDOM.standard_normal((64, 4096), np.float32)
        x[:, ::500] *= largest
        exact = x.astype(np.float64) @ (weights * scales.astype(np.float64)).T
        halved = torch.from_numpy(x).bfloat16().double().numpy() @ (weights * scales.astype(np.float64)).T
        assert 4 * np.linalg.norm(linear(x, weights, scales) - exact) < np.linalg.norm(halved - exact)


def test_the_largest_sums_of_eight_bits_are_exact() -> None:
    """The whole numbers that take all of the 16 bits, with the same sign, and of a block that has the largest."""
    weights = np.full((4, products.SHALLOW + products.BLOCK), 127, np.int8)
    weights[1] = -127
    x = np.full((5, weights.shape[1]), 32767.0, np.float32)
    x[1] = -32767.0
    x[2, 1] = 32767.99  # rounded down
    found = linear(x, weights, np.ones((4, 1), np.float32))
    wanted = x.astype(np.int64) @ weights.T.astype(np.int64)
    assert np.abs(found - wanted).max() <= 1e-6 * np.abs(wanted).max()


@pytest.mark.parametrize("bits", [8, 4])
def test_nothing_times_weights_is_nothing(bits: int) -> None:
    if bits == 8:
        weights, scales = RANDOM.integers(-127, 128, (4, 4096), dtype=np.int8), RANDOM.random((4, 1), np.float32)
    else:
        weights, scales = RANDOM.integers(0, 256, (4, 2048), dtype=np.uint8), shares(RANDOM.random((4, 64), np.float32))
    x = np.zeros((4, 4096), np.float32)
    x[1, 64:] = 1e-37
    x[2, 7], x[3, 7] = np.inf, np.nan
    found = linear(x, weights, scales)
    assert (found[0] == 0).all()
    assert np.isfinite(found[1]).all()
    assert not np.isfinite(found[2:]).any(), "what went wrong is seen"


@pytest.mark.parametrize("out", [3, 48])
@pytest.mark.parametrize("size", [1024, 192, 11008])  # 11008 inputs have blocks that are not as long as others
def test_weights_of_four_bits_are_those_of_bitsandbytes(out: int, size: int) -> None:
    """... brought back by it, and multiplied in 64 bits."""
    functional = rounding.bitsandbytes().functional
    unrounded = torch.from_numpy(RANDOM.standard_normal((out, size), np.float32))
    packed, state = functional.quantize_4bit(unrounded, quant_type="nf4")
    exact = functional.dequantize_4bit(packed, state).numpy()
    scales = state.absmax.view(out, -1)
    weights, theirs = packed.view(out, -1).numpy(), shares(scales.numpy())
    again = products.scales(torch.from_numpy(theirs), scales.shape[1])
    assert ((again - scales).abs().max() <= scales.max() / tiles.MOST_SHARE).all()
    codes = codes_brought_back(weights, theirs)
    in_order = codes.reshape(out, -1, 64)
    in_their_order = exact.reshape(out, -1, 64)[..., list(tiles.CODE_ORDER)]
    assert np.abs(in_order - in_their_order).max() < 3e-4 * np.abs(exact).max(), "within what 13 bits can say"
    assert (brought_back(weights, theirs) == torch.from_numpy(codes).bfloat16().float().numpy()).all()
    x = RANDOM.standard_normal((20, size), np.float32)
    together = linear(x, weights, theirs)
    wanted = x.astype(np.float64) @ exact.astype(np.float64).T
    assert np.abs(together - wanted).max() < 5e-4 * np.abs(wanted).max()
    halved = (torch.from_numpy(x).bfloat16().double() @ torch.from_numpy(exact).bfloat16().double().T).numpy()
    assert 4 * np.linalg.norm(together - wanted) < np.linalg.norm(halved - wanted), "nearer than 16-bit floats"
    for tokens in range(1, 20):
        assert (linear(x[:tokens], weights, theirs) == together[:tokens]).all()
        assert (linear(x[tokens:], weights, theirs) == together[tokens:]).all()


def test_four_bits_are_nearer_to_exact_than_with_sixteen_bit_floats_where_few_numbers_are_large() -> None:
    """Weights and inputs ten times as large as the others: what whole numbers leave of the others is enough."""
    functional = rounding.bitsandbytes().functional
    unrounded = torch.from_numpy(RANDOM.standard_normal((64, 4096), np.float32))
    unrounded[:, ::700] *= 10
    x = RANDOM.standard_normal((6, 4096), np.float32)
    x[:, ::500] *= 10
    packed, state = functional.quantize_4bit(unrounded, quant_type="nf4")
    exact = functional.dequantize_4bit(packed, state)
    wanted = torch.from_numpy(x).double() @ exact.double().T
    halved = torch.from_numpy(x).bfloat16().double() @ exact.bfloat16().double().T
    found = torch.from_numpy(linear(x, packed.view(64, -1).numpy(), shares(state.absmax.view(64, -1).numpy())))
    assert 2 * (found - wanted).norm() < (halved - wanted).norm()


def test_four_bits_worked_exactly() -> None:
    """Whole numbers that take all of the bits, and the largest sums that there can be: every step is exact."""
    places = RANDOM.integers(0, 16, (6, 1024))
    places[0], places[1] = 15, 0
    weights = (places[:, ::2] << 4 | places[:, 1::2]).astype(np.uint8)
    # Of a block's largest scale the others are a half and a quarter, and 1 is worth a power of two.
    scales = np.tile(np.float32(tiles.MOST_CODE) * np.array([1, 0.5, 1, 0.25], np.float32), (6, 4))
    scales *= np.array([[1], [1], [0.5], [2], [1], [4]], np.float32)
    scaled = np.array(tiles.CODES)[places] * np.repeat(scales / scales[:, :1] * tiles.MOST_SHARE, 64, axis=1)
    whole = np.floor((scaled + 2**14) / 2**15) * scales[:, :1] / tiles.MOST_CODE * (2**15 / tiles.MOST_SHARE)
    x = RANDOM.integers(-(2**13) + 1, 2**13, (5, 1024))
    x[:, ::512] = 2**13 - 1  # the largest of a block
    x[0], x[1] = 2**13 - 1, -(2**13) + 1
    wanted = x @ whole.T
    found = linear(x.astype(np.float32), weights, shares(scales))
    assert np.abs(found - wanted).max() <= 2e-7 * np.abs(wanted).max()


def test_the_same_without_the_processors_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "has_avx2", lambda: False)
    monkeypatch.setattr(tiles, "has_avx512", lambda: False)
    tile, rows, take = tiles.tile(2), tiles.rows(2), products._take

    @numba.njit(error_model="numpy")  # type: ignore[untyped-decorator]
    def four_rows(weights: Any, scales: Any, x: Any) -> Any:
        sums, size = np.zeros((2, 1, 4), np.float32), x.shape[1]
        whole, marks = np.empty((2, size), np.int16), np.empty((2, 1), np.float32)
        for t in range(2):
            take(x[t], weights, whole[t], marks[t])
        tile(weights, scales, 0, 1, 0, whole, marks, 0, 0, 0, size, sums, 0)
        return sums[:, 0]

    @numba.njit(error_model="numpy")  # type: ignore[untyped-decorator]
    def four_rows_of_four_bits(weights: Any, scales: Any, x: Any) -> Any:
        sums, size = np.empty((2, 4), np.float32), x.shape[1]
        whole, marks = np.empty((2, size), np.int16), np.empty((2, 1), np.float32)
        for t in range(2):
            take(x[t], weights, whole[t], marks[t])
        rows(weights, scales, 0, 1, 0, whole, marks, size, sums)
        return sums

    @numba.njit(error_model="numpy")  # type: ignore[untyped-decorator]
    def plainly_brought_back(weights: Any, scales: Any) -> Any:
        whole, units = np.empty((4, 512), np.int16), np.empty((4, 1), np.float32)
        for row in range(4):
            tiles.bring_back(weights, scales, row, 0, 0, 512, whole, units, row)
        return whole * units

    x = RANDOM.standard_normal((2, 512), np.float32)
    weights, scales = RANDOM.integers(0, 256, (4, 256), dtype=np.uint8), shares(RANDOM.random((4, 8), np.float32))
    assert (four_rows_of_four_bits(weights, scales, x) == linear(x, weights, scales)).all()
    assert (plainly_brought_back(weights, scales) == codes_brought_back(weights, scales)).all()
    large, of_rows = RANDOM.integers(-127, 128, (4, 512), dtype=np.int8), np.ones((4, 1), np.float32)
    exact = x.astype(np.float64) @ large.T
    assert np.abs(four_rows(large, of_rows, x) - exact).max() < 1e-4 * np.abs(exact).max()


def test_of_a_processor_that_has_fewer_instructions() -> None:
    """All of these tests once more, as on a processor with AVX2 alone, where this one has AVX-512."""
    if tiles.has_avx512():
        without = {**os.environ, "NUMBA_CPU_NAME": "haswell"}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", __file__]
        done = subprocess.run(command, env=without, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout[-3000:]


def test_on_any_number_of_threads() -> None:
    weights, scales = RANDOM.integers(-127, 128, (96, 576), dtype=np.int8), RANDOM.random((96, 1), np.float32)
    most = compiling.set_threads()
    for tokens in (3, 7):
        x = RANDOM.standard_normal((tokens, 576), np.float32)
        results = []
        for threads in range(1, most + 1):
            numba.set_num_threads(threads)
            results.append(products.linear(x, weights, scales, threads))
        results.append(products.linear(x, weights, scales, 5))  # more parts than there are threads
        assert all((result == results[0]).all() for result in results)


def test_what_is_kept_on_disk_is_of_these_sources(tmp_path: Path) -> None:
    """A function is compiled anew where what it calls, in another file, has changed."""
    for name in ("compiling", "caller", "called"):
        source = (
            Path(compiling.__file__).read_text(encoding="utf-8")
            if name == "compiling"
            else "from compiling import compiled\n"
            + ("from called import called\n" if name == "caller" else "")
            + f"@compiled\ndef {name}():\n    return {'called()' if name == 'caller' else 1}\n"
        )
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    command = [sys.executable, "-c", "import caller; print(caller.caller())"]

    def printed() -> str:
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert printed() == "1\n"
    called = tmp_path / "called.py"
    called.write_text(called.read_text(encoding="utf-8").replace("return 1", "return 23"), encoding="utf-8")
    assert printed() == "23\n"
