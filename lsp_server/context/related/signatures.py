"""The signatures of what a file imports from its own workspace, those that are used near the cursor first.

A class comes with its members, also where it is only the type that a function returns, so that what can be called on it
is known. Names that are used and not imported are taken where the workspace defines them at one place alone.
"""

from __future__ import annotations

import itertools
import sqlite3
from pathlib import Path

from lsp_server.context.buffer import Buffer
from lsp_server.context.languages import language
from lsp_server.context.related.around import with_name
from lsp_server.context.related.index import Index
from lsp_server.context.related.lookup import BASE, BEFORE_CURSOR, Lookup, Taken
from lsp_server.context.related.meanings import Meanings
from lsp_server.context.related.near import RECEIVER, Near, names_near
from lsp_server.context.related.objects import Value
from lsp_server.context.related.outlines import Definition
from lsp_server.context.related.piece import Piece
from lsp_server.context.related.reach import is_reached
from lsp_server.context.related.rendering import LISTED_PART, listed, rendered
from lsp_server.context.related.values import before
from lsp_server.context.related.view import Opened
from lsp_server.context.uris import file_of
from lsp_server.context.workspace import Workspace

# Of the characters there are, what one class takes at most.
CLASS_SHARE = 0.6
# Files whose rules are asked for at one cursor.
MOST_FILES = 16
# Where names come that have no row of their own: behind all that a file defines.
BEHIND_ALL = 10**9
# Characters of the names of a module for whose signatures there is no room.
LISTED_MODULE = 600


def imported(
    index: Index, workspace: Workspace, buffer: Buffer, row: int, column: int, most_characters: int
) -> list[Piece]:
    """Signatures of up to so many characters, a piece for each file that they are of, the most useful first. `row` and
    `column`: the cursor, 0-based, in characters. Blocks."""
    opened, path = index.source_of(buffer), file_of(buffer.uri)
    near = names_near(opened, row, column)
    own = path.as_posix() if path is not None else ""
    lookup = Lookup(index.view(own), opened.language.id, own)
    try:
        lookup.take(opened.imports, near, _certain(lookup.means, opened, near, row, column))
        return _pieces(lookup, workspace, near, most_characters)
    except sqlite3.Error as error:
        index.met(error)
        return []


def _certain(means: Meanings, opened: Opened, near: Near, row: int, column: int) -> list[tuple[str, Definition]]:
    """The classes of other files that what stands before the dot is of, where that is certain, each with its file."""
    if not near.receiver.is_member:
        return []
    values = before(means, with_name(opened, row, column), row, column - len(near.receiver.typed))
    return [(each.path, each.of) for each in values if isinstance(each, Value) and each.path != means.path]


def outlined(lookup: Lookup, path: str, near: Near, most_characters: int) -> str:
    """What a file defines, in up to so many characters, what is used near the cursor before the rest."""
    lookup.take_all(path, near)
    return _texts(lookup, near, most_characters).get(path, ("", 0.0, ""))[0]


def _in_order(means: Meanings, path: str, taken: Taken, near: Near) -> tuple[list[Definition], list[Definition]]:
    """The members of a definition, in its body and outside of it: of what stands before the cursor those that may be
    written there come first."""
    definition = taken.definition
    members, attached = means.members(path, definition.path)
    if taken.why != BEFORE_CURSOR:
        return members, attached
    by_name = near.receiver.is_class(definition.name)

    def is_last(each: Definition) -> bool:
        return not is_reached(means.path, path, definition, each, by_name=by_name)

    return sorted(members, key=is_last), sorted(attached, key=is_last)


def _pieces(lookup: Lookup, workspace: Workspace, near: Near, most: int) -> list[Piece]:
    hidden: dict[str, bool] = {}
    for path, _ in sorted(lookup.taken, key=lambda key: -lookup.taken[key].score):
        if path not in hidden:
            hidden[path] = len(hidden) >= MOST_FILES or bool(workspace.why_hidden(Path(path)))
    lookup.taken = {key: each for key, each in lookup.taken.items() if not hidden[key[0]]}
    found = [
        Piece("imports", workspace.within(Path(path)) or path, text, None, score, why)
        for path, (text, score, why) in _texts(lookup, near, most).items()
    ]
    return sorted(found, key=lambda piece: -piece.score)


def _texts(lookup: Lookup, near: Near, most: int) -> dict[str, tuple[str, float, str]]:
    """By file: (text, the highest score in it, why it was taken) of what there is room for. Of what stands before the
    cursor at least the names are said."""
    lines: dict[str, list[tuple[int, str]]] = {}
    best: dict[str, tuple[float, str]] = {}
    asked = [path for (path, _), each in lookup.taken.items() if each.why == BEFORE_CURSOR and each.score < RECEIVER]
    names: dict[str, list[str]] = {}
    spare = min(LISTED_MODULE, most // LISTED_PART) if asked else 0
    left = most - spare
    alone = sum(each.score >= BASE and each.definition.kind == "class" for each in lookup.taken.values()) == 1
    for (path, _), taken in sorted(lookup.taken.items(), key=lambda item: -item[1].score):
        whole = taken.definition.kind != "class" or (taken.score >= RECEIVER and alone)
        within = left if whole else min(left, max(int(most * CLASS_SHARE), 200))
        members, attached = _in_order(lookup.means, path, taken, near)
        text = rendered(language("", path), taken.definition, members, attached, near, within)
        if not text and taken.why == BEFORE_CURSOR and taken.definition.name.startswith(near.receiver.typed):
            names.setdefault(path, []).append(taken.definition.name)
        if not text or any(text == other for _, other in lines.get(path, ())):
            continue
        left -= len(text) + 1
        lines.setdefault(path, []).append((taken.definition.first, text))
        best.setdefault(path, (taken.score, taken.why))
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(*names.values(), fillvalue=""))
    if further := listed(filter(None, in_turn), spare - 1):
        path = max(asked, key=lambda each: best.get(each, (0.0, ""))[0])
        lines.setdefault(path, []).append((BEHIND_ALL, further))
        best.setdefault(path, (RECEIVER, BEFORE_CURSOR))
    return {path: ("".join(f"{text}\n" for _, text in sorted(parts)), *best[path]) for path, parts in lines.items()}
