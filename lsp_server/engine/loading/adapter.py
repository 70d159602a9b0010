"""A low-rank adapter: what a checkpoint learned on top of another, small enough to ship with the package.

The file is safetensors. For each changed weight W of the checkpoint it has `<module>.a` [rank, in] and `<module>.b`
[out, rank], both int8, and `<module>.scale` [rank]: the new weight is W + b @ diag(scale) @ a
(https://arxiv.org/abs/2106.09685). Rows of an embedding that were learned whole are `<module>.rows` [n, hidden], with
their numbers in `<module>.ids` [n].
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


def merge(model: nn.Module, adapter: Path) -> None:
    """Change the weights of `model` in place, computed in float32. Raises AttributeError where the adapter names a
    module that the model does not have, and RuntimeError where the shapes differ."""
    from safetensors import safe_open

    with safe_open(adapter, "pt") as file:
        for module in modules(file):
            change(file, module, model.get_parameter(f"{module}.weight"))


def modules(adapter: Any) -> set[str]:
    """The modules that an open adapter changes."""
    return {name.rpartition(".")[0] for name in adapter.keys()}  # noqa: SIM118 - the file is no mapping


def change(adapter: Any, module: str, weight: Tensor) -> None:
    """Change the weight [out, in] of one module in place, by an adapter that is open. Raises RuntimeError."""
    import torch

    with torch.no_grad():
        if f"{module}.rows" in adapter.keys():  # noqa: SIM118
            weight[adapter.get_tensor(f"{module}.ids")] = adapter.get_tensor(f"{module}.rows").to(weight.dtype)
        if f"{module}.b" in adapter.keys():  # noqa: SIM118
            scaled = adapter.get_tensor(f"{module}.b").float() * adapter.get_tensor(f"{module}.scale")
            weight.copy_((weight.float() + scaled @ adapter.get_tensor(f"{module}.a").float()).to(weight.dtype))
