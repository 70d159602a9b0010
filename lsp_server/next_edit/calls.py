"""The parameters of a function were changed: its calls follow."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import Any

from lsp_server.context.languages import words
from lsp_server.context.steps import Step
from lsp_server.context.trees import Tree, is_comment
from lsp_server.next_edit import renames
from lsp_server.next_edit.documents import Document, Situation, now, touched
from lsp_server.next_edit.elsewhere import elsewhere
from lsp_server.next_edit.names import Hit, class_of, hits, is_visible
from lsp_server.next_edit.objects import COMMON, bases, is_bound, owner_of
from lsp_server.next_edit.proposal import GAP, Hole, Proposal
from lsp_server.next_edit.signatures import Parameter, Signature, signature_at

_SPREAD = frozenset(words("list_splat dictionary_splat spread_element variadic_argument parameter_pack_expansion"))
_CALLS = frozenset(words("call call_expression new_expression method_invocation object_creation_expression"))
# Lines of the arguments of a call.
MOST_ROWS = 8


@dataclasses.dataclass(frozen=True)
class Rewriting:
    """How the arguments of a call change: `order` gives those that stay by their place, in the new order; at `at` that
    of the new parameter `name` is put in, by its name if `by_name`, or the one called `name` was taken out."""

    order: tuple[int, ...]
    name: str = ""
    at: int = -1
    count: int = 0
    by_name: bool = False

    @property
    def adds(self) -> bool:
        return self.at >= 0 and len(self.order) == self.count


def proposals(here: Situation, step: Step) -> Iterator[Proposal]:
    """What follows from a signature that a step changed."""
    return (each for each in _all(here, step) if GAP not in each.new)


def holes(here: Situation, step: Step) -> Iterator[Hole]:
    """The calls that lack a new parameter for which no value is at hand."""
    for each in _all(here, step):
        if GAP in each.new:
            known = dataclasses.replace(each, kind="filled")
            yield Hole(known, is_item=True, shown="".join(step.after))


def _all(here: Situation, step: Step) -> Iterator[Proposal]:
    document = here.documents.get(step.uri)
    base = document.tree_before(step) if document is not None else None
    if document is None or base is None or document.tree is None:
        return
    later = here.since(step)
    for row in range(step.row, step.row + len(step.before)):
        old = signature_at(base, row)
        place = now(later, old.row, old.column) if old is not None else None
        new = signature_at(document.tree, place[0]) if place is not None else None
        if old is None or new is None or old.name != new.name or document.is_broken(new.row):
            continue
        rewriting = _rewriting(old.parameters, new.parameters)
        if rewriting is not None:
            yield from _calls(here, step, document, new, rewriting)
        return


def _rewriting(old: Sequence[Parameter], new: Sequence[Parameter]) -> Rewriting | None:
    """What becomes of the arguments; None where nothing does, or where that cannot be told."""
    before, after = [each.name for each in old], [each.name for each in new]
    if len(set(before)) < len(before) or len(set(after)) < len(after):
        return None
    if len(new) == len(old) + 1:
        at = next((at for at, name in enumerate(after) if name not in before), -1)
        if at < 0 or after[:at] + after[at + 1 :] != before or new[at].optional:
            return None
        return Rewriting(tuple(range(len(old))), after[at], at, len(old), new[at].by_name)
    if len(new) == len(old) - 1:
        at = next((at for at, name in enumerate(before) if name not in after), -1)
        if at < 0 or before[:at] + before[at + 1 :] != after:
            return None
        if old[at].text.startswith(("*", "...")) or "..." in old[at].text:
            return None  # it took any number of them
        order = tuple(each for each in range(len(old)) if each != at)
        return Rewriting(order, before[at], at, len(old))
    if before != after and sorted(before) == sorted(after) and not any(each.optional or each.by_name for each in old):
        return Rewriting(tuple(before.index(name) for name in after), count=len(old))
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
    work = [(document, made)]
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
            changed = _rewritten(at, call, rewriting, example)
            if changed is not None:
                yield _proposal(at, *changed, why)


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
    # Of what class the object is, nothing tells: it may be that one where few others have such a method.
    return alone and is_bound(hit, tree) and hit.node.text.decode() not in COMMON


def _call_of(hit: Hit) -> Any:
    """The call in which a name is what is called."""
    node = hit.node
    parent = node.parent
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
    arguments = call.child_by_field_name("arguments") if call is not None else None
    if call is None or arguments is None:
        return ""
    given = [each for each in arguments.named_children if not is_comment(each)]
    written = touched([each for each in here.steps if each.uri == document.uri])
    if len(given) != rewriting.count + 1 or call.start_point.row not in written:
        return ""
    text = str(given[rewriting.at].text.decode())
    literal = re.fullmatch(r"-?[\d.]+\w*|\"[^\"]*\"|'[^']*'|None|null|nil|true|false|True|False|[A-Z][A-Z_0-9]+", text)
    return text if literal else ""


Rewritten = tuple[Any, Any, str]
"""The first node that changes, the last one, and what is there then."""


def _rewritten(document: Document, call: Any, rewriting: Rewriting, example: str) -> Rewritten | None:
    """What becomes of a call's arguments; None where that is not sure."""
    arguments = call.child_by_field_name("arguments")
    if arguments is None or arguments.end_point.row - arguments.start_point.row > MOST_ROWS:
        return None
    given = [each for each in arguments.named_children if not is_comment(each)]
    if any(each.type in _SPREAD for each in given):
        return None
    if rewriting.adds:
        assert document.tree is not None
        value = rewriting.name if is_visible(document.tree, rewriting.name, call) else example or GAP
        return _with_one_more(arguments, given, rewriting, value)
    if rewriting.at >= 0:
        return _with_one_less(arguments, given, rewriting)
    return _in_order(given, rewriting)


def _name_of(argument: Any) -> str:
    """The name that an argument is given by; "" where its place says which it is."""
    named = argument.child_by_field_name("name") if argument.type == "keyword_argument" else None
    return named.text.decode() if named is not None else ""


def _with_one_more(arguments: Any, given: list[Any], rewriting: Rewriting, value: str) -> Rewritten | None:
    plain = [each for each in given if not _name_of(each)]
    if len(given) != rewriting.count or rewriting.name in map(_name_of, given):
        return None
    if rewriting.at > len(plain) and not rewriting.by_name:
        return None
    named = rewriting.by_name or (len(plain) < len(given) and rewriting.at == len(plain))
    text = f"{rewriting.name}={value}" if named else value
    if not given:
        return arguments, arguments, f"({text})"
    if rewriting.at < len(given) and not rewriting.by_name:
        node = given[rewriting.at]
        return node, node, f"{text}, {node.text.decode()}"
    return given[-1], given[-1], f"{given[-1].text.decode()}, {text}"


def _with_one_less(arguments: Any, given: list[Any], rewriting: Rewriting) -> Rewritten | None:
    plain = [each for each in given if not _name_of(each)]
    placed = plain[rewriting.at] if len(plain) > rewriting.at else None
    gone = next((each for each in given if _name_of(each) == rewriting.name), placed)
    if gone is None:
        return None
    if len(given) == 1:
        return arguments, arguments, "()"
    at = given.index(gone)
    if at + 1 < len(given):
        return gone, given[at + 1], given[at + 1].text.decode()
    return given[at - 1], gone, given[at - 1].text.decode()


def _in_order(given: list[Any], rewriting: Rewriting) -> Rewritten | None:
    texts = [each.text.decode() for each in given]
    if len(given) != rewriting.count or any(map(_name_of, given)) or any("\n" in text for text in texts):
        return None
    moved = [texts[at] for at in rewriting.order]
    changed = [at for at in range(len(texts)) if moved[at] != texts[at]]
    if not changed:
        return None
    first, last = changed[0], changed[-1]
    return given[first], given[last], ", ".join(moved[first : last + 1])


def _proposal(document: Document, first: Any, last: Any, new: str, why: str) -> Proposal:
    tree = document.tree
    assert tree is not None
    (row, start), (end_row, end) = first.start_point, last.end_point
    column, end_column = len(tree.lines[row][:start].decode()), len(tree.lines[end_row][:end].decode())
    old = tree.text(first.start_byte, last.end_byte)
    return Proposal(document.uri, document.version, row, column, end_row, end_column, old, new, "call", why)
