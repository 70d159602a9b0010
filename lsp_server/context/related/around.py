"""The syntax around a cursor: its nodes, and the class of which `self` or `this` is one there."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

from lsp_server.context.buffer import Buffer
from lsp_server.context.definitions import last_name, name_of
from lsp_server.context.languages import words
from lsp_server.context.related.contents import read_tree
from lsp_server.context.related.statements import SCRIPTS
from lsp_server.context.related.view import Opened
from lsp_server.context.trees import Tree, parse

_CLOSING = {"(": ")", "[": "]"}
# What stands for a name that is to be written. In Java only a call is a statement.
A_NAME, CALL = "name", "()"
# Of these `this` is another than around them.
_OWN_THIS = frozenset(words("function_declaration function_expression generator_function_declaration"))
_OWN_THIS |= frozenset(words("generator_function object class"))


def nodes_around(opened: Opened, row: int, column: int) -> Iterator[Any]:
    """The nodes in which a place (0-based, in characters) is, from the innermost; none without a tree."""
    if opened.tree is None:
        return
    above = row
    while above and not opened.buffer.lines[above].strip():  # below its last statement is still in a function
        above -= 1
    line = opened.buffer.lines[above]
    at = above, len(line[: min(column, len(line.rstrip()))].encode("utf-8", "replace"))
    node: Any = opened.tree.root.named_descendant_for_point_range(at, at)
    while node is not None:
        yield node
        node = node.parent


def with_name(opened: Opened, row: int, column: int) -> Opened:
    """A document with a name at a place where one is to be written: without it the parser makes of what is around a
    dot something else, or nothing."""
    if opened.tree is None:
        return opened
    lines = [*opened.buffer.lines]
    before, behind = lines[row][:column], lines[row][column:]
    name = "" if re.search(r"\w\Z", before) else A_NAME
    closing = "".join(_CLOSING[sign] for sign in reversed(_left_open(before, behind)))
    call = CALL if opened.language.id == "java" and not behind.lstrip().startswith("(") else ""
    if not name + call + closing:
        return opened
    lines[row] = f"{before}{name}{call}{closing}{behind}"
    buffer = Buffer(opened.buffer.uri, "".join(lines), language_id=opened.buffer.language_id)
    tree = parse(buffer.source, opened.language.id, opened.tree, gently=True)
    if tree is None:
        return opened
    earlier = opened.found if not opened.tree.root.has_error else None
    return Opened(
        buffer, opened.language, tree, functools.partial(read_tree, buffer.source, opened.language.id, tree), earlier
    )


def _left_open(before: str, behind: str) -> list[str]:
    """The brackets of a line that nothing closes in it: what follows below would be taken for their content."""
    left: list[str] = []
    for sign in before:
        if sign in _CLOSING:
            left.append(sign)
        elif left and sign == _CLOSING[left[-1]]:
            left.pop()
    for sign in behind:
        if left and sign == _CLOSING[left[0]]:
            left.pop(0)
    return left


def function_around(opened: Opened, row: int, column: int) -> str:
    """The name of the function in which a place is; "" for none, or one without a name."""
    return next((name_of(node) for node in nodes_around(opened, row, column) if is_function(opened, node)), "")


def class_around(tree: Tree, node: Any) -> str:
    """The class of which `self` or `this` is one at a node, by the names of those around it, dotted, as a
    `Definition`'s path; "" where there is none, or none that an outline has."""
    names: list[str] = []
    while node is not None:
        function = node.type in tree.grammar.functions + tree.grammar.unnamed
        if not names and tree.language.id in SCRIPTS and node.type in _OWN_THIS:
            return ""
        if not names and node.type == "object_creation_expression":  # a class without a name, in Java
            return ""
        if function and names:
            return ""
        if function and (of := name_of(node).rpartition("::")[0]):  # in C++, outside of its class
            return of.rpartition("::")[2].partition("<")[0]
        if node.type in tree.grammar.classes:
            names.append(class_name(node))
        node = node.parent
    return ".".join(reversed(names))


def class_name(node: Any) -> str:
    """What a class is called, of an `impl` that which it is for."""
    return last_name(name_of(node)) if node.type == "impl_item" else name_of(node).partition("<")[0]


def is_function(opened: Opened, node: Any) -> bool:
    grammar = opened.tree.grammar if opened.tree is not None else None
    return grammar is not None and node.type in grammar.functions + grammar.unnamed


def is_class(opened: Opened, node: Any) -> bool:
    grammar = opened.tree.grammar if opened.tree is not None else None
    return grammar is not None and node.type in grammar.classes
