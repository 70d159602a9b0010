"""The safetensors files of a checkpoint, by their headers alone: no weights are read."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsp_server import files
from lsp_server.engine.loading.reading import CheckpointProblem, read_json

INDEX_NAME = "model.safetensors.index.json"
SINGLE_NAME = "model.safetensors"

# Bytes of one element, by the name that a safetensors header uses (huggingface/safetensors, `Dtype`).
DTYPE_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1}
DTYPE_BYTES |= {"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}
# The headers of all shards together: those of 70B have 90 kB. Read, they take ten times as much memory.
HEADER_BYTES = 16 * 2**20
MOST_SHARDS = 2000
_MOST_EXTENTS, _LARGEST_EXTENT = 8, 2**40
_AGAIN = "download that shard again"


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


def read_shards(folder: Path) -> tuple[Shard, ...]:
    """The shards of the checkpoint in `folder`, sorted by name. Raises CheckpointProblem."""
    names, weight_map = _names(folder)
    shards: dict[str, Shard] = {}
    room = HEADER_BYTES
    for name in names:
        shards[name], read = _shard(folder / name, room)
        room -= read
    for tensor, name in weight_map.items():
        if tensor not in shards[name].tensors:
            raise CheckpointProblem(
                f"{folder / name} lacks the tensor {tensor[:200]} that {INDEX_NAME} says it has; download that shard "
                "again."
            )
    return tuple(shards.values())


def _names(folder: Path) -> tuple[list[str], dict[str, str]]:
    """The names of the shard files, sorted, and the file of each tensor as the index has it.

    Where there are both a single file and an index, the file counts, as it does for transformers.
    """
    if (folder / SINGLE_NAME).exists():
        return [SINGLE_NAME], {}
    index_path = folder / INDEX_NAME
    if not index_path.exists():
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
    weight_map = read_json(index_path, "download it again")
    metadata, weight_map = weight_map.get("metadata"), weight_map.get("weight_map", {})
    if not isinstance(weight_map, dict) or not weight_map or not isinstance(metadata, dict):
        raise CheckpointProblem(f"{index_path} has no weight_map or no metadata; download the file again.")
    for name in weight_map.values():
        # A shard lies beside its index: a path elsewhere is an attempt to have another file read.
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise CheckpointProblem(
                f"{index_path} names {str(name)[:200]!r}, which is not a safetensors file of its own folder; "
                "download the checkpoint again from a source you trust."
            )
    names = sorted(set(weight_map.values()))
    if len(names) > MOST_SHARDS:
        raise CheckpointProblem(
            f"{index_path} names {len(names):,} shards, more than {MOST_SHARDS:,}; take a checkpoint in fewer files."
        )
    return names, weight_map


def _shard(path: Path, room: int) -> tuple[Shard, int]:
    """A shard, and the bytes of its header, of which there may be `room`: 8 bytes of length, little endian, then JSON.
    It is compared with the file's size."""
    header, length, size = _header(path, room)
    tensors, end = _tensors(path, header)
    expected = 8 + length + end
    if size != expected:
        state = "cut short" if size < expected else "too long"
        raise CheckpointProblem(f"{path} is {state}: {size:,} bytes instead of {expected:,}; {_AGAIN}.")
    return Shard(path, size, tensors), length


def _header(path: Path, room: int) -> tuple[Any, int, int]:
    """(what the header says, its bytes, those of the file)."""
    try:
        with files.open_regular(path) as file:
            size = file.seek(0, 2)
            file.seek(0)
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > size - 8:
                raise CheckpointProblem(f"{path} is cut short or not a safetensors file; {_AGAIN}.")
            if length > room:
                raise CheckpointProblem(
                    f"{path} has a header of {length:,} bytes, more than the shards of a model need; take another "
                    "checkpoint."
                )
            return json.loads(file.read(length)), length, size
    except FileNotFoundError:
        raise CheckpointProblem(f"The shard {path} is missing; download it into that folder.") from None
    except files.FileRefused:
        raise CheckpointProblem(f"{path} is no regular file; {_AGAIN}.") from None
    except OSError as error:
        raise CheckpointProblem(f"{path} cannot be read ({error.strerror}); check its permissions.") from None
    except (ValueError, RecursionError):
        raise CheckpointProblem(f"{path} has a damaged header; {_AGAIN}.") from None


def _tensors(path: Path, header: Any) -> tuple[dict[str, Tensor], int]:
    """The tensors that a header lists, and where the last one ends; they lie one behind the other."""
    tensors, spans = {}, []
    try:
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            dtype, shape, (first, last) = entry["dtype"], _shape(entry["shape"]), entry["data_offsets"]
            if dtype not in DTYPE_BYTES:
                raise CheckpointProblem(
                    f"{path} holds {name[:200]} in the unknown format {str(dtype)[:80]}; take a 16-bit version of the "
                    "model."
                )
            if last - first != math.prod(shape) * DTYPE_BYTES[dtype] or first < 0:
                raise CheckpointProblem(f"{path} contradicts itself about the size of {name[:200]}; {_AGAIN}.")
            tensors[name] = Tensor(dtype, shape, last - first)
            spans.append((first, last))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise CheckpointProblem(f"{path} has a damaged header; {_AGAIN}.") from None
    end = 0
    for first, last in sorted(spans):
        if first != end:
            raise CheckpointProblem(f"{path} contradicts itself about where its tensors lie; {_AGAIN}.")
        end = last
    return tensors, end


def _shape(shape: Any) -> tuple[int, ...]:
    """The extents of a tensor. Raises ValueError, TypeError."""
    if len(shape) > _MOST_EXTENTS or not all(type(each) is int and 0 <= each <= _LARGEST_EXTENT for each in shape):
        raise ValueError("no shape of a tensor")
    return tuple(shape)
