"""A model as its config describes it, without weights: what transformers would build, looked at before it does.

Building even an empty model takes time and memory for each of its modules, and a config may ask for a billion of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lsp_server.engine.loading.config import times
from lsp_server.engine.loading.reading import CheckpointProblem
from lsp_server.engine.loading.shards import Tensor

if TYPE_CHECKING:
    import torch

# What a config may not say: code to fetch, kernels to fetch, another file of weights, an own way to quantize.
_NOT_FOR_CONFIGS = {"auto_map", "transformers_weights", "quantization_config", "use_kernels"}
_NOT_FOR_CONFIGS |= {"attn_implementation", "experts_implementation", "_commit_hash", "name_or_path"}
# A layer of a Llama has 13 modules for its 9 tensors; others have more, and parts without tensors.
_MODULES_FOR_A_TENSOR, _FURTHER_MODULES = 16, 2000
# Tables that a model computes for itself.
_MOST_BUFFERED = 2**28


def model_config(config: Mapping[str, Any]) -> Any:
    """transformers' config object for a config.json. Raises CheckpointProblem."""
    from transformers import CONFIG_MAPPING

    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        raise CheckpointProblem(
            f"transformers does not know the model type {str(kind)[:80]!r}; update it, or take another model."
        )
    bare = {
        key: value
        for key, value in config.items()
        if key not in _NOT_FOR_CONFIGS and not key.startswith(("_attn_", "_experts_"))
    }
    with _one_sentence():
        return CONFIG_MAPPING[kind].from_dict(bare)


def empty_model(config: Mapping[str, Any], tensors: Mapping[str, Tensor] | None) -> torch.nn.Module:
    """The model of a config.json on torch's device for shapes alone, where no tensor takes memory.

    Raises CheckpointProblem where there can be none, and where its parameters are not those of `tensors`, all that the
    checkpoint has; without them a model is taken to be as its config says.
    """
    import torch
    from transformers import AutoModelForCausalLM

    described = model_config(config)
    most = _FURTHER_MODULES + _MODULES_FOR_A_TENSOR * len(tensors) if tensors is not None else None
    with _one_sentence(), torch.device("meta"), _at_most(most):
        model: torch.nn.Module = AutoModelForCausalLM.from_config(described, trust_remote_code=False)
    if tensors is not None:
        _compare(model, tensors)
    return model


def _compare(model: torch.nn.Module, tensors: Mapping[str, Tensor]) -> None:
    parameters = dict(model.named_parameters())
    for name, parameter in parameters.items():
        if name in tensors and tensors[name].shape != tuple(parameter.shape):
            raise CheckpointProblem(
                f"The sizes in config.json do not belong to these weights ({name} is {times(tensors[name].shape)}, the "
                f"config says {times(tuple(parameter.shape))}); download config.json again."
            )
    held = sum(_elements(tensor.shape) for tensor in tensors.values())
    built = sum(parameter.numel() for parameter in parameters.values())
    # A few of them may be tied, or missing, which is found out when they are loaded.
    if built > 2 * held or sum(buffer.numel() for buffer in model.buffers()) > _MOST_BUFFERED:
        raise CheckpointProblem(
            f"config.json describes a model of {built:,} weights, but the shards have {held:,}; download it again."
        )


def _elements(shape: tuple[int, ...]) -> int:
    count = 1
    for extent in shape:
        count *= extent
    return count


@contextlib.contextmanager
def _at_most(modules: int | None) -> Iterator[None]:
    """End the building of a model that has more modules than this."""
    from torch.nn.modules.module import register_module_module_registration_hook

    built = 0

    def count(*_: Any) -> None:
        nonlocal built
        built += 1
        if modules is not None and built > modules:
            raise CheckpointProblem(
                f"config.json describes a model of more than {modules:,} parts, for which the shards have no weights; "
                "download it again."
            )

    hook = register_module_module_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


@contextlib.contextmanager
def _one_sentence() -> Iterator[None]:
    """What libraries say of a config that they cannot use, as a CheckpointProblem."""
    try:
        yield
    except CheckpointProblem:
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0][:200].rstrip(".:; ")
        raise CheckpointProblem(
            f"transformers cannot build the model that config.json describes ({type(error).__name__}: {first}); "
            "download the file again, or take another model."
        ) from error
