"""Within what a name means the same: the nodes around it that keep the names bound in them to themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from lsp_server.context.languages import words
from lsp_server.context.trees import Tree
from lsp_server.next_edit.binding import is_field, parent_of

_PYTHON_SCOPES = frozenset(
    words(
        "function_definition lambda class_definition list_comprehension set_comprehension dictionary_comprehension "
        "generator_expression"
    )
)
_SCOPES = frozenset(
    words(
        "function_declaration generator_function_declaration method_definition arrow_function function_expression "
        "statement_block for_statement for_in_statement catch_clause class_body func_literal method_declaration block "
        "if_statement switch_statement expression_case type_case communication_case default_case function_item "
        "closure_expression match_arm for_expression if_expression while_expression constructor_declaration "
        "lambda_expression enhanced_for_statement try_with_resources_statement function_definition compound_statement "
        "method_signature function_signature interface_body enum_body class_declaration interface_declaration "
        "field_declaration_list method singleton_method do_block type_switch_statement function_type constructor_type "
        "call_signature construct_signature abstract_method_signature for_range_loop record_declaration "
        "template_declaration struct_item enum_item union_item impl_item trait_item"
    )
)
# What `var` of JavaScript is bound in.
_FUNCTIONS = frozenset(
    words(
        "function_declaration generator_function_declaration method_definition arrow_function function_expression "
        "program"
    )
)
# Where a name means something only from its declaration on.
IN_ORDER = ("go", "rust", "c", "cpp", "java")
# Declarations whose names mean something behind them alone: in their values stands what the names meant before.
_DECLARATIONS = frozenset(
    words("short_var_declaration var_spec const_spec range_clause let_declaration let_condition for_expression")
)
# Of Python: the parts of a node that stand outside of what is around it.
_OUTSIDE: dict[str, tuple[str, ...]] = {
    "for_in_clause": ("right",),  # the first of them
    "default_parameter": ("value",),
    "typed_default_parameter": ("value", "type"),
    "typed_parameter": ("type",),
    "function_definition": ("return_type",),
    "class_definition": ("superclasses",),
}


def scopes(tree: Tree, node: Any, inner: Any = None, more: Collection[int] = ()) -> Iterator[Any]:
    """The scopes around a node, it among them, the innermost first, in which a name is looked for. `inner`: what stands
    in the node; `more`: the ids of what counts as a scope, too."""
    python = tree.language.id == "python"
    types, outer = (_PYTHON_SCOPES, _OUTSIDE) if python else (_SCOPES, {})
    outside = closed = False
    while node is not None:
        above, kind = parent_of(node), node.type
        if kind in outer and inner is not None:
            outside = outside or _is_outside(node, inner)
        if above is None:
            yield node
        elif kind in types or (more and node.id in more):
            # What a class of Python binds is not seen from the functions in it.
            if not outside and not (closed and python and kind == "class_definition"):
                yield node
                closed = closed or kind != "class_definition"
            outside = False
        inner, node = node, above


def _is_outside(node: Any, inner: Any) -> bool:
    """Whether a part of a node of Python belongs to what is around the function, the class or the comprehension."""
    if node.type == "for_in_clause":
        around = parent_of(node)
        if node != next((each for each in around.named_children if each.type == "for_in_clause"), None):
            return False
    return any(is_field(node, field, inner) for field in _OUTSIDE[node.type])


def bound_in(tree: Tree, node: Any, binder: Any) -> Any:
    """The scope that a name is bound in, where `binder` binds it."""
    if binder.type == "template_declaration":  # of what has the parameters, not of these
        binder = parent_of(binder)
    found = scopes(tree, binder)
    around = parent_of(binder)
    if binder.type == "as_pattern" and around.type == "except_clause":  # behind which Python forgets the name
        return around
    if around is not None and around.type == "variable_declaration" and binder.type == "variable_declarator":
        of_functions = next((each for each in scopes(tree, binder) if each.type in _FUNCTIONS), None)
        if of_functions is not None:
            return of_functions
    return next(found)


def begins(node: Any, binder: Any) -> int:
    """The byte from which on a name means what it is bound to, in languages where that is the order of the text."""
    while binder is not None and binder.type in ("expression_list", "identifier", "tuple_pattern", "parenthesized"):
        binder = parent_of(binder)
    if binder is None or binder.type not in _DECLARATIONS:
        return int(node.start_byte)
    body = binder.child_by_field_name("body")
    return int(body.start_byte if body is not None else binder.end_byte)


def said_elsewhere(tree: Tree, node: Any) -> str:
    """Where Python's `global` and `nonlocal` say that the name in them is bound: "global", "nonlocal", or ""."""
    around = parent_of(node) if tree.language.id == "python" else None
    kind = around.type if around is not None else ""
    return kind.removesuffix("_statement") if kind in ("global_statement", "nonlocal_statement") else ""
