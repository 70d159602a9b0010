"""The names that an answer may begin with, where who asks knows them: the members of what stands before a dot.

A small model writes members that there are none of, and knows better which of those it is that there are. So what keeps
to one of the names becomes more probable until that is written ("monitor-guided decoding",
https://arxiv.org/abs/2306.10763), each by as much as is asked for. A model that is surer of another name writes that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Names:
    """What is left to be written of each name, as bytes, b"" of one that is written, with what is added to the logits
    of the tokens that keep to it, in nats. Whatever is written of one, all that is added to its probability is that."""

    left: tuple[tuple[bytes, float], ...] = ()

    @classmethod
    def behind(cls, healed: bytes, names: Mapping[str, float]) -> Names:
        """Names that stand behind text which has to be spelled first."""
        return cls(tuple((healed + name.encode("utf-8", "replace"), nats) for name, nats in names.items()))

    def after(self, spelled: bytes) -> Names:
        """Once the text of one more token is written: of what is neither a name nor the beginning of one, nothing."""
        if not spelled:
            return NO_NAMES
        return Names(tuple((each[len(spelled) :], nats) for each, nats in self.left if each.startswith(spelled)))


NO_NAMES = Names()
