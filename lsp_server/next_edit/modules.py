"""Which file an import names, as far as its words and the paths of two files tell."""

from __future__ import annotations

import posixpath
import re
from pathlib import PurePosixPath
from typing import Any

from lsp_server.context.languages import words
from lsp_server.next_edit.binding import above, parent_of
from lsp_server.next_edit.tokens import tokens

_STATEMENTS = frozenset(words("import_statement import_from_statement use_declaration import_spec export_statement"))
# Files that stand for their folder.
_OF_FOLDER = ("__init__", "index", "mod")
# Words of Rust's paths that name no folder, and the folder that stands for a crate.
_ROOTS, _SOURCES = ("crate", "self", "super"), "src"


def stem_of(uri: str) -> str:
    """What a file is called where it is imported."""
    path = PurePosixPath(uri)
    return path.parent.name if path.stem in _OF_FOLDER else path.stem


def is_from(node: Any, uri: str, other: str) -> bool:
    """Whether the import that a node stands in, in the file `other`, names the file `uri`, or something in it."""
    statement = above(node, _STATEMENTS)
    if statement is None:
        return False
    source = statement.child_by_field_name("source")
    if source is not None:
        return _is_at(source.text.decode().strip("\"'`"), uri, other)
    if statement.type == "import_spec":  # Go: a package is a folder
        path = statement.child_by_field_name("path")
        return path is not None and path.text.decode().strip('"`').rpartition("/")[2] == PurePosixPath(uri).parent.name
    if statement.type == "import_from_statement":
        module = statement.child_by_field_name("module_name").text.decode()
        return _is_module(module, uri, other) or _is_module(f"{module}.{imported_name(node)}", uri, other)
    if statement.type == "import_statement":
        return _is_module(imported_name(node), uri, other)
    return _is_path(statement, uri)


def imported_name(node: Any) -> str:
    """What Python imports where a name stands, which may be its alias."""
    around = parent_of(node)
    if around.type == "dotted_name":
        return str(around.text.decode())
    named = around.child_by_field_name("name")
    return named.text.decode() if named is not None else ""


def _is_at(source: str, uri: str, other: str) -> bool:
    """Whether what JavaScript imports from is a file: by its path, or where that is not said by its name."""
    path = PurePosixPath(uri)
    whole = [str(path.with_suffix("")), *([str(path.parent)] if path.stem in _OF_FOLDER else [])]
    named = re.sub(r"\.[cm]?[jt]sx?$", "", source)
    if source.startswith("."):
        return posixpath.normpath(f"{PurePosixPath(other).parent}/{named}") in map(posixpath.normpath, whole)
    return named.rpartition("/")[2] == stem_of(uri)


def _is_module(name: str, uri: str, other: str) -> bool:
    """Whether a module of Python is a file: its parts are the end of the path, of a relative one all."""
    path = PurePosixPath(uri)
    whole = (path.parent if path.stem in _OF_FOLDER else path.with_suffix("")).parts
    bare = name.lstrip(".")
    parts = tuple(bare.split(".")) if bare else ()
    level = len(name) - len(bare)
    if level:
        return whole == (*PurePosixPath(other).parents[level - 1].parts, *parts)
    return bool(parts) and whole[-len(parts) :] == parts


def _is_path(statement: Any, uri: str) -> bool:
    """Whether a path of Rust leads to a file: it has its name, behind that of its folder where that is no crate's."""
    said = [token.text for token in tokens(statement.text.decode()) if token.is_word and token.text != "use"]
    stem, folder = stem_of(uri), PurePosixPath(uri).parent.name
    if stem not in said:
        return False
    ahead = said[said.index(stem) - 1] if said.index(stem) else ""
    return not ahead or ahead in _ROOTS or folder in (_SOURCES, stem, ahead)
