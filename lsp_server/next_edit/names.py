"""A name in a text: each place where it stands, what it is there, and which of them mean the same.

Found in the syntax tree, for several languages at once: the types of their nodes hardly collide.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from lsp_server.context.trees import Tree
from lsp_server.next_edit.binding import CLASSES, IMPORTS, above, binding, is_field, parent_of
from lsp_server.next_edit.lineage import bases
from lsp_server.next_edit.literals import object_around, variable_of
from lsp_server.next_edit.roles import (
    MEMBER,
    SHORTHANDS,
    Role,
    class_of,
    class_outside,
    function_of,
    is_identifier,
    is_initialized,
    name_of_class,
    received,
    role_of,
)
from lsp_server.next_edit.scopes import IN_ORDER, begins, bound_in, said_elsewhere, scopes

_IN_WORD = re.compile(rb"[\w\x80-\xff]")
# Languages that say `self`, or the object, in front of a member.
WITH_SELF = ("python", "javascript", "javascriptreact", "typescript", "typescriptreact", "rust", "go", "ruby", "php")
# More places of one name than this are no work for single edits.
MOST_HITS = 300


@dataclasses.dataclass(frozen=True, eq=False)
class Hit:
    """One place of a name. `column` counts characters. `binds`: it stands for something from here on. `scope`: of a
    plain one, the id of the node within which it means the same, 0 where it is bound nowhere."""

    node: Any
    row: int
    column: int
    role: Role
    binds: bool
    scope: int = 0

    @functools.cached_property
    def imported(self) -> bool:
        return self.binds and above(self.node, IMPORTS) is not None

    @functools.cached_property
    def receiver(self) -> str:
        """What stands in front of a member; "" for its definition."""
        parent = parent_of(self.node)
        if parent is None or not is_field(parent, MEMBER.get(parent.type, ""), self.node):
            return ""
        first = parent.named_children[0]
        return first.text.decode() if first != self.node else ""

    @functools.cached_property
    def owner(self) -> str:
        """The class it is a member of by where it is defined, or by what stands in front; "" if that does not tell."""
        around = class_of(self.node)
        if around is not None and is_field(around, "name", self.node):  # it is one itself
            around = above(around, CLASSES)
        if not self.receiver or self.receiver in ("self", "this", "Self", "cls", "*this"):
            if around is not None:
                return name_of_class(around)
            method = above(self.node, frozenset(("method_declaration",)))  # of Go
            of_go = received(method)[1] if method is not None and not self.receiver else ""
            return of_go or class_outside(self.node) or object_around(self.node, not self.receiver)
        method = above(self.node, frozenset(("method_declaration",)))
        name, kind = received(method)
        return kind if name and name == self.receiver else self.receiver if self.receiver[:1].isupper() else ""

    @functools.cached_property
    def defines(self) -> bool:
        """Whether it is where a member or a variable comes from: Python's and JavaScript's members are assigned to."""
        parent = parent_of(self.node)
        around = parent_of(parent) if parent is not None else None
        assigned = around is not None and "assignment" in around.type and is_field(around, "left", parent)
        return self.binds or (self.receiver in ("self", "this") and assigned)

    @property
    def is_private(self) -> bool:
        """Whether it is a `#name` of JavaScript, which stands beside a member without the sign."""
        return bool(self.node.type == "private_property_identifier")

    @property
    def is_shorthand(self) -> bool:
        """Whether it is the name of a field and its value at once."""
        parent = parent_of(self.node)
        return self.node.type in SHORTHANDS or (parent is not None and parent.type == "shorthand_field_initializer")


# The places of the names of a tree that were looked for, as long as it is kept.
_KNOWN: WeakKeyDictionary[Tree, dict[str, list[Hit]]] = WeakKeyDictionary()


def hits(tree: Tree, name: str) -> Sequence[Hit]:
    """Where a name stands in the code, in the order of the text: not in strings and comments."""
    known = _KNOWN.setdefault(tree, {})
    if name not in known:
        known[name] = _found(tree, name)
    return known[name]


def _found(tree: Tree, name: str) -> list[Hit]:
    found: list[Hit] = []
    wanted, data, at = name.encode(), tree.data, -1
    while (at := data.find(wanted, at + 1)) >= 0:
        end = at + len(wanted)
        if _IN_WORD.match(data, at - 1 if at else end) or _IN_WORD.match(data, end):
            continue
        node = tree.root.descendant_for_byte_range(at, end)
        sign = node is not None and node.type == "private_property_identifier"
        if node is not None and (node.start_byte + sign, node.end_byte) == (at, end) and is_identifier(node):
            role = role_of(node)
            row, column = node.start_point
            characters = len(tree.lines[row][: column + sign].decode())
            binds = role != "key" and (binding(node) is not None or bool(variable_of(node)))
            found.append(Hit(node, row, characters, role, binds))
        if len(found) > MOST_HITS:
            return []
    return _resolved(tree, found)


def _resolved(tree: Tree, found: Sequence[Hit]) -> list[Hit]:
    # Where members need no `self`, they are bound in their class; in Python, for what stands directly in it.
    free = tree.language.id not in WITH_SELF or tree.language.id == "python"
    members = [hit for hit in found if free and hit.role == "member" and hit.binds and hit.owner]
    owned = {class_of(hit.node).id for hit in members}
    classes = {hit.owner: class_of(hit.node).id for hit in members}
    elsewhere = {
        next(scopes(tree, parent_of(hit.node))).id: said for hit in found if (said := said_elsewhere(tree, hit.node))
    }
    places = {hit: bound_in(tree, hit.node, binding(hit.node)) for hit in found if hit.role == "plain" and hit.binds}
    first: dict[int, int] = {}
    for hit, scope in places.items():
        start = begins(hit.node, binding(hit.node))
        first[scope.id] = min(start, first.get(scope.id, start))
    bound = {scope.id for scope in places.values() if scope.id not in elsewhere} | owned
    bound |= {tree.root.id for said in elsewhere.values() if said == "global"}
    in_order = tree.language.id in IN_ORDER

    def scope_of(hit: Hit) -> int:
        if hit in places and places[hit].id not in elsewhere:
            return int(places[hit].id)
        inner = hit.node
        if is_initialized(hit.node):
            inner = above(hit.node, frozenset(("function_definition",))) or inner
        for each in scopes(tree, parent_of(inner), inner, owned | bound):
            if elsewhere.get(each.id) == "global":
                return int(tree.root.id)
            late = in_order and each.id not in owned and hit.node.start_byte < first.get(each.id, 0)
            if each.id in bound and each.id not in elsewhere and not (late and parent_of(each) is not None):
                return int(each.id)
        around = class_of(hit.node) if classes and tree.language.id not in WITH_SELF else None
        above_it = bases(around) if around is not None else ()
        return next((classes[each] for each in (class_outside(hit.node), *sorted(above_it)) if each in classes), 0)

    placed = []
    for hit in found:
        if hit.role == "plain":
            scope = scope_of(hit)
            role: Role = "member" if scope in owned and not hit.binds else "plain"
            hit = dataclasses.replace(hit, scope=scope, role=role)
        placed.append(hit)
    return placed


def is_visible(tree: Tree, name: str, node: Any) -> bool:
    """Whether a variable or parameter of that name is bound where a node stands, and before it: no module, no
    function, and nothing that a loop of the file left behind or that was deleted."""
    places = [hit for hit in hits(tree, name) if hit.role == "plain"]
    around = {scope.id for scope in scopes(tree, node, more={hit.scope for hit in places})}
    there = [hit for hit in places if hit.scope in around]
    ahead = [hit for hit in there if hit.node.start_byte < node.start_byte]
    return any(hit.binds and _is_value(tree, hit, node) for hit in ahead) and not any(map(_is_deleted, ahead))


def _is_value(tree: Tree, hit: Hit, node: Any) -> bool:
    around = parent_of(hit.node)
    if hit.imported:
        return bool(around.type == "import_specifier")
    left = hit.scope == tree.root.id and around.type == "for_statement" and function_of(node) is not None
    return not left and around.child_by_field_name("parameters") is None


def _is_deleted(hit: Hit) -> bool:
    return above(hit.node, frozenset(("delete_statement",))) is not None


def name_at(tree: Tree, row: int, column: int, name: str) -> bool:
    """Whether a name stands at a place in characters, as code."""
    if row >= len(tree.lines):
        return False
    start = len(tree.lines[row].decode()[:column].encode())
    node = tree.root.descendant_for_point_range((row, start), (row, start + len(name.encode())))
    return node is not None and is_identifier(node) and bool(node.text.decode().removeprefix("#") == name)
