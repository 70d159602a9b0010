"""The names that may stand at a cursor, where it is known what stands before the dot there: of its members, and of what
a module has."""

from __future__ import annotations

import math
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lsp_server.context.buffer import Buffer
from lsp_server.context.languages import language, words
from lsp_server.context.related.index import Index
from lsp_server.context.related.listing import modules_at
from lsp_server.context.related.meanings import Meanings
from lsp_server.context.related.near import Near
from lsp_server.context.related.reach import is_reached
from lsp_server.context.related.receivers import makers_in, receiver_at, text_before, types_in
from lsp_server.context.related.statements import ALL, Import
from lsp_server.context.related.uses import behind, uses
from lsp_server.context.related.wholes import whole
from lsp_server.context.uris import file_of
from lsp_server.context.workspace import Workspace

# What a name that is known gains on all that is not, and, times the logarithm of how often others write it behind the
# same dot, one that is used on those that are not; in nats.
KNOWN, USED = 12.0, 1.0
# Names that are told of, and characters of one.
MOST, LONGEST = 500, 100
_NAME, _WORD = re.compile(r"[^\W\d][\w$]*"), re.compile(r"(?<![\w.])[^\W\d]\w+")
# Files of which they may be.
MOST_FILES = 64
# Lines that a call takes at most.
CALL_LINES = 8
# Rows below the cursor that tell in which list it is.
BELOW = 10
# Characters of a file in which what it calls by the same name is looked for.
MOST_CHARACTERS = 200_000
# Of which it is known what a class is made from.
LANGUAGES = frozenset(words("python typescript typescriptreact javascript javascriptreact rust go java c cpp cuda-cpp"))
# An import names what is not there to be called.
_IMPORTS = re.compile(r"^[ \t]*(?:(?:pub )?use|import|from|package|using|#include)\b[^\n]*\Z", re.MULTILINE)
# Behind these stands what is known already, and no name that is made there; in Go, where all of a package is known
# without an import.
_USES = re.compile(r"(?:[=&*!<>+/%|^\]:-]|(?<!\w)(?:return|case|go|defer|range)(?=[ \t])|\()[ \t]*\Z")
_PARAMETERS = re.compile(r"\bfunc\b[^{\n]*\(\Z")
_GO = words(
    "any append bool byte cap chan clear close comparable complex complex128 complex64 copy delete error false "
    "float32 float64 func imag int int16 int32 int64 int8 interface iota len make map max min new nil panic print "
    "println range real recover rune string struct true uint uint16 uint32 uint64 uint8 uintptr"
)
# What nearly all has, whatever else it has.
_ALWAYS = {
    "javascript": words("apply bind call hasOwnProperty then toString"),
    "typescript": words("apply bind call hasOwnProperty then toString"),
    "rust": words("as_mut as_ref await borrow borrow_mut clone cmp default eq fmt into to_owned to_string try_into"),
}


def possible(index: Index, workspace: Workspace, buffer: Buffer, row: int, column: int) -> Mapping[str, float]:
    """How the name at a place (0-based, in characters) may go on: what is left of each that is known, and "" where it
    need be no name, with how much more probable it is than a model finds, in nats. Blocks."""
    before = text_before(buffer.lines, row, column)
    behind_cursor = "".join(buffer.lines[row : row + BELOW])[column:]
    receiver = receiver_at(before)
    spoken, path = language(buffer.language_id, buffer.uri), file_of(buffer.uri)
    modules = modules_at(spoken.id, before, behind_cursor)
    start = before[: len(before) - len(receiver.typed)]
    bare = spoken.id == "go" and not receiver.name and bool(_USES.search(start)) and not _PARAMETERS.search(start)
    named = receiver.name and not _IMPORTS.search(before)
    if spoken.id not in LANGUAGES or not (modules or bare or named):
        return {}
    if not column or re.match(r"\w", behind_cursor):  # the indentation comes first; or the rest of a name is there
        return {}
    opened = index.source_of(buffer)
    own = path.as_posix() if path is not None else ""
    said = _said_of(receiver.name, buffer.lines) if receiver.name else ""
    near = Near({}, receiver, types_in(said), makers_in(said), modules)
    means = Meanings(index.view(own), opened.language.id, own)
    try:
        found = list(_in_package(means, opened.imports) if bare else _members(means, opened.imports, near))
        called = uses(means.view, workspace, receiver.name, spoken.id, own) if named else {}
    except sqlite3.Error as error:
        index.met(error)
        return {}
    files = list(dict.fromkeys([*(path for path, _ in found), *called]))[:MOST_FILES]
    shown = {path for path, why in zip(files, workspace.why_each_hidden(map(Path, files)), strict=True) if not why}
    known = {name for path, name in found if path in shown}
    if known:
        others = _without(buffer, row, column - len(receiver.typed))
        if bare:
            known |= {*_GO, *_WORD.findall(others)}
        elif receiver.name:
            known |= {*_ALWAYS.get(spoken.id, ()), *behind(receiver.name, others)}
    counts = sum((called[path] for path in called if path in shown), Counter[str]())
    nats = {name: KNOWN * (name in known) + USED * math.log1p(counts[name]) for name in {*known, *counts}}
    fit = [name for name in nats if name.startswith(receiver.typed) and len(name) <= LONGEST and _NAME.fullmatch(name)]
    best = sorted(fit, key=lambda name: (-nats[name], name))[: MOST - 1]
    left = {name[len(receiver.typed) :]: nats[name] for name in best}
    return {**left, "": KNOWN} if bare and left and not receiver.typed else left


def _members(means: Meanings, imports: Sequence[Import], near: Near) -> Iterator[tuple[str, str]]:
    """(file, name) of all that may stand at the cursor behind what stands before the dot there: members of its classes,
    and what a module has. None where a class is made from one of other people's, whose members nobody tells."""
    places = means.places(means.path, imports)
    found = [(path, each, whole(means, path, each)) for path, each in means.receivers(near, places, imports)]
    for path, of, all_of in found if all(each.parts for _, _, each in found) else ():
        by_name = near.receiver.is_class(of.name)
        for at, each, members in all_of.parts:
            for member in members:
                if is_reached(means.path, at, each, member, by_name=by_name):
                    yield at, member.name
        yield from ((path, name) for name in (() if by_name else all_of.names))
    for place in means.asked(near, places):
        for path in place.paths:
            for each in means.top(path):
                if is_reached(means.path, path, None, each, by_name=True):
                    yield path, each.name
            for inner in means.places(path, means.view.imports(path)) if not path.endswith(".go") else ():
                top = [each.name for at in inner.paths for each in means.top(at)] if ALL in inner.names else []
                yield from ((path, name) for name in (*top, *(here for _, here in inner.names)))


def _in_package(means: Meanings, imports: Sequence[Import]) -> Iterator[tuple[str, str]]:
    """(file, name) of all that a file may name without an import, as another of its package defines it, and of the
    packages that these import."""
    for place in means.places(means.path, imports):
        for path in place.paths if ALL in place.names else ():
            yield from ((path, each.name) for each in means.top(path))
            yield from ((path, each.alias) for each in means.view.imports(path))


def _said_of(name: str, lines: Sequence[str]) -> str:
    """The lines that have a name, each with what follows in its brackets."""
    chosen = {
        at
        for number, line in enumerate(lines)
        if name in line
        for at in range(number, number + (CALL_LINES if line.rstrip().endswith(("(", ",")) else 1))
    }
    return "".join(line for number, line in enumerate(lines) if number in chosen)


def _without(buffer: Buffer, row: int, column: int) -> str:
    """A text without the rest of a line behind a place."""
    return "".join((*buffer.lines[:row], buffer.lines[row][:column], "\n", *buffer.lines[row + 1 :]))[:MOST_CHARACTERS]
