"""The names that may stand at a cursor, where it is known what stands before the dot there: of its members, and of what
a module has."""

from __future__ import annotations

import math
import posixpath
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path, PurePosixPath

from lsp_server.context.buffer import Buffer
from lsp_server.context.languages import language, words
from lsp_server.context.related.around import function_around, nodes_around, with_name
from lsp_server.context.related.imports import MOST_FILES as MOST_OF_PACKAGE
from lsp_server.context.related.index import Index
from lsp_server.context.related.listing import modules_at
from lsp_server.context.related.meanings import MOST_RECEIVERS, Meanings
from lsp_server.context.related.objects import Module, Value
from lsp_server.context.related.reach import is_reached
from lsp_server.context.related.receivers import Receiver, receiver_at, text_before, types_in
from lsp_server.context.related.statements import ALL, WITHIN, Import
from lsp_server.context.related.uses import behind, uses
from lsp_server.context.related.values import before
from lsp_server.context.related.view import Opened
from lsp_server.context.related.wholes import whole
from lsp_server.context.uris import file_of
from lsp_server.context.workspace import Workspace

# What a name that is known gains on all that is not; where none is, one that is likely; and, times the logarithm of how
# often others write it behind the same dot, one that is used on those that are not; in nats.
KNOWN, LIKELY, USED = 12.0, 3.0, 1.0
# Names that are told of, and characters of one.
MOST, LONGEST = 500, 100
_NAME, _WORD = re.compile(r"[#$]?\w[\w$]*"), re.compile(r"(?<![\w.])[^\W\d]\w+")
# Files of which they may be.
MOST_FILES = 64
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
# Languages whose fields are there once something is assigned to them, and where that is done first.
BY_ASSIGNMENT = frozenset(words("python javascript javascriptreact"))
MAKERS = frozenset(words("__init__ __new__ __post_init__ setUp setUpClass setup setup_class setup_method constructor"))
_BEGINS = re.compile(r"(?:\A|\n)[ \t]*(?:[\w.]{1,60}[ \t]*,[ \t]*){0,20}\w+\.\w*\Z")
# Go's own packages, which are imported once they are written.
_GO_PACKAGES = words(
    "atomic bufio bytes context errors exec filepath fmt hash heap hex html http httptest io ioutil json list log math "
    "maps net os path rand reflect regexp runtime signal slices sort sql strconv strings sync syscall template testing "
    "time unicode url utf8 xml"
)
# What nearly all has, whatever else it has.
_ALWAYS = {
    "python": words("__class__ __dict__ __doc__ __module__ __name__"),
    "javascript": words("apply bind call hasOwnProperty then toString"),
    "typescript": words("apply bind call hasOwnProperty then toString"),
    "rust": words(
        "as_mut as_ref await borrow borrow_mut clone cmp default deserialize eq fmt from from_str hash into into_iter "
        "partial_cmp serialize to_owned to_string try_from try_into"
    ),
}


def possible(index: Index, workspace: Workspace, buffer: Buffer, row: int, column: int) -> Mapping[str, float]:
    """How the name at a place (0-based, in characters) may go on: what is left of each that is known, and "" where it
    need be no name, with how much more probable it is than a model finds, in nats. Blocks."""
    above = text_before(buffer.lines, row, column)
    behind_cursor = "".join(buffer.lines[row : row + BELOW])[column:]
    receiver = receiver_at(above)
    spoken, path = language(buffer.language_id, buffer.uri), file_of(buffer.uri)
    modules = modules_at(spoken.id, above, behind_cursor)
    start = above[: len(above) - len(receiver.typed)]
    bare = spoken.id == "go" and not receiver.is_member and bool(_USES.search(start)) and not _PARAMETERS.search(start)
    named = receiver.is_member and not _IMPORTS.search(above)
    if spoken.id not in LANGUAGES or not (modules or bare or named):
        return {}
    if not column or re.match(r"\w", behind_cursor):  # the indentation comes first; or the rest of a name is there
        return {}
    opened = index.source_of(buffer)
    if named:
        opened = with_name(opened, row, column)
    if receiver.is_self and _may_be_new(opened, above, row, column):
        return {}
    own = path.as_posix() if path is not None else ""
    means = Meanings(index.view(own, opened), opened.language.id, own)
    try:
        if bare:
            found = list(_in_package(means, opened.imports))
        else:
            found = list(_of_modules(means, _asked(means, opened, modules, row, column)))
        if named:
            found += _members(means, opened, row, column - len(receiver.typed), from_inside=receiver.is_self)
        guessed = _likely(means, opened, receiver) if named and not found and not receiver.is_self else []
        called = uses(means.view, workspace, receiver.name, spoken.id, own) if named and not receiver.is_self else {}
    except sqlite3.Error as error:
        index.met(error)
        return {}
    files = list(dict.fromkeys([*(path for path, _ in (*found, *guessed)), *called]))
    if len(files) > MOST_FILES:  # of some names it would not be known that there are any
        return {}
    shown = {path for path, why in zip(files, workspace.why_each_hidden(map(Path, files)), strict=True) if not why}
    known, likely = ({name for path, name in some if path in shown} for some in (found, guessed))
    if known:
        others = _without(buffer, row, column - len(receiver.typed))
        known |= {*_GO, *_GO_PACKAGES, *_WORD.findall(others)} if bare else {*behind(receiver.name, others)}
    counts = sum((called[path] for path in called if path in shown), Counter[str]())
    left = _weighed(receiver.typed, known, likely, counts)
    return {**left, "": KNOWN} if bare and left and not receiver.typed else left


def _weighed(typed: str, known: Set[str], likely: Set[str], counts: Counter[str]) -> dict[str, float]:
    """What is left of each name that begins as what is typed, the most probable first, with what it gains."""
    nats = {
        name: KNOWN * (name in known) + LIKELY * (name in likely) + USED * math.log1p(counts[name])
        for name in {*known, *likely, *counts}
    }
    fit = [name for name in nats if name.startswith(typed) and len(name) <= LONGEST and _NAME.fullmatch(name)]
    best = sorted(fit, key=lambda name: (-nats[name], name))[: MOST - 1]
    return {name[len(typed) :]: nats[name] for name in best}


def _may_be_new(opened: Opened, above: str, row: int, column: int) -> bool:
    """Whether a field of the class around the cursor may be made there: by what is assigned to it first."""
    if opened.language.id not in BY_ASSIGNMENT or not _BEGINS.search(above):
        return False
    return function_around(opened, row, column) in MAKERS


def _members(means: Meanings, opened: Opened, row: int, start: int, *, from_inside: bool) -> Iterator[tuple[str, str]]:
    """(file, name) of all that may stand at the cursor behind what stands before the dot there: of members of its
    classes, and of what a module has. None where a class is made from one of other people's, whose members nobody
    tells."""
    values = before(means, opened, row, start)
    yield from _of_modules(means, [each for each in values if isinstance(each, Module)])
    classes = [each for each in values if isinstance(each, Value)]
    found = [(each, whole(means, each.path, each.of, from_inside=from_inside, by_name=each.itself)) for each in classes]
    own = any(each.itself and each.path == means.path for each in classes) and opened.language.id in BY_ASSIGNMENT
    if own and _BEGINS.search(opened.buffer.lines[row][:start]):  # something may be set that was not there before
        return
    told: list[tuple[str, str]] = []
    for value, all_of in found if len(found) == len(values) and all(each.is_known for _, each in found) else ():
        for at_path, each, members in all_of.parts:
            reached = [one for one in members if is_reached(means.path, at_path, each, one, by_name=value.itself)]
            told += [(at_path, one.name) for one in reached]
        told += [(value.path, name) for name in (all_of.of_class if value.itself else all_of.names)]
    yield from told
    yield from ((value.path, name) for value, _ in found if told for name in _ALWAYS.get(means.language_id, ()))


def _likely(means: Meanings, opened: Opened, receiver: Receiver) -> list[tuple[str, str]]:
    """(file, name) of members of what stands before the dot where that is not certain: of the types that are said of
    its name anywhere in the file."""
    if receiver.called or not receiver.name:
        return []
    said = types_in("".join(line for line in opened.buffer.lines if receiver.name in line))
    types = {receiver.name, *said.get(receiver.name, ())}
    found: list[tuple[str, str]] = []
    for path, each in means.by_types(types, means.places(means.path, opened.imports))[:MOST_RECEIVERS]:
        by_name = receiver.is_class(each.name)
        for at, owner, members in whole(means, path, each).parts:
            found += [(at, one.name) for one in members if is_reached(means.path, at, owner, one, by_name=by_name)]
    return found


def _asked(means: Meanings, opened: Opened, modules: Sequence[Import], row: int, column: int) -> list[Module]:
    """The modules whose names are being written at a place; in a module of Rust within the file that around it is the
    file itself."""
    is_outer = any(each.module == "super" for each in modules)
    if is_outer and any(node.type == "mod_item" for node in nodes_around(opened, row, column)):
        return [Module((means.path,))]
    return [Module(place.paths) for place in means.places(means.path, modules)] if modules else []


def _of_modules(means: Meanings, modules: Sequence[Module]) -> Iterator[tuple[str, str]]:
    """(file, name) of what modules define and hand on; none where macros, or other people's modules, may add to it."""
    left = [path for module in modules for path in module.paths]
    if len(left) >= MOST_OF_PACKAGE:  # there may be more
        return
    told: dict[str, list[str]] = {}
    while left:
        if (path := left.pop()) in told:
            continue
        reached = [each for each in means.top(path) if is_reached(means.path, path, None, each, by_name=True)]
        names = told[path] = [each.name for each in reached]
        imports = () if path.endswith(".go") else means.view.imports(path)
        stars = {each.module: False for each in imports if ALL in each.names}
        for each in imports:
            for place in means.places(path, [each]) if each.kind not in {*WITHIN, "package"} else ():
                if ALL not in place.names:
                    names += [here for _, here in place.names]
                elif ALL in each.names:
                    stars[each.module] = True
                    left += place.paths
            if path.endswith(".rs") and each.kind in ("", "mod", "inline"):
                names += [each.alias, *(here for _, here in each.names if here != "*")]
        if len(told) > MOST_FILES or not all(stars.values()) or any(each.kind == "macro" for each in imports):
            return
        if path.endswith("/lib.rs"):  # macros that are exported lie at the top of the crate
            beside = means.view.in_folder(posixpath.dirname(path))
            names += [each.name for at in beside for each in means.top(at) if "macro_rules!" in each.text]
        if path.endswith(("/__init__.py", "/__init__.pyi")):
            names += _inside(means, posixpath.dirname(path))
    yield from ((path, name) for path, names in told.items() for name in names if name)


def _inside(means: Meanings, folder: str) -> Iterator[str]:
    """The modules and packages that lie in a package of Python."""
    yield from (PurePosixPath(each).stem for each in means.view.in_folder(folder))
    packages = {posixpath.dirname(each) for each in means.view.named("__init__.py")}
    yield from (posixpath.basename(each) for each in packages if posixpath.dirname(each) == folder)


def _in_package(means: Meanings, imports: Sequence[Import]) -> Iterator[tuple[str, str]]:
    """(file, name) of all that a file may name without an import, as another of its package defines it, and of the
    packages that these import."""
    places = [place for place in means.places(means.path, imports) if ALL in place.names]
    if any(len(place.paths) >= MOST_OF_PACKAGE for place in places):  # there may be more
        return
    for place in places:
        for path in place.paths:
            yield from ((path, each.name) for each in means.top(path))
            yield from ((path, each.alias) for each in means.view.imports(path))
    if means.path.endswith("_test.go"):
        for path in means.view.in_folder(posixpath.dirname(means.path)):
            yield from ((path, each.name) for each in means.top(path) if path.endswith("_test.go"))


def _without(buffer: Buffer, row: int, column: int) -> str:
    """A text without the rest of a line behind a place."""
    return "".join((*buffer.lines[:row], buffer.lines[row][:column], "\n", *buffer.lines[row + 1 :]))[:MOST_CHARACTERS]
