"""Models as small as a test needs: the interpreter takes a millisecond or more for each program of a grid."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lsp_server.engine.passes import cards, int4, int8, rounding
from lsp_server.engine.passes.card_weights import EightBits
from lsp_server.engine.passes.llama_cuda import LlamaOnCuda
from lsp_server.engine.passes.model import KeysValues, Model

torch.set_num_threads(1)

VOCABULARY = 64
# The depth dealt out to two programs, spans of which some tokens have several.
CUTS = dataclasses.replace(cards.DEFAULT.eight, few=cards.Tile(32, 256, 16, 2, 4))
SETTINGS = dataclasses.replace(
    cards.DEFAULT,
    eight=CUTS,
    programs=2,
    span=32,
    keys=16,
)
IDS: list[int] = torch.randint(3, 60, (64,), generator=torch.Generator().manual_seed(1)).tolist()


def error(given: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((given.double() - wanted.double()).norm() / wanted.double().norm())


def llama(
    heads: int = 2, kv_heads: int = 1, *, layers: int = 1, dtype: torch.dtype = torch.float32, bits: int = 8
) -> Any:
    """transformers' model, its linear layers but the head in 8 bits or in 4, which want blocks of 64."""
    torch.manual_seed(heads)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=(16 if bits == 8 else 32) * heads,
        intermediate_size=48 if bits == 8 else 64,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        initializer_range=0.3,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
    )
    model = LlamaForCausalLM(config).eval().to(dtype)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, torch.nn.Linear) and name != "lm_head":
                setattr(parent, name, _rounded(child.weight, bits))
    return model


def _rounded(weight: torch.Tensor, bits: int) -> torch.nn.Module:
    if bits == 4:
        return int4.Int4Linear.rounded(weight)
    small = EightBits.rounded(weight)
    return int8.Int8Linear(small.weight, small.scale, None)


def reference(model: Any) -> Any:
    """The same in float32, with plain layers of the same rounded weights, the head's too."""
    plain = copy.deepcopy(model)
    for parent in list(plain.modules()):
        for name, child in list(parent.named_children()):
            exact = _exact(_rounded(child.weight, 8) if name == "lm_head" else child)
            if exact is not None:
                linear = torch.nn.Linear(*reversed(exact.shape), bias=False)
                linear.weight.data = exact
                setattr(parent, name, linear)
    return plain.float()


def _exact(layer: Any) -> torch.Tensor | None:
    """The weights of a layer that is rounded, in float32."""
    if isinstance(layer, int8.Int8Linear):
        return layer.weight.float() * layer.scale[:, None]
    if isinstance(layer, int4.Int4Linear):
        weight, scales = int4.rows_of(layer)
        return brought_back(weight, scales.flatten())
    return None


def brought_back(weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Weights of 4 bits [rows, depth / 2], by bitsandbytes, in float32."""
    functional, shape = rounding.bitsandbytes().functional, (len(weight), 2 * weight.shape[1])
    code = functional.get_4bit_type("nf4", device="cpu")
    kind = {"shape": shape, "dtype": torch.float32, "blocksize": 64, "code": code, "quant_type": "nf4"}
    numbers: torch.Tensor = functional.dequantize_4bit(weight.view(-1, 1), functional.QuantState(scale, **kind))
    return numbers


def on_card(model: Any, runs: Sequence[cards.Run] | None = None) -> LlamaOnCuda:
    """Its pass on a card, in the interpreter."""
    return LlamaOnCuda(model, len(IDS), settings=SETTINGS, runs=runs)


def run(model: Model, ids: Sequence[int], chunk: int, keys_values: KeysValues) -> torch.Tensor:
    """The logits of all `ids`, in passes of so many."""
    parts = [ids[i : i + chunk] for i in range(0, len(ids), chunk)]
    return torch.cat([model.forward(part, keys_values, last=len(part)) for part in parts])
