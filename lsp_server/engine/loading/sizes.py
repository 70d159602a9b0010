"""How large the parts of a model are: read from an empty model, which has no weights, or from its shape alone.

What a linear layer takes in so many bits is decided here, for the plan, for what is loaded and for what `codellama-ls
models` says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsp_server.codellama import ModelShape
from lsp_server.engine.loading import prequantized
from lsp_server.engine.loading.config import read_config
from lsp_server.engine.loading.empty import empty_model
from lsp_server.engine.loading.reading import CheckpointProblem
from lsp_server.engine.loading.shards import Tensor

if TYPE_CHECKING:
    import torch

PREFILL_TOKENS = 512  # most tokens computed in one pass; bounds the activations
# The weights that share a scale in 4 bits, and the table of the 16 values, float32, that each layer has of its own
# (bitsandbytes 0.50, `quantize_4bit`, without a second rounding of the scales).
BLOCK, TABLE_BYTES = 64, 64
# What keys and values take in memory, in their own size. Their room grows by an eighth, in steps of 128 tokens
# (`passes/llama_cpu.py`), and what it has grown out of leaves holes: measured were 31 kB a token of the starter's 23.
HELD_IN_MEMORY = 1.35


def linear_bytes(rows: int, columns: int, bits: int) -> int:
    """What a linear weight [rows, columns] takes in memory in 4, 8 or 16 bits.

    In 8 bits a byte a weight and a float32 scale a row (bitsandbytes, LLM.int8); in 4 two weights a byte and a float32
    scale for each `BLOCK` of them, counted over rows' ends (bitsandbytes, nf4).
    """
    weights = rows * columns
    if bits == 8:
        return weights + 4 * rows
    if bits == 4:
        return -(-weights // 2) + 4 * -(-weights // BLOCK) + TABLE_BYTES
    return 2 * weights


@dataclass(frozen=True)
class Part:
    """A piece that is placed as a whole: bytes in memory, bytes in 16 bits, keys and values of one token, and what is
    read of it for each token."""

    name: str
    layer: int | None
    bytes: int
    disk_bytes: int
    kv_bytes: int
    tied: bool
    read_bytes: int


@dataclass(frozen=True)
class Piece:
    """What a part is before it is rounded: the shapes of its linear weights, and the bytes of all else in it.

    `looked_up`: a table of which a token needs a row. `rounded`: the bytes of those linear weights in a checkpoint that
    is rounded already, as it has them.
    """

    name: str
    layer: int | None
    linear: tuple[tuple[int, int], ...]
    other: int
    kv_bytes: int
    tied: bool
    looked_up: bool
    rounded: int | None = None


@dataclass(frozen=True)
class Sizes:
    """Those of a model: its pieces in the order in which they run, the bytes of its activations, and the tokens of the
    context that it was trained for, 0 where it does not say. `fixed_bits`: those of a checkpoint that is rounded
    already, 0 for others."""

    pieces: tuple[Piece, ...]
    activations: int
    trained: int
    fixed_bits: int = 0

    def parts(self, bits: int) -> tuple[Part, ...]:
        """The parts with their linear weights in 4, 8 or 16 bits; those of a checkpoint that is rounded already are as
        they are."""
        bits = self.fixed_bits or bits
        return tuple(_part(piece, bits) for piece in self.pieces)

    @property
    def whole(self) -> int:
        """The bytes of all weights in 16 bits, whatever they have."""
        return sum(part.disk_bytes for part in self.parts(16) if not part.tied)

    @property
    def layers(self) -> int:
        return sum(piece.layer is not None for piece in self.pieces)

    @property
    def working(self) -> int:
        """The bytes that loading and running need beside what stays."""
        # Loading rounds one matrix at a time, from a 16-bit and through a float16 copy; running has its activations.
        largest = max((rows * columns for piece in self.pieces for rows, columns in piece.linear), default=0)
        return max(2 * 2 * largest, self.activations)

    def weights(self, bits: int) -> int:
        """The bytes of all weights."""
        return sum(part.bytes for part in self.parts(bits) if not part.tied)

    def needed(self, bits: int, tokens: int) -> int:
        """The bytes of all weights, and of the keys and values of so many tokens."""
        return self.weights(bits) + self.kv_bytes * tokens

    @property
    def kv_bytes(self) -> int:
        """Those of the keys and values of a token."""
        return sum(piece.kv_bytes for piece in self.pieces)


def _part(piece: Piece, bits: int) -> Part:
    linear = sum(linear_bytes(*shape, bits) for shape in piece.linear) if piece.rounded is None else piece.rounded
    size = linear + piece.other
    whole = sum(linear_bytes(*shape, 16) for shape in piece.linear) + piece.other
    read = 0 if piece.looked_up else size
    return Part(piece.name, piece.layer, size, whole, piece.kv_bytes, piece.tied, read)


def measure(config: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> Sizes:
    """The sizes of the model that a config describes.

    Raises CheckpointProblem, also where these are not the sizes of `tensors`.
    """
    model: Any = empty_model(config, tensors)
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    head_dim = config.get("head_dim") or hidden // heads
    kv_bytes = 2 * (config.get("num_key_value_heads") or heads) * head_dim * 2
    head, table = model.get_output_embeddings(), model.get_input_embeddings()
    tied = head is not None and bool(getattr(model.config, "tie_word_embeddings", False))
    rounded = prequantized.of(config, Path("config.json"))
    of_rounded = tensors if rounded is not None else None
    pieces = []
    for name, module in _pieces(model, "", set(model._no_split_modules or ())):
        match = re.search(r"\.(\d+)$", name)
        linear, other, as_it_is = _linear_and_other(name, module, module is head, of_rounded)
        number = int(match[1]) if match else None
        share = kv_bytes if number is not None else 0
        is_tied = tied and module is head
        pieces.append(Piece(name, number, linear, other, share, is_tied, module is table and not tied, as_it_is))
    activations = _activations(hidden, config.get("intermediate_size") or 4 * hidden, config["vocab_size"])
    trained = int(config.get("max_position_embeddings") or 0)
    return Sizes(tuple(pieces), activations, trained, 0 if rounded is None else rounded.bits)


def of_shape(shape: ModelShape) -> Sizes:
    """The sizes of a Llama, as `measure` has them of its config, without torch; about those of models like it."""
    attention, values = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    mixing = ((attention, shape.hidden), (values, shape.hidden), (values, shape.hidden), (shape.hidden, attention))
    feeding = ((shape.mlp, shape.hidden), (shape.mlp, shape.hidden), (shape.hidden, shape.mlp))
    table = 2 * shape.vocab * shape.hidden
    layers = [
        Piece(f"model.layers.{number}", number, mixing + feeding, 2 * 2 * shape.hidden, 2 * values * 2, False, False)
        for number in range(shape.layers)
    ]
    pieces = (
        Piece("model.embed_tokens", None, (), table, 0, False, not shape.tied),
        *layers,
        Piece("model.norm", None, (), 2 * shape.hidden, 0, False, False),
        Piece("model.rotary_emb", None, (), 0, 0, False, False),
        Piece("lm_head", None, (), table, 0, shape.tied, False),
    )
    return Sizes(pieces, _activations(shape.hidden, shape.mlp, shape.vocab), shape.context_length)


def of_folder(folder: Path) -> Sizes:
    """Those of a checkpoint's folder by its config, as `of_shape`. Raises CheckpointProblem, CheckpointError."""
    config = read_config(folder)
    rounded = prequantized.of(config, folder)
    found = of_shape(ModelShape.from_config(config))
    return found if rounded is None else replace(found, fixed_bits=rounded.bits)


def about(weights: int) -> Sizes:
    """About those of a model of which no more is known than how many weights it has: like Code Llama 7B in all else."""
    layers = tuple(
        Piece(f"model.layers.{number}", number, ((1, weights // 32),), 0, 2 * 4096 * 2, False, False)
        for number in range(32)
    )
    return Sizes(layers, _activations(4096, 11008, 32016), 0)


def _activations(hidden: int, mlp: int, vocabulary: int) -> int:
    width = 3 * mlp + 8 * hidden + vocabulary
    return PREFILL_TOKENS * width * 2 * 2  # twice: 16 bits, and softmax or norms in 32


def _pieces(module: torch.nn.Module, name: str, whole: set[str]) -> Iterator[tuple[str, torch.nn.Module]]:
    """The modules that are never split, in the order in which they were built."""
    for child_name, child in module.named_children():
        full = f"{name}.{child_name}" if name else child_name
        if type(child).__name__ in whole or not any(True for _ in child.children()):
            yield full, child
        else:
            yield from _pieces(child, full, whole)


def _linear_and_other(
    place: str, module: torch.nn.Module, is_head: bool, tensors: Mapping[str, Tensor] | None
) -> tuple[tuple[tuple[int, int], ...], int, int | None]:
    """Shapes of the linear weights that are rounded, the bytes of everything else, at 2 bytes each, and those of the
    rounded weights in a checkpoint that has them so, of which `tensors` are all.
    """
    import torch

    linear: list[tuple[int, int]] = []
    other, as_it_is = 0, 0
    for path, child in module.named_modules(prefix=place):
        for name, parameter in child.named_parameters(recurse=False):
            is_linear = not is_head and type(child) is torch.nn.Linear and name == "weight"
            tensor = tensors.get(f"{path}.{name}") if tensors is not None else None
            there = tensor.bytes if tensor is not None and tensor.dtype == prequantized.ROUNDED else 0
            if there and not is_linear:
                raise CheckpointProblem(
                    f"The checkpoint has {path[:200]} in rounded numbers, which is not read here; take the 16-bit "
                    "checkpoint of the same model."
                )
            if is_linear and (there or tensors is None):
                linear.append((parameter.shape[0], parameter.shape[1]))
                as_it_is += there
            else:
                other += parameter.numel() * 2
    return tuple(linear), other, None if tensors is None else as_it_is
