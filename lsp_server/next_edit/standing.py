"""Whether the names that a proposal brings stand for something where it puts them."""

from __future__ import annotations

import re

from lsp_server.context.trees import Tree, parse
from lsp_server.next_edit.binding import parent_of
from lsp_server.next_edit.documents import Document
from lsp_server.next_edit.names import Hit, hits
from lsp_server.next_edit.proposal import Proposal, applied
from lsp_server.next_edit.renames import BUILT_IN, GIVEN
from lsp_server.next_edit.roles import class_outside, function_of
from lsp_server.next_edit.tokens import tokens

# A member is given the value of what has its name.
_GIVEN = re.compile(r"\bthis(?:\.|->)(\w+)\s*=\s*\1\b")
# Names that stand for something everywhere; Python's `self` is a parameter.
KNOWN = (GIVEN | BUILT_IN) - {"self", "cls"}


def is_in_scope(document: Document, proposal: Proposal) -> bool:
    """Whether each name in the new text means something there: it is bound around it, or a member that is known.
    Those in the line that it goes to do."""
    made = applied(document.lines, proposal)
    tree = parse(made, document.language_id, document.tree) if made is not None else None
    if tree is None:
        return False
    if _gives_itself(tree, proposal):
        return False
    there = {token.text for token in tokens(document.lines[proposal.row])} | KNOWN
    for token in tokens(proposal.new):
        if token.is_word and token.text not in there:
            column = token.column + (0 if token.row else proposal.column)
            if not _stands(tree, token.text, proposal.row + token.row, column):
                return False
    return True


def _gives_itself(tree: Tree, proposal: Proposal) -> bool:
    """Whether a line gives a member the value of what is that member, too, as in `this.z = z` without a parameter."""
    given = _GIVEN.search(proposal.new)
    if given is None:
        return False
    row = proposal.row + proposal.new.count("\n", 0, given.start())
    return any(hit.row == row and hit.role == "member" and not hit.receiver for hit in hits(tree, given[1]))


def is_bound_in(document: Document, proposal: Proposal, name: str) -> bool:
    """Whether a name that is new in a proposal is bound around it."""
    made = applied(document.lines, proposal)
    tree = parse(made, document.language_id, document.tree) if made is not None else None
    columns = [token.column + proposal.column for token in tokens(proposal.new) if token.text == name]
    return tree is not None and all(
        hit.scope or hit.role != "plain"
        for hit in hits(tree, name)
        if hit.row == proposal.row and hit.column in columns
    )


def _stands(tree: Tree, name: str, row: int, column: int) -> bool:
    places = hits(tree, name)
    here = next((hit for hit in places if (hit.row, hit.column) == (row, column)), None)
    if here is None or here.role in ("key", "path"):
        return True  # text, a word of the language, or what needs nothing before it
    if here.binds:
        # Of what is like it, nobody knows if it takes one more: a parameter, a member.
        return not _is_parameter(here) and here.role != "member"
    if parent_of(here.node).type == "switch_label":  # of Java, which says what enum by what it is a case of
        return any(hit.defines for hit in places)
    if here.role == "plain":
        outside = class_outside(here.node)  # whose members may be in another file
        free = any(not hit.scope and class_outside(hit.node) == outside for hit in places if hit.row != row)
        return here.scope > 0 or (bool(outside) and free)
    return here.defines or not here.receiver or any(_is_such(hit, here) for hit in places if hit.row != row)


def _is_parameter(hit: Hit) -> bool:
    function = function_of(hit.node)
    parameters = function.child_by_field_name("parameters") if function is not None else None
    return parameters is not None and bool(parameters.start_byte <= hit.node.start_byte < parameters.end_byte)


def _is_such(hit: Hit, here: Hit) -> bool:
    """Whether a place shows that there is such a member."""
    return hit.role == "member" and (not hit.owner or not here.owner or hit.owner == here.owner)
