"""The texts that a next edit is looked for in, and where a place of an earlier text is now."""

from __future__ import annotations

import dataclasses
import functools
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from lsp_server.context.languages import Language, language
from lsp_server.context.steps import Step, TakenBack
from lsp_server.context.trees import Tree, nodes, parse
from lsp_server.context.window import normalized
from lsp_server.next_edit.tokens import kept_columns

# Trees kept: so many, or more where their texts have no more bytes together; one of 5,000 lines, of 200 kB, takes about
# 5 MB.
MOST_TREES, MOST_BYTES = 6, 1_500_000


K = TypeVar("K")
V = TypeVar("V")


class Trees:
    """The trees of documents, and of what they were before their last steps: most need no parsing anew. For one thread
    at a time."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, Tree] = OrderedDict()
        self._before: OrderedDict[int, tuple[Sequence[str], Tree]] = OrderedDict()

    def now(self, uri: str, language_id: str, lines: Sequence[str]) -> Tree | None:
        tree = parse("".join(lines), language_id, self._last.get(uri))
        if tree is not None:
            self._last[uri] = tree
            _keep(self._last, uri, lambda tree: len(tree.data))
        return tree

    def before(self, step: Step, language_id: str) -> Tree | None:
        """Of the text that a step began with, which most often is that of the last question."""
        kept = self._before.get(id(step.base))
        if kept is not None and kept[0] is step.base:
            return kept[1]
        tree = parse("".join(step.base), language_id, self._last.get(step.uri))
        if tree is not None:
            self._before[id(step.base)] = step.base, tree
            _keep(self._before, id(step.base), lambda kept: len(kept[1].data))
        return tree


def _keep(kept: OrderedDict[K, V], key: K, size: Callable[[V], int]) -> None:
    kept.move_to_end(key)
    while len(kept) > MOST_TREES and sum(map(size, kept.values())) > MOST_BYTES:
        kept.popitem(last=False)


class Document:
    """A text with its tree. `version` is None for a file that is not open."""

    def __init__(
        self,
        uri: str,
        language_id: str,
        lines: Sequence[str],
        version: int | None = None,
        trees: Trees | None = None,
    ) -> None:
        self.uri = uri
        self.language_id = language_id
        self.version = version
        self.source = lines
        self._trees = trees or Trees()

    @property
    def spoken(self) -> Language:
        return language(self.language_id)

    @functools.cached_property
    def tree(self) -> Tree | None:
        return self._trees.now(self.uri, self.language_id, self.source)

    @functools.cached_property
    def lines(self) -> list[str]:
        """Without endings."""
        return [line.rstrip("\r\n") for line in self.source]

    @functools.cached_property
    def _broken(self) -> set[int]:
        if self.tree is None or not self.tree.root.has_error:
            return set()
        found = nodes(self.tree, ("ERROR", "MISSING"))
        return {row for node in found for row in range(node.start_point.row, node.end_point.row + 1)}

    @functools.cached_property
    def _bare(self) -> str:
        return "".join(self.source).replace("_", "").lower()

    def holds(self, word: str) -> bool:
        """Whether a word stands somewhere in the text, in whatever way it is written: `MaxSize` is `max_size`."""
        return word.replace("_", "").lower() in self._bare

    def is_broken(self, row: int) -> bool:
        """Whether a line does not parse: it is being written."""
        return row in self._broken

    def is_text(self, row: int, start: int, end: int) -> bool:
        """Whether a part of a line, in characters, or a place between two of them, is within a comment or a string."""
        return self.tree is not None and is_text(self.tree, row, start, end)

    def tree_before(self, step: Step) -> Tree | None:
        """Of the text that a step began with."""
        return self._trees.before(step, self.language_id)


@dataclasses.dataclass(frozen=True)
class Situation:
    """What is open, and what was done, the oldest step first. `uri` and `row`: where the user is. `holding`: files that
    are not open and hold a word."""

    documents: Mapping[str, Document]
    steps: Sequence[Step]
    uri: str
    row: int
    holding: Callable[[str, str], Iterable[Document]] = lambda word, language_id: ()
    taken_back: Sequence[TakenBack] = ()

    def since(self, step: Step) -> list[Step]:
        """A step and all after it in the same document."""
        return [each for each in self.steps[self.steps.index(step) :] if each.uri == step.uri]

    def others(self, uri: str, word: str) -> list[Document]:
        """The other documents in the same language, those that are open first."""
        here = self.documents[uri]
        open_ = [each for each in self.documents.values() if each.uri != uri and _go_together(each, here)]
        found = [each for each in open_ if each.holds(word)]  # so that no others are parsed
        known = {each.uri for each in self.documents.values()}
        return found + [each for each in self.holding(word, here.language_id) if each.uri not in known]


def is_text(tree: Tree, row: int, start: int, end: int) -> bool:
    """The same in a tree."""
    if row >= len(tree.lines):
        return False
    line = tree.lines[row].decode()
    behind = start == end == len(line)  # of a string that ends there
    if start == end:  # what is on both sides of it
        start, end = max(0, start - 1), min(len(line), end + 1)
    first, last = (len(line[:column].encode()) for column in (start, end))
    node = tree.root.descendant_for_point_range((row, first), (row, last))
    while node is not None:
        if "interpolation" in node.type or "substitution" in node.type:
            return False
        whole = node.start_point == (row, first) and node.end_point == (row, last)
        whole = whole or (behind and "string" in node.type and node.end_point == (row, last))
        if ("comment" in node.type or "string" in node.type) and not whole:
            return True
        node = node.parent
    return False


def _go_together(one: Document, other: Document) -> bool:
    return _family(one.spoken.id) == _family(other.spoken.id)


def _family(name: str) -> str:
    return {"c": "cpp", "javascript": "typescript"}.get(name.removesuffix("react"), name.removesuffix("react"))


def now(steps: Iterable[Step], row: int, column: int) -> tuple[int, int] | None:
    """Where the token at a place of the text before some steps of one document is after them; None where it is gone."""
    for step in steps:
        last = step.row + len(step.before)
        if row >= last:
            row += len(step.after) - len(step.before)
        elif row >= step.row:
            moved = kept_columns(step.before, step.after, row - step.row, column)
            if moved is None:
                return None
            row, column = step.row + moved[0], moved[1]
    return row, column


def touched(steps: Iterable[Step]) -> set[int]:
    """The rows of the text now that some steps of one document wrote."""
    rows: set[int] = set()
    for step in steps:
        last, shift = step.row + len(step.before), len(step.after) - len(step.before)
        rows = {row + shift if row >= last else row for row in rows if not step.row <= row < last}
        before = {normalized(line) for line in step.before}
        rows |= {step.row + at for at, line in enumerate(step.after) if normalized(line) not in before}
    return rows
