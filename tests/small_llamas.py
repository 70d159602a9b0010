"""Llamas of random weights, small enough to be computed twice."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lsp_server.engine.passes.model import KeysValues, Model

LAYERS = 3
IDS = torch.randint(3, 300, (450,), generator=torch.Generator().manual_seed(1)).tolist()


def random_llama(heads: int, kv_heads: int, *, tied: bool, inner: int = 176) -> LlamaForCausalLM:
    torch.manual_seed(heads)
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=64,
        intermediate_size=inner,
        num_hidden_layers=LAYERS,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        tie_word_embeddings=tied,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        initializer_range=0.15,
    )
    return LlamaForCausalLM(config).eval()


def run(model: Model, ids: Sequence[int], chunk: int, keys_values: KeysValues) -> torch.Tensor:
    parts = [ids[i : i + chunk] for i in range(0, len(ids), chunk)]
    return torch.cat([model.forward(part, keys_values, last=len(part)) for part in parts])
