"""The definitions of a buffer: the function or class at a place, and all that have a name.

Found in the syntax tree; where a language has no grammar, by indentation. Rows are 0-based.
"""

from __future__ import annotations

from typing import Any

from lsp_server.context import indentation
from lsp_server.context.buffer import split_lines
from lsp_server.context.definitions import ATTRIBUTES, WRAPPERS, Block, block_of, indent_of
from lsp_server.context.languages import Language, language
from lsp_server.context.trees import SyntaxCache, Tree, errors, is_comment, nodes, parse

__all__ = ["Block", "SyntaxCache", "Tree", "enclosing", "errors", "parse", "selection", "symbols"]


def enclosing(text: str, language_id: str, row: int, col: int, *, tree: Tree | None = None) -> Block | None:
    """The innermost function or class at a position (0-based; column in characters), None outside of any.

    The comments, attributes and decorators directly above a definition are part of it. `tree`: the tree of `text`, if
    the caller has it (see `SyntaxCache`); else it is parsed here.
    """
    tree = tree or parse(text, language_id)
    if tree is None:
        lines = split_lines(text)
        span = indentation.block_at(lines, row, language(language_id))
        return None if span is None else _from_span(span, lines, language(language_id))
    if not 0 <= row < len(tree.lines):
        return None
    row, column = _on_code(tree, row, col)
    node = tree.root.named_descendant_for_point_range((row, column), (row, column))
    while node is not None:
        found = _below(tree, node) if node.type in ATTRIBUTES or is_comment(node) else _inside(tree, node)
        if found is not None and found.first_line <= row <= found.last_line:
            return found
        node = node.parent
    return None


def symbols(text: str, language_id: str, *, tree: Tree | None = None) -> list[Block]:
    """Every function and class that has a name, nested ones too, in the order of the text."""
    tree = tree or parse(text, language_id)
    if tree is None:
        lines = split_lines(text)
        spoken = language(language_id)
        return [_from_span(span, lines, spoken) for span in indentation.blocks(lines, spoken)]
    grammar = tree.grammar
    found = (block_of(tree, node) for node in nodes(tree, grammar.functions + grammar.classes + grammar.unnamed))
    return [block for block in found if block is not None and block.name]


def selection(text: str, first_line: int, last_line: int) -> Block:
    """The lines that a user selected, as a block. Blank lines at both ends are left out where others remain."""
    lines = split_lines(text)
    first, last = max(0, first_line), min(last_line, len(lines) - 1)
    while first < last and not lines[first].strip():
        first += 1
    while last > first and not lines[last].strip():
        last -= 1
    return Block("selection", "", first, last, first, None, "", indent_of(lines[first]))


def _on_code(tree: Tree, row: int, col: int) -> tuple[int, int]:
    """The place in bytes, moved onto the code of its line: left of a header one means the header."""
    line = tree.lines[row]
    if not line.strip():
        above = row
        while above and not tree.lines[above].strip():
            above -= 1
        # Where indentation makes the blocks, the tree ends them at the last statement; the user types on below it.
        if not tree.language.braces and col and len(tree.lines[above]) - len(tree.lines[above].lstrip()) >= col:
            return above, len(tree.lines[above]) - len(tree.lines[above].lstrip())
        return row, min(col, len(line))
    column = len(line.decode()[:col].encode())
    start = len(line) - len(line.removeprefix(b"\xef\xbb\xbf").lstrip())  # a byte order mark is no code
    return row, min(max(column, start), len(line.rstrip()) - 1)


def _below(tree: Tree, node: Any) -> Block | None:
    """The definition that a comment or attribute stands above."""
    while node is not None and (node.type in ATTRIBUTES or is_comment(node)):
        node = node.next_named_sibling
    return None if node is None else _inside(tree, node)


def _inside(tree: Tree, node: Any) -> Block | None:
    """The definition that a node is, or that it wraps: with its decorators, its `export`, its name."""
    while node is not None:
        found = block_of(tree, node)
        if found is not None or node.type not in WRAPPERS:
            return found
        node = next((child for child in reversed(node.named_children) if child.type not in ATTRIBUTES), None)
    return None


def _from_span(span: indentation.Span, lines: list[str], spoken: Language) -> Block:
    header = lines[span.header].strip()
    return Block(
        "class" if span.kind == "class" else "function",
        span.name,
        span.first,
        span.last,
        span.header,
        min(span.header + 1, span.last),
        header.rstrip("{").rstrip() if spoken.braces else header.rstrip(":"),
        indent_of(lines[span.header]),
        span.docs,
    )
