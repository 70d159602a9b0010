"""A low-rank adapter: what a checkpoint learned on top of another, small enough to ship with the package.

The file is safetensors. For each changed weight W of the checkpoint it has `<module>.a` [rank, in] and `<module>.b`
[out, rank], both int8, and `<module>.scale` [rank]: the new weight is W + b @ diag(scale) @ a
(https://arxiv.org/abs/2106.09685). Rows of an embedding that were learned whole are `<module>.rows` [n, hidden], with
their numbers in `<module>.ids` [n].
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def merge(model: nn.Module, adapter: Path) -> None:
    """Change the weights of `model` in place, computed in float32. Raises AttributeError where the adapter names a
    module that the model does not have, and RuntimeError where the shapes differ."""
    import torch
    from safetensors import safe_open

    with safe_open(adapter, "pt") as file, torch.no_grad():
        for name in file.keys():  # noqa: SIM118 - the file is no mapping
            module, _, part = name.rpartition(".")
            if part not in ("b", "rows"):
                continue
            weight = model.get_parameter(f"{module}.weight")
            if part == "rows":
                weight[file.get_tensor(f"{module}.ids")] = file.get_tensor(name).to(weight.dtype)
            else:
                scaled = file.get_tensor(name).float() * file.get_tensor(f"{module}.scale")
                weight.copy_((weight.float() + scaled @ file.get_tensor(f"{module}.a").float()).to(weight.dtype))
