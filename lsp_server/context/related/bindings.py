"""Where a name gets its value, by the syntax tree: a parameter, a variable, a field, what a loop goes through.

Of several places the last one before the cursor counts, in a function or class that is around it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from lsp_server.context.languages import words
from lsp_server.context.related.members import NOTHINGS, TYPESCRIPTS
from lsp_server.context.related.statements import SCRIPTS
from lsp_server.context.trees import Tree, text_of

# Places of a name that are looked at, on each side.
MOST = 60
# By type of node: the fields that hold the name, the type and the value. "" for a name that has no field.
_BINDERS: dict[str, tuple[str, str, str]] = {
    "assignment": ("left", "type", "right"),
    "named_expression": ("name", "", "value"),
    "typed_parameter": ("", "type", ""),
    "typed_default_parameter": ("name", "type", ""),
    "default_parameter": ("name", "", ""),
    "for_statement": ("left", "", "right"),
    "for_in_clause": ("left", "", "right"),
    "as_pattern": ("alias", "", ""),
    "parameters": ("", "", ""),
    "lambda_parameters": ("", "", ""),
    "variable_declarator": ("name", "type", "value"),
    "required_parameter": ("pattern", "type", ""),
    "optional_parameter": ("pattern", "type", ""),
    "formal_parameters": ("", "", ""),
    "arrow_function": ("parameter", "", ""),
    "assignment_expression": ("left", "", "right"),
    "for_in_statement": ("left", "", "right"),
    "catch_clause": ("parameter", "", ""),
    "let_declaration": ("pattern", "type", "value"),
    "parameter": ("pattern", "type", ""),
    "let_condition": ("pattern", "", "value"),
    "match_arm": ("pattern", "", ""),
    "for_expression": ("pattern", "", "value"),
    "closure_parameters": ("", "", ""),
    "static_item": ("name", "type", "value"),
    "const_item": ("name", "type", "value"),
    "short_var_declaration": ("left", "", "right"),
    "var_spec": ("name", "type", "value"),
    "const_spec": ("name", "type", "value"),
    "parameter_declaration": ("name declarator", "type", ""),
    "optional_parameter_declaration": ("declarator", "type", ""),
    "variadic_parameter_declaration": ("name", "", ""),
    "range_clause": ("left", "", "right"),
    "type_switch_statement": ("alias", "", ""),
    "formal_parameter": ("name", "type", ""),
    "spread_parameter": ("", "", ""),
    "enhanced_for_statement": ("name", "type", "value"),
    "catch_formal_parameter": ("name", "", ""),
    "resource": ("name", "type", "value"),
    "instanceof_expression": ("name", "right", ""),
    "lambda_expression": ("parameters", "", ""),
    "inferred_parameters": ("", "", ""),
    "declaration": ("declarator", "type", "value"),
    "field_declaration": ("declarator", "type", ""),
    "case_pattern": ("", "", ""),
    "augmented_assignment": ("left", "", ""),
    "for_range_loop": ("declarator", "type", "right"),
}
_LOOPS = frozenset(
    words(
        "for_statement for_in_clause for_in_statement for_expression range_clause enhanced_for_statement for_range_loop"
    )
)
# What a name may be in and still be all that gets the value; in all else it gets a part.
_WHOLE = frozenset(
    words(
        "pointer_declarator reference_declarator init_declarator mut_pattern ref_pattern reference_pattern "
        "as_pattern_target match_pattern expression_list assignment_pattern"
    )
)
_PARTS = frozenset(
    words(
        "pattern_list tuple_pattern list_pattern object_pattern array_pattern pair_pattern rest_pattern struct_pattern "
        "field_pattern tuple_struct_pattern slice_pattern captured_pattern list_splat_pattern dictionary_splat_pattern "
        "array_declarator object_assignment_pattern or_pattern structured_binding_declarator function_declarator"
    )
)
_FOLDED = frozenset(words("list_comprehension set_comprehension dictionary_comprehension generator_expression"))
_FUNCTIONS = frozenset(
    words(
        "function_definition lambda function_declaration generator_function_declaration method_definition "
        "arrow_function function_expression generator_function function_item closure_expression method_declaration "
        "func_literal constructor_declaration compact_constructor_declaration lambda_expression"
    )
)
_FUNCTIONS |= _FOLDED
_CLASSES = frozenset(
    words(
        "class_definition class_declaration class abstract_class_declaration impl_item trait_item struct_item "
        "class_specifier struct_specifier union_specifier record_declaration enum_declaration interface_declaration"
    )
)
# What is bound in these is bound there alone, but in Python; and what may not come to pass at all.
_BLOCKS = frozenset(
    words(
        "block statement_block compound_statement if_statement if_expression for_statement for_expression "
        "for_in_statement while_statement while_expression match_arm enhanced_for_statement for_range_loop "
        "try_with_resources_statement catch_clause expression_switch_statement type_switch_statement expression_case "
        "type_case communication_case switch_body switch_block do_statement"
    )
)
_MAYBE = frozenset(
    words(
        "if_statement elif_clause else_clause for_statement while_statement except_clause match_statement case_clause "
        "if_expression switch_statement switch_expression do_statement for_in_statement enhanced_for_statement "
        "for_range_loop match_arm while_expression for_expression"
    )
)
_FAILS = frozenset(words("Some Ok"))
_NAMES = frozenset(
    words("identifier shorthand_property_identifier_pattern shorthand_field_identifier field_identifier")
)
# By the fields of a call: what is called.
_CALLED = words("function constructor")
# Languages in which a member needs nothing before it.
_BARE_MEMBERS = frozenset(words("java cpp c cuda-cpp"))


@dataclasses.dataclass(frozen=True)
class Binding:
    """How a name gets its value. `type`, `value`: the nodes that say it, None for none; `how`: the name is all of the
    value, each of its elements, what is in it once it did not fail, what it makes where it is a class, what it gives
    once it is entered, or the only part of a variant that it is; or it has nothing, which nobody asks for members. A
    binding without a type and a value is else one of which nothing is known. `is_assigned`: it is no declaration."""

    type: Any = None
    value: Any = None
    is_assigned: bool = False
    how: Literal["all", "each", "within", "made", "entered", "part", "nothing"] = "all"


NOTHING = Binding()


def binding_of(tree: Tree, node: Any, name: str) -> Binding | None:
    """That of a name at a node of a tree; None where nothing in the text binds it. What it is given where that may not
    come to pass counts if all else that it is given is nothing, or the same."""
    likely = None
    for found, is_certain in _bindings(tree, node, name):
        if found.how == "nothing":
            if is_certain:
                return likely or found
            continue
        if is_certain and found.type is not None and tree.language.id in TYPESCRIPTS:
            return found
        if likely is not None and not _is_the_same(likely, found):
            return NOTHING
        likely = likely or found
        if is_certain:
            return likely
    return likely


def _bindings(tree: Tree, node: Any, name: str) -> Iterator[tuple[Binding, bool]]:
    """What binds a name for a node, the last first, and whether it does in any case."""
    pattern = re.compile(rb"(?<![\w$])" + re.escape(name.encode()) + rb"(?![\w$])")
    data, here = tree.data, node.start_byte
    before = [found.start() for found in pattern.finditer(data, 0, here)][-MOST:]
    behind = [found.start() for found, _ in zip(pattern.finditer(data, here + 1), range(MOST), strict=False)]
    own = _up(tree, node)
    around, in_function = {each.id for each in own}, _scopes(own)[0] is not None
    is_python = tree.language.id == "python"
    for at in (*(behind if is_python else ()), *reversed(before), *(behind if not is_python else ())):
        leaf = tree.root.named_descendant_for_byte_range(at, at + len(name.encode()))
        if leaf.type not in _NAMES or leaf.end_byte - leaf.start_byte != len(name.encode()):
            continue
        up = _up(tree, leaf)
        function, owner = _scopes(up)
        if function is not None and (function.id not in around or (at > here and function.type not in _FOLDED)):
            continue
        if at > here and is_python and function is None:
            continue
        hidden = in_function and tree.language.id not in _BARE_MEMBERS
        if owner is not None and (owner.id not in around or hidden):
            continue
        found = _bound(up, node)
        if found is None or _contains(found.value, node):
            continue
        left = [each.type for each in up if each.id not in around]
        if is_python:
            yield found, _MAYBE.isdisjoint(left[1:])
        elif found.is_assigned:  # elsewhere a variable stays of the type that it begins with
            if tree.language.id in SCRIPTS:
                yield found, _BLOCKS.isdisjoint(left)
        elif _BLOCKS.isdisjoint(left):
            yield found, True


def _is_the_same(one: Binding, other: Binding) -> bool:
    """Whether two say the same of a name: by their types, or by what is called."""
    if one.how != other.how or (one.type is None) != (other.type is None):
        return False
    if one.type is not None:
        return text_of(one.type) == text_of(other.type)
    said = [_called(each.value) for each in (one, other)]
    return said[0] != "" and said[0] == said[1]


def _called(value: Any) -> str:
    """What a value is made by: a function or a class; "" where it is no call."""
    named = [] if value is None else [each for field in _CALLED for each in value.children_by_field_name(field)]
    return text_of(named[0]) if named else ""


def _contains(outer: Any, node: Any) -> bool:
    return outer is not None and outer.start_byte <= node.start_byte < outer.end_byte


def _up(tree: Tree, leaf: Any) -> list[Any]:
    """A node and those that it is in, from the innermost. They are looked for from the root on, as the parser does for
    each `parent`."""
    found = [tree.root]
    while found[-1] != leaf and (inner := found[-1].child_with_descendant(leaf)) is not None:
        found.append(inner)
    return found[::-1]


def _scopes(up: Sequence[Any]) -> tuple[Any, Any]:
    """The function and the class in which a name is bound; what a function itself is called is bound around it."""
    last = up[0]
    for node in up[1:]:
        if node.type in _FUNCTIONS and node.child_by_field_name("name") != last:
            return node, None
        if node.type in _CLASSES and node.child_by_field_name("name") != last:
            return None, node
        last = node
    return None, None


def _bound(up: Sequence[Any], node: Any) -> Binding | None:
    """What binds the name that a leaf is, the first of those that it is in; None where the leaf only uses it."""
    leaf = inside = up[0]
    whole, value, fails = True, None, False
    for outer in up[1:]:
        if outer.type == "tuple_struct_pattern":
            if outer.child_by_field_name("type") == inside:
                return None
            variant = outer.child_by_field_name("type")
            if whole and outer.named_child_count == 2 and text_of(variant) not in _FAILS:
                return Binding(value=variant, how="part")
            fails = whole
        elif outer.type == "init_declarator":
            if inside not in outer.children_by_field_name("declarator"):
                return None
            value = outer.child_by_field_name("value")
        elif outer.type in _PARTS:
            whole = False
        elif outer.type not in _WHOLE:
            return _by(outer, inside, node, value, whole=whole, fails=fails, index=_index(inside, leaf))
        inside = outer
    return None


def _by(outer: Any, inside: Any, node: Any, value: Any, *, whole: bool, fails: bool, index: int) -> Binding | None:
    """What an outer node, which may be one of `_BINDERS`, gives to a name that is in `inside` of it."""
    rule = _BINDERS.get(outer.type)
    if rule is None:
        return None
    names, typed, valued = rule
    if names and not any(inside in outer.children_by_field_name(each) for each in names.split()):
        return None
    if not names and inside == outer.child_by_field_name("type"):
        return None
    if not whole:
        return NOTHING
    if (special := _SPECIAL.get(outer.type)) is not None:
        return special(outer, node)
    said = _type_of(outer, typed)
    if any(each.type == "dimensions" for each in (*outer.named_children, *inside.named_children)):
        return NOTHING
    if value is None and valued:
        value = outer.child_by_field_name(valued)
    if outer.type in _LOOPS and said is None:
        counts = outer.type == "range_clause" and index != 1
        keys = outer.type == "for_in_statement" and text_of(outer.child_by_field_name("operator")) != "of"
        return NOTHING if counts or keys else Binding(value=value, how="each")
    if value is not None and value.type == "expression_list":
        given = value.named_children
        many = inside.named_child_count if inside.type == "expression_list" else 1
        if len(given) != many and (index or len(given) != 1):
            return NOTHING
        value = given[index if len(given) == many else 0]
    is_assigned = outer.type == "assignment_expression"
    is_bare = value is None and outer.type == "variable_declarator"
    if said is None and (is_bare or text_of(value) in NOTHINGS):
        return Binding(is_assigned=is_assigned, how="nothing")
    return Binding(said, value if said is None else None, is_assigned, "within" if fails else "all")


def _type_of(outer: Any, field: str) -> Any:
    """The node that says the type; None where the value does."""
    said = outer.child_by_field_name(field) if field else None
    if said is None and outer.type == "variable_declarator" and outer.parent is not None:  # Java
        said = outer.parent.child_by_field_name("type")
    return None if said is None or said.type == "placeholder_type_specifier" or text_of(said) == "var" else said


def _index(inside: Any, leaf: Any) -> int:
    """Which one of a list of names a leaf is."""
    listed = inside.named_children if inside.type == "expression_list" else []
    return listed.index(leaf) if leaf in listed else 0


def _named_as(outer: Any, node: Any) -> Binding:
    """Python's `with x as y`, `except X as y`."""
    caught = outer.parent is not None and outer.parent.type == "except_clause"
    return Binding(value=outer.named_children[0], how="made" if caught else "entered")


def _caught(outer: Any, node: Any) -> Binding:
    """Java's `catch (A e)`; of `catch (A | B e)` nothing is known."""
    said = next((each for each in outer.named_children if each.type == "catch_type"), None)
    return Binding(said if said is not None and said.named_child_count == 1 else None)


def _case(outer: Any, node: Any) -> Binding:
    """Go's `switch x := y.(type)`: the type of the case that a node is in."""
    case = outer.child_with_descendant(node)
    said = case.children_by_field_name("type") if case is not None and case.type == "type_case" else []
    return Binding(said[0]) if len(said) == 1 else NOTHING


_SPECIAL = {"as_pattern": _named_as, "catch_formal_parameter": _caught, "type_switch_statement": _case}
