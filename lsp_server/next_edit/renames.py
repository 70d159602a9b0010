"""A name was changed at one place: the others of the same meaning follow."""

from __future__ import annotations

import builtins
import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import Any

from lsp_server.context.languages import words
from lsp_server.context.steps import Step
from lsp_server.context.trees import Tree
from lsp_server.next_edit.binding import above, parent_of
from lsp_server.next_edit.documents import Document, Situation, now
from lsp_server.next_edit.elsewhere import elsewhere, is_seen_elsewhere
from lsp_server.next_edit.followers import followers, made
from lsp_server.next_edit.lineage import bases
from lsp_server.next_edit.literals import is_object
from lsp_server.next_edit.names import WITH_SELF, Hit, hits, name_at
from lsp_server.next_edit.objects import COMMON, is_anothers, is_bound, is_promised, owner_of
from lsp_server.next_edit.proposal import Proposal
from lsp_server.next_edit.roles import class_of
from lsp_server.next_edit.tokens import differences

# Names that are there without being bound; what Python has built in may be bound anew.
GIVEN = frozenset(words("null nil undefined this self super cls true false NULL nullptr None True False"))
BUILT_IN = frozenset(dir(builtins)) | frozenset(words("console window document std string error"))
_GIVING = frozenset(words("for_statement with_statement"))
# What brings names that the file does not say.
_STAR = re.compile(rb"import \*|\buse [\w:]*::\*")


@dataclasses.dataclass(frozen=True)
class Pair:
    """The name `old` became `new`, each at (row, column) of its text: that before a step, and that after it. `alone`:
    nothing else changed. `behind`: what the new one came behind, next to the old one: `as`, or the colon that names a
    part of an object."""

    old: str
    new: str
    was: tuple[int, int]
    now: tuple[int, int]
    alone: bool = False
    behind: str = ""

    def changed(self, places: Sequence[Hit]) -> Hit | None:
        """Which of the places of the old name was changed."""
        found = next((hit for hit in places if (hit.row, hit.column) == self.was), None)
        return None if found is not None and self.behind == ":" and not (found.is_shorthand and found.binds) else found


def pairs(step: Step) -> list[Pair]:
    """The names that a step changed into others; what `as` names counts as a change of the name before."""
    found = differences(step.before, step.after)
    made = []
    for each in found:
        behind = not each.old and len(each.new) == 2 and each.new[0].text in ("as", ":")
        if len(each.old) == len(each.new) == 1:
            old, new = each.old[0], each.new[0]
        elif behind and each.ahead is not None:
            old, new = each.ahead, each.new[1]
        else:
            continue
        if old.is_word and new.is_word:
            places = (step.row + old.row, old.column), (step.row + new.row, new.column)
            made.append(Pair(old.text, new.text, *places, behind=each.new[0].text if behind else ""))
    alone = len({(pair.old, pair.new) for pair in made}) == 1 and len(made) == len(found)
    return [dataclasses.replace(pair, alone=alone) for pair in made]


def proposals(here: Situation, step: Step) -> Iterator[Proposal]:
    """What follows from the names that a step changed."""
    for old, new in dict.fromkeys((pair.old, pair.new) for pair in pairs(step)):
        if new not in GIVEN:
            yield from _follow(here, *_origin(here, step, old, new))


def _origin(here: Situation, step: Step, old: str, new: str) -> tuple[Step, Pair]:
    """Where a name was first changed in this way: what came later followed from it, unless it is another one of that
    name, which is defined there."""
    for pair in pairs(step):
        if (pair.old, pair.new) == (old, new) and _was_defined(here, step, pair):
            return step, pair
    return next(
        (earlier, pair)
        for earlier in here.steps
        for pair in pairs(earlier)
        if earlier.uri == step.uri and (pair.old, pair.new) == (old, new)
    )


def _was_defined(here: Situation, step: Step, pair: Pair) -> bool:
    """Whether a name was changed where it is defined."""
    document = here.documents.get(step.uri)
    base = document.tree_before(step) if document is not None else None
    changed = pair.changed(hits(base, pair.old)) if base is not None else None
    return changed is not None and changed.defines


def renamed(here: Situation) -> set[tuple[str, str]]:
    """The names that were changed where they are defined, and what they became: their other places are no matter of
    likeness."""
    return {(pair.old, pair.new) for step in here.steps for pair in pairs(step) if _was_defined(here, step, pair)}


def _follow(here: Situation, step: Step, pair: Pair) -> Iterator[Proposal]:
    document = here.documents.get(step.uri)
    base = document.tree_before(step) if document is not None else None
    if document is None or base is None or document.tree is None:
        return
    later = here.since(step)
    place = now(later[1:], *pair.now)
    if place is None or not name_at(document.tree, *place, pair.new) or document.is_broken(place[0]):
        return
    places = hits(base, pair.old)
    changed = pair.changed(places)
    if changed is None:
        return
    same = _same(changed, places, base)
    if not _is_renaming(base, pair, changed, same):
        return
    if not changed.defines and (
        _may_be_known(here, document, pair.new, changed) or _was_done_to_another(later, pair, same)
    ):
        return
    left = [each for hit in same if hit is not changed and (each := _left(document, later, hit, pair, changed))]
    yield from lines(document, pair.old, pair.new, left)
    if is_seen_elsewhere(document, base, changed):
        for other in here.others(step.uri, pair.old):
            if other.tree is not None:
                found = elsewhere(document, other, pair.old, changed)
                there = [(hit.row, hit.column, _written(hit, pair, changed)) for hit in found]
                yield from lines(other, pair.old, pair.new, there)


def _was_done_to_another(steps: list[Step], pair: Pair, same: list[Hit]) -> bool:
    """Whether what was done to a name at a use was done to another of that name as well: it is no renaming then."""
    for at, step in enumerate(steps[1:], 1):
        again = [each.was for each in pairs(step) if (each.old, each.new) == (pair.old, pair.new)]
        if again and not {now(steps[:at], hit.row, hit.column) for hit in same}.intersection(again):
            return True
    return False


def _left(document: Document, later: list[Step], hit: Hit, pair: Pair, changed: Hit) -> tuple[int, int, str] | None:
    """Where a place of the text before is now, and what becomes of it, if the name stands there still."""
    place = now(later, hit.row, hit.column)
    if place is None or not document.lines[place[0]].startswith(pair.old, place[1]):
        return None
    return *place, _written(hit, pair, changed)


def _written(hit: Hit, pair: Pair, changed: Hit) -> str:
    """What is written in the place of a name: of one that is a field and its value at once, only the one is renamed."""
    if not hit.is_shorthand:
        return pair.new
    return f"{pair.new}: {pair.old}" if changed.role == "member" else f"{pair.old}: {pair.new}"


def lines(document: Document, old: str, new: str, places: list[tuple[int, int, str]]) -> Iterator[Proposal]:
    """One proposal for each line, with all its places."""
    for row in dict.fromkeys(row for row, _, _ in sorted(places)):
        mine = sorted({(column, written) for at, column, written in places if at == row})
        first, last = mine[0][0], mine[-1][0] + len(old)
        line, text, end = document.lines[row], "", first
        for column, written in mine:
            text += line[end:column] + written
            end = column + len(old)
        why = f"{old} → {new}"
        yield Proposal(document.uri, document.version, row, first, row, last, line[first:last], text, "rename", why)


def _same(changed: Hit, places: Sequence[Hit], base: Tree) -> list[Hit]:
    """The places where the name means what it means at the changed one, that included."""
    if changed.role == "plain":
        same = [hit for hit in places if hit.role == "plain" and hit.scope == changed.scope and changed.scope]
        same = _of_block(changed, same)
        if len({hit.node.type for hit in same if hit.defines}) > 1:  # a type and a value of TypeScript, side by side
            same = [hit for hit in same if hit.node.type == changed.node.type]
        return same + (followers(changed, places, base) if changed.binds else [])
    if changed.role != "member":
        return []
    members = [hit for hit in places if hit.role == "member" and hit.is_private == changed.is_private]
    owners = {hit.owner for hit in members if hit.defines and hit.owner}
    owner = owner_of(changed, base)
    if not owner and len(owners) == 1 and is_bound(changed, base):
        owner = next(iter(owners))
    if owner not in owners:
        return []
    kin = {owner} | {each.owner for each in members if each.defines and is_promised(each, owner, base)}
    others = {kind for each in members if (kind := owner_of(each, base))} - kin
    only = bool(others) or changed.node.text.decode() in COMMON or is_object(owner)
    members = [hit for hit in members if owner_of(hit, base) in kin or (not only and is_bound(hit, base))]
    members = [hit for hit in members if hit is changed or any(not is_anothers(hit, base, each) for each in kin)]
    return members + [hit for hit in places if (hit.role == "key" or hit.is_shorthand) and made(hit) == owner]


def _of_block(changed: Hit, same: list[Hit]) -> list[Hit]:
    """Of the places of a variable of Python that a loop or a `with` gives its values, those in it, where the same name
    gets others outside of it."""
    target = parent_of(changed.node)
    block = above(changed.node, _GIVING) if target.type in ("for_statement", "as_pattern_target") else None
    inside = [hit for hit in same if block is not None and block.start_byte <= hit.node.start_byte < block.end_byte]
    return inside if inside and any(hit.defines for hit in same if hit not in inside) else same


def _is_renaming(base: Tree, pair: Pair, changed: Hit, same: list[Hit]) -> bool:
    """Whether the name was changed for all that it means, and not put in the place of another."""
    defining = [hit for hit in same if hit.defines]
    others = [hit for hit in defining if hit is not changed and not _is_accessor(hit) and hit.owner == changed.owner]
    if _is_taken(base, pair.new, changed) or (changed.imported and _is_none_yet(base, pair)):
        return False
    if not changed.defines:
        if _is_begun(base, pair) or _is_another_function(pair, defining):
            return False
        bound_here = bool(defining) and not any(hit.imported for hit in defining)
        return pair.new not in BUILT_IN and pair.alone and bound_here and not _is_known(base, pair.new, changed)
    if len(pair.old) == 1 and pair.new[:-1] == pair.old and pair.new.isalpha():
        return False  # it is being written
    if not others:
        return True
    if base.language.id in ("rust", "go") or any(function_like(hit.node) for hit in defining):
        return False  # shadowed, given anew, overloaded
    return pair.alone and changed is defining[0]


def _is_none_yet(base: Tree, pair: Pair) -> bool:
    """Whether what is imported in the place of another is none that can take it: it is being written, or a class, and
    the other a function, or the reverse."""
    is_begun = len(pair.new) == 1 < len(pair.old) or _is_begun(base, pair)
    return not pair.behind and (is_begun or pair.old[:1].isupper() != pair.new[:1].isupper())


def _is_begun(base: Tree, pair: Pair) -> bool:
    """Whether a new name may be the beginning of another that is known: it is being written."""
    return re.search(rb"\b%s\w" % re.escape(pair.new.encode()), base.data) is not None


def _is_another_function(pair: Pair, defining: Sequence[Hit]) -> bool:
    """Whether to the name of a function something was added where it is called: such a function will come."""
    return pair.new.startswith(pair.old) and any(function_like(hit.node) for hit in defining)


def _is_accessor(hit: Hit) -> bool:
    """Whether a method of Python is one more of a property: that which sets it, or deletes it."""
    around = parent_of(parent_of(hit.node))
    text = around.text if around is not None and around.type == "decorated_definition" else b""
    return re.match(rb"\s*@%s\.\w+\b" % re.escape(hit.node.text), text) is not None


def _may_be_known(here: Situation, document: Document, name: str, changed: Hit) -> bool:
    """Whether a name that took the place of another one at a use may come from another file: one that is open defines
    it, or the class around is made from one that this file does not have."""
    for other in here.others(document.uri, name):
        if other.tree is not None and any(hit.defines and not hit.imported for hit in hits(other.tree, name)):
            return True
    around = class_of(changed.node)
    free = document.spoken.id not in WITH_SELF
    if around is None or document.tree is None or not (free or changed.role == "member"):
        return False
    return not all(any(hit.binds for hit in hits(document.tree, each)) for each in bases(around))


def function_like(node: Any) -> bool:
    """Whether a name is that of a function."""
    parent = node.parent
    return parent is not None and parent.child_by_field_name("parameters") is not None


def is_under_way(here: Situation, step: Step) -> bool:
    """Whether a step changed a name for a new one where it is bound, and nothing else: what follows is the business of
    renaming."""
    document = here.documents.get(step.uri)
    base = document.tree_before(step) if document is not None else None
    for pair in pairs(step)[:1]:
        if base is None or not pair.alone:
            break
        origin, first = _origin(here, step, pair.old, pair.new)
        start = document.tree_before(origin) if document is not None and origin.uri == step.uri else base
        changed = first.changed(hits(start or base, pair.old))
        return changed is not None and changed.scope > 0 and not changed.imported and not hits(start or base, pair.new)
    return False


def _is_known(base: Tree, name: str, changed: Hit) -> bool:
    """Whether a name that took the place of another one at a use may stand for something already."""
    there = hits(base, name)
    if changed.role == "member":
        return any(hit.defines or hit.role == "member" for hit in there)
    return bool(there) or _STAR.search(base.data) is not None or b"#define " + name.encode() in base.data


def _is_method(node: Any) -> bool:
    """Whether a name of Java is that of a method."""
    return "method" in parent_of(node).type


def _is_taken(base: Tree, name: str, changed: Hit) -> bool:
    """Whether the new name meant something there already."""
    there = hits(base, name)
    if changed.role == "member":
        apart = base.language.id == "java"  # methods and fields, which may have the same name
        mine = _is_method(changed.node)
        return any(
            hit.role == "member" and hit.owner == changed.owner and (not apart or _is_method(hit.node) == mine)
            for hit in there
        )
    scope = changed.node
    while scope.parent is not None and scope.id != changed.scope:
        scope = scope.parent
    return any(hit.role == "plain" and scope.start_byte <= hit.node.start_byte < scope.end_byte for hit in there)
