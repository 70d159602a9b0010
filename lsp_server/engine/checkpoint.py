"""Checkpoints: where a model's files are, and whether they are whole, before a byte of the weights is read.

Only safetensors checkpoints are taken: a pickle (`pytorch_model*.bin`) can run code when it is opened.
Nothing here needs torch.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INDEX_NAME = "model.safetensors.index.json"
SINGLE_NAME = "model.safetensors"

# Bytes of one element, by the name that a safetensors header uses (huggingface/safetensors, `Dtype`).
DTYPE_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1}
DTYPE_BYTES |= {"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}
MAX_HEADER_BYTES = 100_000_000  # the limit of the safetensors library


class CheckpointProblem(Exception):
    """A checkpoint cannot be used; the message is one sentence that names the file and says how to mend it."""


@dataclass(frozen=True)
class Progress:
    """How far a long step is: `stage` is "waiting", "downloading", "converting" or "loading"; `done` is 0 to 1."""

    stage: str
    done: float
    message: str


Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Tensor:
    """One tensor as its shard's header describes it."""

    dtype: str
    shape: tuple[int, ...]
    bytes: int


@dataclass(frozen=True)
class Shard:
    """One safetensors file: `bytes` is the size of the file, `tensors` what its header lists."""

    path: Path
    bytes: int
    tensors: dict[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder that was found whole."""

    folder: Path
    config: dict[str, Any]
    shards: tuple[Shard, ...]

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
    config = _config(folder)
    names, weight_map = _shard_names(folder)
    shards = tuple(_shard(folder / name) for name in names)
    for tensor, name in weight_map.items():
        if tensor not in shards[names.index(name)].tensors:
            raise CheckpointProblem(
                f"{folder / name} lacks the tensor {tensor} that {INDEX_NAME} says it has; download that shard again."
            )
    _check_shapes(folder, config, {key: value for shard in shards for key, value in shard.tensors.items()})
    return Checkpoint(folder, config, shards)


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    config = read_json(path, "copy it from the model's page, or download the checkpoint again")
    for key in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"):
        value = config.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise CheckpointProblem(f"{path} gives no usable {key} ({value!r}); download the file again.")
    if config.get("quantization_config") is not None:
        raise CheckpointProblem(
            f"{path} says that the weights are already quantized; take the 16-bit checkpoint of the same model, "
            "which is quantized to 8 bits while it loads."
        )
    return config


def _shard_names(folder: Path) -> tuple[list[str], dict[str, str]]:
    """The names of the shard files, sorted, and the file of each tensor as the index has it."""
    index_path = folder / INDEX_NAME
    if not index_path.exists():
        if (folder / SINGLE_NAME).exists():
            return [SINGLE_NAME], {}
        pickles = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
        if pickles:
            raise CheckpointProblem(
                f"{folder / pickles[0]} is a pickle, which can run code when it is opened; convert the checkpoint to "
                "safetensors where you trust it (load it with transformers and `save_pretrained` it), or take a "
                "safetensors version."
            )
        raise CheckpointProblem(
            f"{folder} has neither {INDEX_NAME} nor {SINGLE_NAME}; download the checkpoint's safetensors files."
        )
    index = read_json(index_path, "download it again")
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map or not isinstance(index.get("metadata"), dict):
        raise CheckpointProblem(f"{index_path} has no weight_map or no metadata; download the file again.")
    for name in weight_map.values():
        # A shard lies beside its index: a path elsewhere is an attempt to have another file read.
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise CheckpointProblem(
                f"{index_path} names {name!r}, which is not a safetensors file of its own folder; "
                "download the checkpoint again from a source you trust."
            )
    return sorted(set(weight_map.values())), weight_map


def _shard(path: Path) -> Shard:
    """Read a shard's header (8 bytes of length, little endian, then JSON) and compare it with the file's size."""
    again = "download that shard again"
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(MAX_HEADER_BYTES, size - 8):
                raise CheckpointProblem(f"{path} is cut short or not a safetensors file; {again}.")
            header = json.loads(file.read(length))
    except FileNotFoundError:
        raise CheckpointProblem(f"The shard {path} is missing; download it into that folder.") from None
    except OSError as error:
        raise CheckpointProblem(f"{path} cannot be read ({error.strerror}); check its permissions.") from None
    except ValueError:
        raise CheckpointProblem(f"{path} has a damaged header; {again}.") from None
    tensors, end = {}, 0
    try:
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            if entry["dtype"] not in DTYPE_BYTES:
                raise CheckpointProblem(
                    f"{path} holds {name} in the unknown format {entry['dtype']}; take a 16-bit version of the model."
                )
            first, last = entry["data_offsets"]
            shape = tuple(int(extent) for extent in entry["shape"])
            if last - first != math.prod(shape) * DTYPE_BYTES[entry["dtype"]] or first < 0:
                raise CheckpointProblem(f"{path} contradicts itself about the size of {name}; {again}.")
            tensors[name] = Tensor(entry["dtype"], shape, last - first)
            end = max(end, last)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise CheckpointProblem(f"{path} has a damaged header; {again}.") from None
    expected = 8 + length + end
    if size != expected:
        state = "cut short" if size < expected else "too long"
        raise CheckpointProblem(f"{path} is {state}: {size:,} bytes instead of {expected:,}; {again}.")
    return Shard(path, size, tensors)


def _check_shapes(folder: Path, config: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Compare what the config says with the tensors, as far as names of the Llama kind allow."""
    vocabulary, hidden, layers = config["vocab_size"], config["hidden_size"], config["num_hidden_layers"]
    expected = {"embed_tokens.weight": (vocabulary, hidden), "lm_head.weight": (vocabulary, hidden)}
    if isinstance(config.get("intermediate_size"), int):
        expected["mlp.down_proj.weight"] = (hidden, config["intermediate_size"])
    for name, tensor in tensors.items():
        for suffix, shape in expected.items():
            if name.endswith(suffix) and tensor.shape != shape:
                what = "vocab_size" if tensor.shape[:1] != shape[:1] and "mlp" not in suffix else "sizes"
                raise CheckpointProblem(
                    f"The {what} in {folder / 'config.json'} does not belong to these weights ({name} is "
                    f"{_times(tensor.shape)}, the config says {_times(shape)}); download config.json again."
                )
    numbers = {int(match[1]) for name in tensors if (match := re.search(r"\blayers\.(\d+)\.", name))}
    if numbers and numbers != set(range(layers)):
        missing = sorted(set(range(layers)) - numbers)
        which = f"no weights for layer {missing[0]}" if missing else f"weights for {len(numbers)} layers"
        raise CheckpointProblem(
            f"{folder / 'config.json'} says {layers} layers, but the shards have {which}; "
            "download the checkpoint again."
        )


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """A JSON object from a file; raises CheckpointProblem, ending in `remedy`."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointProblem(f"{path} is missing; {remedy}.") from None
    except OSError as error:
        raise CheckpointProblem(f"{path} cannot be read ({error.strerror}); check its permissions.") from None
    except ValueError:
        raise CheckpointProblem(f"{path} is not valid JSON; {remedy}.") from None
    if not isinstance(value, dict):
        raise CheckpointProblem(f"{path} does not hold a JSON object; {remedy}.")
    return value


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(extent) for extent in shape)
