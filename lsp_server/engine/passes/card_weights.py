"""Weights of a product on a CUDA card, as bitsandbytes has rounded them, to 8 or 4 bits, and how it is launched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import triton

from lsp_server.engine.passes import int4, int8, kernels, nf4_kernels
from lsp_server.engine.passes.cards import STEPS, Settings, Tile
from lsp_server.engine.passes.kernels import FEW
from lsp_server.engine.passes.rounding import FULL_SCALE, NF4_BLOCK

_ROUNDED_AT_A_TIME = 4096  # rows
_LEAST = 1e-30  # in the place of the largest number of a row without any


class Weight:
    """A product's weights [rows, depth], on the device, as numbers of `bits`, and their scales in float32."""

    bits: ClassVar[int]

    def __init__(self, weight: torch.Tensor, scale: torch.Tensor) -> None:
        self.weight, self.scale = weight.contiguous(), scale.float().contiguous()
        self.rows, self.depth = len(weight), weight.shape[1] * 8 // self.bits
        self.step = next(step for step in STEPS if self.depth % step == 0)

    @property
    def scales(self) -> torch.Tensor:
        """As they are given: those of each row, [rows] or [rows, blocks]."""
        return self.scale

    def cut(self, settings: Settings, tokens: int, *, gated: bool = False) -> tuple[Tile, int]:
        """How the product with so many tokens is cut, and how many programs the depth is dealt out to."""
        few = tokens <= FEW
        tile = settings.cuts(self.bits).tile(few=few, gated=gated)
        steps = self.depth // min(tile.depth, self.step)
        return tile, settings.parts(-(-self.rows // tile.rows), steps) if few and not gated else 1

    def launch(self, x: torch.Tensor, out: torch.Tensor, tile: Tile, parts: int, *, gated: bool = False) -> None:
        """out [parts, tokens, rows] = x [tokens, depth] times the weights; where `gated`, rows are half of theirs, and
        there is one part."""
        raise NotImplementedError


class EightBits(Weight):
    """int8 [rows, depth], and the scale of each row."""

    bits = 8

    @classmethod
    def rounded(cls, weight: torch.Tensor) -> EightBits:
        """From a weight in any float type, rounded where it lies as bitsandbytes rounds: row by row, to the largest."""
        small, scales = torch.empty(weight.shape, dtype=torch.int8, device=weight.device), []
        for first in range(0, len(weight), _ROUNDED_AT_A_TIME):
            part = weight[first : first + _ROUNDED_AT_A_TIME].detach().float()
            scale = part.abs().amax(1).clamp_min(_LEAST) / FULL_SCALE
            small[first : first + len(part)] = (part / scale[:, None]).round().to(torch.int8)
            scales.append(scale)
        return cls(small, torch.cat(scales))

    def launch(self, x: torch.Tensor, out: torch.Tensor, tile: Tile, parts: int, *, gated: bool = False) -> None:
        tokens, rows = len(x), self.rows // (2 if gated else 1)
        kernels.product[triton.cdiv(rows, tile.rows), parts, triton.cdiv(tokens, tile.tokens)](
            x, self.weight, self.scale, out, tokens, self.depth, rows,
            ROWS=tile.rows, DEPTH=min(tile.depth, self.step), TOKENS=tile.tokens, PARTS=parts, GATED=gated,
            num_warps=tile.warps, num_stages=tile.stages,
        )  # fmt: skip


class FourBits(Weight):
    """nf4: two weights in each uint8 [rows, depth / 2], and the scale of each block of 64, given as [rows, blocks]."""

    bits = 4

    def __init__(self, weight: torch.Tensor, scale: torch.Tensor) -> None:
        super().__init__(weight, scale.T)  # of the rows of a tile, scales lie side by side

    @property
    def scales(self) -> torch.Tensor:
        return self.scale.T

    def launch(self, x: torch.Tensor, out: torch.Tensor, tile: Tile, parts: int, *, gated: bool = False) -> None:
        tokens, rows = len(x), self.rows // (2 if gated else 1)
        given = (x, self.weight, self.scale, out, tokens, self.depth, rows)
        cut = {"ROWS": tile.rows, "TOKENS": tile.tokens, "GATED": gated, "STAGES": tile.stages}
        if tokens <= FEW:
            blocks = min(tile.depth, self.step) // NF4_BLOCK
            nf4_kernels.few[triton.cdiv(rows, tile.rows), parts](
                *given, **cut, BLOCKS=blocks, PARTS=parts, num_warps=tile.warps
            )
        else:
            nf4_kernels.many[triton.cdiv(rows, tile.rows), triton.cdiv(tokens, tile.tokens)](
                *given, **cut, num_warps=tile.warps
            )


def stacked(*linears: Any) -> Weight:
    """One product for several layers of the same input and as many bits: their outputs one after the other."""
    eight = [found for linear in linears if (found := int8.rows_of(linear)) is not None]
    if eight:
        return EightBits(*_joined(eight))
    return FourBits(*_joined([int4.rows_of(linear) for linear in linears]))


def _joined(rows: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    if len(rows) == 1:  # as it is, not copied
        return rows[0]
    return torch.cat([weight for weight, _ in rows]), torch.cat([scale for _, scale in rows])
