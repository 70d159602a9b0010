"""Checkpoints: where a model's files are, and whether they are whole, before a byte of the weights is read.

Only safetensors checkpoints are taken: a pickle (`pytorch_model*.bin`) can run code when it is opened.
Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsp_server.engine.loading import prequantized
from lsp_server.engine.loading.config import NAME, check_sizes, read_config
from lsp_server.engine.loading.reading import CheckpointProblem as CheckpointProblem
from lsp_server.engine.loading.reading import read_json as read_json
from lsp_server.engine.loading.shards import Shard, Tensor, read_shards


@dataclass(frozen=True)
class Progress:
    """How far a long step is: `stage` is "waiting", "downloading", "converting" or "loading"; `done` is 0 to 1."""

    stage: str
    done: float
    message: str


Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder that was found whole."""

    folder: Path
    config: dict[str, Any]
    shards: tuple[Shard, ...]
    tensors: dict[str, Tensor]
    """All weights by name, those that are rounded already as they were before."""

    @property
    def name(self) -> str:
        """The folder's name; for a snapshot of the hub's cache, the model's id."""
        parts = self.folder.parts
        for part in parts[-3:]:
            if part.startswith("models--"):
                return part.removeprefix("models--").replace("--", "/")
        return self.folder.name

    @property
    def bytes(self) -> int:
        return sum(shard.bytes for shard in self.shards)

    @property
    def largest_shard_bytes(self) -> int:
        return max(shard.bytes for shard in self.shards)


def validate(folder: Path) -> Checkpoint:
    """Check a checkpoint by its config, its index and the header of each shard; no weights are read.

    Raises CheckpointProblem at the first thing that is missing, cut short or contradictory.
    """
    config = read_config(folder)
    shards, rounded = read_shards(folder), prequantized.of(config, folder / NAME)
    tensors = {name: tensor for shard in shards for name, tensor in shard.tensors.items()}
    if rounded is not None:
        tensors = prequantized.plain(shards, rounded)
    check_sizes(folder, config, tensors)
    return Checkpoint(folder, config, shards, tensors)
