"""In how many bits a model is planned, how large its parts are in them, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lsp_server.codellama import VARIANTS, ModelShape
from lsp_server.engine.loading import plan, rates, sizes, starter
from lsp_server.engine.loading.devices import Device

GIB = 2**30
CONFIGS = {path.stem: json.loads(path.read_text()) for path in (Path(__file__).parent / "configs").glob("*.json")}
SHAPES = {variant.size.lower(): variant.shape for variant in VARIANTS if variant.flavour == "base"}
DISK = Device("disk", "disk", 0, 900 * GIB, 1000 * GIB)
# Linear weights and the layers' rows of Code Llama's published shapes: hidden, layers, key-value width, MLP size.
HAND = {"7b": (4096, 32, 4096, 11008), "13b": (5120, 40, 5120, 13824), "34b": (8192, 48, 1024, 22016)}
HAND |= {"70b": (8192, 80, 1024, 28672)}


def gpus(count: int, size: float, bandwidth: float = 1008e9) -> tuple[Device, ...]:
    return tuple(Device(f"GPU {i}", "cuda", i, int(size * GIB), int(size * GIB), bandwidth) for i in range(count))


def memory(size: float, bandwidth: float = 60e9) -> Device:
    return Device("memory", "cpu", 0, int(size * GIB), int(size * GIB), bandwidth)


def chosen(name: str, *devices: Device, quantization: str = "auto", context: int = 0) -> plan.Plan:
    return plan.choose(sizes.of_shape(SHAPES[name]), devices, context, quantization)


@pytest.mark.parametrize("name", HAND)
def test_shapes_have_the_sizes_of_the_models_that_transformers_builds(name: str) -> None:
    """What is planned without torch is what the engine plans."""
    measured = sizes.measure(CONFIGS[name])
    assert sizes.of_shape(ModelShape.from_config(CONFIGS[name])) == measured
    assert sizes.of_shape(SHAPES[name]).parts(4) == measured.parts(4)


def test_the_starters_sizes_are_those_of_its_shape() -> None:
    shape = starter.SHAPE
    config = {
        **{"model_type": "llama", "hidden_size": shape.hidden, "num_hidden_layers": shape.layers},
        **{"num_attention_heads": shape.heads, "num_key_value_heads": shape.kv_heads, "vocab_size": shape.vocab},
        **{"intermediate_size": shape.mlp, "max_position_embeddings": shape.context_length},
        **{"tie_word_embeddings": True},
    }
    assert sizes.of_shape(shape) == sizes.measure(config)


@pytest.mark.parametrize("name", HAND)
def test_bytes_in_4_bits_by_hand(name: str) -> None:
    """Half a byte a weight, 4 bytes for 64 of them, and a table of 16 float32 for each of 7 matrices in a layer."""
    hidden, layers, kv, mlp = HAND[name]
    linear = layers * (2 * hidden * hidden + 2 * hidden * kv + 3 * hidden * mlp)
    other = 2 * 32016 * hidden if name != "34b" else 2 * 32000 * hidden
    other += (2 * layers + 1) * hidden
    expected = linear // 2 + linear // 64 * 4 + layers * 7 * 64 + 2 * other
    assert chosen(name, *gpus(1, 141), quantization="4").weights_bytes == expected
    assert expected / linear == pytest.approx(0.5625 + 2 * other / linear, rel=1e-4)


def test_a_block_goes_on_over_the_end_of_a_row_and_is_counted_whole() -> None:
    assert sizes.linear_bytes(3, 10, 4) == 15 + 4 + 64
    assert sizes.linear_bytes(5, 13, 4) == 33 + 2 * 4 + 64
    assert sizes.linear_bytes(3, 10, 8) == 30 + 12
    assert sizes.linear_bytes(3, 10, 16) == 60


@pytest.mark.parametrize(
    ("name", "devices", "bits", "kinds"),
    [
        ("7b", (*gpus(1, 12), memory(32)), 8, {"cuda"}),
        ("7b", (*gpus(1, 6), memory(32)), 4, {"cuda"}),
        ("13b", (*gpus(1, 24), memory(32)), 8, {"cuda"}),
        ("13b", (*gpus(1, 12), memory(32)), 4, {"cuda"}),
        ("34b", (*gpus(1, 24), memory(64), DISK), 4, {"cuda"}),
        ("34b", (*gpus(2, 24), memory(64)), 8, {"cuda"}),
        ("70b", (*gpus(2, 24), memory(64)), 4, {"cuda"}),
        ("70b", (*gpus(1, 24), memory(64)), 8, {"cuda", "cpu"}),  # 4 bits do not fit the card either
        ("70b", (*gpus(1, 24), memory(24), DISK), 4, {"cuda", "cpu"}),  # nor 8 card and memory
        ("7b", (memory(16),), 8, {"cpu"}),
        ("7b", (memory(6.5), DISK), 4, {"cpu"}),
        ("13b", (memory(10), DISK), 4, {"cpu"}),
        ("70b", (memory(64), DISK), 4, {"cpu"}),
        ("70b", (memory(38), DISK), 8, {"cpu", "disk"}),
    ],
)
def test_what_auto_takes(name: str, devices: tuple[Device, ...], bits: int, kinds: set[str]) -> None:
    made = chosen(name, *devices)
    assert (made.bits, {row.device.kind for row in made.rows}) == (bits, kinds), made.describe()
    # By its own name it is the same.
    assert chosen(name, *devices, quantization=str(bits)).rows == made.rows


def test_34b_on_a_card_of_24_gib() -> None:
    """8 bits leave 17 layers or so in memory and take some 200 ms; 4 fit, and take 25 to 35."""
    devices = (*gpus(1, 24 * 0.97), memory(64), DISK)
    four, eight = chosen("34b", *devices), chosen("34b", *devices, quantization="8")
    assert 0.025 < rates.seconds(four) < 0.035
    assert 0.15 < rates.seconds(eight) < 0.35
    assert 28 <= eight.layers_on("cuda") <= 33
    left = 48 - eight.layers_on("cuda")
    said = f"about {1 / rates.seconds(four):.0f} tokens/s; 8 would be about {1 / rates.seconds(eight):.0f} tokens/s, "
    said += f"with {left} of 48 layers in memory"
    assert four.why == said
    assert f"in 4 bits for a context of {four.context_length:,} tokens, on GPU 0; {said}" in four.summary()
    assert f"Bits of a weight: 4; {said}" in four.describe()
    # Who asks for 8 is told how fast that is.
    assert eight.why.startswith("as set, about ")


def test_what_is_said_where_8_bits_spill_and_4_would_too() -> None:
    made = chosen("70b", *gpus(1, 24), memory(64))
    left, other = made.layers_on("cpu"), chosen("70b", *gpus(1, 24), memory(64), quantization="4")
    assert made.why == (
        f"{rates.words(rates.seconds(made))}, with {left} of 80 layers in memory; 4 would be "
        f"{rates.words(rates.seconds(other))}, with {other.layers_on('cpu')} of 80 layers in memory (`quantization`)"
    )
    assert chosen("7b", *gpus(1, 24)).why == ""
    assert chosen("7b", memory(16)).why == ""
    assert chosen("70b", memory(48)).why.endswith("; 8 would not fit")


def test_a_context_that_was_set_counts() -> None:
    """13B with 16,384 tokens: 12.4 + 12.5 GiB in 8 bits, 6.9 + 12.5 in 4."""
    assert chosen("13b", *gpus(1, 23)).bits == 8
    assert chosen("13b", *gpus(1, 23), context=16384).bits == 4


@pytest.mark.parametrize(
    ("name", "devices", "quantization", "words"),
    [
        ("70b", (memory(16),), "auto", ("in 8 bits", "GiB in 4, and", "Code Llama 13B would fit", "48 GiB")),
        ("34b", (memory(10),), "auto", ("Code Llama 13B in 4 bits would fit here", "in 4 bits.")),
        ("34b", (*gpus(1, 24),), "8", ("in 8 bits", "set `quantization` to 4, which fits.")),
        ("34b", (*gpus(1, 48),), "16", ("in 16 bits", "set `quantization` to 8, which fits.")),
        ("7b", (memory(2),), "auto", ("the starter model would fit here", "a GPU of 8 GiB")),
    ],
)
def test_refusals(name: str, devices: tuple[Device, ...], quantization: str, words: tuple[str, ...]) -> None:
    with pytest.raises(plan.DoesNotFit) as caught:
        chosen(name, *devices, quantization=quantization)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "gib", "wanted"),
    [
        ("GPU 0 (NVIDIA GeForce RTX 4090)", 24, 1008),
        ("GPU 0 (NVIDIA GeForce RTX 3090 Ti)", 24, 1008),
        ("GPU 0 (NVIDIA GeForce RTX 3090)", 24, 936),
        ("GPU 0 (NVIDIA H100 80GB HBM3)", 80, 3350),
        ("GPU 0 (NVIDIA H100 PCIe)", 80, 2000),
        ("GPU 0 (NVIDIA A100-SXM4-40GB)", 40, 1555),
        ("GPU 0 (NVIDIA A10G)", 23, 600),
        ("GPU 0 (NVIDIA L40S)", 45, 864),
        ("GPU 0 (another)", 23.6, 936),
    ],
)
def test_how_fast_a_card_reads(name: str, gib: float, wanted: int) -> None:
    assert rates.bandwidth(Device(name, "cuda", 0, 0, int(gib * GIB))) == wanted * 1e9


def test_how_fast_memory_is_read_is_measured() -> None:
    assert 1e9 < rates.bandwidth(Device("memory", "cpu", 0, 0, 0)) < 2e12


def test_7b_takes_what_others_measured() -> None:
    """llama.cpp, Q8_0, RTX 4090: 10.2 ms; transformers in 16 bits there: 24 ms. MLC, 4 bits, RTX 3090 Ti: 6.0 ms,
    without the keys and values of 1,000 tokens, which are an eighth more."""
    assert rates.seconds(chosen("7b", *gpus(1, 24))) == pytest.approx(0.0102, rel=0.15)
    assert rates.seconds(chosen("7b", *gpus(1, 24), quantization="16")) == pytest.approx(0.0245, rel=0.2)
    assert rates.seconds(chosen("7b", *gpus(1, 24), quantization="4")) == pytest.approx(0.0067, rel=0.15)


def test_how_seconds_are_said() -> None:
    assert rates.words(0.0349) == "about 29 tokens/s"
    assert rates.words(0.31) == "about 3 tokens/s"
    assert rates.words(1.26) == "about 1.3 s a token"
