"""Where pieces come from: edits, tabs, what was copied, the cells of a notebook, and the index of the workspace.

A source is asked in a thread. What it goes by is one `Seen`, made where changes are taken in, which does not change any
more. Pieces of files that are hidden are left out by whoever asks; see `gathering`.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lsp_server.context import masking, syntax
from lsp_server.context.buffer import Buffer, split_lines
from lsp_server.context.journal import Change
from lsp_server.context.languages import Language, language
from lsp_server.context.related.piece import Piece
from lsp_server.context.window import normalized
from lsp_server.context.workspace import Workspace
from lsp_server.errors import UserError

if TYPE_CHECKING:
    from lsp_server.context.related.index import Index

# Characters of signatures, and pieces that are like the lines around the cursor.
MOST_SIGNATURES, MOST_SIMILAR = 4000, 6
# Edits that are shown; those of before say little.
MOST_EDITS = 6
# An edit so near to the cursor is the one that is being made.
EDITING_ROWS = 3
# What was written within so many lines of the cursor can be read there.
NEAR_BEFORE, NEAR_AFTER = 100, 40
# Prose, which says little to code.
PROSE = ("markdown", "plaintext")
# Lines around the cursor of which the names are looked for in other tabs.
NAMES_BEFORE, NAMES_AFTER = 12, 4
# Characters of a tab or a file of which the definitions are looked for, and lines that are taken of one.
MOST_CHARACTERS, MOST_LINES = 200_000, 24
# Tabs and files whose definitions are remembered.
MOST_TABS = 12
# Lines of a header, and members of a class.
MOST_HEADER, MOST_MEMBERS = 6, 12

_NAME = re.compile(r"[^\W\d]\w{2,}")
_DEFINED = re.compile(
    r"\b(?:def|class|function|func|fn|fun|type|struct|enum|interface|trait|const|let|var|val|module|namespace)\s+(\w+)"
)


@dataclasses.dataclass(frozen=True)
class Copied:
    """A text that was just copied in the editor; `uri` "" where it is not known from where. `time` in seconds."""

    text: str
    uri: str
    time: float


@dataclasses.dataclass(frozen=True)
class Seen:
    """What the user did and has before them: the other open documents, the one looked at last first; files that were
    open; what was edited, the newest first; what was copied; the cells before this one, in their order; and the index
    of the workspace, where there is one. `characters`: of signatures, about as many as a prompt has room for."""

    workspace: Workspace
    buffers: tuple[Buffer, ...] = ()
    files: tuple[Path, ...] = ()
    changes: tuple[Change, ...] = ()
    copied: tuple[Copied, ...] = ()
    cells: tuple[Buffer, ...] = ()
    index: Index | None = None
    characters: int = MOST_SIGNATURES


Source = Callable[[Seen, Buffer, int, int], list[Piece]]
"""The pieces for a place of a buffer: (what there is to see, buffer, row, column). In a thread; may raise UserError."""


def edits(seen: Seen, buffer: Buffer, row: int, column: int) -> list[Piece]:
    """What was edited in the last minutes, here and elsewhere, as small diffs."""
    pieces = []
    for change in seen.changes:
        here = change.uri == buffer.uri
        if change.before.split() == change.after.split():
            continue
        if here and change.row - EDITING_ROWS <= row <= change.last_row + EDITING_ROWS:
            continue
        if here and -NEAR_AFTER < row - change.row < NEAR_BEFORE and not _gone(change):
            continue
        name = seen.workspace.name_of(change.uri)
        if not here and language("", name).id in PROSE:
            continue
        pieces.append(Piece("edits", name, diff(change), score=change.time, why="edited in the last minutes"))
    return pieces[:MOST_EDITS]


def _gone(change: Change) -> set[str]:
    """The names that a change took away, and not those that it completed."""
    after = set(_NAME.findall(change.after))
    before = set(_NAME.findall(change.before)) - after
    return {name for name in before if not any(each.startswith(name) for each in after)}


def diff(change: Change) -> str:
    """A change as a diff shows it."""
    parts = ((" ", change.above), ("-", change.before), ("+", change.after), (" ", change.below))
    return "".join(f"{mark}{line}\n" for mark, text in parts for line in text.removesuffix("\n").split("\n") if text)


def copied(seen: Seen, buffer: Buffer, row: int, column: int) -> list[Piece]:
    """What was copied inside the editor: it is about to be put somewhere, or to be written likewise."""
    return [
        Piece(
            "copied",
            seen.workspace.name_of(each.uri) if each.uri else "",
            masking.masked(normalized(each.text)),
            score=each.time,
            why="copied in the editor",
        )
        for each in seen.copied
    ]


def cells(seen: Seen, buffer: Buffer, row: int, column: int) -> list[Piece]:
    """The cells of a notebook before this one, the last of them first; what is no code as comments."""
    spoken = language(buffer.language_id, buffer.uri)
    pieces = []
    for number, cell in enumerate(seen.cells):
        text = normalized(cell.source)
        if language(cell.language_id).id in PROSE:
            mark = spoken.line_comment or "#"
            text = "".join(f"{mark} {line}".rstrip() + "\n" for line in text.strip("\n").split("\n"))
        if text.strip():
            name = seen.workspace.name_of(cell.uri)
            pieces.append(Piece("cells", name, text, score=number, why="a cell before"))
    return pieces


def tabs(seen: Seen, buffer: Buffer, row: int, column: int) -> list[Piece]:
    """Of open tabs, and of files that were open, the definitions that the lines around the cursor name."""
    near = "".join(buffer.lines[max(0, row - NAMES_BEFORE) : row + NAMES_AFTER])
    wanted = set(_NAME.findall(near)) - set(_DEFINED.findall(buffer.source))
    if not wanted:
        return []
    spoken = language(buffer.language_id, buffer.uri)
    found: list[tuple[str, int, list[syntax.Block], list[str]]] = []
    for order, (name, text, theirs) in enumerate(_texts(seen)):
        # A text that has none of the names is not parsed.
        if not _alike(spoken, theirs) or len(text) > MOST_CHARACTERS or wanted.isdisjoint(_NAME.findall(text)):
            continue
        blocks = _blocks(text, theirs.id)
        if any(block.name in wanted for block in blocks):
            found.append((name, order, blocks, split_lines(text)))
    rarity = Counter(name for _, _, blocks, _ in found for name in {block.name for block in blocks} & wanted)
    pieces = []
    for name, order, blocks, lines in found:
        score = sum(1 / rarity[each] for each in {block.name for block in blocks} & wanted) - order / 1000
        text = "".join(f"{line}\n" for line in _outline(blocks, wanted, lines))
        pieces.append(Piece("open", name, text, score=score, why="defines what is used here"))
    return pieces


@functools.lru_cache(MOST_TABS)
def _blocks(text: str, language_id: str) -> list[syntax.Block]:
    """The definitions of a tab, which is asked for them again at each place of another document."""
    return syntax.symbols(text, language_id, tree=syntax.parse(text, language_id, gently=True))


def _texts(seen: Seen) -> Iterator[tuple[str, str, Language]]:
    """(what the user calls it, text, language) of the tabs, and of files that were open."""
    for buffer in seen.buffers:
        yield seen.workspace.name_of(buffer.uri), normalized(buffer.source), language(buffer.language_id, buffer.uri)
    for path in seen.files:
        try:
            text = seen.workspace.text(path, MOST_CHARACTERS)
        except UserError:
            continue
        yield seen.workspace.within(path) or str(path), normalized(text), language("", path.name)


def _alike(one: Language, other: Language) -> bool:
    """Whether what one language defines may be used in the other."""
    same = {"typescriptreact": "typescript", "javascript": "typescript", "javascriptreact": "typescript", "c": "cpp"}
    return same.get(one.id, one.id) == same.get(other.id, other.id)


def _outline(blocks: list[syntax.Block], wanted: set[str], lines: list[str]) -> list[str]:
    """The headers of the definitions that are wanted, with those of the classes around them, and of what a wanted class
    has."""
    named = {block.path: block for block in blocks}
    taken: set[str] = set()
    for block in blocks:
        if block.name not in wanted or (block.container and block.container not in named):
            continue
        taken |= {block.path, *([block.container] if block.container else [])}
        if block.kind == "class":
            members = [each.path for each in blocks if each.container == block.path]
            taken |= set(members[:MOST_MEMBERS])
    outline: list[str] = []
    for block in blocks:
        if block.path in taken:
            body = block.body_first_line
            end = block.header_line + 1 if body is None else max(block.header_line + 1, body)
            outline += [line.rstrip("\r\n") for line in lines[block.header_line : end][:MOST_HEADER]]
            if block.docs is not None and block.docs[0] >= end:
                outline.append(lines[block.docs[0]].rstrip("\r\n"))
    return outline[:MOST_LINES]


def imports(seen: Seen, buffer: Buffer, row: int, column: int) -> list[Piece]:
    """Signatures of what the file imports from its own project, and of what the lines around the cursor use."""
    if seen.index is None:
        return []
    from lsp_server.context.related.signatures import imported

    return imported(seen.index, seen.workspace, buffer, row, column, seen.characters)


def similar(seen: Seen, buffer: Buffer, row: int, column: int) -> list[Piece]:
    """Pieces of other files that are about the same names."""
    if seen.index is None:
        return []
    from lsp_server.context.related.similar import similar as alike

    return alike(seen.index, seen.workspace, buffer, row, column, MOST_SIMILAR)


def counterpart(seen: Seen, buffer: Buffer, row: int, column: int) -> list[Piece]:
    """Of a source file's test, or of a test's source file."""
    if seen.index is None:
        return []
    from lsp_server.context.related.similar import counterpart as other

    piece = other(seen.index, seen.workspace, buffer, row, column)
    return [piece] if piece is not None else []


SOURCES: Mapping[str, Source] = {
    "cells": cells,
    "edits": edits,
    "imports": imports,
    "similar": similar,
    "counterpart": counterpart,
    "copied": copied,
    "open": tabs,
}
"""By the name of each, of which `related_<name>` is the setting."""
