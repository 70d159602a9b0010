"""Keys and values kept between requests, so that a prompt that shares its beginning with an earlier one is not computed
again.

Editors and chats send almost the same tokens over and over: one typed character, one more turn. The cheapest prefill is
the one that is not done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lsp_server.engine.passes.model import KeysValues

# An entry that keeps at least this share of itself is cut to the common prefix and carried on; otherwise it belongs to
# another conversation that only begins alike (a licence header, a system turn), and the prefix is copied.
_CROP_SHARE = 0.5


@dataclass(eq=False)
class _Entry:
    ids: list[int]
    keys_values: KeysValues


class CachePool:
    """Keys and values of sequences that no request holds now, least recently used first to go.

    It does not know what running requests hold, so the caller says with each call how many tokens may be held: `limit`.
    """

    def __init__(self) -> None:
        self._entries: list[_Entry] = []  # least recently used first

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def tokens(self) -> int:
        """Tokens whose keys and values are in the pool."""
        return sum(len(entry.ids) for entry in self._entries)

    def take(self, ids: Sequence[int], limit: int) -> KeysValues | None:
        """Keys and values of the longest known prefix of `ids`, for the caller to own, or None.

        Never those of the last of `ids`: it has to be run to say what follows. The pool and what is handed out
        stay within `limit` tokens together.
        """
        best, length = None, 0
        for entry in reversed(self._entries):  # of equals, the one used last
            common = min(common_prefix(entry.ids, ids), len(ids) - 1)
            if common > length:
                best, length = entry, common
        if best is None:
            return None
        self._entries.remove(best)
        if length < _CROP_SHARE * len(best.ids):
            self._entries.append(best)
            self.shrink(limit - length)
            if best in self._entries:
                return best.keys_values.copy(length)
        best.keys_values.crop(length)
        return best.keys_values

    def put(self, ids: Sequence[int], keys_values: KeysValues, limit: int) -> None:
        """Give the pool the keys and values of `ids`, which it owns from now on; what no longer fits in `limit` tokens
        goes."""
        if len(ids) != keys_values.length:
            raise ValueError(f"{len(ids)} ids for the keys and values of {keys_values.length} tokens")
        if not ids or len(ids) > limit or any(common_prefix(entry.ids, ids) == len(ids) for entry in self._entries):
            return
        keys_values.compact()
        # Entries that this one continues have nothing of their own left.
        self._entries = [entry for entry in self._entries if common_prefix(entry.ids, ids) < len(entry.ids)]
        self._entries.append(_Entry(list(ids), keys_values))
        self.shrink(limit)

    def known(self, ids: Sequence[int]) -> int:
        """How many of `ids` would not have to be computed. From any thread."""
        return max((min(common_prefix(entry.ids, ids), len(ids) - 1) for entry in list(self._entries)), default=0)

    def recent(self, count: int) -> list[Sequence[int]]:
        """The ids of the sequences used last, the last one first."""
        return [entry.ids for entry in self._entries[: -count - 1 : -1]]

    def shrink(self, limit: int) -> None:
        """Drop entries, least recently used first, until at most `limit` tokens are held."""
        tokens = self.tokens
        while self._entries and tokens > limit:
            tokens -= len(self._entries.pop(0).ids)

    def clear(self) -> None:
        """Drop everything."""
        self._entries.clear()


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many ids the two begin with in common."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
