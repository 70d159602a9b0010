"""Token healing: the last tokens of a prompt chosen anew, with the same text.

A cursor stands between characters, not between tokens. In the middle of a word the prompt ends in tokens that the model
never saw before the rest of that word, and it goes on badly. So the last few tokens count as text only: the answer's
first tokens are the most likely ones that spell it, and may run beyond it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable

import torch

from lsp_server.engine.generating.names import Names

Preferred = tuple[torch.Tensor, torch.Tensor]
"""Tokens, int64 [some], and what is added to the logit of each, float32 [some]."""

# Bytes of which names are made, as far as most languages go; those of letters beyond ASCII are above them.
_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_$")


class Spellings:
    """The tokens of a vocabulary by the bytes they stand for; `bytes_of` gives b"" for those that have none."""

    def __init__(self, bytes_of: Callable[[int], bytes], size: int) -> None:
        self.bytes_of = bytes_of
        self._exact: dict[bytes, list[int]] = defaultdict(list)
        for token_id in range(size):
            if spelled := bytes_of(token_id):
                self._exact[spelled].append(token_id)
        self._sorted = sorted(self._exact)
        # What may stand behind a name, and so ends it, an end of the answer too; and by a name what begins with it and
        # ends it.
        self._ends = torch.tensor([token_id for token_id in range(size) if not _goes_on(bytes_of(token_id), 0)])
        self._ended: dict[bytes, list[int]] = defaultdict(list)
        for spelled, token_ids in self._exact.items():
            for end in range(1, len(spelled)):
                if not _goes_on(spelled, end):
                    self._ended[spelled[:end]] += token_ids
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

    def next(self, text: bytes, names: Names) -> tuple[list[int] | None, Preferred | None]:
        """(the tokens that may come next, those that are preferred) where `text` must be spelled, and what follows it
        may be one of `names`; None for any."""
        return self.fitting(text) if text else None, self.keeping_to(names) if names.left else None

    def keeping_to(self, names: Names) -> Preferred:
        """The tokens that may come next where one of `names` is to be written, and behind it no more letters of one."""
        parts: dict[bytes, float] = {}
        ids: dict[int, float] = {}
        for name, nats in sorted(names.left, key=lambda each: each[1]):  # the greatest counts
            parts |= {name[:end]: nats for end in range(1, len(name) + 1)}
            ids |= dict.fromkeys(self._ended.get(name, ()), nats)
        for part, nats in parts.items():
            for token_id in self._exact.get(part, ()):
                ids[token_id] = max(nats, ids.get(token_id, nats))
        found = torch.tensor(list(ids), dtype=torch.long), torch.tensor(list(ids.values()))
        ends = [nats for name, nats in names.left if not name]
        if not ends:
            return found
        return torch.cat((found[0], self._ends)), torch.cat((found[1], torch.full((len(self._ends),), max(ends))))


def _goes_on(text: bytes, at: int) -> bool:
    """Whether a letter of a name stands there in a text."""
    return at < len(text) and (text[at] in _LETTERS or text[at] >= 0x80)
