"""Where what a name stands for is said in another way than by the name alone: as a key, by a keyword, as a field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lsp_server.context.languages import words
from lsp_server.context.trees import Tree
from lsp_server.next_edit.binding import CLASSES, FUNCTIONS, above, parent_of
from lsp_server.next_edit.lineage import type_name
from lsp_server.next_edit.names import Hit
from lsp_server.next_edit.objects import is_made_a_field, owner_of
from lsp_server.next_edit.roles import class_of, function_of, literal_type, name_of_class

_WITH_KEYS = frozenset(words("call struct_expression struct_pattern new_expression object object_pattern"))
_NAMESPACES = frozenset(words("namespace_definition mod_item"))


def made(hit: Hit) -> str:
    """The class that is made or called where a name is a key."""
    return called(hit).rpartition(".")[2]


def called(hit: Hit) -> str:
    """The same, or the function, with all that stands in front of it."""
    if parent_of(hit.node).type == "literal_element":  # Go
        return str(literal_type(parent_of(hit.node)).text.decode())
    if parent_of(hit.node).type == "field_designator":  # C
        return _initialized(hit.node)
    around = above(hit.node, _WITH_KEYS)
    if around is not None and around.type in ("object", "object_pattern"):
        return _typed(around)
    named = around and (
        around.child_by_field_name("function")
        or around.child_by_field_name("type")
        or around.child_by_field_name("name")
    )
    if named is not None and named.text == b"Self" and class_of(named) is not None:  # Rust
        return name_of_class(class_of(named))
    return named.text.decode() if named is not None else ""


def _typed(literal: Any) -> str:
    """The type that an object of TypeScript, or what takes one apart, is said to be of."""
    around = parent_of(literal)
    kind = around.child_by_field_name("type")
    if around.type == "return_statement":
        function = function_of(around)
        kind = function.child_by_field_name("return_type") if function is not None else None
    return type_name(kind.text.decode()) if kind is not None else ""


def _initialized(key: Any) -> str:
    """The type of what gets its values in a list of C, where that says it."""
    given = above(key, frozenset(("initializer_list",)))
    around = parent_of(given) if given is not None else None
    if around is None:
        return ""
    if around.type == "init_declarator":
        is_one = around.child_by_field_name("declarator").type == "identifier"
        around = parent_of(around) if is_one else around
    kind = around.child_by_field_name("type")
    return type_name(kind.text.decode()) if kind is not None else ""


def _keywords(changed: Hit, places: Sequence[Hit]) -> list[Hit]:
    """Where a parameter is given by its name."""
    function = function_of(changed.node)
    parameters = function.child_by_field_name("parameters") if function is not None else None
    if parameters is None or not parameters.start_byte <= changed.node.start_byte < parameters.end_byte:
        return []
    named = function.child_by_field_name("name")
    name = named.text.decode() if named is not None else ""
    if name == "__init__":
        around = class_of(function)
        name = name_of_class(around) if around is not None else ""
    by = made if class_of(function) is not None else called  # a method is called with something in front of it
    return [hit for hit in places if hit.role == "key" and name and by(hit) == name]


def followers(changed: Hit, places: Sequence[Hit], base: Tree) -> list[Hit]:
    """Where what is bound at a place is said in another way than by its name alone."""
    found = _keywords(changed, places) + _fields(changed, places, base)
    around = above(changed.node, _NAMESPACES) if changed.scope == base.root.id else None
    if parent_of(changed.node).type == "enumerator":
        around = above(changed.node, CLASSES)
    named = around.child_by_field_name("name") if around is not None else None
    if named is not None:
        spelled = named.text.decode()
        found += [hit for hit in places if hit.role != "plain" and hit.receiver.rpartition("::")[2] == spelled]
    return found


def _fields(changed: Hit, places: Sequence[Hit], base: Tree) -> list[Hit]:
    """Of a parameter that is a field as well, in TypeScript's constructors and Java's records, where that is used."""
    parameter = parent_of(changed.node)
    around = above(parameter, FUNCTIONS | CLASSES)
    of_record = parameter.type == "formal_parameter" and around is not None and around.type == "record_declaration"
    if not of_record and not is_made_a_field(parameter):
        return []
    return [hit for hit in places if hit.role == "member" and owner_of(hit, base) == changed.owner]
