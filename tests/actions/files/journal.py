"""A journal of what was done, one line for each entry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path


class Journal:
    def __init__(self, path: Path, *, limit: int = 1000):
        self.path = path
        self.limit = limit
        self._entries: list[dict[str, object]] = []

    def append(self, kind, **values):
        entry = {"kind": kind, **values}
        self._entries.append(entry)
        if len(self._entries) > self.limit:
            del self._entries[0]
        return entry

    def __iter__(self) -> Iterator[dict[str, object]]:
        for entry in self._entries:
            if entry["kind"] != "comment":
                yield entry

    async def save(self):
        text = "\n".join(json.dumps(entry) for entry in self._entries)
        if text:
            text += "\n"
        self.path.write_text(text)


def count_by_kind(entries):
    counts = {}
    for entry in entries:
        kind = entry["kind"]
        if kind not in counts:
            counts[kind] = 0
        counts[kind] = counts[kind] + 1
    return counts


def parse(line, default=None):
    """The entry of a line."""
    try:
        return json.loads(line)
    except ValueError:
        if default is None:
            raise
        return default
