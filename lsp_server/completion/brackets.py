"""Brackets of code in a piece of it: not those in strings, comments and regular expressions."""

from __future__ import annotations

from collections.abc import Iterable

from lsp_server.completion.scanner import Open, Step


def unmatched(read: Iterable[Step]) -> tuple[list[int], list[int]]:
    """Where in a piece of code the brackets stand that it closes without opening, and those that it opens without
    closing; the piece may have been read from anywhere on."""
    closers: list[int] = []
    opened: dict[Open, int] = {}
    left: tuple[Open, ...] = ()
    for step in read:
        if step.stray or (step.outer and step.closed is not None and step.closed.kind == "bracket"):
            closers.append(step.start)
        elif step.closed is None and step.open:
            opened.setdefault(step.open[-1], step.end - 1)
        left = step.open[step.kept :]
    return closers, [opened[each] for each in left if each.kind == "bracket"]
