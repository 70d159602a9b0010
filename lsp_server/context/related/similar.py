"""Pieces of other files that are about what the lines around the cursor are about, and the file that belongs to this.

Merely similar text makes a suggestion worse, so a piece must share several identifiers, and enough of what is rare in
the workspace.
"""

from __future__ import annotations

import math
import posixpath
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from lsp_server.context.buffer import Buffer
from lsp_server.context.in_time import TooSlow
from lsp_server.context.languages import language
from lsp_server.context.related.contents import Chunk, identifiers
from lsp_server.context.related.index import Index
from lsp_server.context.related.lookup import Lookup
from lsp_server.context.related.near import names_near
from lsp_server.context.related.piece import Piece
from lsp_server.context.related.signatures import outlined
from lsp_server.context.related.store import Match
from lsp_server.context.related.view import Opened, View
from lsp_server.context.uris import file_of
from lsp_server.context.workspace import OutOfReach, Workspace

# Lines around the cursor whose identifiers are searched for, and the identifiers.
ABOVE, BELOW, MOST_WORDS = 15, 5, 24
# A chunk of the same file counts where it is so many lines away: what is nearer is in the window.
OWN_LINES = 150
# A word in more than this share of the chunks, and in more than a few, says nothing.
COMMON, FEW = 0.05, 10
# Of the weight of the words around the cursor, what a chunk must share, and how many words.
THRESHOLD, LEAST_SHARED = 0.3, 3
# Chunks that share this much of their words are the same.
SAME = 0.8
# Words that are searched for on disk, and candidates from the search.
MOST_SEARCHED, CANDIDATES = 12, 60
# Characters of the outline of a file's counterpart.
COUNTERPART_CHARACTERS = 1500


def similar(index: Index, workspace: Workspace, buffer: Buffer, row: int, column: int, most: int) -> list[Piece]:
    """Up to `most` chunks of the workspace that share rare identifiers with the lines around the cursor, the one with
    most first. Blocks."""
    path = file_of(buffer.uri)
    opened, view = index.source_of(buffer), index.view(path.as_posix() if path is not None else "")
    try:
        searching = _Searching(view, opened, row)
        found = _distinct(searching.found(), most)
    except sqlite3.Error as error:
        index.met(error)
        return []
    pieces = (_piece("similar", workspace, view, match, score, why) for match, score, why in found)
    return [piece for piece in pieces if piece is not None][:most]


class _Searching:
    """What the lines around a row have in common with chunks of other files."""

    def __init__(self, view: View, opened: Opened, row: int) -> None:
        path = file_of(opened.buffer.uri)
        self._view, self._row = view, row
        self._path = path.as_posix() if path is not None else ""
        self._language = opened.language.id
        lines = opened.buffer.lines
        words = identifiers("".join(lines[max(0, row - ABOVE) : row + BELOW + 1]))
        weights = {word: self._weight(word) for word in words}
        self.weights = dict(sorted(weights.items(), key=lambda item: -item[1])[:MOST_WORDS])
        # What is on disk: the rarest of them, as each word takes time, and one that is nowhere finds nothing.
        held = {word: view.rarity(word)[0] for word, weight in self.weights.items() if weight > 0}
        self._searched = sorted((word for word in held if held[word]), key=lambda word: (held[word], word))

    def _weight(self, word: str) -> float:
        """The inverse document frequency, as in BM25; 0 of a word that is all over the workspace."""
        held, total = self._view.rarity(word)
        if held > max(COMMON * total, FEW):
            return 0.0
        return math.log(1 + (total - held + 0.5) / (held + 0.5))

    def found(self) -> Iterator[tuple[Match, float, str]]:
        """(chunk, the share of the words' weight that it has, why) of those above the threshold, best first."""
        wanted = self._searched[:MOST_SEARCHED]
        scored = ((match, *self.score(match.words)) for match in self._view.search(wanted, self._language, CANDIDATES))
        good = [
            (match, score, why)
            for match, score, why in scored
            if score >= THRESHOLD and not (match.path == self._path and self._is_near(match))
        ]
        return iter(sorted(good, key=lambda each: -each[1]))

    def score(self, words: Collection[str]) -> tuple[float, str]:
        """(the share of the weight that some words have, 0 where too few are shared; why)"""
        held = frozenset(words)
        shared = [word for word, weight in self.weights.items() if weight > 0 and word in held]
        whole = sum(self.weights.values())
        if len(shared) < LEAST_SHARED or not whole:
            return 0.0, ""
        return sum(self.weights[word] for word in shared) / whole, f"shares {', '.join(shared[:3])}"

    def _is_near(self, match: Match) -> bool:
        return match.first - OWN_LINES < self._row < match.last + OWN_LINES


def _distinct(found: Iterator[tuple[Match, float, str]], most: int) -> list[tuple[Match, float, str]]:
    """Without chunks that are nearly the same as a better one; some more than `most`, as some may be hidden."""
    kept: list[tuple[Match, float, str]] = []
    for each in found:
        held = set(each[0].words)
        if all(len(held & set(other.words)) < SAME * len(held | set(other.words)) for other, _, _ in kept):
            kept.append(each)
        if len(kept) >= 2 * most:
            break
    return kept


def _piece(source: str, workspace: Workspace, view: View, match: Match, score: float, why: str) -> Piece | None:
    """The text of a chunk, from the file as it is now; None where the file is hidden, gone or has become another."""
    try:
        lines = view.lines(match.path, workspace)
    except (OutOfReach, TooSlow):
        return None
    chosen = lines[match.first : match.last + 1]
    held = set(identifiers("".join(chosen)))
    if not chosen or len(held & set(match.words)) < SAME * len(match.words):
        return None
    first = next((number for number, line in enumerate(chosen) if line.strip()), 0)
    text = "".join(chosen[first:]).rstrip() + "\n"
    return Piece(source, workspace.within(Path(match.path)) or match.path, text, match.first + first, score, why)


def counterpart(index: Index, workspace: Workspace, buffer: Buffer, row: int = 0, column: int = 0) -> Piece | None:
    """The test of a source file, the source of a test, the header of a source file or the other way round: of a source
    and a header what it defines, of a test the piece that shares most with the lines around the cursor. Blocks."""
    path = file_of(buffer.uri)
    if path is None:
        return None
    own = path.as_posix()
    opened, view = index.source_of(buffer), index.view(own)
    try:
        other = _nearest(own, [each for name in names_of_counterparts(path.name) for each in view.named(name)])
        if not other:
            return None
        if is_test(posixpath.basename(other)):
            return _best_test(workspace, view, _Searching(view, opened, row), other)
        lookup = Lookup(view, language("", other).id, own)
        text = outlined(lookup, other, names_near(opened, row, column), COUNTERPART_CHARACTERS)
    except sqlite3.Error as error:
        index.met(error)
        return None
    if not text or workspace.why_hidden(Path(other)):
        return None
    name = workspace.within(Path(other)) or other
    return Piece("counterpart", name, text, None, 1.0, f"what {posixpath.basename(own)} belongs to")


def _best_test(workspace: Workspace, view: View, searching: _Searching, other: str) -> Piece | None:
    chunks: Sequence[Chunk] = view.chunks(other)
    if not chunks:
        return None
    scores = [(searching.score(chunk.words)[0], -chunk.first, chunk) for chunk in chunks]
    score, _, chunk = max(scores, key=lambda each: each[:2])
    match = Match(other, chunk.first, chunk.last, chunk.words)
    return _piece("counterpart", workspace, view, match, 1.0 + score, "the test of this file")


# What stands before or after the name of a source file in the name of its test.
_TEST_MARKS: Mapping[str, tuple[tuple[str, str], ...]] = {
    ".py": (("test_", ""), ("", "_test")),
    **dict.fromkeys((".ts", ".tsx", ".js", ".jsx", ".mjs", ".mts"), (("", ".test"), ("", ".spec"))),
    ".go": (("", "_test"),),
    ".rs": (("", "_test"), ("test_", ""), ("", "_tests")),
    ".java": (("", "Test"), ("", "Tests"), ("Test", ""), ("", "IT")),
    ".kt": (("", "Test"), ("", "Tests")),
    ".cs": (("", "Tests"), ("", "Test")),
    ".rb": (("", "_spec"), ("", "_test"), ("test_", "")),
    ".php": (("", "Test"),),
    **dict.fromkeys((".c", ".cc", ".cpp", ".cxx"), (("test_", ""), ("", "_test"), ("", "_unittest"), ("", "Test"))),
}
_HEADERS, _BODIES = (".h", ".hpp", ".hh", ".hxx"), (".c", ".cpp", ".cc", ".cxx", ".cu", ".m")
_ALIKE = {".tsx": (".ts",), ".jsx": (".js",), ".ts": (".tsx",), ".js": (".jsx",)}


def names_of_counterparts(name: str) -> list[str]:
    """What the test or the source, the header or the body of a file of this name may be called, likely ones first."""
    stem, suffix = posixpath.splitext(name)
    marks = _TEST_MARKS.get(suffix, ())
    bare = _without_mark(stem, marks)
    suffixes = (suffix, *_ALIKE.get(suffix, ()))
    if bare:
        return [bare + each for each in suffixes]
    others = _BODIES if suffix in _HEADERS else _HEADERS if suffix in _BODIES else ()
    tests = [before + stem + after + each for before, after in marks for each in suffixes]
    return [*(stem + each for each in others), *tests]


def is_test(name: str) -> bool:
    """Whether a file is a test by its name."""
    stem, suffix = posixpath.splitext(name)
    return bool(_without_mark(stem, _TEST_MARKS.get(suffix, ())))


def _without_mark(stem: str, marks: Sequence[tuple[str, str]]) -> str:
    """The name of the source in that of its test; "" where it is none."""
    for before, after in marks:
        if stem.startswith(before) and stem.endswith(after) and len(stem) > len(before) + len(after):
            return stem[len(before) : len(stem) - len(after)]
    return ""


def _nearest(path: str, found: Sequence[str]) -> str:
    """The file with most folders in common with `path`, of those alike the first; "" of none."""
    others = [each for each in found if each != path]
    return max(others, key=lambda each: len(posixpath.commonpath([path, each])), default="")
