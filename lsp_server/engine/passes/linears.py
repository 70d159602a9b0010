"""A linear layer of a model whose weights are rounded to few bits, multiplied on a CPU without rounding anything else.

Of a few rows or many, the product is compiled (`products`), except where the processor multiplies bfloat16, and of
small weights: there many rows are multiplied by torch, with weights that are brought back for the moment.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch

from lsp_server.engine.passes import memory, products
from lsp_server.engine.passes.compiling import Bytes, Scales


def _multiplies_bfloat16() -> bool:
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _multiplies_tiles() -> bool:
    return _multiplies_bfloat16() and bool(torch.cpu._is_amx_tile_supported())


# The type in which products of many rows are done: processors without bfloat16 (of most laptops) would take ten times
# longer in it than in float32, conversions included.
PRODUCT = torch.bfloat16 if _multiplies_bfloat16() else torch.float32
# Whether the processor has tiles of bfloat16 (AMX), in which torch multiplies many rows several times as fast.
TILES = _multiplies_tiles()

# Bytes of weights that are brought back at a time. They come to the same memory again and again: new memory comes from
# the system page by page, which takes longer than all the rest.
PART_BYTES = 8 * 2**20
_own = threading.local()

_Linear = TypeVar("_Linear", bound="RoundedLinear")


class RoundedLinear(torch.nn.Module):
    """y = x W^T + b for bfloat16 x [..., in], with W [out, in] as numbers of few bits, and their scales."""

    weight: torch.Tensor
    scale: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, weight: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias)

    @classmethod
    def rounded(cls: type[_Linear], weight: torch.Tensor, bias: torch.Tensor | None = None) -> _Linear:
        """From a weight [out, in] in any float type, rounded as bitsandbytes rounds."""
        raise NotImplementedError

    @classmethod
    def stacked(cls: type[_Linear], linears: Sequence[_Linear]) -> _Linear:
        """One product for several of the same input: their outputs one after the other. None of them has a bias."""
        weights, scales = [linear.weight for linear in linears], [linear.scale for linear in linears]
        return cls(torch.cat(weights), torch.cat(scales), None)

    def with_rows(self: _Linear, rows: torch.Tensor) -> _Linear:
        """The same with the outputs of these numbers, in this order, and no bias."""
        return type(self)(self.weight[rows], self.scale[rows], None)

    def moved(self: _Linear, arena: memory.Arena) -> _Linear:
        """The same with its numbers in that memory."""
        return type(self)(arena.moved(self.weight), arena.moved(self.scale), self.bias)

    def arrays(self) -> tuple[Bytes, Scales]:
        """The weights and scales as `products` takes them."""
        raise NotImplementedError

    def arranged(self, rows: torch.Tensor) -> torch.Tensor:
        """The inputs [rows, in] in the order of `bring_back`."""
        return rows

    def bring_back(self, first: int, last: int, into: torch.Tensor) -> None:
        """Put these rows of W into a tensor of the type PRODUCT."""
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1])
        most = self._most_rows()
        y = self._of_few(rows) if most is None or len(rows) <= most else self._of_many(rows)
        y = y.to(x.dtype)
        if self.bias is not None:
            y = y + self.bias
        return y.view(*x.shape[:-1], -1)

    def _most_rows(self) -> int | None:
        """Up to so many rows `_of_few` is the faster; None: always."""
        raise NotImplementedError

    def _of_few(self, rows: torch.Tensor) -> torch.Tensor:
        return products.product(rows, *self.arrays())

    def _of_many(self, rows: torch.Tensor) -> torch.Tensor:
        outputs, inputs = len(self.weight), rows.shape[1]
        each = max(1, PART_BYTES // (inputs * PRODUCT.itemsize))
        place = _lent(each * inputs).view(each, inputs)
        rows = self.arranged(rows.to(PRODUCT))
        found = []
        for first in range(0, outputs, each):
            part = place[: min(each, outputs - first)]
            self.bring_back(first, first + len(part), part)
            found.append(torch.nn.functional.linear(rows, part))
        return torch.cat(found, dim=1)


def _lent(numbers: int) -> torch.Tensor:
    """Memory of the calling thread for so many numbers of the type PRODUCT, until it asks again."""
    place: torch.Tensor | None = getattr(_own, "place", None)
    if place is None or place.dtype != PRODUCT or len(place) < numbers:
        place = _own.place = torch.empty(numbers, dtype=PRODUCT)
    return place[:numbers]


def replace_linears(model: Any, kind: type[torch.nn.Module], made: Callable[[Any], RoundedLinear | None]) -> int:
    """Put what is `made` of a layer in the place of every one of bitsandbytes' `kind`; how many there were.

    Layers of which nothing is made and those that accelerate moves about (offloaded ones) are left as they are.
    """
    replaced = 0
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if not isinstance(child, kind) or hasattr(child, "_hf_hook") or (ours := made(child)) is None:
                continue
            setattr(parent, name, ours)
            replaced += 1
    return replaced


def round_linears(model: Any, kind: type[RoundedLinear]) -> None:
    """Round every linear layer of a 16-bit `model` but its head, as bitsandbytes would, where that does not run."""
    head = model.get_output_embeddings()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is torch.nn.Linear and child is not head:
                setattr(parent, name, kind.rounded(child.weight.data, bias_of(child)))


def bias_of(linear: Any) -> torch.Tensor | None:
    return None if linear.bias is None else linear.bias.data
