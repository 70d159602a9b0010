"""Memory on a CPU for what every token reads: weights, keys and values.

Of Linux it is asked for in pages of 2 MB. torch asks for them too (`process.PAGES`), but not for tensors of less, of
which a small model has many: with a thousand tokens of context a token of the starter took 1.05 times as long, and the
attention of a token by itself 1.13 times.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import sys

import torch

# Memory that no other process shares. Windows has no other.
_OWN: dict[str, int] = {} if os.name == "nt" else {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS}
_CACHE_LINE = 64  # bytes
# The least that an `Arena` asks for. What is not used of it takes no memory.
_PIECE = 64 * 2**20


def zeros(*shape: int, dtype: torch.dtype) -> torch.Tensor:
    """Numbers in memory of their own, which the system has back as soon as they are gone. In the heap, among what a
    pass needs for a moment, they leave holes: of keys and values as much again as a third of them (32 sequences, a
    day's)."""
    size = math.prod(shape) * dtype.itemsize
    if not size:
        return torch.zeros(shape, dtype=dtype)
    memory = mmap.mmap(-1, size, **_OWN)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a system that has no such pages
            memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=dtype).view(shape)


class Arena:
    """Memory for the weights of one model, one after the other, so that those of a small one lie in large pages too."""

    def __init__(self) -> None:
        self._left = torch.empty(0, dtype=torch.uint8)

    def moved(self, numbers: torch.Tensor) -> torch.Tensor:
        """The same numbers here; where they are, on systems without large pages."""
        if sys.platform != "linux":
            return numbers
        size = numbers.nbytes
        taken = -(-size // _CACHE_LINE) * _CACHE_LINE
        if taken > len(self._left):
            self._left = zeros(max(taken, _PIECE), dtype=torch.uint8)
        place, self._left = self._left[:size], self._left[taken:]
        return place.view(numbers.dtype).view(numbers.shape).copy_(numbers)
