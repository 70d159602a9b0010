"""What lines have in common, as a pattern with gaps, and what is in the gaps where another line fits."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Sequence

from lsp_server.context.languages import words
from lsp_server.next_edit.tokens import common_ends

# Tokens that a gap may take.
MOST_IN_GAP = 12
OPEN, CLOSE = "([{", ")]}"

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


def spaced(line: str) -> Words:
    """The words and signs of a line, in strings too, each with the blanks in front of it, the first one without."""
    return tuple(_PART.findall(line.strip()))


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
            found.append(Gap(bare(one[a:b]), bare(other[c:d]), first[: len(first) - len(first.lstrip())]))
    return tuple(found)


def _agree(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two lines of the same length differ in names, numbers and the like alone."""
    return all(
        mine == theirs or (mine[0].isalnum() and theirs[0].isalnum()) for mine, theirs in zip(one, other, strict=True)
    )


def bare(some: Words) -> Words:
    return (some[0].lstrip(), *some[1:]) if some else ()


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
        if known is not None and known != bare(taken):
            continue
        gaps[part] = bare(taken)
        end = _match(pattern, at + 1, line, place + length, gaps)
        if end is not None and (at + 1 < len(pattern) or end == len(line)):
            return end
        if known is None:
            del gaps[part]
    return None


def _is_balanced(some: Sequence[str]) -> bool:
    depth = 0
    for word in some:
        depth += (word.strip() in OPEN) - (word.strip() in CLOSE)
        if depth < 0:
            return False
    return depth == 0


def _has_comma(some: Sequence[str]) -> bool:
    """Whether words are several items, and not one with several in brackets."""
    depth = 0
    for word in some:
        depth += (word.strip() in OPEN) - (word.strip() in CLOSE)
        if depth == 0 and word.strip() == ",":
            return True
    return False


def kept_parts(one: Pattern, other: Pattern) -> tuple[int, int]:
    """How many parts two patterns begin with alike, and end with; a gap whose word is written in another way is not."""

    def same(mine: str | Gap, theirs: str | Gap) -> bool:
        if isinstance(mine, str) or isinstance(theirs, str):
            return mine == theirs
        return mine == theirs and mine.lead == theirs.lead and mine.written is theirs.written

    return common_ends(one, other, same)


def blanks(part: str | Gap) -> str:
    """Those in front of a part of a pattern, or of a text."""
    return part[: len(part) - len(part.lstrip())] if isinstance(part, str) else part.lead


def taken(some: Pattern, gaps: dict[Gap, Words]) -> int:
    """How many tokens of a line a part of a pattern takes."""
    return sum(1 if isinstance(each, str) else len(gaps[each]) for each in some)


def filled(pattern: Pattern, gaps: dict[Gap, Words]) -> str:
    """The text of a pattern with its gaps filled, each behind the blanks that it has in the example."""
    made = ""
    for part in pattern:
        text = part if isinstance(part, str) else "".join(gaps[part])
        if isinstance(part, Gap) and text:
            text = part.lead + (part.written(text) if part.written is not None else text)
        made += text
    return made


def shown(pattern: Pattern) -> str:
    shown = "".join(part if isinstance(part, str) else "…" for part in pattern)
    return shown if len(shown) <= 40 else shown[:39] + "…"
