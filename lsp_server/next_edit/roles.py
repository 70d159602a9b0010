"""What a name is where it stands: what the nodes around it make of it, and the class and the function that it is in."""

from __future__ import annotations

from typing import Any, Literal

from lsp_server.context.languages import words
from lsp_server.next_edit.binding import (
    CLASSES,
    FUNCTIONS,
    IMPORTS,
    above,
    binding,
    is_constructor,
    is_field,
    parent_of,
)
from lsp_server.next_edit.literals import variable_of

Role = Literal["plain", "member", "key", "path"]

MEMBER = {
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
         "field_pattern": "name", "pair_pattern": "key"}  # fmt: skip
SHORTHANDS = frozenset(
    words("shorthand_property_identifier shorthand_property_identifier_pattern shorthand_field_identifier")
)
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


def function_of(node: Any) -> Any:
    """The function around a node."""
    return above(node, FUNCTIONS | {"arrow_function", "function_expression", "lambda", "closure_expression"})


def class_of(node: Any) -> Any:
    """The class around a node; of a name in an enum of C that is said without it, the one around that."""
    around = above(node, CLASSES)
    return above(around, CLASSES) if _is_open(around, node) else around


def _is_open(enum: Any, node: Any) -> bool:
    """Whether a name is one of an enum of C, and no `enum class`."""
    return (
        enum is not None
        and enum.type == "enum_specifier"
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


def received(method: Any) -> tuple[str, str]:
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


def is_identifier(node: Any) -> bool:
    """Whether a node is a name, and not a word of the language, text or more than one."""
    return bool(node.child_count == 0) and (
        node.type.endswith("identifier") or node.type.endswith("identifier_pattern")
    )


def role_of(node: Any) -> Role:
    """What a name is by where it stands, but for what it is bound to."""
    parent = parent_of(node)
    if parent is None:
        return "plain"
    kind = parent.type
    if variable_of(node):
        return "member"
    if kind == "field_designator" or (kind in _KEYS and is_field(parent, _KEYS[kind], node)):  # the one of C
        is_variable = (kind == "pair" and node.type == "identifier") or node.type in SHORTHANDS  # of Python, and Rust
        return "plain" if is_variable else "key"
    if kind == "literal_element" and parent_of(parent) is not None and parent_of(parent).type == "keyed_element":
        is_key = parent_of(parent).named_children[0] == parent
        return "key" if is_key and literal_type(parent).type in _OF_FIELDS else "plain"
    if kind in MEMBER and is_field(parent, MEMBER[kind], node):
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
