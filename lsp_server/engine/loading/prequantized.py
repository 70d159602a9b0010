"""Checkpoints whose weights are rounded already: which they are, and whether what bitsandbytes saved is whole.

Its kernels trust the sizes that stand beside the weights, so each is held against the weights' own first. Others' forms
(GPTQ, AWQ, compressed-tensors ...) are told apart and not read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lsp_server import files
from lsp_server.engine.loading.reading import CheckpointProblem
from lsp_server.engine.loading.shards import Shard, Tensor

KEY = "quantization_config"
# What others call themselves, as people write it.
_NAMES = {"gptq": "GPTQ", "awq": "AWQ", "compressed-tensors": "compressed-tensors", "fp8": "FP8", "hqq": "HQQ"}
_NAMES |= {"aqlm": "AQLM", "torchao": "torchao", "quanto": "Quanto", "eetq": "EETQ", "exl2": "EXL2", "mxfp4": "MXFP4"}
_INSTEAD = (
    "take the 16-bit checkpoint of the same model, which is rounded to 8 or 4 bits while it loads (`quantization`)"
)
_AGAIN = "download it again, or " + _INSTEAD
_STATE = ".quant_state.bitsandbytes__"
_MOST_STATE, _MAP, _NESTED_MAP = 1000, 16, 256
_BLOCKS = (32, 64, 128, 256, 512, 1024, 2048, 4096)
_FLOATS = ("float16", "bfloat16", "float32")
_PARTS = ("absmax", "quant_map", "nested_absmax", "nested_quant_map")
_SAID = {"quant_type", "blocksize", "dtype", "shape", "nested_blocksize", "nested_dtype", "nested_offset"}
# In the place of the type of a tensor that is such a weight.
ROUNDED = "rounded"


@dataclass(frozen=True)
class Rounded:
    """What bitsandbytes saved: weights of 8 or 4 bits, these in the form `kind` ("nf4", "fp4"), their scales perhaps
    rounded once more."""

    bits: int
    kind: str = "nf4"
    double: bool = False

    def settings(self) -> dict[str, Any]:
        """What transformers is told, and no more than that."""
        if self.bits == 8:
            return {"quant_method": "bitsandbytes", "load_in_8bit": True}
        form = {"bnb_4bit_quant_type": self.kind, "bnb_4bit_use_double_quant": self.double}
        return {"quant_method": "bitsandbytes", "load_in_4bit": True, **form}


def of(config: Mapping[str, Any], path: Path) -> Rounded | None:
    """How the weights of a config.json, which lies at `path`, are rounded; None where they are not.

    Raises CheckpointProblem for a form that is not read, naming it and what to take instead.
    """
    said = config.get(KEY)
    if said is None:
        return None
    said = said if isinstance(said, Mapping) else {}
    eight, four = said.get("load_in_8bit") is True, said.get("load_in_4bit") is True
    method = str(said.get("quant_method") or ("bitsandbytes" if eight or four else ""))
    if method != "bitsandbytes":
        name = _NAMES.get(method, method[:40]) or "a method that it does not name"
        raise CheckpointProblem(
            f"{path} says that the weights are already quantized by {name}, which is not read here; {_INSTEAD}."
        )
    kind, storage = said.get("bnb_4bit_quant_type", "fp4"), said.get("bnb_4bit_quant_storage", "uint8")
    if eight == four or (four and (kind not in ("nf4", "fp4") or storage != "uint8")):
        raise CheckpointProblem(f"{path} describes weights of bitsandbytes in a way that is not read here; {_INSTEAD}.")
    return Rounded(8) if eight else Rounded(4, kind, said.get("bnb_4bit_use_double_quant") is True)


def plain(shards: tuple[Shard, ...], rounded: Rounded) -> dict[str, Tensor]:
    """The tensors that the model has, each weight in the shape that it had before it was rounded and with the bytes of
    all that belongs to it. Raises CheckpointProblem where something of it is missing or of another size."""
    places = _places(shards)
    tensors = {name: tensor for shard in shards for name, tensor in shard.tensors.items()}
    found: dict[str, Tensor] = {}
    belongs: set[str] = set()
    for name, tensor in tensors.items():
        stem, state = name.removesuffix("weight"), f"{name}{_STATE}{rounded.kind}"
        if rounded.bits == 8 and tensor.dtype == "I8":
            found[name] = _eight(name, tensors, places)
            belongs |= {f"{stem}SCB", f"{stem}weight_format"}
        elif rounded.bits == 4 and state in tensors:
            found[name] = _four(name, tensors, places, rounded)
            belongs |= {state, *(f"{name}.{part}" for part in _PARTS)}
    if not found:
        raise CheckpointProblem(
            f"{shards[0].path} has no weights of {rounded.bits} bits, as the config says; {_AGAIN}."
        )
    return {name: found.get(name, tensor) for name, tensor in tensors.items() if name not in belongs}


def _eight(name: str, tensors: Mapping[str, Tensor], places: Mapping[str, _Place]) -> Tensor:
    weight, scales = tensors[name], tensors.get(f"{name.removesuffix('weight')}SCB")
    if len(weight.shape) != 2 or scales is None or (scales.dtype, scales.shape) != ("F32", weight.shape[:1]):
        raise _broken(places[name].path, name)
    return Tensor(ROUNDED, weight.shape, weight.bytes + scales.bytes)


def _four(name: str, tensors: Mapping[str, Tensor], places: Mapping[str, _Place], rounded: Rounded) -> Tensor:
    weight, path = tensors[name], places[name].path
    state = _state(f"{name}{_STATE}{rounded.kind}", tensors, places)
    shape, block, inner = state.get("shape"), state.get("blocksize"), state.get("nested_blocksize")
    if (
        not (isinstance(shape, list) and len(shape) == 2 and all(type(each) is int and each > 0 for each in shape))
        or (weight.dtype, weight.bytes) != ("U8", -(-math.prod(shape) // 2))
        or block not in _BLOCKS
        or state.get("quant_type") != rounded.kind
        or state.get("dtype") not in _FLOATS
    ):
        raise _broken(path, name)
    blocks = -(-math.prod(shape) // block)
    wanted = {"absmax": ("F32", blocks), "quant_map": ("F32", _MAP)}
    if rounded.double:
        offset = state.get("nested_offset")
        if inner not in _BLOCKS or state.get("nested_dtype") != "float32" or not isinstance(offset, float):
            raise _broken(path, name)
        wanted["absmax"] = ("U8", blocks)
        wanted |= {"nested_absmax": ("F32", -(-blocks // inner)), "nested_quant_map": ("F32", _NESTED_MAP)}
    held = 0
    for part, (dtype, count) in wanted.items():
        tensor = tensors.get(f"{name}.{part}")
        if tensor is None or (tensor.dtype, math.prod(tensor.shape)) != (dtype, count):
            raise _broken(path, name)
        held += tensor.bytes
    return Tensor(ROUNDED, tuple(shape), weight.bytes + held)


def _state(name: str, tensors: Mapping[str, Tensor], places: Mapping[str, _Place]) -> dict[str, Any]:
    """What bitsandbytes wrote of a weight: a JSON object, byte by byte in a tensor."""
    place = places[name]
    if tensors[name].dtype != "U8" or tensors[name].bytes > _MOST_STATE:
        raise _broken(place.path, name)
    try:
        with files.open_regular(place.path) as file:
            file.seek(place.first)
            said = json.loads(file.read(tensors[name].bytes))
    except (OSError, ValueError, RecursionError):
        raise _broken(place.path, name) from None
    if not isinstance(said, dict) or not set(said) <= _SAID:
        raise _broken(place.path, name)
    return said


class _Place(NamedTuple):
    """Where a tensor lies: the byte of a file at which it begins."""

    path: Path
    first: int


def _places(shards: tuple[Shard, ...]) -> dict[str, _Place]:
    """Those of all tensors, in shards whose headers have been looked at."""
    found = {}
    for shard in shards:
        with files.open_regular(shard.path) as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        for name in shard.tensors:
            found[name] = _Place(shard.path, 8 + length + header[name]["data_offsets"][0])
    return found


def _broken(path: Path, name: str) -> CheckpointProblem:
    return CheckpointProblem(f"{path} lacks something of the rounded weight {name[:200]}, or has it wrong; {_AGAIN}.")
