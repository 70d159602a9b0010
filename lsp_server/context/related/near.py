"""The names that matter at a cursor, each with a weight: the nearer it is used, the more it counts."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

from lsp_server.context.related.around import is_class, is_function, nodes_around
from lsp_server.context.related.listing import modules_at
from lsp_server.context.related.receivers import NOTHING, Receiver, makers_in, receiver_at, text_before, types_in
from lsp_server.context.related.statements import Import
from lsp_server.context.related.view import Opened

# Weights: the line of the cursor, the lines around it, its function, its class, the rest of the file.
LINE, AROUND, FUNCTION, CLASS, FILE = 6.0, 4.0, 3.0, 2.0, 1.0
# What begins as the name at the cursor; and what stands before the dot there.
BEGUN, RECEIVER = 7.0, 8.0
# Lines above and below that are around the cursor, and of a file that are looked at.
ABOVE, BELOW, FARTHEST = 10, 4, 600
_NAME = re.compile(r"[^\W\d]\w*")


@dataclasses.dataclass(frozen=True)
class Near:
    """The names used around a place, each with its weight; what stands before the dot there; the types that the file
    gives its names, and the functions whose results they are; the modules whose names are being written there;
    whether it is known what stands before the dot. A type weighs what is known to be of it."""

    weights: Mapping[str, float]
    receiver: Receiver = NOTHING
    types: Mapping[str, frozenset[str]] = dataclasses.field(default_factory=dict)
    makers: Mapping[str, frozenset[str]] = dataclasses.field(default_factory=dict)
    modules: Sequence[Import] = ()
    known: bool = False

    def of(self, name: str, otherwise: float = 0.0) -> float:
        """The weight of a name, or `otherwise`. What begins as the name at the cursor does weighs more than any, unless
        it is `known` whose members may stand there."""
        return self.weights.get(name, otherwise) if self.known else self.member(name, otherwise)

    def member(self, name: str, otherwise: float = 0.0) -> float:
        """The same of a name that may stand there."""
        weight = self.weights.get(name, otherwise)
        typed = self.receiver.typed
        return max(weight, BEGUN) if typed and name.startswith(typed) and name != typed else weight


def names_near(opened: Opened, row: int, column: int) -> Near:
    """Every name used around a place (0-based, in characters)."""
    lines = opened.buffer.lines
    row = max(0, min(row, len(lines) - 1))
    function, owner = _enclosing(opened, row, column)
    spans = [(0, len(lines) - 1, FILE), (*owner, CLASS), (*function, FUNCTION), (row - ABOVE, row + BELOW, AROUND)]
    weights: dict[str, float] = {}
    for first, last, weight in [*spans, (row, row, LINE)]:
        first, last = max(first, row - FARTHEST, 0), min(last, row + FARTHEST)
        for name in _NAME.findall("".join(lines[first : last + 1])):
            weights[name] = weight
    before, behind = text_before(lines, row, column), "".join(lines[row : row + ABOVE])[column:]
    types = types_in(opened.buffer.source)
    for name, weight in list(weights.items()):
        for each in types.get(name, ()) if weight >= FUNCTION else ():
            weights[each] = max(weights.get(each, 0.0), weight)
    receiver = receiver_at(before)
    makers = makers_in(opened.buffer.source) if receiver.name else {}
    return Near(weights, receiver, types, makers, modules_at(opened.language.id, before, behind))


def _enclosing(opened: Opened, row: int, column: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The first and last row of the function and of the class around a place; no rows (0, -1) outside of any."""
    function = owner = (0, -1)
    for node in nodes_around(opened, row, column):
        rows = node.start_point.row, node.end_point.row
        if is_function(opened, node) and function[1] < 0:
            function = rows
        elif is_class(opened, node) and owner[1] < 0:
            owner = rows
    return function, owner
