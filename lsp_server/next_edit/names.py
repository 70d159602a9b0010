"""A name in a text: each place where it stands, what it is there, and which of them mean the same.

Found in the syntax tree, for several languages at once: the types of their nodes hardly collide.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Sequence
from typing import Any, Literal
from weakref import WeakKeyDictionary

from lsp_server.context.languages import words
from lsp_server.context.trees import Tree
from lsp_server.next_edit.binding import CLASSES, FUNCTIONS, IMPORTS, binding, is_constructor, is_field, parent_of
from lsp_server.next_edit.lineage import bases
from lsp_server.next_edit.literals import object_around, variable_of
from lsp_server.next_edit.scopes import IN_ORDER, begins, bound_in, said_elsewhere, scopes

Role = Literal["plain", "member", "key", "path"]
_IN_WORD = re.compile(rb"[\w\x80-\xff]")
# Languages that say `self`, or the object, in front of a member.
WITH_SELF = ("python", "javascript", "javascriptreact", "typescript", "typescriptreact", "rust", "go", "ruby", "php")
# More places of one name than this are no work for single edits.
MOST_HITS = 300

_MEMBER = {
    "attribute": "attribute",
    "member_expression": "property",
    "selector_expression": "field",
    "field_expression": "field",
    "field_access": "field",
    "method_invocation": "name",
    "scoped_identifier": "name",
    "scoped_type_identifier": "name",
    "qualified_identifier": "name",
    "qualified_type": "name",
    "member_access_expression": "name",
}
_KEYS = {"keyword_argument": "name", "pair": "key", "field_initializer": "field", "keyed_element": "key",
         "field_pattern": "name"}  # fmt: skip
_SHORTHANDS = frozenset(
    words("shorthand_property_identifier shorthand_property_identifier_pattern shorthand_field_identifier")
)
_PATHS = frozenset(words("import_from_statement import_statement dotted_name relative_import package_clause"))
# Types of Go whose literals have the names of fields for keys.
_OF_FIELDS = frozenset(words("type_identifier qualified_type generic_type struct_type"))
# Between a class and its members.
_BODIES = frozenset(
    words(
        "block class_body interface_body enum_body declaration_list field_declaration_list object_type struct_type "
        "enum_variant_list ordered_field_declaration_list enum_body_declarations decorated_definition "
        "field_declaration variable_declarator expression_statement assignment annotation body_statement "
        "field_declaration_list interface_type method_spec_list enumerator_list"
    )
)


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
        if parent is None or not is_field(parent, _MEMBER.get(parent.type, ""), self.node):
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
            of_go = _received(method)[1] if method is not None and not self.receiver else ""
            return of_go or class_outside(self.node) or object_around(self.node, not self.receiver)
        method = above(self.node, frozenset(("method_declaration",)))
        name, kind = _received(method)
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
        return self.node.type in _SHORTHANDS or (parent is not None and parent.type == "shorthand_field_initializer")


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
        if node is not None and (node.start_byte + sign, node.end_byte) == (at, end) and _is_name(node):
            role = _role(node)
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
    return node is not None and _is_name(node) and bool(node.text.decode().removeprefix("#") == name)


def above(node: Any, types: frozenset[str]) -> Any:
    """The innermost node of some types around a node; None where there is none."""
    node = parent_of(node)
    while node is not None and node.type not in types:
        node = parent_of(node)
    return node


def function_of(node: Any) -> Any:
    """The function around a node."""
    return above(node, FUNCTIONS | {"arrow_function", "function_expression", "lambda", "closure_expression"})


def class_of(node: Any) -> Any:
    """The class around a node; of a name in an enum of C that is said without it, the one around that."""
    around = above(node, CLASSES)
    return above(around, CLASSES) if around is not None and _is_open(around, node) else around


def _is_open(enum: Any, node: Any) -> bool:
    """Whether a name is one of an enum of C, and no `enum class`."""
    return (
        enum.type == "enum_specifier"
        and parent_of(node).type == "enumerator"
        and all(each.type not in ("class", "struct") for each in enum.children[:2])
    )


def _names_one(definition: Any, node: Any) -> bool:
    """Whether what a name stands in may be a member that has this name."""
    kind, named = definition.type, is_field(definition, "name", node)
    if kind in CLASSES:  # none but Python's, which are said as `Outer.Inner`
        return kind == "class_definition" and named
    if kind in ("variable_declarator", "assignment"):
        return named or is_field(definition, "left", node)
    if kind == "enumerator" or node.type == "type_identifier":  # which has a value, or is the type of one
        return named
    if kind == "function_declarator":
        return not is_constructor(definition)
    return bool(kind != "constructor_declaration")


def is_member_definition(node: Any) -> bool:
    """Whether a name is defined directly in a class."""
    definition = parent_of(node)
    if definition is None:
        return False
    if definition.type == "method_declaration" and definition.child_by_field_name("receiver") is not None:
        return True  # Go
    if definition.type == "property_signature":  # also of a type that has no name
        return True
    if not _names_one(definition, node):
        return False
    if definition.type == "enumerator" and _is_open(above(node, CLASSES), node):
        definition = above(node, CLASSES)
    elif definition.type == "function_declarator":
        definition = parent_of(definition)
    node = definition if definition.type in _BODIES else parent_of(definition)
    if node is None or node.type not in _BODIES:
        return False  # such as what a class is made from
    while node is not None and node.type in _BODIES:
        node = parent_of(node)
    return bool(node is not None and node.type in CLASSES)


def class_outside(node: Any) -> str:
    """The class whose method is written around a node, but not in it, as in `void Point::move() {}`; "" for none."""
    function = above(node, frozenset(("function_definition",)))
    named = function.child_by_field_name("declarator") if function is not None else None
    while named is not None and named.type != "qualified_identifier":
        named = named.child_by_field_name("declarator")
    return _scope_of(named) if named is not None else ""


def _scope_of(qualified: Any) -> str:
    """What C++ says in front of a name, without the types that it is made for."""
    scope = qualified.child_by_field_name("scope")
    return scope.text.decode().partition("<")[0] if scope is not None else ""


def is_initialized(node: Any) -> bool:
    """Whether a name is that of a member in the list of C++ that gives the members of a new object their values."""
    around = parent_of(node)
    return around is not None and around.type == "field_initializer" and bool(node.type == "field_identifier")


def name_of_class(node: Any) -> str:
    """What a class is called; of an `impl`, what it is for."""
    named = node.child_by_field_name("name") or node.child_by_field_name("type")
    return named.text.decode().partition("<")[0] if named is not None else ""


def _received(method: Any) -> tuple[str, str]:
    """What a method of Go calls its receiver, and the type of that."""
    receiver = method.child_by_field_name("receiver") if method is not None else None
    parts = receiver.text.decode().strip("()").split("[")[0].split() if receiver is not None else []
    return (parts[0] if len(parts) > 1 else "", parts[-1].lstrip("*")) if parts else ("", "")


def literal_type(node: Any) -> Any:
    """The type of the literal of Go that an element stands in, which may be said further out: in `[]A{{…}}` the `A`."""
    if node.type == "composite_literal":
        return node.child_by_field_name("type")
    around, key = parent_of(node), None
    while around is not None and around.type in ("literal_element", "keyed_element", "literal_value"):
        if around.type == "literal_value":
            whole = parent_of(around)
            if whole.type == "composite_literal":
                return whole.child_by_field_name("type")
            outer = literal_type(whole)
            key = is_field(parent_of(whole), "key", whole)
            inner = outer.child_by_field_name("element") or outer.child_by_field_name("key" if key else "value")
            return inner if inner is not None else outer
        around = parent_of(around)
    return node


def _is_name(node: Any) -> bool:
    return bool(node.child_count == 0) and (
        node.type.endswith("identifier") or node.type.endswith("identifier_pattern")
    )


def _role(node: Any) -> Role:
    parent = parent_of(node)
    if parent is None:
        return "plain"
    kind = parent.type
    if variable_of(node):
        return "member"
    if kind == "field_designator" or (kind in _KEYS and is_field(parent, _KEYS[kind], node)):  # the one of C
        is_variable = (kind == "pair" and node.type == "identifier") or node.type in _SHORTHANDS  # of Python, and Rust
        return "plain" if is_variable else "key"
    if kind == "literal_element" and parent_of(parent) is not None and parent_of(parent).type == "keyed_element":
        is_key = parent_of(parent).named_children[0] == parent
        return "key" if is_key and literal_type(parent).type in _OF_FIELDS else "plain"
    if kind in _MEMBER and is_field(parent, _MEMBER[kind], node):
        return _role_behind(parent, node)
    if above(node, IMPORTS) is not None and binding(node) is None:
        return "path"
    if kind == "export_specifier" and _is_handed_on(parent):
        return "path"
    if is_member_definition(node):
        return "member"
    return "plain"


def _role_behind(around: Any, node: Any) -> Role:
    """What a name is behind something else."""
    if around.type == "method_invocation" and around.child_by_field_name("object") is None:
        return "plain"
    if around.type == "qualified_identifier" and _scope_of(around) == node.text.decode():
        return "plain"  # the constructor of C++, outside of its class
    statement = above(node, IMPORTS)
    if statement is not None and binding(node) is not None:
        return "plain"
    return "path" if statement is not None and statement.type == "import_declaration" else "member"


def _is_handed_on(exported: Any) -> bool:
    """Whether what JavaScript exports is from another file."""
    statement = above(exported, frozenset(("export_statement",)))
    return statement is not None and statement.child_by_field_name("source") is not None
