"""A name of one file in another: the places where it means the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from lsp_server.context.trees import Tree
from lsp_server.next_edit.binding import above, is_field, parent_of
from lsp_server.next_edit.documents import Document
from lsp_server.next_edit.literals import is_object, object_called
from lsp_server.next_edit.modules import imported_name, is_from, stem_of
from lsp_server.next_edit.names import Hit, hits
from lsp_server.next_edit.objects import COMMON, is_anothers, is_bound, owner_of
from lsp_server.next_edit.roles import class_outside

# Languages in which a file must import what it uses of others.
_IMPORTING = ("python", "javascript", "javascriptreact", "typescript", "typescriptreact")


def is_seen_elsewhere(document: Document, base: Tree, changed: Hit) -> bool:
    """Whether other files may have a name that was changed in one."""
    if changed.role == "member":
        return changed.node.text.decode() not in COMMON or bool(changed.owner)
    if changed.imported and PurePosixPath(document.uri).stem != "__init__":  # which hands out what it imports
        return False
    return changed.scope == base.root.id and not _is_static(changed.node)


def _namespace_of(changed: Hit) -> str:
    """The namespace of C++ that a name is one of; "" for none."""
    around = above(changed.node, frozenset(("namespace_definition",)))
    named = around.child_by_field_name("name") if around is not None else None
    return named.text.decode() if named is not None else ""


def _is_static(node: Any) -> bool:
    """Whether a function or variable of C is that of its file alone."""
    while (node := parent_of(node)) is not None:
        if any(each.type == "storage_class_specifier" and each.text == b"static" for each in node.named_children[:2]):
            return True
        if node.type in ("function_definition", "declaration"):
            return False
    return False


def elsewhere(document: Document, other: Document, name: str, changed: Hit) -> list[Hit]:
    """The places of the same meaning in another file."""
    assert other.tree is not None
    places = hits(other.tree, name)
    stem = stem_of(document.uri)
    if changed.role == "member" and is_object(changed.owner):
        called = [hit for hit in places if object_called(hit.receiver) == changed.owner]
        return [hit for hit in called if _is_through(document, other, hit)]
    if changed.role == "member":
        members = [hit for hit in places if hit.role == "member" and not is_anothers(hit, other.tree, changed.owner)]
        free = [hit for hit in places if hit.role == "plain" and not hit.scope and changed.owner]
        members += [hit for hit in free if class_outside(hit.node) == changed.owner]
        members = [hit for hit in members if hit.defines or _is_of(changed.owner, hit, other.tree)]
        says = rb"\b(?:%s|%s)\b" % (re.escape((changed.owner or stem).encode()), re.escape(stem.encode()))
        if any(hit.defines for hit in members) or not re.search(says, other.tree.data):
            return []
        return members
    if other.spoken.id == "go":
        return _of_package(document, other, places)
    if other.spoken.id == "java":
        return _of_java(document, other, places)
    imported = [hit for hit in places if _is_import(hit) and is_from(hit.node, document.uri, other.uri)]
    bound = {hit.scope for hit in imported if hit.imported}
    found = [hit for hit in places if hit in imported or (hit.role == "plain" and hit.scope in bound)]
    found += [hit for hit in places if hit.role in ("member", "path") and _is_through(document, other, hit)]
    found += [hit for hit in places if hit.receiver and hit.receiver.rpartition("::")[2] == _namespace_of(changed)]
    if other.spoken.id in _IMPORTING or found:
        return found
    free = [hit for hit in places if hit.role == "plain" and not hit.scope]
    if other.spoken.id in ("c", "cpp"):  # declared in one file, defined in the other
        free = [hit for hit in places if hit.role == "plain" and hit.scope in (0, other.tree.root.id)]
    return free


def _is_of(owner: str, hit: Hit, tree: Tree) -> bool:
    """Whether a member is one of a class of another file, as far as its object tells."""
    return owner_of(hit, tree) == owner or (hit.node.text.decode() not in COMMON and is_bound(hit, tree))


def _is_import(hit: Hit) -> bool:
    """Whether a file takes something by that name from another, to call it so or by an alias, or to hand it on."""
    around = parent_of(hit.node)
    kind = around.type
    if is_field(around, "alias", hit.node):
        return False
    if kind == "dotted_name" and hit.role == "path":  # Python
        alias = parent_of(around)
        return bool(alias.type == "aliased_import" and parent_of(alias).type == "import_from_statement")
    if kind in ("import_specifier", "use_as_clause"):
        return hit.role == "path" or hit.imported
    if kind == "export_specifier":
        return hit.role == "path"
    return hit.imported and kind != "import_clause"  # which names what has none of its own


def _is_from_file(hit: Hit) -> bool:
    """Whether a name is imported, or that of a module of Rust which is another file."""
    around = parent_of(hit.node)
    return hit.imported or (around.type == "mod_item" and around.child_by_field_name("body") is None)


def _is_through(document: Document, other: Document, hit: Hit) -> bool:
    """Whether the module stands in front of a name."""
    assert other.tree is not None
    first, *more = re.split(r"\.|::|->", hit.receiver)
    there = hits(other.tree, first) if first else []
    if other.spoken.id not in _IMPORTING:
        local = any(each.binds and each.role == "plain" and not _is_from_file(each) for each in there)
        return (more or [first])[-1] == stem_of(document.uri) and not local
    return any(
        each.imported and is_from(each.node, document.uri, other.uri)
        for each in there
        if not more or imported_name(each.node) == hit.receiver
    )


def _of_package(document: Document, other: Document, places: Sequence[Hit]) -> list[Hit]:
    """In Go the files of a folder see each other; others say the name of the package in front."""
    assert other.tree is not None
    mine, theirs = (PurePosixPath(each.uri).parent for each in (document, other))
    found = [hit for hit in places if hit.role == "plain" and not hit.scope and mine == theirs]
    spelled = re.escape(mine.name.encode())
    said = re.search(rb'(?:(\w+)[ \t]+)?"(?:[^"\n]*/)?%s"' % spelled, other.tree.data)
    called = ((said[1] or b"").decode().removeprefix("import") or mine.name) if said is not None else ""
    return found + [hit for hit in places if hit.role == "member" and called and hit.receiver == called]


def _of_java(document: Document, other: Document, places: Sequence[Hit]) -> list[Hit]:
    """In Java the classes of a folder see each other; others import the class, or all of the folder."""
    assert other.tree is not None
    mine, theirs = (PurePosixPath(each.uri).parent for each in (document, other))
    named = [hit for hit in places if hit.role == "path" and is_field(parent_of(hit.node), "name", hit.node)]
    paths = [parent_of(hit.node).child_by_field_name("scope") for hit in named]
    if not all(path is not None and path.text.decode().rpartition(".")[2] == mine.name for path in paths):
        return []  # another class of that name
    whole = re.compile(rb"\bimport\s+(?:[\w.]+\.)?%s\.\*" % re.escape(mine.name.encode()))
    if mine != theirs and not named and not whole.search(other.tree.data):
        return []
    return named + [hit for hit in places if hit.role == "plain" and not hit.scope]
