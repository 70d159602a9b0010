"""The 8-bit matrix product on a CPU: bitsandbytes' weights, multiplied by torch's own kernel.

bitsandbytes stores a linear layer as int8 with one scale for each row, which is what torch's kernel takes. Its own
product on a CPU also rounds the activations to 8 bits, differently for each set of rows that is computed together, so
that a prompt taken from kept keys and values and the same prompt computed whole could be continued differently. This
one leaves them in bfloat16: on the starter model the logits are four times nearer to those of the unrounded weights,
and a token takes 24 ms where it took 60.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lsp_server.engine.passes import rounding


def _multiplies_bfloat16() -> bool:
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


# The type in which products of many rows are done: processors without bfloat16 (of most laptops) would take ten times
# longer in it than in float32, conversions included.
PRODUCT = torch.bfloat16 if _multiplies_bfloat16() else torch.float32
# Above this many rows the plain product is faster, on weights brought back to that type for the moment.
MOST_ROWS = 16 if PRODUCT is torch.bfloat16 else 64


class Int8Linear(torch.nn.Module):
    """y = x W^T + b with W [out, in] as int8 and a scale [out], for bfloat16 x [..., in]."""

    weight: torch.Tensor
    scale: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, weight: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias)

    @classmethod
    def stacked(cls, linears: Sequence[Int8Linear]) -> Int8Linear:
        """One product for several of the same input: their outputs one after the other. None of them has a bias."""
        weights, scales = [linear.weight for linear in linears], [linear.scale for linear in linears]
        return cls(torch.cat(weights), torch.cat(scales), None)

    @classmethod
    def rounded(cls, weight: torch.Tensor, bias: torch.Tensor | None = None) -> Int8Linear:
        """From a weight [out, in] in any float type, rounded as bitsandbytes rounds: row by row, to the largest."""
        rounded, largest = rounding.round_rows(weight)
        return cls(rounded, (largest / rounding.FULL_SCALE).to(torch.bfloat16), bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1])
        if len(rows) <= MOST_ROWS:
            y: torch.Tensor = torch.ops.aten._weight_int8pack_mm(rows, self.weight, self.scale)
        else:
            y = torch.nn.functional.linear(rows.to(PRODUCT), self.weight.to(PRODUCT)).mul_(self.scale).to(x.dtype)
        if self.bias is not None:
            y = y + self.bias
        return y.view(*x.shape[:-1], -1)


def replace_linears(model: Any) -> int:
    """Put `Int8Linear` in the place of every 8-bit layer of bitsandbytes that lies on the CPU; how many there were.

    The weights are shared, not copied. Layers that accelerate moves about (offloaded ones) are left as they are.
    """
    if not rounding.has_bitsandbytes():
        return 0
    linear = rounding.bitsandbytes().nn.Linear8bitLt
    found = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, linear) and not hasattr(child, "_hf_hook")
    ]
    replaced = 0
    for parent, name, child in found:
        rows = rows_of(child)
        if rows is None or rows[0].device.type != "cpu":
            continue
        weight, scale = rows[0], rows[1].to(torch.bfloat16)
        setattr(parent, name, Int8Linear(weight.contiguous(), scale, None if child.bias is None else child.bias.data))
        replaced += 1
    return replaced


def rows_of(linear: Any) -> tuple[torch.Tensor, torch.Tensor] | None:
    """The weight [out, in] of an 8-bit layer, ours or bitsandbytes', with the float32 scale of each row [out], on the
    device where they lie; None for any other layer."""
    if isinstance(linear, Int8Linear):
        return linear.weight, linear.scale.float()
    if type(linear).__name__ != "Linear8bitLt":
        return None
    # bitsandbytes keeps both with the weight, and moves them to its state when the layer computes.
    state = linear.state
    weight = next((each for each in (linear.weight.CB, state.CB, linear.weight.data) if each is not None), None)
    scale = linear.weight.SCB if linear.weight.SCB is not None else state.SCB
    if weight is None or weight.dtype != torch.int8 or scale is None:
        return None
    return weight, scale.float() / rounding.FULL_SCALE


def round_linears(model: Any) -> None:
    """Round every linear layer of a 16-bit `model` but its head, as bitsandbytes would, where that does not run."""
    head = model.get_output_embeddings()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is torch.nn.Linear and child is not head:
                bias = None if child.bias is None else child.bias.data
                setattr(parent, name, Int8Linear.rounded(child.weight.data, bias))


def replaced(model: Any) -> int:
    """How many layers of `model` are an `Int8Linear`."""
    return sum(isinstance(module, Int8Linear) for module in model.modules())
