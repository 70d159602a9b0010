"""The 8-bit matrix product on a CPU: bitsandbytes' weights, as they are.

bitsandbytes stores a linear layer as int8 with one scale for each row, which is what torch's kernel takes too. Its own
product on a CPU also rounds the activations to 8 bits, differently for each set of rows that is computed together, so
that a prompt taken from kept keys and values and the same prompt computed whole could be continued differently. This
one leaves them in bfloat16: on the starter model the logits are four times nearer to those of the unrounded weights,
and a token takes 24 ms where it took 60.
"""

from __future__ import annotations

from typing import Any

import torch

from lsp_server.engine.passes import linears, products, rounding
from lsp_server.engine.passes.compiling import Bytes, Scales
from lsp_server.engine.passes.linears import RoundedLinear

# Above so many rows torch's product is the faster: of small weights, which are soon brought back, in float32 and in
# bfloat16; and of large ones in bfloat16, without tiles and with them.
MOST_ROWS, MOST_ROWS_IN_BFLOAT16 = 64, 16
MOST_ROWS_OF_LARGE, MOST_ROWS_WITH_TILES = 192, 64


class Int8Linear(RoundedLinear):
    """A linear layer with weights int8 [out, in] and bfloat16 scales [out]."""

    @classmethod
    def rounded(cls, weight: torch.Tensor, bias: torch.Tensor | None = None) -> Int8Linear:
        """From a weight [out, in] in any float type, rounded as bitsandbytes rounds: row by row, to the largest."""
        rounded, largest = rounding.round_rows(weight)
        return cls(rounded, (largest / rounding.FULL_SCALE).to(torch.bfloat16), bias)

    def arrays(self) -> tuple[Bytes, Scales]:
        scales: Scales = self.scale.float()[:, None].numpy()
        return self.weight.numpy(), scales

    @property
    def _is_small(self) -> bool:
        return self.weight.shape[1] < products.SHALLOW

    def _most_rows(self) -> int | None:
        if linears.PRODUCT is torch.float32:
            return MOST_ROWS if self._is_small else None
        if self._is_small:
            return MOST_ROWS_IN_BFLOAT16
        return MOST_ROWS_WITH_TILES if linears.TILES else MOST_ROWS_OF_LARGE

    def _of_few(self, rows: torch.Tensor) -> torch.Tensor:
        if self._is_small or rows.shape[1] % products.MULTIPLE:
            y: torch.Tensor = torch.ops.aten._weight_int8pack_mm(rows, self.weight, self.scale)
            return y
        return super()._of_few(rows)

    def _of_many(self, rows: torch.Tensor) -> torch.Tensor:
        return super()._of_many(rows).mul_(self.scale)

    def bring_back(self, first: int, last: int, into: torch.Tensor) -> None:
        """Without their scales, by which there is less to multiply afterwards."""
        into.copy_(self.weight[first:last])


def replace_linears(model: Any) -> int:
    """Put `Int8Linear` in the place of every 8-bit layer of bitsandbytes that lies on the CPU; how many there were.

    The weights are shared, not copied. Layers that accelerate moves about (offloaded ones) are left as they are.
    """
    if not rounding.has_bitsandbytes():
        return 0
    return linears.replace_linears(model, rounding.bitsandbytes().nn.Linear8bitLt, _ours)


def _ours(child: Any) -> Int8Linear | None:
    rows = rows_of(child)
    if rows is None or rows[0].device.type != "cpu":
        return None
    return Int8Linear(rows[0].contiguous(), rows[1].to(torch.bfloat16), linears.bias_of(child))


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


def replaced(model: Any) -> int:
    """How many layers of `model` are an `Int8Linear`."""
    return sum(isinstance(module, Int8Linear) for module in model.modules())
