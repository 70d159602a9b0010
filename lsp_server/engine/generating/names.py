"""The names that an answer may begin with, where who asks knows them: the members of what stands before a dot.

A small model writes members that there are none of, and knows better which of those it is that there are. What keeps to
none of the names becomes less probable until one is written ("monitor-guided decoding", https://arxiv.org/abs/2306.10763),
and no more than that: what is known need not be all, so a model that is sure of another name writes it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

# What is taken from the logit of a token that keeps to none of them, in nats.
DOUBT = 12.0


@dataclasses.dataclass(frozen=True)
class Names:
    """What is left to be written of each name, as bytes; b"" of one that is written, which ends there."""

    left: tuple[bytes, ...] = ()

    @classmethod
    def behind(cls, healed: bytes, names: Sequence[str]) -> Names:
        """Names that stand behind text which has to be spelled first."""
        return cls(tuple(dict.fromkeys(healed + name.encode("utf-8", "replace") for name in names)))

    def after(self, spelled: bytes) -> Names:
        """Once the text of one more token is written: of what is neither a name nor the beginning of one, nothing."""
        return Names(tuple(each[len(spelled) :] for each in self.left if spelled and each.startswith(spelled)))


NO_NAMES = Names()
