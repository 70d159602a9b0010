"""How long it takes to compute a prompt, from what was measured. Imports nothing, so that the language server reckons
alike."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Speed:
    """`tokens_per_second` at the beginning of a prompt. A token takes longer by the share `slows_by` for each token
    before it: attention looks at all of them."""

    tokens_per_second: float
    slows_by: float = 0.0

    def seconds(self, first: int, last: int) -> float:
        """How long the tokens from place `first` to `last` of a prompt take."""
        return (last - first + self.slows_by * (last**2 - first**2) / 2) / self.tokens_per_second

    def tokens(self, seconds: float) -> int:
        """How many tokens from the beginning on are computed in so many seconds."""
        plain = self.tokens_per_second * seconds
        if not self.slows_by:
            return int(plain)
        return int((math.sqrt(1 + 2 * self.slows_by * plain) - 1) / self.slows_by)
