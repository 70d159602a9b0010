"""Token healing: the last tokens of a prompt chosen anew, with the same text.

A cursor stands between characters, not between tokens. In the middle of a word the prompt ends in tokens that the model
never saw before the rest of that word, and it goes on badly. So the last few tokens count as text only: the answer's
first tokens are the most likely ones that spell it, and may run beyond it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable


class Spellings:
    """The tokens of a vocabulary by the bytes they stand for; `bytes_of` gives b"" for those that have none."""

    def __init__(self, bytes_of: Callable[[int], bytes], size: int) -> None:
        self.bytes_of = bytes_of
        self._exact: dict[bytes, list[int]] = defaultdict(list)
        for token_id in range(size):
            if spelled := bytes_of(token_id):
                self._exact[spelled].append(token_id)
        self._sorted = sorted(self._exact)
        self.longest = max(map(len, self._sorted), default=0)  # bytes that one token stands for

    def fitting(self, text: bytes) -> list[int]:
        """The tokens that may come next where `text`, which is not empty, must be spelled: those that it begins with,
        and those that begin with it."""
        fitting = [token_id for end in range(1, len(text)) for token_id in self._exact.get(text[:end], ())]
        for spelled in self._sorted[bisect_left(self._sorted, text) :]:
            if not spelled.startswith(text):
                break
            fitting += self._exact[spelled]
        return fitting
