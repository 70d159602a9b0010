"""Lines as tokens, and what differs between two of them."""

from __future__ import annotations

import dataclasses
import functools
import operator
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

_TOKEN = re.compile(
    r"(?<=[&<])'[^\W\d]\w*\b(?!')|"  # lifetimes
    r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|`[^`\n]*`|[^\W\d]\w*|\d[\w.]*|[^\S\n]+|\n'
    r"|=>|->|::|\.\.\.|==|!=|<=|>=|:=|&&|\|\||."
)
_WORD = re.compile(r"[^\W\d]\w*")
# Tokens that are compared one by one: it takes their square.
MOST_COMPARED = 1000


@dataclasses.dataclass(frozen=True)
class Token:
    """`row` counts from the first line, `column` in characters."""

    text: str
    row: int
    column: int

    @property
    def is_word(self) -> bool:
        return _WORD.fullmatch(self.text) is not None


@dataclasses.dataclass(frozen=True)
class Difference:
    """These tokens became those. `ahead`: the one in front of both."""

    old: tuple[Token, ...]
    new: tuple[Token, ...]
    ahead: Token | None


@functools.lru_cache(maxsize=512)
def tokens(text: str) -> tuple[Token, ...]:
    """Without blanks."""
    found, row, start = [], 0, 0
    for match in _TOKEN.finditer(text.replace("\r\n", "\n").replace("\r", "\n")):
        piece = match.group()
        if piece == "\n":
            row, start = row + 1, match.end()
        elif not piece.isspace():
            found.append(Token(piece, row, match.start() - start))
    return tuple(found)


def common_ends(one: Sequence[T], other: Sequence[T], same: Callable[[T, T], bool] = operator.eq) -> tuple[int, int]:
    """How many parts two sequences begin with alike, and with how many of the others they end."""
    most = min(len(one), len(other))
    head = next((at for at in range(most) if not same(one[at], other[at])), most)
    return head, next((at for at in range(most - head) if not same(one[-1 - at], other[-1 - at])), most - head)


@functools.lru_cache(maxsize=128)
def _opcodes(before: str, after: str) -> Sequence[tuple[str, int, int, int, int]]:
    import difflib  # slow to load

    one, other = ([token.text for token in tokens(text)] for text in (before, after))
    if max(len(one), len(other)) <= MOST_COMPARED:
        return difflib.SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
    # One change somewhere in what is too long to be compared token by token.
    head, tail = common_ends(one, other)
    a, b = len(one) - tail, len(other) - tail
    found = [("equal", 0, head, 0, head), ("replace", head, a, head, b), ("equal", a, len(one), b, len(other))]
    return [each for each in found if each[1] < each[2] or each[3] < each[4]]


def differences(before: Sequence[str], after: Sequence[str]) -> list[Difference]:
    """What became of which tokens of some lines, in their order."""
    one, other = "".join(before), "".join(after)
    old, new = tokens(one), tokens(other)
    return [
        Difference(old[a:b], new[c:d], old[a - 1] if a else None)
        for tag, a, b, c, d in _opcodes(one, other)
        if tag != "equal"
    ]


def kept_columns(before: Sequence[str], after: Sequence[str], row: int, column: int) -> tuple[int, int] | None:
    """Where a token of some lines is in those that they became; None where it is not there any more."""
    one, other = "".join(before), "".join(after)
    old, new = tokens(one), tokens(other)
    at = next((at for at, token in enumerate(old) if (token.row, token.column) == (row, column)), None)
    for tag, a, b, c, _ in _opcodes(one, other):
        if tag == "equal" and at is not None and a <= at < b:
            return new[c + at - a].row, new[c + at - a].column
    return None
