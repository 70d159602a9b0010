"""The same lines were put in at two places that are alike: a third such place lacks them.

What the two have in common is kept. What differs between them is taken from the line that they were put in next to,
where it differs there in the same way; else only a model can write it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from lsp_server.context.steps import Step
from lsp_server.next_edit.documents import Document, Situation, touched
from lsp_server.next_edit.patterns import ORDINARY, Gap, Pattern, Words, alike, fit, in_writings, is_name, spaced
from lsp_server.next_edit.proposal import GAP, Hole, Proposal

# Steps among which the one before is looked for, and lines of one insertion.
MOST_STEPS, MOST_LINES = 6, 4
# Of ordinary words, those that a function begins with.
_OF_FUNCTIONS = frozenset(("def", "func", "fn", "function", "void", "public", "private", "protected"))
# The share of the tokens of a line that must be the same in both.
ALIKE = 0.5


@dataclasses.dataclass(frozen=True)
class Insertion:
    """Lines that were put in, and the one above and below them."""

    lines: tuple[str, ...]
    above: str
    below: str

    @property
    def neighbours(self) -> tuple[str, str]:
        return self.above, self.below


def proposals(here: Situation, step: Step) -> Iterator[Proposal]:
    """What follows where all of it is known."""
    return (dataclasses.replace(each.known, kind="repeat") for each in _all(here, step) if GAP not in each.known.new)


def holes(here: Situation, step: Step) -> Iterator[Hole]:
    """Where a part of it is not."""
    return (each for each in _all(here, step) if GAP in each.known.new)


def insertion(step: Step) -> Insertion | None:
    """The lines that a step put in, where that is all it did."""
    before, after = step.before, step.after
    count = len(after) - len(before)
    if not 0 < count <= MOST_LINES:
        return None
    start = 0
    while start < len(before) and before[start] == after[start]:
        start += 1
    if tuple(after[start + count :]) != tuple(before[start:]):
        return None
    at = step.row + start
    above = step.base[at - 1] if at else ""
    below = step.base[at] if at < len(step.base) else ""
    lines = tuple(line.rstrip("\r\n") for line in after[start : start + count])
    return Insertion(lines, above.rstrip("\r\n"), below.rstrip("\r\n")) if all(map(str.strip, lines)) else None


def _all(here: Situation, step: Step) -> Iterator[Hole]:
    document, newest = here.documents.get(step.uri), insertion(step)
    if document is None or document.tree is None or newest is None or document.is_broken(step.row):
        return
    at = here.steps.index(step)
    for other in here.steps[max(0, at - MOST_STEPS) : at][::-1]:
        earlier = insertion(other)
        if earlier is None or other.uri != step.uri or len(earlier.lines) != len(newest.lines):
            continue
        patterns = [_likened(one, two, earlier, newest) for one, two in zip(earlier.lines, newest.lines, strict=True)]
        if None in patterns:
            continue
        written = touched(here.since(other))
        for side in (0, 1):
            found = list(_places(document, [each for each in patterns if each], earlier, newest, side, written))
            yield from (dataclasses.replace(each, shown="".join(step.after)) for each in found)
            if found:
                return
        return


def _likened(one: str, two: str, earlier: Insertion, newest: Insertion) -> Pattern | None:
    """What two lines have in common; None where that is too little."""
    mine, theirs = spaced(one), spaced(two)
    pattern = alike(mine, theirs)
    same = sum(isinstance(each, str) for each in pattern)
    if same < ALIKE * max(len(mine), len(theirs)) or not isinstance(pattern[0], str):
        return None
    return pattern


def _places(
    document: Document, patterns: Sequence[Pattern], one: Insertion, two: Insertion, side: int, written: set[int]
) -> Iterator[Hole]:
    """The places whose neighbour on one side, above or below, is like those of both."""
    mine, theirs = one.neighbours[side], two.neighbours[side]
    if not mine.strip() or not theirs.strip() or _depth(mine) != _depth(theirs):
        return
    if mine.strip() in map(str.strip, one.lines):  # it was put in itself
        return
    neighbour = alike(spaced(mine), spaced(theirs))
    names = [each.strip() for each in neighbour if isinstance(each, str) and is_name(each) and len(each.strip()) > 1]
    same = sum(isinstance(each, str) for each in neighbour)
    if not names or same < ALIKE * len(neighbour) or not isinstance(neighbour[0], str):
        return
    known = [each for each in neighbour if isinstance(each, Gap)]
    if set(names) <= ORDINARY and _OF_FUNCTIONS.isdisjoint(names) and not _is_about(patterns, known):
        return
    for row, line in enumerate(document.lines):
        if row in written or not all(name in line for name in names) or _depth(line) != _depth(mine):
            continue
        top = row if side == 0 else _top(document, row)
        beside = row + 1 if side == 0 else top - 1
        if not written.isdisjoint(range(min(beside, row), max(beside, row) + 1)):
            continue
        found = fit(neighbour, spaced(line))
        if found is None or found[:2] != (0, len(spaced(line))):
            continue
        next_to = document.lines[beside].strip() if 0 <= beside < len(document.lines) else ""
        if next_to and not one.neighbours[1 - side].strip() and not two.neighbours[1 - side].strip():
            continue  # it would come between two that belong together
        if _has_them([next_to, *document.lines[top:row]], patterns[0], two.lines[0]):
            continue
        made = _made(patterns, known, found[2], two.lines)
        if made is not None:
            yield _hole(document, top, side, made)


def _has_them(around: Sequence[str], pattern: Pattern, line: str) -> bool:
    """Whether one of the lines at a place, its decorators among them, begins as those do that were put in."""
    certain = _certain(pattern)
    return any(each.strip() and spaced(each)[:certain] == spaced(line)[:certain] for each in around)


def _is_about(patterns: Sequence[Pattern], known: Sequence[Gap]) -> bool:
    """Whether lines say again what their neighbour is about, and nothing else that differs."""
    gaps = [each for pattern in patterns for each in pattern if isinstance(each, Gap)]
    return bool(gaps) and all(each in known for each in gaps)


def _top(document: Document, row: int) -> int:
    """Where what begins on a row begins with its decorators."""
    line = document.lines[row].encode()
    start = len(line) - len(line.lstrip())
    node = document.tree.root.descendant_for_point_range((row, start), (row, start)) if document.tree else None
    while node is not None and node.start_point == (row, start):
        node = node.parent
    return node.start_point.row if node is not None and node.type == "decorated_definition" else row


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _certain(pattern: Pattern) -> int:
    """Tokens before the first gap, at most three."""
    return min(3, next((at for at, each in enumerate(pattern) if isinstance(each, Gap)), len(pattern)))


def _made(patterns: Sequence[Pattern], known: list[Gap], there: dict[Gap, Words], lines: Sequence[str]) -> str | None:
    """The lines for a place, with a gap where one differs in another way; None where several do."""
    made, gaps = [], 0
    for pattern, line in zip(patterns, lines, strict=True):
        text = ""
        for part in in_writings(known, pattern):
            if isinstance(part, str):
                text += part
            elif part in there:
                words = "".join(there[part])
                text += part.lead + (part.written(words) if part.written is not None else words)
            else:
                gaps += 1
                text += part.lead + GAP
        made.append(line[: _depth(line)] + text.lstrip())
    return "\n".join(made) if gaps < 2 else None


def _hole(document: Document, row: int, side: int, made: str) -> Hole:
    lines, why = document.lines, made.strip().partition("\n")[0].replace(GAP, "…")
    why = why if len(why) <= 40 else why[:39] + "…"
    if side == 0:
        column, text = len(lines[row]), f"\n{made}"
    else:
        column, text = 0, f"{made}\n"
    version = document.version
    return Hole(Proposal(document.uri, version, row, column, row, column, "", text, "filled", why))
