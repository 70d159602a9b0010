"""The names that matter at a cursor, each with a weight: the nearer it is used, the more it counts."""

from __future__ import annotations

import re
from typing import Any

from lsp_server.context.related.view import Opened

# Weights: the line of the cursor, the lines around it, its function, its class, the rest of the file.
LINE, AROUND, FUNCTION, CLASS, FILE = 6.0, 4.0, 3.0, 2.0, 1.0
# Lines above and below that are around the cursor, and of a file that are looked at.
ABOVE, BELOW, FARTHEST = 10, 4, 600
_NAME = re.compile(r"[^\W\d]\w*")


def names_near(opened: Opened, row: int, column: int) -> dict[str, float]:
    """Every name used around a place (0-based, in characters), with its weight."""
    lines = opened.buffer.lines
    row = max(0, min(row, len(lines) - 1))
    function, owner = _enclosing(opened, row, column)
    spans = [(0, len(lines) - 1, FILE), (*owner, CLASS), (*function, FUNCTION), (row - ABOVE, row + BELOW, AROUND)]
    weights: dict[str, float] = {}
    for first, last, weight in [*spans, (row, row, LINE)]:
        first, last = max(first, row - FARTHEST, 0), min(last, row + FARTHEST)
        for name in _NAME.findall("".join(lines[first : last + 1])):
            weights[name] = weight
    return weights


def _enclosing(opened: Opened, row: int, column: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The first and last row of the function and of the class around a place; no rows (0, -1) outside of any."""
    function = owner = (0, -1)
    if opened.tree is None:
        return function, owner
    above = row
    while above and not opened.buffer.lines[above].strip():  # below its last statement is still in a function
        above -= 1
    line = opened.buffer.lines[above]
    at = above, len(line[: min(column, len(line.rstrip()))].encode("utf-8", "replace"))
    node: Any = opened.tree.root.named_descendant_for_point_range(at, at)
    grammar = opened.tree.grammar
    while node is not None:
        rows = node.start_point.row, node.end_point.row
        if node.type in grammar.functions + grammar.unnamed and function[1] < 0:
            function = rows
        elif node.type in grammar.classes and owner[1] < 0:
            owner = rows
        node = node.parent
    return function, owner
