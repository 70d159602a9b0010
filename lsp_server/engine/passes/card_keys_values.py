"""Keys and values of a sequence whose layers lie on one card, or on several and in memory, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import torch

# Memory is set aside in steps of so many tokens.
STEP = 128


def room(length: int, beyond: int) -> int:
    """The capacity for `length` tokens and `beyond` more, which a pass that is filled up writes and nobody reads."""
    return -(-(length + beyond) // STEP) * STEP


class Part:
    """Those of some layers, keys and values each [kv heads, capacity, head size], on one device.

    Every layer has memory of its own, so that to grow takes one layer twice, never all. Where that lies is read by the
    kernels from `addresses`: of the keys of each layer, then of the values. turned: the keys lie as a processor reads
    them best, each number of all tokens in a row.
    """

    def __init__(
        self, layers: int, kv_heads: int, size: int, dtype: torch.dtype, device: torch.device, *, turned: bool = False
    ) -> None:
        self._shape, self._dtype, self._device, self._turned = (kv_heads, size), dtype, device, turned
        self.keys = [self._made(0, turned) for _ in range(layers)]
        self.values = [self._made(0) for _ in range(layers)]
        self.addresses: list[int] = [0] * (2 * layers)
        self.capacity = 0

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in (*self.keys, *self.values))

    def resize(self, capacity: int, source: Part, kept: int) -> None:
        """Have that capacity, with the first `kept` tokens of `source`, which may be this part itself."""
        for mine, theirs, turned in ((self.keys, source.keys, self._turned), (self.values, source.values, False)):
            for index, old in enumerate(theirs):
                new = self._made(capacity, turned)
                new[:, :kept] = old[:, :kept]
                mine[index] = new
        self.addresses = [tensor.data_ptr() for tensor in (*self.keys, *self.values)]
        self.capacity = capacity

    def emptied(self) -> Part:
        """Another of this kind, without memory."""
        return Part(len(self.keys), *self._shape, self._dtype, self._device, turned=self._turned)

    def _made(self, capacity: int, turned: bool = False) -> torch.Tensor:
        heads, size = self._shape
        inner = (size, capacity) if turned else (capacity, size)
        made = torch.zeros(heads, *inner, dtype=self._dtype, device=self._device)
        return made.mT if turned else made


class CardKeysValues:
    """`model.KeysValues` in parts, one for each stretch of layers. `beyond`: tokens there is room for behind them."""

    def __init__(self, parts: Sequence[Part], beyond: int) -> None:
        self.parts, self._beyond = list(parts), beyond
        self.length = 0

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in self.parts)

    def crop(self, length: int) -> None:
        if not 0 <= length <= self.length:
            raise ValueError(f"cannot keep {length} of {self.length} tokens")
        self.length = length

    def copy(self, length: int) -> CardKeysValues:
        if not 0 <= length <= self.length:
            raise ValueError(f"cannot copy {length} of {self.length} tokens")
        copied = CardKeysValues([part.emptied() for part in self.parts], self._beyond)
        for mine, theirs in zip(copied.parts, self.parts, strict=True):
            mine.resize(room(length, self._beyond), theirs, length)
        copied.length = length
        return copied

    def compact(self) -> None:
        self._resize(room(self.length, self._beyond), shrink=True)

    def make_room(self, length: int) -> None:
        """Have room for `length` tokens, and not much more."""
        wanted = room(length, self._beyond)
        self._resize(wanted, shrink=self.parts[0].capacity > wanted + wanted // 2)

    def _resize(self, capacity: int, *, shrink: bool) -> None:
        for part in self.parts:
            if part.capacity < capacity or (shrink and part.capacity > capacity):
                part.resize(capacity, part, min(self.length, capacity))
