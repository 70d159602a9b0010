"""Whether a place that looks like two examples of a rewrite is like them in what its names mean.

`user.name` became `user.title` twice: `post.name` is that of something else, and a parameter `name` is no member.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import Any

from lsp_server.context.languages import words
from lsp_server.context.steps import Step
from lsp_server.context.trees import Tree
from lsp_server.next_edit.binding import parent_of
from lsp_server.next_edit.documents import Document, Situation, now
from lsp_server.next_edit.followers import called
from lsp_server.next_edit.names import Hit, hits, name_at
from lsp_server.next_edit.proposal import Proposal
from lsp_server.next_edit.roles import function_of
from lsp_server.next_edit.standing import is_bound_in
from lsp_server.next_edit.tokens import Token, differences, tokens

# What is in each method something of its own.
_OF_METHODS = {"self", "cls"}
_ITEMS = frozenset(words("subscript subscript_expression index_expression array_access"))
_ASSIGNMENTS = frozenset(words("assignment_expression augmented_assignment_expression update_expression"))
_ARGUMENTS = frozenset(words("argument_list arguments"))


@dataclasses.dataclass(frozen=True)
class Example:
    """A line, the row `row` of the text that a step began with, which it rewrote."""

    step: Step
    row: int

    @property
    def before(self) -> str:
        return self.step.base[self.row]

    @property
    def after(self) -> str:
        return self.step.after[self.row - self.step.row]


@dataclasses.dataclass(frozen=True)
class _Sense:
    """What a word is at a place: `kind`, and what it hangs on, `front`: the object of a member, the function of an
    argument. `hit`: where it is a name."""

    kind: str
    front: str
    hit: Hit | None = None


def is_alike(here: Situation, document: Document, examples: Sequence[Example], proposal: Proposal) -> bool:
    """Whether the words that a proposal takes out are what they were in the examples, and those that it brings mean
    something where they do so there."""
    tree = document.tree
    bases = [document.tree_before(each.step) for each in examples]
    if tree is None or None in bases:
        return False
    line = document.lines[proposal.row]
    made = line[: proposal.column] + proposal.new + line[proposal.end_column :]
    one_by_one = [each for each in differences([line], [made]) if len(each.old) == len(each.new) == 1]
    renamed = {each.old[0].text for each in one_by_one if each.new[0].is_word} - _OF_METHODS
    for token in _changed(line, made, 0):
        mine = _sense(tree, proposal.row, token.column, token.text)
        theirs = [
            (example, base, _sense(base, example.row, each.column, each.text))
            for example, base in zip(examples, bases, strict=True)
            if base is not None
            for each in _changed(example.before, example.after, 0)
            if each.text == token.text
        ]
        own = token.text not in renamed and mine.hit is not None and mine.hit.scope not in (0, tree.root.id)
        if theirs and not any((own and _is_own(mine, *each)) or _is_such(mine, *each, tree, here) for each in theirs):
            return False
        fronts = {each.front for _, _, each in theirs}
        if len(fronts) == 1 and mine.front not in fronts:
            return False
    if not _is_allowed(tree, line, made, proposal):
        return False
    return all(is_bound_in(document, proposal, name) for name in _local(here, tree, examples[0]))


def _changed(before: str, after: str, side: int) -> Iterator[Token]:
    """The words and strings that differ between two texts of a line, those of the first or (side 1) of the second."""
    for each in differences([before], [after]):
        yield from (token for token in (each.old, each.new)[side] if token.is_word or token.text[0] in "\"'`")


def _sense(tree: Tree, row: int, column: int, text: str) -> _Sense:
    places = hits(tree, text) if name_at(tree, row, column, text) else ()
    hit = next((each for each in places if (each.row, each.column) == (row, column)), None)
    if hit is not None:
        kind = f"{hit.role} {'bound' if hit.binds else ''}"
        return _Sense(kind, called(hit) if hit.role == "key" else hit.receiver, hit)
    start = len(tree.lines[row].decode()[:column].encode())
    node = tree.root.descendant_for_point_range((row, start), (row, start + len(text.encode())))
    around = parent_of(node) if node is not None else None
    if node is None or around is None or "string" not in node.type:
        return _Sense("word", "")
    if around.type in _ITEMS:
        return _Sense("string", str(around.named_children[0].text.decode()))
    return _Sense("string", _function(around))


def _function(arguments: Any) -> str:
    """What is called with some arguments; "" where nothing is."""
    call = parent_of(arguments) if arguments.type in _ARGUMENTS else None
    named = call.child_by_field_name("function") if call is not None else None
    return named.text.decode() if named is not None else ""


def _is_own(mine: _Sense, example: Example, base: Tree, theirs: _Sense) -> bool:
    """Whether a word is one that the function around has of its own, there as in an example: as `self` is."""
    return mine.kind == theirs.kind and theirs.hit is not None and theirs.hit.scope not in (0, base.root.id)


def _is_such(mine: _Sense, example: Example, base: Tree, theirs: _Sense, tree: Tree, here: Situation) -> bool:
    """Whether a word is the same at a place as in an example: bound in the same scope, where that is not the file's."""
    if mine.kind != theirs.kind:
        return False
    if mine.hit is None or theirs.hit is None or theirs.hit.role != "plain":
        return True
    if mine.hit.node.type == "type_identifier" and _is_local(mine.hit) != _is_local(theirs.hit):
        return False
    if theirs.hit.scope in (0, base.root.id):
        return mine.hit.scope in (0, tree.root.id)
    later = here.since(example.step)
    same = (each for each in hits(base, theirs.hit.node.text.decode()) if each.scope == theirs.hit.scope)
    return (mine.hit.row, mine.hit.column) in (now(later, each.row, each.column) for each in same)


def _is_local(hit: Hit) -> bool:
    """Whether a type is said in a function: that of a member is another matter."""
    function = function_of(hit.node)
    body = function.child_by_field_name("body") if function is not None else None
    return body is not None and bool(body.start_byte <= hit.node.start_byte)


def _is_allowed(tree: Tree, line: str, made: str, proposal: Proposal) -> bool:
    """Whether the function around lets what a proposal brings be: `await` where it is asynchronous, Rust's `?` where it
    gives back what that hands on, and `const` where nothing is assigned to it later."""
    brought = {token.text for each in differences([line], [made]) for token in each.new}
    start = len(tree.lines[proposal.row].decode()[: proposal.column].encode())
    node = tree.root.descendant_for_point_range((proposal.row, start), (proposal.row, start + 1))
    function: Any = function_of(node) if node is not None else None
    body = function.child_by_field_name("body") if function is not None else None
    head = function.text[: body.start_byte - function.start_byte].decode() if body is not None else ""
    if "await" in brought and head and not re.search(r"\basync\b", head):
        return False
    if "?" in brought and tree.language.id == "rust" and head and not re.search(r"->.*(?:Result|Option)\b", head):
        return False
    return "const" not in brought or not any(_is_assigned(tree, token, proposal.row) for token in tokens(line))


def _is_assigned(tree: Tree, token: Token, row: int) -> bool:
    """Whether a variable of JavaScript that a line declares becomes another one in other lines."""
    places = hits(tree, token.text) if token.is_word else ()
    here = next((hit for hit in places if (hit.row, hit.column) == (row, token.column) and hit.binds), None)
    return here is not None and any(
        hit.scope == here.scope
        and parent_of(hit.node).type in _ASSIGNMENTS
        and parent_of(hit.node).named_children[0] == hit.node
        for hit in places
    )


def _local(here: Situation, tree: Tree, example: Example) -> Iterator[str]:
    """The names that an example brought and that are bound in the function around it, not in the file."""
    later = here.since(example.step)[1:]
    for token in _changed(example.before, example.after, 1):
        place = now(later, example.row, token.column) if token.is_word else None
        hit = next((each for each in hits(tree, token.text) if (each.row, each.column) == place), None)
        if hit is not None and hit.role == "plain" and not hit.binds and hit.scope not in (0, tree.root.id):
            yield token.text
