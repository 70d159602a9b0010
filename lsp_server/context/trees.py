"""Syntax trees: parsing with tree-sitter, kept in step with a buffer by parsing only what changed.

A parse of 5,000 lines takes about 30 ms, one after a keystroke about 1 ms. Grammars are imported when their language is
first met, and a language without one has no tree. Rows are those of the buffer: every line ending is read as `\n`.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from lsp_server.context.languages import Grammar, Language, language
from lsp_server.context.window import normalized

# Characters. Longer files (data, generated code) would hold the caller up for a second or more, and are not parsed.
LONGEST = 2_000_000
# What is parsed at a time of a text that is parsed beside other work: 4 KiB take about 0.5 ms, the end of a parse 2 ms.
SLICE_BYTES, WORK_SECONDS, PAUSE_SECONDS = 4096, 0.001, 0.0002
# Seconds of the processor for a parse, and more for each byte, ten times what code takes; and pieces next to each other
# of which the parser can make nothing: the time to look through them grows with their square. All other threads wait
# meanwhile.
MOST_SECONDS, MOST_SECONDS_OF_A_BYTE, MOST_PIECES = 0.2, 3e-6, 10_000
# Bytes that change at once by typing: they need no limit. Where code is begun, a parse in slices would be one too many.
MOST_TYPED = 4_000
# `<` behind each other that nothing closes: those of Java and C# take a time that grows with their cube, in one step.
MOST_OPENED = 1_000
_COMMENT = re.compile(rb"//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_CLOSING = re.compile(rb"[(;{}>]")
# Trees kept; a tree of 5,000 lines takes about 5 MB.
CACHED_TREES = 16


@dataclasses.dataclass(frozen=True, eq=False)
class Tree:
    """The tree of one text. `data`: that text in UTF-8 with `\n` endings, which the byte offsets of nodes count in."""

    language: Language
    grammar: Grammar
    data: bytes
    tree: Any  # tree_sitter.Tree

    @property
    def root(self) -> Any:
        return self.tree.root_node

    @functools.cached_property
    def lines(self) -> list[bytes]:
        """Without endings."""
        return self.data.split(b"\n")

    def text(self, start: int, end: int) -> str:
        return self.data[start:end].decode()


@dataclasses.dataclass(frozen=True)
class Leaf:
    """A token of the code: its text, the type of its node, how deep in the tree it stands, and if it says a type."""

    text: str
    type: str
    depth: int
    row: int
    in_type: bool = False


def parse(text: str, language_id: str, previous: Tree | None = None, *, gently: bool = False) -> Tree | None:
    """The tree of `text`; None where there is no grammar, or the text is too long or takes too long.

    `previous` is the tree of an earlier text of the same document: where little differs, what both texts begin and end
    with is not parsed again. `gently`: in a thread, where other threads are to go on meanwhile, which the parser alone
    does not let them.
    """
    spoken = language(language_id)
    if spoken.grammar is None or len(text) > LONGEST:
        return None
    compiled = _compiled(spoken.grammar.module, spoken.grammar.function)
    if compiled is None:
        return None
    import tree_sitter

    data = normalized(text).encode()
    if _opens_too_much(data):
        return None
    parser = tree_sitter.Parser(compiled)
    if previous is not None and previous.grammar == spoken.grammar:
        if previous.data == data:
            return previous
        changed = _edit(previous.data, data)
        if changed["new_end_byte"] - changed["start_byte"] <= MOST_TYPED:
            before = previous.tree.copy()  # whoever holds the earlier tree may still be reading it
            before.edit(**changed)
            tree = parser.parse(data, before)
            return None if _is_crumbled(tree.root_node) else Tree(spoken, spoken.grammar, data, tree)
    slices = _Slices(data, PAUSE_SECONDS if gently else 0.0)
    try:
        tree = parser.parse(slices, progress_callback=_too_long(len(data)))
    except ValueError:  # it was ended
        return None
    slices.pause = 0.0
    if _is_crumbled(tree.root_node):
        return None
    # One that has the text itself, of which nothing is parsed again, tells that of its nodes twenty times as fast.
    return Tree(spoken, spoken.grammar, data, tree if gently else parser.parse(data, tree))


class SyntaxCache:
    """The last tree of each document, by its uri."""

    def __init__(self, size: int = CACHED_TREES) -> None:
        self._size = size
        self._trees: OrderedDict[str, Tree] = OrderedDict()

    def tree(self, uri: str, text: str, language_id: str) -> Tree | None:
        """The tree of `text`, parsed from the last one of the same document; None as in `parse`."""
        tree = parse(text, language_id, self._trees.get(uri))
        if tree is None:
            self.forget(uri)
            return None
        self.keep(uri, tree)
        return tree

    def keep(self, uri: str, tree: Tree) -> None:
        """Remember the last tree of a document."""
        self._trees[uri] = tree
        self._trees.move_to_end(uri)
        if len(self._trees) > self._size:
            self._trees.popitem(last=False)

    def __contains__(self, uri: str) -> bool:
        return uri in self._trees

    def forget(self, uri: str) -> None:
        """Drop the tree of a document that was closed."""
        self._trees.pop(uri, None)


def errors(text: str, language_id: str) -> int | None:
    """How many places of `text` do not parse; None where there is no grammar."""
    tree = parse(text, language_id)
    return None if tree is None else errors_in(tree)


def errors_in(tree: Tree) -> int:
    """ERROR and MISSING nodes; and in Python blocks without a statement, statements that stand too deep or not deep
    enough, and `try` without what goes with it, as its grammar takes these."""
    # What is missing may be a token that a query does not find.
    count = max(1, len(nodes(tree, ("ERROR", "MISSING")))) if tree.root.has_error else 0
    if tree.language.id == "python":
        count += _misplaced(tree.root)
        for node in nodes(tree, ("block", "try_statement")):
            count += _misplaced(node) if node.type == "block" else node.named_children[-1].type == "block"
    return count


def _misplaced(block: Any) -> int:
    """Statements of a block that do not stand where its first one does; an empty block counts as one."""
    statements = [node for node in block.named_children if not is_comment(node)]
    if block.type == "block" and not statements:
        return 1
    columns, row = [0] if block.type == "module" else [], -1
    for node in statements:
        if node.start_point.row > row:  # not behind a `;`
            columns.append(node.start_point.column)
        row = node.end_point.row
    return sum(column != columns[0] for column in columns)


def text_of(node: Any) -> str:
    """The text of a node; "" of none."""
    return node.text.decode("utf-8", "replace") if node is not None else ""


def nodes(tree: Tree, types: tuple[str, ...]) -> list[Any]:
    """All nodes of these types, in the order of the text."""
    if not types:
        return []
    import tree_sitter

    query = _query(tree.grammar.module, tree.grammar.function, types)
    found = tree_sitter.QueryCursor(query).captures(tree.root).get("it", [])
    return sorted(found, key=lambda node: (node.start_byte, -node.end_byte))


def leaves(tree: Tree, first: int, last: int) -> Iterator[Leaf]:
    """The tokens on rows `first` to `last` (both included), without comments and docstrings.

    A string is one token. The depth tells apart what only its indentation puts into one block or another.
    """
    stack = [(tree.root, 0, False)]
    while stack:
        node, depth, typed = stack.pop()
        if node.end_point.row < first or node.start_point.row > last or is_comment(node) or is_docstring(tree, node):
            continue
        typed = typed or node.type in tree.grammar.types
        if node.child_count == 0 or node.type in tree.grammar.strings:
            if node.end_byte > node.start_byte and first <= node.start_point.row <= last:
                yield Leaf(tree.text(node.start_byte, node.end_byte), node.type, depth, node.start_point.row, typed)
            continue
        stack.extend((child, depth + 1, typed) for child in reversed(node.children))


def rows_in_strings(text: str, language_id: str) -> frozenset[int]:
    """The rows that begin inside a string, whose leading blanks are text; those of docstrings are not among them."""
    tree = parse(text, language_id)
    if tree is None:
        return frozenset()
    rows: set[int] = set()
    for node in nodes(tree, tree.grammar.strings):
        if not is_docstring(tree, node) and not (node.parent is not None and is_docstring(tree, node.parent)):
            rows.update(range(node.start_point.row + 1, node.end_point.row + 1))
    return frozenset(rows)


def is_comment(node: Any) -> bool:
    return "comment" in node.type and node.is_named


def is_docstring(tree: Tree, node: Any) -> bool:
    """Whether a statement is a string and nothing else, in a language that documents so."""
    if not tree.language.doc_inside or node.type != "expression_statement":
        return node.type in tree.grammar.strings and node.parent is not None and is_docstring(tree, node.parent)
    return node.named_child_count == 1 and node.named_children[0].type in tree.grammar.strings


class _Slices:
    """A text that is read in slices, after a pause each; the tree asks it for the text of its nodes too, later."""

    def __init__(self, data: bytes, pause: float) -> None:
        self._data = data
        self._paused = time.monotonic()
        self.pause = pause

    def __call__(self, offset: int, point: Any) -> bytes:
        if self.pause and time.monotonic() > self._paused + WORK_SECONDS:  # some slices are asked for many times
            time.sleep(self.pause)  # gives the others their turn
            self._paused = time.monotonic()
        return self._data[offset : offset + SLICE_BYTES]


def _opens_too_much(data: bytes) -> bool:
    if data.count(b"<") <= MOST_OPENED:
        return False
    return any(part.count(b"<") > MOST_OPENED for part in _CLOSING.split(_COMMENT.sub(b"", data)))


def _is_crumbled(root: Any) -> bool:
    """Whether a part of a tree has more than MOST_PIECES, as of thousands of brackets that are not closed."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.type == "ERROR" and node.child_count > MOST_PIECES:
            return True
        if node.has_error and node.descendant_count > MOST_PIECES:
            waiting += node.children
    return False


def _too_long(size: int) -> Callable[..., bool]:
    """Asked now and then by the parser of a text of `size` bytes, whether to leave off."""
    until = time.thread_time() + MOST_SECONDS + MOST_SECONDS_OF_A_BYTE * size
    return lambda *where: time.thread_time() > until


@functools.cache
def _compiled(module: str, function: str) -> Any:
    """The compiled grammar; None where it is not installed or was made for another version of the parser."""
    try:
        import tree_sitter

        return tree_sitter.Language(getattr(importlib.import_module(module), function)())
    except (ImportError, AttributeError, ValueError):
        return None


@functools.cache
def _query(module: str, function: str, types: tuple[str, ...]) -> Any:
    import tree_sitter

    return tree_sitter.Query(_compiled(module, function), "[" + " ".join(f"({name})" for name in types) + "] @it")


def _edit(old: bytes, new: bytes) -> dict[str, Any]:
    """What changed between two texts, as the one edit between what they begin and end with alike."""
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    old_end, new_end = len(old) - end, len(new) - end
    return {
        "start_byte": start,
        "old_end_byte": old_end,
        "new_end_byte": new_end,
        "start_point": _point(old, start),
        "old_end_point": _point(old, old_end),
        "new_end_point": _point(new, new_end),
    }


def _common(one: bytes, other: bytes) -> int:
    """Bytes that both begin with; by halving, as comparing slices is much faster than a loop over bytes."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _point(data: bytes, offset: int) -> tuple[int, int]:
    return data.count(b"\n", 0, offset), offset - (data.rfind(b"\n", 0, offset) + 1)
