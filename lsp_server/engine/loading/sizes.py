"""How large the parts of a model are, read from an empty model, which has no weights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lsp_server.engine.loading.empty import empty_model
from lsp_server.engine.loading.shards import Tensor

if TYPE_CHECKING:
    import torch

PREFILL_TOKENS = 512  # most tokens computed in one pass; bounds the activations


@dataclass(frozen=True)
class Part:
    """A piece that is placed as a whole: bytes in memory, bytes in 16 bits, keys and values of one token."""

    name: str
    layer: int | None
    bytes: int
    disk_bytes: int
    kv_bytes: int
    tied: bool


def measure(
    config: dict[str, Any], tensors: Mapping[str, Tensor] | None = None, bits: int = 8
) -> tuple[tuple[Part, ...], int, int]:
    """The parts of the model, the bytes of its activations, and of its largest linear weight in 16 bits.

    `bits`: those of its linear weights in memory, 8 or 16.

    Raises CheckpointProblem, also where these are not the sizes of `tensors`.
    """
    model: Any = empty_model(config, tensors)
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    head_dim = config.get("head_dim") or hidden // heads
    kv_bytes = 2 * (config.get("num_key_value_heads") or heads) * head_dim * 2
    head = model.get_output_embeddings()
    tied = head is not None and bool(getattr(model.config, "tie_word_embeddings", False))
    parts, largest = [], 0
    for name, module in _pieces(model, "", set(model._no_split_modules or ())):
        match = re.search(r"\.(\d+)$", name)
        linear, other = _linear_and_other(module, module is head)
        quantized = sum(rows * columns + 4 * rows for rows, columns in linear)
        largest = max([largest, *(rows * columns * 2 for rows, columns in linear)])
        whole = sum(rows * columns * 2 for rows, columns in linear) + other
        number = int(match[1]) if match else None
        share = kv_bytes if number is not None else 0
        parts.append(
            Part(name, number, quantized + other if bits == 8 else whole, whole, share, tied and module is head)
        )
    width = 3 * (config.get("intermediate_size") or 4 * hidden) + 8 * hidden + config["vocab_size"]
    return tuple(parts), PREFILL_TOKENS * width * 2 * 2, largest  # twice: 16 bits, and softmax or norms in 32


def _pieces(module: torch.nn.Module, name: str, whole: set[str]) -> Iterator[tuple[str, torch.nn.Module]]:
    """The modules that are never split, in the order in which they were built."""
    for child_name, child in module.named_children():
        full = f"{name}.{child_name}" if name else child_name
        if type(child).__name__ in whole or not any(True for _ in child.children()):
            yield full, child
        else:
            yield from _pieces(child, full, whole)


def _linear_and_other(module: torch.nn.Module, is_head: bool) -> tuple[list[tuple[int, int]], int]:
    """Shapes of the linear weights that will be quantized, and the bytes of everything else at 2 bytes each."""
    import torch

    linear: list[tuple[int, int]] = []
    other = 0
    for child in module.modules():
        for name, parameter in child.named_parameters(recurse=False):
            if not is_head and type(child) is torch.nn.Linear and name == "weight":
                linear.append((parameter.shape[0], parameter.shape[1]))
            else:
                other += parameter.numel() * 2
    return linear, other
