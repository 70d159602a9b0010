"""Guesses at the next tokens, to be checked several in one forward pass.

A pass over several tokens takes less than as many passes, on a GPU little longer than one, and a right guess saves a
pass. Code repeats itself: what followed the last few tokens where they stood before, in the prompt, in the
answer so far or in an earlier request, often follows them again ("prompt lookup decoding", Saxena 2023).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

from lsp_server.engine.passes.model import FEWEST_GUESSES

# Tokens that must agree for a guess: the longest agreement counts.
_LONGEST, _SHORTEST = 4, 2
# Tokens guessed at a time at most, while the guesses are right.
MOST = 15


class Guesses:
    """The guesses of one request, over its own `ids` and `others`: earlier sequences, the most telling first.

    fewest: tokens guessed at a time at first, and after a wrong guess.
    """

    def __init__(self, ids: Sequence[int], others: Iterable[Sequence[int]] = (), fewest: int = FEWEST_GUESSES) -> None:
        self._own = array("i", ids)
        self._others = [array("i", other).tobytes() for other in others]
        self._fewest = self._count = fewest

    def append(self, token: int) -> None:
        """Take notice of a token that the request has now."""
        self._own.append(token)

    def judge(self, guessed: int, right: int) -> None:
        """Take notice of how many of the last guess were right."""
        if guessed:
            self._count = min(2 * self._count, MOST) if right == guessed else self._fewest

    def next(self, most: int) -> list[int]:
        """What may come after the ids, at most `most` tokens; often nothing."""
        count = min(self._count, most)
        if count < 1:
            return []
        own = self._own.tobytes()
        for length in range(min(_LONGEST, len(self._own)), _SHORTEST - 1, -1):
            last = self._own[-length:].tobytes()
            for sequence in (own, *self._others):
                if guess := _following(sequence, last, count):
                    return guess
        return []


def _following(sequence: bytes, last: bytes, count: int) -> list[int]:
    """The `count` ids or fewer after the last place in `sequence` where `last` is followed by something."""
    size = array("i").itemsize
    end = len(sequence) - size  # the match must leave an id to guess
    while (at := sequence.rfind(last, 0, end)) >= 0:
        if at % size == 0:
            start = at + len(last)
            return array("i", sequence[start : start + count * size]).tolist()
        end = at + len(last) - 1  # bytes that only look alike: not at an id's beginning
    return []
