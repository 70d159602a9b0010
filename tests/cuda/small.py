"""Models as small as a test needs: the interpreter takes a millisecond or more for each program of a grid."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lsp_server.engine.passes import cards, int8
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


def llama(heads: int = 2, kv_heads: int = 1, *, layers: int = 1, dtype: torch.dtype = torch.float32) -> Any:
    """transformers' model, its linear layers but the head in 8 bits."""
    torch.manual_seed(heads)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16 * heads,
        intermediate_size=48,
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
                small = EightBits.rounded(child.weight)
                setattr(parent, name, int8.Int8Linear(small.weight, small.scale, None))
    return model


def reference(model: Any) -> Any:
    """The same in float32, with plain layers of the same rounded weights, the head's too."""
    plain = copy.deepcopy(model)
    for parent in list(plain.modules()):
        for name, child in list(parent.named_children()):
            rows = int8.rows_of(child)
            if name == "lm_head":
                head = EightBits.rounded(child.weight)
                rows = head.weight, head.scale
            if rows is not None:
                linear = torch.nn.Linear(*reversed(rows[0].shape), bias=False)
                linear.weight.data = rows[0].float() * rows[1][:, None]
                setattr(parent, name, linear)
    return plain.float()


def on_card(model: Any, runs: Sequence[cards.Run] | None = None) -> LlamaOnCuda:
    """Its pass on a card, in the interpreter."""
    return LlamaOnCuda(model, len(IDS), settings=SETTINGS, runs=runs)


def run(model: Model, ids: Sequence[int], chunk: int, keys_values: KeysValues) -> torch.Tensor:
    """The logits of all `ids`, in passes of so many."""
    parts = [ids[i : i + chunk] for i in range(0, len(ids), chunk)]
    return torch.cat([model.forward(part, keys_values, last=len(part)) for part in parts])
