"""The parameters of a function were changed: its calls follow."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from lsp_server.context.languages import words
from lsp_server.context.steps import Step
from lsp_server.context.trees import Tree, is_comment
from lsp_server.next_edit import renames
from lsp_server.next_edit.arguments import Rewriting, arguments_of, rewriting_of, rewritten
from lsp_server.next_edit.binding import is_field
from lsp_server.next_edit.documents import Document, Situation, now, touched
from lsp_server.next_edit.elsewhere import elsewhere
from lsp_server.next_edit.lineage import bases
from lsp_server.next_edit.literals import is_object
from lsp_server.next_edit.names import Hit, hits
from lsp_server.next_edit.objects import COMMON, is_bound, owner_of
from lsp_server.next_edit.proposal import GAP, Hole, Proposal
from lsp_server.next_edit.roles import class_of
from lsp_server.next_edit.signatures import Signature, signature_at

_CALLS = frozenset(words("call call_expression new_expression method_invocation object_creation_expression"))


def proposals(here: Situation, step: Step) -> Iterator[Proposal]:
    """What follows from a signature that a step changed."""
    return (each for each in _all(here, step) if GAP not in each.new)


def holes(here: Situation, step: Step) -> Iterator[Hole]:
    """The calls that lack a new parameter for which no value is at hand."""
    for each in _all(here, step):
        if GAP in each.new:
            known = dataclasses.replace(each, kind="filled")
            yield Hole(known, is_item=True, shown="".join(step.after))


def changed(here: Situation) -> set[str]:
    """The functions whose parameters were changed: what becomes of their calls is no matter of likeness."""
    found = (_rewriting(here, step) for step in here.steps)
    return {each[0].name for each in found if each is not None}


def _all(here: Situation, step: Step) -> Iterator[Proposal]:
    document, found = here.documents.get(step.uri), _rewriting(here, step)
    if document is not None and found is not None:
        yield from _calls(here, step, document, *found)


def _rewriting(here: Situation, step: Step) -> tuple[Signature, Rewriting] | None:
    """The function whose parameters a step changed, and what becomes of its calls."""
    document = here.documents.get(step.uri)
    base = document.tree_before(step) if document is not None else None
    if document is None or base is None or document.tree is None:
        return None
    later = here.since(step)
    for row in range(step.row, step.row + max(1, len(step.before))):
        old = signature_at(base, row)
        place = now(later, old.row, old.column) if old is not None else None
        new = signature_at(document.tree, place[0]) if place is not None else None
        if old is None or new is None or old.name != new.name or document.is_broken(new.row):
            continue
        rewriting = rewriting_of(old.parameters, new.parameters)
        return (new, rewriting) if rewriting is not None else None
    return None


def _calls(here: Situation, step: Step, document: Document, new: Signature, rewriting: Rewriting) -> Iterator[Proposal]:
    assert document.tree is not None
    places = hits(document.tree, new.name)
    name_row = [hit for hit in places if hit.row == new.named and (hit.defines or hit.role == "member")]
    if not name_row:
        return
    defined = name_row[0]
    tree, owners = document.tree, {hit.owner for hit in places if hit.role == "member" and hit.defines}
    made = [hit for hit in places if _may_be(hit, defined, tree, len(owners) < 2)]
    if sum(renames.function_like(hit.node) and hit.defines for hit in made) > 1:
        return  # overloaded
    why = f"{new.name}({', '.join(each.name for each in new.parameters)})"
    work = [(document, [*made, *_initializing(tree, new.name)])]
    if defined.role == "member" or defined.scope == document.tree.root.id:
        for other in here.others(step.uri, new.name):
            if other.tree is not None:
                work.append((other, elsewhere(document, other, new.name, defined)))
    example = ""
    for at, hit in work:  # what was put into the calls that are right already
        example = example or next(filter(None, (_example(each, rewriting, at, here) for each in hit)), "")
    for at, hit in work:
        done = touched([each for each in here.steps[here.steps.index(step) :] if each.uri == at.uri])
        for each in hit:
            call = _call_of(each)
            if call is None or not done.isdisjoint(range(call.start_point.row, call.end_point.row + 1)):
                continue
            ahead = each.receiver.strip("(*)")
            through = new.receives and ahead != "" and ahead in (defined.owner, new.name, "Self")
            changed = rewritten(at, call, rewriting, example, int(through))
            if changed is not None:
                yield _proposal(at, *changed, why)


def _initializing(tree: Tree, name: str) -> list[Hit]:
    """Where Python's classes below one of that name call its `__init__`."""
    places = hits(tree, "__init__") if tree.language.id == "python" else []
    around = [(hit, class_of(hit.node)) for hit in places if hit.receiver in ("super()", name)]
    return [hit for hit, below in around if below is not None and name in bases(below)]


def _may_be(hit: Hit, defined: Hit, tree: Tree, alone: bool) -> bool:
    """Whether a place may mean the function that is defined at another one. `alone`: no other class has one of that
    name in this file."""
    if defined.role == "plain":
        return hit.role == "plain" and hit.scope == defined.scope
    if hit.role != "member":
        return False
    if hit.receiver.startswith("super"):
        around = class_of(hit.node)
        return around is not None and defined.owner in bases(around)
    if owner := owner_of(hit, tree):
        return owner == defined.owner
    if not hit.receiver:
        return True
    if is_object(defined.owner):
        return False
    # Of what class the object is, nothing tells: it may be that one where few others have such a method.
    return alone and is_bound(hit, tree) and hit.node.text.decode() not in COMMON


def _call_of(hit: Hit) -> Any:
    """The call in which a name is what is called."""
    node = hit.node
    parent = node.parent
    if parent is not None and parent.type == "declaration":  # of C++: `Point p(1)`
        declared = parent.named_children[-1]
        is_made = is_field(parent, "type", node) and len(parent.named_children) == 2
        return declared if is_made and declared.type == "init_declarator" else None
    if parent is not None and parent.type not in _CALLS and hit.role in ("member", "path", "plain"):
        if parent.type not in ("attribute", "member_expression", "selector_expression", "field_expression",
                               "scoped_identifier", "qualified_identifier", "generic_type"):  # fmt: skip
            return None
        node, parent = parent, parent.parent
    if parent is None or parent.type not in _CALLS:
        return None
    for field in ("function", "constructor", "name", "type"):
        if parent.child_by_field_name(field) == node:
            return parent
    return None


def _example(hit: Hit, rewriting: Rewriting, document: Document, here: Situation) -> str:
    """What a call that was changed since then has for a new parameter, where that stands for itself."""
    call = _call_of(hit) if rewriting.adds else None
    arguments = arguments_of(call) if call is not None else None
    if call is None or arguments is None:
        return ""
    given = [each for each in arguments.named_children if not is_comment(each)]
    written = touched([each for each in here.steps if each.uri == document.uri])
    if len(given) != rewriting.count + 1 or call.start_point.row not in written:
        return ""
    text = str(given[rewriting.at].text.decode())
    literal = re.fullmatch(r"-?[\d.]+\w*|\"[^\"]*\"|'[^']*'|None|null|nil|true|false|True|False|[A-Z][A-Z_0-9]+", text)
    return text if literal else ""


def _proposal(document: Document, first: Any, last: Any, new: str, why: str) -> Proposal:
    tree = document.tree
    assert tree is not None
    (row, start), (end_row, end) = first.start_point, last.end_point
    column, end_column = len(tree.lines[row][:start].decode()), len(tree.lines[end_row][:end].decode())
    old = tree.text(first.start_byte, last.end_byte)
    return Proposal(document.uri, document.version, row, column, end_row, end_column, old, new, "call", why)
