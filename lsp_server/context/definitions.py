"""From a node of a syntax tree to the definition it is: its name, where it begins and ends, and its documentation."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any, Literal

from lsp_server.context.languages import words
from lsp_server.context.trees import Tree, is_comment, is_docstring

# What a definition may be part of and still be that definition: its decorators, its `export`, what names it.
WRAPPERS = frozenset(
    words(
        "decorated_definition export_statement template_declaration type_definition type_declaration declaration "
        "ambient_declaration field_declaration lexical_declaration variable_declarator variable_declaration "
        "var_declaration var_spec expression_statement assignment_expression assignment_statement assignment "
        "expression_list public_field_definition field_definition pair field short_var_declaration const_declaration "
        "const_spec parenthesized_expression"
    )
)
# Of these, only one with a single definition is taken whole.
_GROUPS = frozenset(
    words("type_declaration var_declaration const_declaration lexical_declaration variable_declaration")
)
ATTRIBUTES = frozenset(
    words(
        "decorator attribute_item attribute attribute_list attribute_declaration attribute_specifier annotation "
        "marker_annotation"
    )
)
_NAME_FIELDS = ("name", "left", "key", "declarator", "field", "operator", "type")


@dataclasses.dataclass(frozen=True)
class Block:
    """Some whole lines of a buffer, `first_line` to `last_line` (0-based, both included): a definition or a selection.

    `first_line` counts the decorators, attributes and documenting comments directly above; the definition itself starts
    at `header_line`. `body_first_line` is the first line of the body, the header's own where the body has no line of
    its own, None where there is no body. `docs` are the first and last line of its documentation, above or inside.
    `signature` is the header without the bracket or colon that opens the body. `container` is what it is defined in,
    outermost first, dotted. `indent` is the white space before the header.
    """

    kind: Literal["function", "class", "selection"]
    name: str
    first_line: int
    last_line: int
    header_line: int
    body_first_line: int | None
    signature: str
    indent: str
    docs: tuple[int, int] | None = None
    container: str = ""

    @property
    def has_doc(self) -> bool:
        return self.docs is not None

    @property
    def path(self) -> str:
        """Its name within the buffer, e.g. `Parser.parse`."""
        return f"{self.container}.{self.name}" if self.container else self.name


def block_of(tree: Tree, node: Any) -> Block | None:
    """The block of a node; None where the node defines nothing."""
    grammar = tree.grammar
    is_class = node.type in grammar.classes
    if not (is_class or node.type in grammar.functions or node.type in grammar.unnamed):
        return None
    body = node.child_by_field_name("body") or node.child_by_field_name("accessors")
    if is_class and node.type.endswith("_specifier") and body is None:
        return None  # a mention of a struct, not its definition
    outer, name = _outer(tree, node)
    if not name:
        return None
    header = header_of(outer, node)
    end_row = _end_row(outer)
    first, docs = docs_above(tree, outer)
    if tree.language.doc_inside and body is not None and body.named_child_count:
        statement = body.named_children[0]
        if is_docstring(tree, statement):
            docs = (statement.start_point.row, statement.end_point.row)
    colon = next((child for child in node.children if child.type == ":"), None)
    opens = colon if colon is not None and not tree.language.braces else body
    signature = tree.text(header.start_byte, opens.start_byte if opens is not None else outer.end_byte)
    if opens is None and "\n" in signature:
        signature = signature.partition("{")[0] if "{" in signature else signature.partition("\n")[0]
    if tree.language.id == "ruby":
        signature = signature.partition("\n")[0]
    body_line = None
    if body is not None or end_row > header.start_point.row:
        opening = opens.start_point.row if opens is not None else header.start_point.row
        body_line = min(opening + 1, end_row)
    name, container = _placed(tree, node, name)
    return Block(
        "class" if is_class else "function",
        name,
        first,
        end_row,
        header.start_point.row,
        body_line,
        signature.rstrip().rstrip("{").rstrip(),
        indent_of(tree.lines[header.start_point.row].decode()),
        docs,
        container,
    )


def _outer(tree: Tree, node: Any) -> tuple[Any, str]:
    """The node with all that belongs to it, and its name; "" where it has none."""
    name = name_of(node) if node.type not in tree.grammar.unnamed else ""
    outer = node
    while outer.parent is not None and outer.parent.type in WRAPPERS:
        parent = outer.parent
        if parent.type in _GROUPS and sum(not is_comment(child) for child in parent.named_children) > 1:
            break
        name = name or name_of(parent, not_this=outer)
        outer = parent
    return outer, name


def name_of(node: Any, not_this: Any = None) -> str:
    """The name that a node gives to what it defines, as it stands there; "" for none."""
    for field in _NAME_FIELDS:
        child = node.child_by_field_name(field)
        if child is None or child == not_this or (field == "type" and node.type != "impl_item"):
            continue
        while (inner := child.child_by_field_name("declarator")) is not None:
            child = inner
        name: str = child.text.decode().partition("<" if node.type == "impl_item" else "(")[0].strip()
        return name
    # Lua and Go list what is assigned to.
    listed = node.named_children[0] if node.type in ("assignment_statement", "short_var_declaration") else None
    return listed.text.decode() if listed is not None and listed != not_this else ""


def last_name(text: str) -> str:
    """That of a type, `Store` of `&shop::Store<'a>`; "" for none."""
    found: list[str] = re.findall(r"\w+", text.partition("<")[0])
    return found[-1] if found else ""


def receiver_of(node: Any) -> str:
    """The type that a method of Go is of, `Parser` of `(p *Parser[T])`; "" for none, also where it is being written."""
    receiver = node.child_by_field_name("receiver")
    return last_name(receiver.text.decode("utf-8", "replace").partition("[")[0]) if receiver is not None else ""


def _placed(tree: Tree, node: Any, name: str) -> tuple[str, str]:
    """The plain name, and the names of what it is defined in."""
    grammar = tree.grammar
    above: list[str] = []
    if received := receiver_of(node):
        above.append(received)
    parent = node.parent
    while parent is not None:
        if parent.type in grammar.functions + grammar.classes + grammar.scopes + grammar.unnamed:
            outer_name = name_of(parent) if parent.type in grammar.scopes else _outer(tree, parent)[1]
            if outer_name:
                above.append(outer_name)
        parent = parent.parent
    *inside, plain = name.replace("::", ".").replace(":", ".").split(".")
    return plain or name, ".".join([*reversed(above), *(part for part in inside if part)])


def header_of(outer: Any, node: Any) -> Any:
    """The first node of a definition that is no attribute of it. `outer`: the node with all that belongs to it."""
    for child in outer.children:
        if child.type in ATTRIBUTES or is_comment(child):
            continue
        if child.type == "modifiers":
            inner = next((part for part in child.children if part.type not in ATTRIBUTES), None)
            if inner is None:
                continue
            return inner
        if child.type in WRAPPERS or child == node:
            return header_of(child, node)
        return child
    return outer


def docs_above(tree: Tree, outer: Any) -> tuple[int, tuple[int, int] | None]:
    """The first row of a definition with what stands directly above, and the rows of its documenting comment."""
    first, docs = outer.start_point.row, None
    for sibling in _siblings_above(outer):
        end = _end_row(sibling)
        if sibling.type in ATTRIBUTES and end >= first - 1:
            pass
        elif is_comment(sibling) and end == first - 1:
            before = sibling.prev_sibling
            if before is not None and _end_row(before) == sibling.start_point.row:
                break  # the remark at the end of a line of code
            if not sibling.text.decode().lstrip().startswith(tree.language.doc_marks or ("\0",)):
                break
            docs = (sibling.start_point.row, docs[1] if docs else end)
        else:
            break
        first = min(first, sibling.start_point.row)
    return first, docs


def _siblings_above(node: Any) -> Iterator[Any]:
    if node.prev_sibling is None and node.parent is not None and node.parent.type == "body_statement":
        node = node.parent  # Ruby counts comments before the first statement of a body to what is around it
    node = node.prev_sibling
    while node is not None:
        yield node
        node = node.prev_sibling


def _end_row(node: Any) -> int:
    """The last row with text of a node: some grammars count the line ending to a comment."""
    row, column = node.end_point
    last: int = row - 1 if column == 0 and row > node.start_point.row else row
    return last


def indent_of(line: str) -> str:
    """The blanks and tabs that a line begins with."""
    return line[: len(line) - len(line.lstrip(" \t"))]
