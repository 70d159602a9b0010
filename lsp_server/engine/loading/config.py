"""What a config.json says: values that a model can have, and that belong to the weights, before anything is built.

A config names sizes, and whoever builds what it names does so whatever it takes. So each size is held against the
shards' headers, which cannot lie about themselves: a file has the bytes that its tensors need.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lsp_server.engine.loading import prequantized
from lsp_server.engine.loading.reading import CONFIG_BYTES, CheckpointProblem, read_json
from lsp_server.engine.loading.shards import Tensor

NAME = "config.json"
_AGAIN = "download the file again"

# Whole numbers, at least 1: those that must be there, and those that may.
_REQUIRED = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")
_OPTIONAL = ("intermediate_size", "num_key_value_heads", "head_dim", "max_position_embeddings")
_LARGEST = 2**31 - 1
# Names of what is built so many times or so large, as in num_experts, n_layer or qk_rope_head_dim; how far a model
# looks is no such size.
_SIZE = re.compile(r"(^|_)(n|num|dims?|sizes?|heads?|layers?|experts?|blocks?|width|depth|rank|labels|factor)(_|$)")
_SPAN = re.compile(r"(^|_)(ctx|positions?|window|tokens|length|chunk|image|patch)(_|$)")
# Sizes of parts that a model may not have in its weights are small.
_SMALL = 4096
_ROPE = ("rope_parameters", "rope_scaling")


def read_config(folder: Path) -> dict[str, Any]:
    """The config of the checkpoint in `folder`. Raises CheckpointProblem."""
    path = folder / NAME
    config = read_json(path, "copy it from the model's page, or download the checkpoint again", CONFIG_BYTES)
    for key in (*_REQUIRED, *(key for key in _OPTIONAL if config.get(key) is not None)):
        value = config.get(key)
        if type(value) is not int or not 1 <= value <= _LARGEST:
            raise _unusable(path, key, value)
    if config["num_attention_heads"] > config["hidden_size"]:
        raise _unusable(path, "num_attention_heads", config["num_attention_heads"])
    for key, value in _numbers(config):
        if math.isnan(value) or (key.endswith(("eps", "epsilon")) and not 0 <= value <= 1):
            raise _unusable(path, key, value)
    for key in _ROPE:
        _check_rope(path, key, config.get(key))
    if config.get("rope_theta") is not None:
        _check_rope(path, "rope_theta", {"rope_theta": config["rope_theta"]})
    prequantized.of(config, path)
    return config


def check_sizes(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Compare what the config says with the tensors, as far as names allow. Raises CheckpointProblem."""
    path = folder / NAME
    _check_shapes(path, config, tensors)
    most = max([_SMALL, len(tensors), *(max(tensor.shape, default=0) for tensor in tensors.values())])
    for key, value in _numbers(config):
        if _SIZE.search(key) and not _SPAN.search(key) and abs(value) > most:
            raise CheckpointProblem(
                f"{path} gives {key} as {_shown(value)}, which does not belong to these weights; {_AGAIN}."
            )
    layers = config["num_hidden_layers"]
    numbers = {int(match[1]) for name in tensors if (match := re.search(r"\blayers\.(\d{1,9})\.", name))}
    if numbers and (len(numbers) != layers or max(numbers) != layers - 1):
        missing = next((each for each in range(layers) if each not in numbers), None)
        which = f"no weights for layer {missing}" if missing is not None else f"weights for {len(numbers)} layers"
    elif layers > len(tensors):
        which = f"{len(tensors)} tensors"
    else:
        return
    raise CheckpointProblem(f"{path} says {layers} layers, but the shards have {which}; download the checkpoint again.")


def _check_shapes(path: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    vocabulary, hidden = config["vocab_size"], config["hidden_size"]
    expected = {"embed_tokens.weight": (vocabulary, hidden), "lm_head.weight": (vocabulary, hidden)}
    if config.get("intermediate_size") is not None:
        expected["mlp.down_proj.weight"] = (hidden, config["intermediate_size"])
    for name, tensor in tensors.items():
        for suffix, shape in expected.items():
            if name.endswith(suffix) and tensor.shape != shape:
                what = "vocab_size" if tensor.shape[:1] != shape[:1] and "mlp" not in suffix else "sizes"
                raise CheckpointProblem(
                    f"The {what} in {path} does not belong to these weights ({name[:200]} is "
                    f"{times(tensor.shape)}, the config says {times(shape)}); download config.json again."
                )


def _check_rope(path: Path, key: str, rope: Any) -> None:
    """Rotary positions: by kind of layer where the values are objects again. Every number in them is more than 0."""
    if rope is None:
        return
    if not isinstance(rope, dict):
        raise _unusable(path, key, rope)
    for name, value in rope.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                _check_rope(path, f"{key}.{name}", each)
            elif isinstance(each, (int, float)) and not isinstance(each, bool):
                if not 0 < each < 1e18:
                    raise _unusable(path, name, value)
            elif not isinstance(each, (str, bool, type(None))) or name in ("rope_theta", "factor"):
                raise _unusable(path, name, value)


def _numbers(value: Any, key: str = "") -> Iterator[tuple[str, float]]:
    """Every number in a config, with the name it stands under."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _numbers(each, name)
    elif isinstance(value, list):
        for each in value:
            yield from _numbers(each, key)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield key, value


def _unusable(path: Path, key: str, value: Any) -> CheckpointProblem:
    return CheckpointProblem(f"{path} gives no usable {key[:80]} ({_shown(value)}); {_AGAIN}.")


def _shown(value: Any) -> str:
    """A value for a sentence; the digits of a whole number may be too many to be written out."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a number of {value.bit_length()} bits"
    return repr(value)[:80]


def times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(extent) for extent in shape)
