"""Where a name is bound: what stands for something from there on, and within which node."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator
from typing import Any

from lsp_server.context.languages import words

CLASSES = frozenset(
    words(
        "class_definition class_declaration abstract_class_declaration interface_declaration enum_declaration "
        "record_declaration class_specifier struct_specifier union_specifier enum_specifier impl_item trait_item "
        "struct_item enum_item union_item type_spec type_alias_declaration class"
    )
)
FUNCTIONS = frozenset(
    words(
        "function_definition function_declaration generator_function_declaration method_definition method_declaration "
        "function_item constructor_declaration method_signature function_signature function_signature_item method "
        "singleton_method abstract_method_signature local_function_statement"
    )
)
_TAGGED = frozenset(words("struct_specifier union_specifier enum_specifier class_specifier"))
# Where these are declared, and not said.
_BLOCKS = frozenset(words("translation_unit declaration_list preproc_ifdef preproc_if preproc_else friend_declaration"))
_PATTERNS = frozenset(
    words(
        "pattern_list tuple_pattern list_pattern expression_list object_pattern array_pattern pair_pattern "
        "rest_pattern object_assignment_pattern list_splat_pattern dictionary_splat_pattern mut_pattern ref_pattern "
        "reference_pattern slice_pattern struct_pattern field_pattern pointer_declarator array_declarator "
        "reference_declarator as_pattern_target captured_pattern tuple_struct_pattern left_assignment_list "
        "structured_binding_declarator"
    )
)
# In these, the field that a name must stand in to be bound, and the one that it must not.
_WITHIN = {
    "field_pattern": ("", "type"),
    "tuple_struct_pattern": ("", "type"),
    "pair_pattern": ("value", ""),
    "object_assignment_pattern": ("left", ""),
}
# Where a pattern stands that binds the names in it: "*" in any field.
_BINDS = {
    "assignment": "left",
    "for_statement": "left",
    "for_in_clause": "left",
    "for_in_statement": "left",
    "short_var_declaration": "left",
    "range_clause": "left",
    "named_expression": "name",
    "let_declaration": "pattern",
    "let_condition": "pattern",
    "instanceof_expression": "name",
    "for_expression": "pattern",
    "for_range_loop": "declarator",
    "match_pattern": "*",
    "closure_parameters": "*",
    "parameters": "*",
    "formal_parameters": "*",
    "lambda_parameters": "*",
    "inferred_parameters": "*",
    "parameter": "pattern",
    "required_parameter": "pattern",
    "optional_parameter": "pattern",
    "assignment_pattern": "left",
    "typed_parameter": "*",
    "variable_declarator": "name",
    "arrow_function": "parameter",
    "lambda_expression": "parameters",
    "as_pattern": "alias",
    "catch_clause": "parameter",
    "init_declarator": "declarator",
    "declaration": "declarator",
    "type_definition": "declarator",
    "type_parameter_declaration": "*",
    "type_parameter": "*",
    "field_declaration": "declarator",
    "field_definition": "property",
    "parameter_declaration": "declarator",
    "optional_parameter_declaration": "declarator",
    "function_declarator": "declarator",
    "import_clause": "*",
    "namespace_import": "*",
    "use_as_clause": "alias",
    "use_declaration": "argument",
    "use_list": "*",
    "type_switch_statement": "alias",
}
IMPORTS = frozenset(words("import_statement import_from_statement use_declaration import_declaration import_spec"))
_NAMED = re.compile(
    r"(definition|declaration|declarator|_item|_spec|signature|specifier|parameter|variant|enum_constant|enumerator"
    r"|enum_assignment|enhanced_for_statement|resource|type_alias|method|method_elem|class|module|preproc_(function_)?def)$"
)


@functools.lru_cache(maxsize=4096)
def parent_of(node: Any) -> Any:
    """What a node stands in; remembered, as it is looked for from the root of the tree. See `remembering`."""
    return node.parent


@contextlib.contextmanager
def remembering() -> Iterator[None]:
    """What was remembered of trees is forgotten in the end: it would keep them all in memory."""
    try:
        yield
    finally:
        parent_of.cache_clear()


def above(node: Any, types: frozenset[str]) -> Any:
    """The innermost node of some types around a node; None where there is none."""
    node = parent_of(node)
    while node is not None and node.type not in types:
        node = parent_of(node)
    return node


def is_field(parent: Any, field: str, node: Any) -> bool:
    """Whether a node is in a field of the one above it."""
    return bool(field) and node in parent.children_by_field_name(field)


def binding(node: Any) -> Any:
    """The node from which on outwards the scope is looked for that a name is bound in; None where it is not bound."""
    parent = parent_of(node)
    if parent is None:
        return None
    kind = parent.type
    if kind == "export_specifier":
        return None
    if kind == "enum_body" and node.type == "property_identifier":
        return parent
    if kind == "import_specifier":
        alias = parent.child_by_field_name("alias")
        return parent if alias is None or alias == node else None
    if kind == "aliased_import":
        return parent if is_field(parent, "alias", node) else None
    if kind == "dotted_name":
        return _imported(node, parent)
    if kind == "scoped_identifier":  # Rust: `use a::b`
        around = parent_of(parent)
        return parent if around is not None and around.type in ("use_declaration", "use_list") else None
    if (
        is_field(parent, "name", node)
        and _NAMED.search(kind)
        and kind not in ("import_spec", "constructor_declaration")
    ):
        if kind in _TAGGED and parent.child_by_field_name("body") is None and parent_of(parent).type not in _BLOCKS:
            return None  # of C, a type that is said with its kind
        if kind in FUNCTIONS or kind in CLASSES or kind in ("type_spec", "function_definition"):
            return parent_of(parent)
        return parent
    return _bound_by_pattern(node)


def _bound_by_pattern(node: Any) -> Any:
    inner, parent = node, parent_of(node)
    while parent is not None and parent.type in _PATTERNS:
        needed, kept_out = _WITHIN.get(parent.type, ("", ""))
        if (needed and not is_field(parent, needed, inner)) or is_field(parent, kept_out, inner):
            return None
        inner, parent = parent, parent_of(parent)
    if parent is None:
        return None
    field = _BINDS.get(parent.type, "")
    if not field or not (field == "*" or is_field(parent, field, inner)):
        return None
    if parent.type == "typed_parameter" and parent.named_children[0] != inner:
        return None
    if parent.type == "function_declarator":
        return None if is_constructor(parent) else _declared(parent)
    return parent


def _imported(node: Any, dotted: Any) -> Any:
    """What Python's import statements bind: of `import a.b` the `a`, of `from m import a` the `a`; and its patterns."""
    statement = parent_of(dotted)
    if statement is not None and statement.type in ("case_pattern", "keyword_pattern"):
        return statement if len(dotted.named_children) == 1 else None
    if statement is None or statement.type not in IMPORTS:
        return None
    if statement.type == "import_from_statement" and not is_field(statement, "name", dotted):
        return None
    return statement if dotted.named_children[0] == node else None


def is_constructor(declarator: Any) -> bool:
    """Whether what C++ declares in a class is its constructor: it has no type, and the name of the class."""
    declared = parent_of(declarator)
    around = parent_of(declared) if declared is not None else None
    return bool(
        around is not None
        and around.type == "field_declaration_list"
        and declared.child_by_field_name("type") is None
        and declarator.child_by_field_name("declarator").type == "identifier"
    )


def _declared(declarator: Any) -> Any:
    """What is around the function or prototype that a declarator of C names."""
    node = parent_of(declarator)
    while node is not None and node.type in ("pointer_declarator", "reference_declarator"):
        node = parent_of(node)
    return parent_of(node) if node is not None and node.type == "function_definition" else node
