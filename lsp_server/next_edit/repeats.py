"""The same small rewrite was made twice: lines of the same shape follow.

What two examples have in common is kept, what differs between them is a gap; a line that fits the pattern becomes what
the examples became, with its own text in the gaps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator

from lsp_server.context.steps import Step
from lsp_server.next_edit import calls, comparisons, renames
from lsp_server.next_edit.documents import Document, Situation, touched
from lsp_server.next_edit.likeness import Example, is_alike
from lsp_server.next_edit.patterns import (
    CLOSE,
    OPEN,
    ORDINARY,
    Gap,
    Pattern,
    Words,
    alike,
    bare,
    blanks,
    filled,
    fit,
    in_writings,
    is_name,
    kept_parts,
    shown,
    spaced,
    taken,
)
from lsp_server.next_edit.proposal import Proposal
from lsp_server.next_edit.tokens import common_ends, tokens

# Steps among which a rewrite and the one before are looked for.
MOST_STEPS = 6
# Tokens by which a line is known that has no word in common with the examples, but for a letter.
FEWEST_SIGNS = 6


@dataclasses.dataclass(frozen=True)
class Rewrite:
    """One line became another. Each token has the blanks in front of it."""

    before: Words
    after: Words
    uri: str
    row: int


def proposals(here: Situation, step: Step) -> Iterator[Proposal]:
    """What follows where a step did what one shortly before it did."""
    newest = rewrites(step)
    at = here.steps.index(step)
    earlier = [(each, one) for one in here.steps[max(0, at - MOST_STEPS) : at][::-1] for each in rewrites(one)]
    document = here.documents.get(step.uri)
    if document is None or document.tree is None or not newest or renames.is_under_way(here, step):
        return
    for other, first in [*((each, step) for each in newest[1:]), *earlier]:
        rule = learnt(other, newest[0])
        if rule is None:
            continue
        if any(document.is_broken(row) for row in range(step.row, step.row + len(step.after))):
            return
        alike = [one for each, one in earlier if learnt(each, newest[0]) is not None]
        done = here.steps[min(map(here.steps.index, (first, *alike))) :]
        found = list(_fitting(document, *rule, step.row, touched([each for each in done if each.uri == step.uri])))
        names = renames.renamed(here) if found else set()
        functions = calls.changed(here) if found else set()
        examples = [Example(first, other.row), Example(step, newest[0].row)]
        yield from (
            each
            for each in found
            if not _is_of_names(each, names)
            and functions.isdisjoint(token.text for token in tokens(document.lines[each.row]))
            and is_alike(here, document, examples, each)
        )
        return


def _is_of_names(proposal: Proposal, names: set[tuple[str, str]]) -> bool:
    """Whether a proposal does nothing but put the new of some names in the place of the old."""
    one, other = (tuple(word.strip() for word in spaced(text)) for text in (proposal.old, proposal.new))
    changed = {pair for pair in zip(one, other, strict=False) if pair[0] != pair[1]}
    return len(one) == len(other) and bool(changed) and changed <= names


def rewrites(step: Step) -> list[Rewrite]:
    """The lines that a step rewrote, where it made no line more or less."""
    if len(step.before) != len(step.after) or len(step.before) > 8:
        return []
    return [
        Rewrite(spaced(one), spaced(other), step.uri, step.row + at)
        for at, (one, other) in enumerate(zip(step.before, step.after, strict=True))
        if one.split() != other.split() and one.strip() and other.strip()
    ]


def learnt(one: Rewrite, other: Rewrite) -> tuple[Pattern, Pattern] | None:
    """The pattern of what two rewrites began with, and that of what they made of it; None where they differ in what
    they did, or where too little is the same."""
    comparison = comparisons.compared((one.before, one.after), (other.before, other.after))
    if comparison is not None:
        return comparison
    if one.before == other.before and one.after == other.after:
        before: Pattern = one.before
        after: Pattern = one.after
    elif (core := _core(one, other)) and _is_a_word_for_another(*core):
        return core
    elif all(core) and _is_a_word_for_another(*core, ORDINARY) and (ahead := _ahead(one)) and ahead == _ahead(other):
        return _behind(ahead, one.before, core[0]), _behind(ahead, one.after, core[1])
    else:
        before, after = alike(one.before, other.before), alike(one.after, other.after)
    gaps = [each for each in before if isinstance(each, Gap)]
    after = in_writings(gaps, after)
    if any(isinstance(each, Gap) and each not in gaps for each in after):
        before, after = _core(one, other)
        gaps = [each for each in before if isinstance(each, Gap)]
        after = in_writings(gaps, after)
        if any(isinstance(each, Gap) and each not in gaps for each in after):
            return None
    if len({gap.one for gap in gaps}) < len(set(gaps)) or before == after or not _gaps_are_kept(before, after):
        return None
    return _with_any_number(before, after) if _anchors(before) or _is_of_entries(before) else None


def _is_of_entries(before: Pattern) -> bool:
    """Whether lines of a pattern are those of fields or of a table: of all that is in them, the colon is the same, or
    the star of C."""
    signs = [each.strip() for each in before if isinstance(each, str)]
    return isinstance(before[0], Gap) and ((":" in signs and set(signs) <= set(":;,")) or signs == ["*", ";"])


def _with_any_number(before: Pattern, after: Pattern) -> tuple[Pattern, Pattern]:
    """Patterns in which a number that is kept may be another."""
    numbers = {each for each in before if isinstance(each, str) and each.strip().isdigit()}
    kept = {each for each in numbers if before.count(each) == 1 == after.count(each)}

    def wide(part: str | Gap) -> str | Gap:
        if not isinstance(part, str) or part not in kept:
            return part
        number = part.strip()
        return Gap((number,), (number,), part[: -len(number)])

    return tuple(map(wide, before)), tuple(map(wide, after))


def _anchors(pattern: Pattern) -> list[str]:
    """The names that a line must hold to fit: one letter is enough where much else is the same."""
    kept = [each.strip() for each in pattern if isinstance(each, str)]
    names = [each for each in kept if is_name(each)]
    return [each for each in names if len(each) > 1] or (names if len(kept) >= FEWEST_SIGNS else [])


def _is_a_word_for_another(before: Pattern, after: Pattern, ordinary: Collection[str] = ()) -> bool:
    """Whether the same words took the place of the same name in both, or (`ordinary`) of one word that says little."""
    anchors = _anchors(before)
    plain = not any(isinstance(each, Gap) for each in (*before, *after))
    said = set(anchors) <= set(ordinary) if ordinary else not set(anchors) <= ORDINARY
    return plain and before != after and bool(anchors) and said


def _ahead(rewrite: Rewrite) -> Words:
    """The sign in front of a type that changed."""
    at = _kept(rewrite)[0]
    return (rewrite.before[at - 1].strip(),) if at and rewrite.before[at - 1].strip() in (":", "->") else ()


def _behind(ahead: Words, line: Words, part: Pattern) -> Pattern:
    """A part of a line behind the sign in front of it, with the blanks between the two."""
    first = next(word for word in line if word.strip() == part[0])
    return (*ahead, first, *part[1:])


def _gaps_are_kept(before: Pattern, after: Pattern) -> bool:
    """Whether nothing of what differs is lost, unless it was one token."""
    kept = [each for each in after if isinstance(each, Gap)]
    return all(each in kept or each.is_word for each in before if isinstance(each, Gap))


def _core(one: Rewrite, other: Rewrite) -> tuple[Pattern, Pattern]:
    """The same of the part that changed alone: what is the same before and after in each is left out, but for the
    tokens next to it and the brackets around it."""
    parts = [_part(each) for each in (one, other)]
    if None in parts:
        return (), ()
    (b1, a1), (b2, a2) = parts  # type: ignore[misc]
    return alike(b1, b2), alike(a1, a2)


def _kept(rewrite: Rewrite) -> tuple[int, int]:
    """How many tokens stay at the beginning and at the end, whatever blanks are between them."""
    return common_ends(rewrite.before, rewrite.after, lambda one, other: one.strip() == other.strip())


def _part(rewrite: Rewrite) -> tuple[Words, Words] | None:
    before, after, (start, end) = rewrite.before, rewrite.after, _kept(rewrite)
    depth, left = 0, start
    if not any(is_name(word) for word in before[start : len(before) - end]):
        while left > 0:  # to the call around it
            left -= 1
            word = before[left].strip()
            depth += (word in CLOSE) - (word in OPEN)
            if depth < 0:
                break
        else:
            return None
        left = max(0, left - 1)
        while left >= 2 and before[left - 1].strip() == "." and is_name(before[left - 2]):
            left -= 2
    depth, right = 0, len(before) - end
    opened = sum((word.strip() in OPEN) - (word.strip() in CLOSE) for word in before[left:right])
    while right < len(before) and opened + depth > 0:
        word = before[right].strip()
        depth += (word in OPEN) - (word in CLOSE)
        right += 1
    kept = len(before) - right
    return bare(before[left:right]), bare(after[left : len(after) - kept])


def _fitting(document: Document, before: Pattern, after: Pattern, around: int, written: set[int]) -> Iterator[Proposal]:
    """The lines of a document that fit, as they would become. `around`: the row of an example. `written`: the rows
    that were changed since the first of them."""
    is_comparison = comparisons.is_comparison(before)
    is_entry = not is_comparison and _is_of_entries(before)
    same = sorted((each.strip() for each in before if isinstance(each, str)), key=len, reverse=True)
    # What only ordinary words hold together is the same in lines next to each other alone.
    names = set(filter(is_name, same))
    near = _block(document, around) if names <= ORDINARY and not is_comparison else range(len(document.lines))
    first, last = kept_parts(before, after)
    lead = blanks(before[first]) if first < len(before) else ""
    for row in near:
        line = document.lines[row]
        if row in written or not all(each in line for each in same):
            continue
        there = spaced(line)
        found = fit(before, there)
        if found is None or (len(after) > len(before) and fit(after, there) is not None):
            continue  # it is none, or it is done
        start, end, gaps = found
        if is_entry and (end < len(there) or taken(before[:1], gaps) > 1):
            continue  # no field
        if is_comparison and comparisons.is_with_nothing(there[end:]):
            continue
        start, end = start + taken(before[:first], gaps), end - taken(before[len(before) - last :], gaps)
        indent = len(line) - len(line.lstrip())
        head, old = "".join(there[:start]), "".join(there[start:end])
        new = filled(after[first : len(after) - last], gaps)
        if old and lead == blanks(new):  # as wide as it is here
            new = blanks(old) + new.lstrip()
        if new != old and _is_code(document, row, indent + len(head) + len(blanks(old))):
            column = indent + len(head)
            why = f"{shown(before)} → {shown(after)}"
            version = document.version
            yield Proposal(document.uri, version, row, column, row, column + len(old), old, new, "repeat", why)


def _block(document: Document, row: int) -> range:
    """The rows around a row up to where the indentation changes, or to a blank line."""
    lines = document.lines
    indent = len(lines[row]) - len(lines[row].lstrip())

    def goes_on(at: int) -> bool:
        return 0 <= at < len(lines) and bool(lines[at].strip()) and len(lines[at]) - len(lines[at].lstrip()) == indent

    first = last = row
    while goes_on(first - 1):
        first -= 1
    while goes_on(last + 1):
        last += 1
    return range(first, last + 1)


def _is_code(document: Document, row: int, column: int) -> bool:
    """Whether a place is neither in a comment nor in a string of several lines."""
    tree = document.tree
    if tree is None:
        return False
    start = len(tree.lines[row].decode()[:column].encode())
    node = tree.root.descendant_for_point_range((row, start), (row, start + 1))
    while node is not None:
        if "comment" in node.type or ("string" in node.type and node.start_point.row < row):
            return False
        node = node.parent
    return True
