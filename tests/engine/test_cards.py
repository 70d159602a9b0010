"""Which models the pass on CUDA cards takes, and what is said of others: without Triton or a card."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lsp_server.engine.loading import sizes
from lsp_server.engine.passes import cards, choice, int4, int8, linears, llama_cpu, rounding
from lsp_server.engine.passes.linears import RoundedLinear
from lsp_server.engine.passes.model import CHUNK_TOKENS
from lsp_server.engine.passes.stock import TransformersModel
from lsp_server.engine.passes.threads import SharedThreads


@pytest.fixture
def triton(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it is there or not."""
    found = importlib.machinery.ModuleSpec("triton", None)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found if name == "triton" else find(name))


def llama(kind: type[RoundedLinear] | None = int8.Int8Linear, **rest: Any) -> Any:
    values = {
        "vocab_size": 64,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        **rest,
    }
    model = LlamaForCausalLM(LlamaConfig(**values)).eval().to(torch.bfloat16)
    if kind:
        linears.round_linears(model, kind)
    return model


@pytest.mark.usefixtures("triton")
def test_what_is_taken() -> None:
    assert cards.refusal(llama(), "cpu") is None
    assert cards.refusal(llama(int4.Int4Linear), "cpu") is None
    assert cards.refusal(llama()) == "it is not on cards"


@pytest.mark.usefixtures("triton")
def test_layers_in_memory_beside_a_card_are_taken_and_those_on_disk_are_not() -> None:
    model = llama(num_hidden_layers=2)
    for part in (model.model.embed_tokens, model.model.layers[0]):
        part.to("meta")  # in the place of a card
    assert [(run.device.type, len(run.layers), run.in_memory) for run in cards.runs(model, "meta")] == [
        ("meta", 1, False),
        ("cpu", 1, True),
    ]
    assert cards.refusal(model, "meta") is None
    # As the loader leaves it: without parameters.
    model.model.layers[1].mlp.up_proj = torch.nn.Identity()
    assert cards.refusal(model, "meta") == "some of its layers lie on disk"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"kind": None}, "its weights are not all in 8 bits, nor all in nf4"),
        ({"hidden_act": "gelu"}, "its feed-forward goes through gelu"),
        ({"attention_bias": True}, "its linear layers have biases"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0}}, "its positions are scaled"),
        ({"head_dim": 48}, "its attention heads have 48 numbers"),
        ({"num_attention_heads": 16, "head_dim": 16, "num_key_value_heads": 1}, "too many of its attention heads"),
        ({"intermediate_size": 100}, "its widths are no multiples of 16"),
    ],
)
@pytest.mark.usefixtures("triton")
def test_what_is_not_taken_and_why(values: dict[str, Any], reason: str) -> None:
    refused = cards.refusal(llama(**values), "cpu")
    assert refused is not None
    assert refused.startswith(reason)


@pytest.mark.usefixtures("triton")
def test_in_4_bits_all_weights_are_nf4_in_blocks_of_64() -> None:
    nn = rounding.bitsandbytes().nn
    for form, reason in (
        ({"quant_type": "nf4"}, None),
        ({"quant_type": "nf4", "compress_statistics": True}, None),
        ({"quant_type": "fp4"}, "its weights are not all in 8 bits, nor all in nf4"),
    ):
        model = llama(int4.Int4Linear)
        model.model.layers[0].mlp.down_proj = nn.Linear4bit(128, 64, bias=False, **form).to("cpu")
        assert cards.refusal(model, "cpu") == reason
    model.model.layers[0].mlp.down_proj = llama().model.layers[0].mlp.down_proj  # in 8
    assert cards.refusal(model, "cpu") == "its weights are not all in 8 bits, nor all in nf4"


def test_without_triton_it_goes_on_as_before_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(cards, "on_a_card", lambda model: True)
    monkeypatch.setattr(int8, "replace_linears", lambda model: 0)  # which looks for bitsandbytes
    model, remark = choice.chosen(llama(kind=None), SharedThreads(1), 1024)
    assert isinstance(model, TransformersModel)
    assert remark == "transformers' own pass computes it, since Triton is not installed"
    assert model.chunk_tokens == CHUNK_TOKENS == 256


def test_on_a_cpu_nothing_is_said() -> None:
    told: list[float] = []
    model, remark = choice.chosen(llama(), SharedThreads(1), 1024, told.append)
    assert isinstance(model, llama_cpu.LlamaOnCpu)
    assert remark == ""
    assert told[0] == 0.0
    assert told[-1] == 1.0


def test_a_card_is_known_by_its_name() -> None:
    for name, capability, chunk in (
        ("NVIDIA A100-SXM4-80GB", (8, 0), 1024),
        ("NVIDIA H100 80GB HBM3", (9, 0), 1024),
        ("NVIDIA H200", (9, 0), 1024),
        ("NVIDIA GeForce RTX 3090", (8, 6), 512),
        ("NVIDIA GeForce RTX 4090", (8, 9), 512),
        ("NVIDIA B200", (10, 0), 1024),
        ("NVIDIA GeForce RTX 5090", (12, 0), 512),  # not in the table: the default
    ):
        settings = cards.settings_of(name, capability)
        assert settings.chunk_tokens == chunk
        assert settings.eight == cards.BY_CAPABILITY.get(capability, cards.DEFAULT).eight


def test_what_a_prompt_takes_on_a_card_is_planned() -> None:
    """The longest chunk at the longest context that is made room for unasked, with all that `Stretch._many` makes."""
    for name in ("7b", "13b", "34b", "70b"):
        config = json.loads((Path(__file__).parent / "configs" / f"{name}.json").read_text())
        hidden, fed, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
        kv_heads = config.get("num_key_value_heads") or heads
        mixed = hidden + 2 * kv_heads * hidden // heads
        # x, what is added and the product of queries, keys and values in 4 bytes; the rest in 2, some of it twice.
        prompt = max(cards.DATA_CENTRE_CHUNK, cards.COPIED_CHUNK) * (4 * (2 * hidden + mixed) + 2 * (5 * hidden + fed))
        keys = 2 * 2 * 8192 * hidden if kv_heads < heads else 0
        assert prompt + keys < sizes.measure(config).working
