"""Weights of a product on a CUDA card, as bitsandbytes has rounded them, and how it is launched."""

from __future__ import annotations

from typing import Any

import torch
import triton

from lsp_server.engine.passes import int8, kernels
from lsp_server.engine.passes.cards import STEPS, Tile
from lsp_server.engine.passes.rounding import FULL_SCALE

_ROUNDED_AT_A_TIME = 4096  # rows
_LEAST = 1e-30  # in the place of the largest number of a row without any


class Weight:
    """A product's weights, on the device: int8 [rows, depth], and the scale of each row in float32."""

    def __init__(self, weight: torch.Tensor, scale: torch.Tensor) -> None:
        self.weight, self.scale = weight.contiguous(), scale.float().contiguous()
        self.rows, self.depth = weight.shape
        self.step = next(step for step in STEPS if self.depth % step == 0)

    @classmethod
    def stacked(cls, *linears: Any) -> Weight:
        """One product for several 8-bit layers of the same input: their outputs one after the other."""
        rows = [found for linear in linears if (found := int8.rows_of(linear)) is not None]
        if len(rows) == 1:  # as it is, not copied
            return cls(*rows[0])
        return cls(torch.cat([weight for weight, _ in rows]), torch.cat([scale for _, scale in rows]))

    @classmethod
    def rounded(cls, weight: torch.Tensor) -> Weight:
        """From a weight in any float type, rounded where it lies as bitsandbytes rounds: row by row, to the largest."""
        small, scales = torch.empty(weight.shape, dtype=torch.int8, device=weight.device), []
        for first in range(0, len(weight), _ROUNDED_AT_A_TIME):
            part = weight[first : first + _ROUNDED_AT_A_TIME].detach().float()
            scale = part.abs().amax(1).clamp_min(_LEAST) / FULL_SCALE
            small[first : first + len(part)] = (part / scale[:, None]).round().to(torch.int8)
            scales.append(scale)
        return cls(small, torch.cat(scales))


def launch_product(
    x: torch.Tensor, given: Weight, out: torch.Tensor, tile: Tile, depth: int, parts: int, *, gated: bool = False
) -> None:
    """out [parts, tokens, rows] = x [tokens, depth] times the weights; rows being half of theirs where `gated`."""
    tokens, rows = len(x), given.rows // (2 if gated else 1)
    grid = (triton.cdiv(rows, tile.rows), parts, triton.cdiv(tokens, tile.tokens))
    kernels.product[grid](
        x, given.weight, given.scale, out, tokens, given.depth, rows,
        ROWS=tile.rows, DEPTH=depth, TOKENS=tile.tokens, PARTS=parts, GATED=gated,
        num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip
