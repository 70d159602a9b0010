"""The signature of a function: what it is called by, and its parameters."""

from __future__ import annotations

import dataclasses
from typing import Any

from lsp_server.context.languages import words
from lsp_server.context.trees import Tree, is_comment
from lsp_server.next_edit.roles import class_of, name_of_class

_OPTIONAL = frozenset(
    words(
        "default_parameter typed_default_parameter list_splat_pattern dictionary_splat_pattern keyword_separator "
        "assignment_pattern optional_parameter rest_pattern optional_parameter_declaration spread_parameter "
        "variadic_parameter_declaration variadic_parameter self_parameter receiver_parameter"
    )
)
_ANY_NUMBER = frozenset(words("list_splat_pattern rest_pattern spread_parameter variadic_parameter_declaration"))
_CONSTRUCTORS = ("__init__", "constructor")


@dataclasses.dataclass(frozen=True)
class Parameter:
    """`by_name`: an argument says the name, and so its place means nothing. `any_number`: it takes all that come."""

    name: str
    text: str
    optional: bool
    by_name: bool = False
    any_number: bool = False


@dataclasses.dataclass(frozen=True)
class Signature:
    """A function with its parameters, without `self`; it is written at (row, column), and called by `name`, which
    stands on the row `named`: another one where it makes objects of a class. `receives`: it is a method of an object,
    which comes first where it is called through its class."""

    name: str
    row: int
    column: int
    named: int
    parameters: tuple[Parameter, ...]
    receives: bool = False


def signature_at(tree: Tree, row: int) -> Signature | None:
    """The function whose parameters stand on a row; None where there is none."""
    line = tree.lines[row] if row < len(tree.lines) else b""
    start = len(line) - len(line.lstrip())
    for column in (start, max(start, len(line.rstrip()) - 2)):
        node = tree.root.descendant_for_point_range((row, column), (row, column))
        while node is not None and node.start_point.row >= row - 40:
            parameters = _parameters_of(node)
            if parameters is not None and parameters.start_point.row <= row <= parameters.end_point.row:
                return _signature(tree, node, parameters)
            node = node.parent
    inside = tree.root.descendant_for_point_range((row, start), (row, max(start, len(line.rstrip()))))
    return _within(tree, inside, row)


def _within(tree: Tree, node: Any, row: int) -> Signature | None:
    """The first function that begins on a row, somewhere in a node."""
    waiting = [node] if node is not None else []
    while waiting:
        each = waiting.pop(0)
        if each.start_point.row > row or each.end_point.row < row:
            continue
        parameters = _parameters_of(each)
        if parameters is not None and parameters.start_point.row <= row <= parameters.end_point.row:
            return _signature(tree, each, parameters)
        waiting += each.named_children[:40]
    return None


def _parameters_of(node: Any) -> Any:
    if node.type in ("lambda", "closure_expression", "func_literal"):
        return None
    return node.child_by_field_name("parameters")


def _signature(tree: Tree, node: Any, parameters: Any) -> Signature | None:
    named = node.child_by_field_name("name") or node.child_by_field_name("declarator")
    if named is None and node.parent is not None:  # const f = (a) => a
        fields = ("name", "left", "key")
        named = next(filter(None, map(node.parent.child_by_field_name, fields)), None)
    if named is None:
        return None
    row, start = named.start_point
    column, called = len(tree.lines[row][:start].decode()), row
    name = named.text.decode().rpartition("::")[2].rpartition(".")[2]
    found: list[Parameter] = []
    keyword_only = False
    for each in parameters.named_children:
        if is_comment(each):
            continue
        if each.type in ("keyword_separator", "list_splat_pattern"):
            keyword_only = True
        if each.type in ("keyword_separator", "positional_separator", "self_parameter"):
            continue
        names = each.children_by_field_name("name") if tree.language.id == "go" else []
        for one in names or [each]:
            optional = each.type in _OPTIONAL or each.child_by_field_name("value") is not None
            text = one.text.decode() if names else each.text.decode()
            many = "..." in text or each.type in _ANY_NUMBER or (text.startswith("*") and tree.language.id == "python")
            found.append(Parameter(_parameter_name(one), text, optional, keyword_only, many))
    around = class_of(node)
    receives = node.child_by_field_name("receiver") is not None  # Go
    receives = receives or any(each.type == "self_parameter" for each in parameters.named_children)  # Rust
    if tree.language.id == "python" and around is not None and found and found[0].name in ("self", "cls"):
        receives, found = found[0].name == "self", found[1:]
    if around is not None and (name in _CONSTRUCTORS or name == name_of_class(around)):
        body, of_class = around.child_by_field_name("body"), around.child_by_field_name("name")
        if body is None or of_class is None or sum(_constructs(each, name) for each in body.named_children) > 1:
            return None  # no whole class, or overloaded
        name, called = name_of_class(around), of_class.start_point.row
    return Signature(name, row, column, called, tuple(found), receives)


def _constructs(member: Any, name: str) -> bool:
    """Whether a member of a class is a constructor, which is called so."""
    named = member.child_by_field_name("name") or member.child_by_field_name("declarator")
    if named is not None and named.type == "function_declarator":  # C++
        named = named.child_by_field_name("declarator")
    return named is not None and bool(named.text.decode() == name)


def _parameter_name(node: Any) -> str:
    for field in ("name", "pattern", "declarator", "left"):
        inner = node.child_by_field_name(field)
        if inner is not None:
            return _parameter_name(inner)
    if node.type == "typed_parameter":
        return _parameter_name(node.named_children[0])
    return str(node.text.decode()).lstrip("*&. ")
