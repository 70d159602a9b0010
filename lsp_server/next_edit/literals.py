"""The objects of JavaScript that have no class: `const api = { load() {} }` has a member that is called `api.load`."""

from __future__ import annotations

from typing import Any

from lsp_server.context.languages import words
from lsp_server.next_edit.binding import is_field, parent_of

# What such an object consists of, and where the keys are; what has a `this` of its own.
_ENTRIES = {"pair": "key", "method_definition": "name"}
_WITH_THIS = frozenset(words("method_definition function_expression function_declaration class_body"))
_MARK = "{}"


def variable_of(key: Any) -> str:
    """The variable, of no type, that has the object which a name is a key of; "" where the name is none."""
    entry = parent_of(key)
    if entry is None or key.type != "property_identifier" or not is_field(entry, _ENTRIES.get(entry.type, ""), key):
        return ""
    literal = parent_of(entry)
    return variable_with(literal) if literal is not None else ""


def variable_with(literal: Any) -> str:
    """The variable, of no type, that is declared with an object; "" where there is none."""
    declared = parent_of(literal)
    if literal.type != "object" or declared is None or declared.type != "variable_declarator":
        return ""
    named = declared.child_by_field_name("name")
    is_plain = named.type == "identifier" and declared.child_by_field_name("type") is None
    return named.text.decode() if is_plain else ""


def object_called(variable: str) -> str:
    """What the members of the object of a variable say they are of, as others do with the name of a class."""
    return f"{variable}{_MARK}" if variable else ""


def is_object(owner: str) -> bool:
    """Whether that is such an object."""
    return owner.endswith(_MARK)


def object_around(node: Any, is_key: bool) -> str:
    """The object that a name is a key of, or that `this` means where it stands; "" for none."""
    if is_key:
        return object_called(variable_of(node))
    while (node := parent_of(node)) is not None and node.type not in _WITH_THIS:
        pass
    entry = parent_of(node) if node is not None and node.type == "function_expression" else node
    key = entry.child_by_field_name(_ENTRIES.get(entry.type, "")) if entry is not None else None
    return object_called(variable_of(key)) if key is not None else ""
