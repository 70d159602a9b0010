"""The same small rewrite was made twice: lines of the same shape follow.

What two examples have in common is kept, what differs between them is a gap; a line that fits the pattern becomes what
the examples became, with its own text in the gaps.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Iterator, Sequence

from lsp_server.context.languages import words
from lsp_server.context.steps import Step
from lsp_server.next_edit import comparisons, renames
from lsp_server.next_edit.documents import Document, Situation, touched
from lsp_server.next_edit.likeness import Example, is_alike
from lsp_server.next_edit.proposal import Proposal

# Steps among which a rewrite and the one before are looked for.
MOST_STEPS = 6
# Tokens that a gap may take, and lines of one rewrite.
MOST_IN_GAP = 12
_OPEN, _CLOSE = "([{", ")]}"

ORDINARY = frozenset(
    words(
        "return if else elif for in not and or is None True False null nil true false undefined self this const let "
        "var int str string number boolean bool float double void any def fn func function new await async public "
        "private protected static final import from use pub mut case default assert raise throw del"
    )
)

_PART = re.compile(r"\s*(?:\w+|=>|->|::|===|!==|==|!=|<=|>=|:=|&&|\|\||\S)")

Words = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Rewrite:
    """One line became another. Each token has the blanks in front of it."""

    before: Words
    after: Words
    uri: str
    row: int


@dataclasses.dataclass(frozen=True)
class Gap:
    """Where two examples differ: these tokens in one, those in the other. `lead`: the blanks in front. `written`: what
    was done to the word."""

    one: Words
    other: Words
    lead: str = dataclasses.field(default="", compare=False)
    written: Callable[[str], str] | None = dataclasses.field(default=None, compare=False)

    @property
    def is_word(self) -> bool:
        return len(self.one) == len(self.other) == 1


Pattern = tuple["str | Gap", ...]


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
        done = here.steps[here.steps.index(first) :]
        found = list(_fitting(document, *rule, step.row, touched([each for each in done if each.uri == step.uri])))
        names = renames.renamed(here) if found else set()
        examples = [Example(first, other.row), Example(step, newest[0].row)]
        yield from (
            each for each in found if not _is_of_names(each, names) and is_alike(here, document, examples, each)
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


def spaced(line: str) -> Words:
    """The words and signs of a line, in strings too, each with the blanks in front of it, the first one without."""
    return tuple(_PART.findall(line.strip()))


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
    return (before, after) if _anchors(before) else None


def _anchors(pattern: Pattern) -> list[str]:
    """The names that a line must hold to fit."""
    return [each.strip() for each in pattern if isinstance(each, str) and len(each.strip()) > 1 and is_name(each)]


def in_writings(gaps: list[Gap], after: Pattern) -> Pattern:
    """A pattern whose words are those of the gaps, perhaps in another way of writing."""

    def known(gap: Gap) -> Gap:
        if gap in gaps or not gap.is_word:
            return gap
        for each in gaps:
            for change in _WRITINGS:
                if each.is_word and (change(each.one[0]), change(each.other[0])) == (gap.one[0], gap.other[0]):
                    return dataclasses.replace(each, lead=gap.lead, written=change)
        return gap

    return tuple(known(each) if isinstance(each, Gap) else each for each in after)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


_WRITINGS = (str.lower, str.upper, str.capitalize, _snake, _camel)


def _is_a_word_for_another(before: Pattern, after: Pattern) -> bool:
    """Whether the same words took the place of the same name in both."""
    anchors = _anchors(before)
    plain = not any(isinstance(each, Gap) for each in (*before, *after))
    return plain and before != after and any(anchor not in ORDINARY for anchor in anchors)


def _gaps_are_kept(before: Pattern, after: Pattern) -> bool:
    """Whether nothing of what differs is lost, unless it was one token."""
    kept = [each for each in after if isinstance(each, Gap)]
    return all(each in kept or each.is_word for each in before if isinstance(each, Gap))


def is_name(text: str) -> bool:
    return text.strip().replace("_", "a").isalnum() and not text.strip()[0].isdigit()


def alike(one: Words, other: Words) -> Pattern:
    """What two lines have in common, and gaps where they differ."""
    plain, second = [[word.strip() for word in each] for each in (one, other)]
    found: list[str | Gap] = []
    if len(plain) == len(second) and _agree(plain, second):
        for mine, theirs in zip(one, other, strict=True):
            same = mine.strip() == theirs.strip()
            found.append(mine if same else Gap((mine.strip(),), (theirs.strip(),), mine[: -len(mine.strip())]))
        return tuple(found)
    for tag, a, b, c, d in difflib.SequenceMatcher(None, plain, second, autojunk=False).get_opcodes():
        if tag == "equal":
            found += one[a:b]
        else:
            first = one[a] if a < b else other[c]
            found.append(Gap(_bare(one[a:b]), _bare(other[c:d]), first[: len(first) - len(first.lstrip())]))
    return tuple(found)


def _agree(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two lines of the same length differ in names, numbers and the like alone."""
    return all(
        mine == theirs or (mine[0].isalnum() and theirs[0].isalnum()) for mine, theirs in zip(one, other, strict=True)
    )


def _bare(some: Words) -> Words:
    return (some[0].lstrip(), *some[1:]) if some else ()


def _core(one: Rewrite, other: Rewrite) -> tuple[Pattern, Pattern]:
    """The same of the part that changed alone: what is the same before and after in each is left out, but for the
    tokens next to it and the brackets around it."""
    parts = [_part(each) for each in (one, other)]
    if None in parts:
        return (), ()
    (b1, a1), (b2, a2) = parts  # type: ignore[misc]
    return alike(b1, b2), alike(a1, a2)


def _part(rewrite: Rewrite) -> tuple[Words, Words] | None:
    before, after = rewrite.before, rewrite.after
    most = min(len(before), len(after))
    start = next((at for at in range(most) if before[at].strip() != after[at].strip()), most)
    end = next((at for at in range(most - start) if before[-1 - at].strip() != after[-1 - at].strip()), most - start)
    depth, left = 0, start
    if not any(is_name(word) for word in before[start : len(before) - end]):
        while left > 0:  # to the call around it
            left -= 1
            word = before[left].strip()
            depth += (word in _CLOSE) - (word in _OPEN)
            if depth < 0:
                break
        else:
            return None
        left = max(0, left - 1)
        while left >= 2 and before[left - 1].strip() == "." and is_name(before[left - 2]):
            left -= 2
    depth, right = 0, len(before) - end
    opened = sum((word.strip() in _OPEN) - (word.strip() in _CLOSE) for word in before[left:right])
    while right < len(before) and opened + depth > 0:
        word = before[right].strip()
        depth += (word in _OPEN) - (word in _CLOSE)
        right += 1
    kept = len(before) - right
    return _bare(before[left:right]), _bare(after[left : len(after) - kept])


def _fitting(document: Document, before: Pattern, after: Pattern, around: int, written: set[int]) -> Iterator[Proposal]:
    """The lines of a document that fit, as they would become. `around`: the row of an example. `written`: the rows
    that were changed since the first of them."""
    is_comparison = comparisons.is_comparison(before)
    anchors = [str(before[0]).strip()] if is_comparison else _anchors(before)
    anchor = max(anchors, key=len)
    # What only ordinary words hold together is the same in lines next to each other alone.
    near = _block(document, around) if set(anchors) <= ORDINARY else range(len(document.lines))
    for row in near:
        line = document.lines[row]
        if anchor not in line or row in written:
            continue
        there = spaced(line)
        found = fit(before, there)
        if found is None:
            continue
        start, end, gaps = found
        if is_comparison and comparisons.is_with_nothing(there[end:]):
            continue
        made = _made(after, gaps)
        indent = len(line) - len(line.lstrip())
        head, old = "".join(there[:start]), "".join(there[start:end])
        lead = old[: len(old) - len(old.lstrip())] if start else ""
        new = lead + made
        if new != old and _is_code(document, row, indent + len(head) + len(lead)):
            column = indent + len(head)
            why = f"{_shown(before)} → {_shown(after)}"
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


def fit(pattern: Pattern, line: Words) -> tuple[int, int, dict[Gap, Words]] | None:
    """(first, end) of the tokens that fit, and what is in the gaps; None where nothing or several parts fit."""
    found = []
    for start in range(len(line)):
        gaps: dict[Gap, Words] = {}
        end = _match(pattern, 0, line, start, gaps)
        if end is not None:
            found.append((start, end, gaps))
            if isinstance(pattern[0], Gap):
                break
    return found[0] if len(found) == 1 else None


def _match(pattern: Pattern, at: int, line: Words, place: int, gaps: dict[Gap, Words]) -> int | None:
    if at == len(pattern):
        return place
    part = pattern[at]
    if isinstance(part, str):
        if place < len(line) and line[place].strip() == part.strip():
            return _match(pattern, at + 1, line, place + 1, gaps)
        return None
    least, most = (1, MOST_IN_GAP) if part.one and part.other else (0, MOST_IN_GAP)
    for length in range(least, most + 1):
        taken = line[place : place + length]
        if len(taken) < length:
            return None
        if not _is_balanced(taken) or (_has_comma(taken) and not (_has_comma(part.one) or _has_comma(part.other))):
            continue
        known = gaps.get(part)
        if known is not None and known != _bare(taken):
            continue
        gaps[part] = _bare(taken)
        end = _match(pattern, at + 1, line, place + length, gaps)
        if end is not None and (at + 1 < len(pattern) or end == len(line)):
            return end
        if known is None:
            del gaps[part]
    return None


def _is_balanced(some: Sequence[str]) -> bool:
    depth = 0
    for word in some:
        depth += (word.strip() in _OPEN) - (word.strip() in _CLOSE)
        if depth < 0:
            return False
    return depth == 0


def _has_comma(some: Sequence[str]) -> bool:
    """Whether words are several items, and not one with several in brackets."""
    depth = 0
    for word in some:
        depth += (word.strip() in _OPEN) - (word.strip() in _CLOSE)
        if depth == 0 and word.strip() == ",":
            return True
    return False


def _made(pattern: Pattern, gaps: dict[Gap, Words]) -> str:
    """The text of a pattern with its gaps filled, each behind the blanks that it has in the example."""
    made = ""
    for part in pattern:
        text = part if isinstance(part, str) else "".join(gaps[part])
        if isinstance(part, Gap) and text:
            text = part.lead + (part.written(text) if part.written is not None else text)
        made += text
    return made.lstrip()


def _shown(pattern: Pattern) -> str:
    shown = "".join(part if isinstance(part, str) else "…" for part in pattern)
    return shown if len(shown) <= 40 else shown[:39] + "…"
