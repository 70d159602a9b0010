"""The next edit for where the user is: the best of what follows from the last steps, if it is sound; else nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from lsp_server.context.steps import Step
from lsp_server.context.trees import errors_in, parse
from lsp_server.next_edit import branches, calls, imports, insertions, parallels, renames, repeats
from lsp_server.next_edit.documents import Situation, is_text
from lsp_server.next_edit.patterns import ORDINARY
from lsp_server.next_edit.proposal import Hole, Proposal, applied
from lsp_server.next_edit.standing import is_in_scope
from lsp_server.next_edit.tokens import tokens

# Seconds and steps after which what was done leads nowhere, and steps that had nothing to do with it.
SECONDS, MOST_STEPS, MOST_UNRELATED = 180.0, 16, 2
# Lines and characters of an offer.
MOST_LINES, MOST_CHARACTERS = 8, 600

RULES: tuple[Callable[[Situation, Step], Iterator[Proposal]], ...] = (
    renames.proposals,
    imports.proposals,
    calls.proposals,
    parallels.proposals,
    repeats.proposals,
    insertions.proposals,
)
PLACES: tuple[Callable[[Situation, Step], Iterator[Hole]], ...] = (calls.holes, branches.holes, insertions.holes)


def offered(here: Situation, is_wanted: Callable[[Proposal], bool] = lambda proposal: True) -> Proposal | None:
    """What to offer. `is_wanted`: whether the user may still want a proposal of that kind and cause."""
    for step in _leading(here):
        for rule in RULES:
            wanted = [each for each in rule(here, step) if is_wanted(each) and not _is_in_text(here, step, each)]
            undone = {each.cause for each in wanted if _was_taken_back(here, each)}  # at one place: at all of them
            found = sorted(
                (each for each in wanted if each.cause not in undone), key=lambda each: _distance(here, each)
            )
            sound = next((each for each in found[:4] if is_sound(here, each)), None)
            if sound is not None:
                return sound
    return None


def _is_in_text(here: Situation, step: Step, proposal: Proposal) -> bool:
    """Whether a proposal goes into a comment or a string, while the change that it follows from was none there."""
    document = here.documents.get(proposal.uri)
    if document is None or proposal.kind in ("rename", "call"):  # which are found as code
        return False
    end = proposal.end_column if proposal.end_row == proposal.row else len(document.lines[proposal.row])
    if not document.is_text(proposal.row, proposal.column, end):
        return False
    return not _was_in_text(here, step)


def _was_in_text(here: Situation, step: Step) -> bool:
    """Whether a step changed a comment or a string."""
    document = here.documents.get(step.uri)
    base = document.tree_before(step) if document is not None else None
    for at, (one, other) in enumerate(zip(step.before, step.after, strict=False)):
        if one != other and base is not None:
            column = next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), 0)
            return is_text(base, step.row + at, column, column)
    return False


def holes(here: Situation, is_wanted: Callable[[Proposal], bool] = lambda proposal: True) -> list[Hole]:
    """The places that want a change which only a model can write out: those of the newest step that leads to any, the
    nearest first."""
    for step in _leading(here):
        for rule in PLACES:
            found = [each for each in rule(here, step) if is_wanted(each.known)]
            if found:
                return sorted(found, key=lambda each: _distance(here, each.known))
    return []


def _leading(here: Situation) -> Iterator[Step]:
    """The steps that may lead to something, the newest first."""
    if not here.steps:
        return
    newest, unrelated = here.steps[-1], 0
    for step in list(here.steps)[: -MOST_STEPS - 1 : -1]:
        if newest.time - step.time > SECONDS:
            return
        if step is not newest and not _is_related(step, newest):
            unrelated += 1
        if unrelated > MOST_UNRELATED:
            return
        yield step


def _is_related(one: Step, other: Step) -> bool:
    """Whether two steps were made on lines with a name in common."""
    names = [
        {token.text for token in tokens("".join((*step.before, *step.after))) if token.is_word} - ORDINARY
        for step in (one, other)
    ]
    return not names[0].isdisjoint(names[1])


def _distance(here: Situation, proposal: Proposal) -> tuple[bool, bool, str, int, int]:
    """Down from where the user is, then from the top, then the other files."""
    away = proposal.uri != here.uri
    return away, proposal.version is None, proposal.uri if away else "", *_below(here, proposal, away)


def _below(here: Situation, proposal: Proposal, away: bool) -> tuple[int, int]:
    wrapped = 10**7 if not away and proposal.row < here.row else 0
    return wrapped + proposal.row, proposal.column


def is_sound(here: Situation, proposal: Proposal) -> bool:
    """Whether a proposal is small, fits its text, brings no name that means nothing there, does not again what was
    undone, and leaves no more that does not parse than there is."""
    if proposal.new.count("\n") >= MOST_LINES or len(proposal.new) > MOST_CHARACTERS:
        return False
    if _was_taken_back(here, proposal):
        return False
    document = here.documents.get(proposal.uri)
    if document is None:  # a file that is not open
        return True
    if document.tree is None or (proposal.kind == "parallel" and not is_in_scope(document, proposal)):
        return False
    first, last = _around(document.tree.root, proposal)
    lines = document.lines[first : last + 1]
    made = applied(lines, dataclasses.replace(proposal, row=proposal.row - first, end_row=proposal.end_row - first))
    if made is None:
        return False
    before, after = (parse(text, document.language_id) for text in ("\n".join(lines), made))
    if before is None or after is None:
        return False
    return not after.root.has_error or (before.root.has_error and errors_in(after) <= errors_in(before))


def _was_taken_back(here: Situation, proposal: Proposal) -> bool:
    """Whether a proposal does again what the user has undone at its place."""
    document = here.documents.get(proposal.uri)
    lines = document.lines if document is not None else []
    for each in here.taken_back:
        start, end = each.row, each.row + len(each.before)
        first, last = max(0, start - 1), min(len(lines), end + 1)  # lines that come or go hang on those beside them
        if each.uri == proposal.uri and first <= proposal.row <= proposal.end_row < last:
            moved = dataclasses.replace(proposal, row=proposal.row - first, end_row=proposal.end_row - first)
            after = [line.rstrip("\r\n") for line in each.after]
            if applied(lines[first:last], moved) == "\n".join([*lines[first:start], *after, *lines[end:last]]):
                return True
    return False


def _around(root: Any, proposal: Proposal) -> tuple[int, int]:
    """The rows of what stands at the outermost level around a proposal: parsing that is enough, and fast."""
    first, last = proposal.row, proposal.end_row
    node = root.descendant_for_point_range((first, 0), (last, proposal.end_column))
    while node is not None and node.parent is not None and node.parent.parent is not None:
        node = node.parent
    if node is None or node.parent is None:
        return first, last
    return min(first, node.start_point.row), max(last, node.end_point.row)
