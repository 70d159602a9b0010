"""The 4-bit matrix product on a CPU: bitsandbytes' weights (nf4), as they are.

A model needs half the memory that it takes in 8 bits, and half of it is read for a token. bitsandbytes itself brings
all weights back to 16 bits for each product.
"""

from __future__ import annotations

from typing import Any

import torch

from lsp_server.engine.passes import compiling, linears, products, rounding, tiles
from lsp_server.engine.passes.compiling import Bytes, Scales
from lsp_server.engine.passes.linears import RoundedLinear

# Above so many rows torch's product is the faster on processors with tiles of bfloat16.
MOST_ROWS_WITH_TILES = 64


class Int4Linear(RoundedLinear):
    """A linear layer with two weights in each uint8 [out, in / 2], and the scales as `products.shares` has them."""

    @classmethod
    def rounded(cls, weight: torch.Tensor, bias: torch.Tensor | None = None) -> Int4Linear:
        """From a weight [out, in] in any float type, rounded as bitsandbytes rounds: to nf4, in blocks of 64."""
        packed, largest = rounding.round_blocks(weight)
        return cls(packed, products.shares(largest), bias)

    def arrays(self) -> tuple[Bytes, Scales]:
        shares: Scales = self.scale.numpy()
        return self.weight.numpy(), shares

    def arranged(self, rows: torch.Tensor) -> torch.Tensor:
        blocks = rows.view(len(rows), -1, rounding.NF4_BLOCK)
        return blocks[..., list(tiles.CODE_ORDER)].flatten(1)

    def _most_rows(self) -> int | None:
        return MOST_ROWS_WITH_TILES if linears.TILES else None

    def bring_back(self, first: int, last: int, into: torch.Tensor) -> None:
        part = self.weight[first:last].numpy(), self.scale[first:last].numpy()
        products.bring_back(*part, into.view(torch.uint16).numpy(), compiling.set_threads())


def replace_linears(model: Any) -> int:
    """Put `Int4Linear` in the place of every 4-bit layer of bitsandbytes that lies on the CPU; how many there were.

    The weights are shared, not copied. Layers that accelerate moves about (offloaded ones) are left as they are, and so
    are those in another format than nf4 in blocks of 64, or of which a block does not lie within a row.
    """
    if not rounding.has_bitsandbytes():
        return 0
    return linears.replace_linears(model, rounding.bitsandbytes().nn.Linear4bit, _ours)


def _ours(child: Any) -> Int4Linear | None:
    if not is_taken(child) or child.weight.device.type != "cpu":
        return None
    weight, scales = rows_of(child)
    return Int4Linear(weight, products.shares(scales), linears.bias_of(child))


def is_taken(linear: Any) -> bool:
    """Whether it is a layer in nf4 as it is taken here, ours or bitsandbytes'."""
    if isinstance(linear, Int4Linear):
        return True
    if type(linear).__name__ != "Linear4bit" or linear.weight.dtype != torch.uint8:
        return False
    return _has_rows_of_blocks(linear.weight.quant_state)


def rows_of(linear: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The weight uint8 [out, in / 2] of a layer that `is_taken`, with the float32 scale of each block [out, in / 64],
    on the device where they lie. Scales that were rounded themselves are brought back."""
    if isinstance(linear, Int4Linear):
        return linear.weight, products.scales(linear.scale, 2 * linear.weight.shape[1] // rounding.NF4_BLOCK)
    state = linear.weight.quant_state
    scales = state.absmax
    if state.nested:
        dequantize = rounding.bitsandbytes().functional.dequantize_blockwise
        scales = dequantize(scales, state.state2) + state.offset
    outputs, inputs = state.shape
    scales = scales.float().view(outputs, inputs // rounding.NF4_BLOCK)
    return linear.weight.data.contiguous().view(outputs, inputs // 2), scales


def _has_rows_of_blocks(state: Any) -> bool:
    """Whether weights in bitsandbytes' `state` are what `Int4Linear` has."""
    return (
        state is not None
        and state.quant_type == "nf4"
        and state.blocksize == rounding.NF4_BLOCK
        and not getattr(state, "packing_format_for_cpu", False)
        and len(state.shape) == 2
        and state.shape[1] % rounding.NF4_BLOCK == 0
    )


def replaced(model: Any) -> int:
    """How many layers of `model` are an `Int4Linear`."""
    return sum(isinstance(module, Int4Linear) for module in model.modules())
