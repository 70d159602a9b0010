"""The signatures of what a file imports from its own workspace, those that are used near the cursor first.

A class comes with its members, also where it is only the type that a function returns, so that what can be called on it
is known. Names that are used and not imported are taken where the workspace defines them at one place alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from lsp_server.context.buffer import Buffer
from lsp_server.context.languages import language
from lsp_server.context.related.index import Index
from lsp_server.context.related.lookup import Lookup
from lsp_server.context.related.near import names_near
from lsp_server.context.related.piece import Piece
from lsp_server.context.related.rendering import rendered
from lsp_server.context.uris import file_of
from lsp_server.context.workspace import Workspace

# Of the characters there are, what one class takes at most.
CLASS_SHARE = 0.6
# Files whose rules are asked for at one cursor.
MOST_FILES = 16


def imported(
    index: Index, workspace: Workspace, buffer: Buffer, row: int, column: int, most_characters: int
) -> list[Piece]:
    """Signatures of up to so many characters, a piece for each file that they are of, the most useful first. `row` and
    `column`: the cursor, 0-based, in characters. Blocks."""
    opened, path = index.source_of(buffer), file_of(buffer.uri)
    weights = names_near(opened, row, column)
    own = path.as_posix() if path is not None else ""
    lookup = Lookup(index.view(own), opened.language.id, own)
    try:
        lookup.take(opened.imports, weights)
        return _pieces(lookup, workspace, weights, most_characters)
    except sqlite3.Error as error:
        index.met(error)
        return []


def outlined(lookup: Lookup, path: str, weights: Mapping[str, float], most_characters: int) -> str:
    """What a file defines, in up to so many characters, what is used near the cursor before the rest."""
    lookup.take_all(path, weights)
    return _texts(lookup, weights, most_characters).get(path, ("", 0.0, ""))[0]


def _pieces(lookup: Lookup, workspace: Workspace, weights: Mapping[str, float], most: int) -> list[Piece]:
    hidden: dict[str, bool] = {}
    for path, _ in lookup.taken:
        if path not in hidden:
            hidden[path] = len(hidden) >= MOST_FILES or bool(workspace.why_hidden(Path(path)))
    lookup.taken = {key: each for key, each in lookup.taken.items() if not hidden[key[0]]}
    found = [
        Piece("imports", workspace.within(Path(path)) or path, text, None, score, why)
        for path, (text, score, why) in _texts(lookup, weights, most).items()
    ]
    return sorted(found, key=lambda piece: -piece.score)


def _texts(lookup: Lookup, weights: Mapping[str, float], most: int) -> dict[str, tuple[str, float, str]]:
    """By file: (text, the highest score in it, why it was taken) of what there is room for."""
    lines: dict[str, list[tuple[int, str]]] = {}
    best: dict[str, tuple[float, str]] = {}
    left = most
    for (path, name), taken in sorted(lookup.taken.items(), key=lambda item: -item[1].score):
        within = left if taken.definition.kind != "class" else min(left, max(int(most * CLASS_SHARE), 200))
        members, attached = lookup.members(path, name)
        text = rendered(language("", path), taken.definition, members, attached, weights, within)
        if not text or any(text == other for _, other in lines.get(path, ())):
            continue
        left -= len(text) + 1
        lines.setdefault(path, []).append((taken.definition.first, text))
        best.setdefault(path, (taken.score, taken.why))
    return {path: ("".join(f"{text}\n" for _, text in sorted(listed)), *best[path]) for path, listed in lines.items()}
