"""A comparison was written in another way twice, such as `is` in the place of `==`: it is the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence

from lsp_server.next_edit.tokens import common_ends

# A sign, and what says nearly the same.
_SAME = {"==": (["==="], ["is"]), "!=": (["!=="], ["is", "not"]), "===": (["=="],), "!==": (["!="],)}
# What is compared with in a way of its own: in JavaScript, `== null` is meant for two values.
_NOTHING = ("None", "null", "undefined")

Words = tuple[str, ...]


def compared(one: tuple[Words, Words], other: tuple[Words, Words]) -> tuple[Words, Words] | None:
    """The sign and what took its place, where that is all that is another in two lines, (before, after) each, of tokens
    that have the blanks in front of them. With what is compared with, where that matters."""
    old, new, with_ = _changed(*one)
    again, anew, second = _changed(*other)
    if _bare(old) != _bare(again) or _bare(new) != _bare(anew) or _bare(new) not in _SAME.get("".join(_bare(old)), ()):
        return None
    if _bare(with_) == _bare(second) and is_with_nothing(with_):
        return old + with_, new + with_
    return None if _bare(new)[0] == "is" or is_with_nothing(with_) or is_with_nothing(second) else (old, new)


def _changed(before: Words, after: Words) -> tuple[Words, Words, Words]:
    """What of a line became what, and the token behind it."""
    start, end = common_ends(_bare(before), _bare(after))
    first = len(before) - end
    return before[start:first], after[start : len(after) - end], before[first : first + 1]


def _bare(some: Sequence[str]) -> list[str]:
    return [word.strip() for word in some]


def is_comparison(pattern: Sequence[object]) -> bool:
    """Whether a pattern is what `compared` gives."""
    return isinstance(pattern[0], str) and pattern[0].strip() in _SAME


def is_with_nothing(behind: Sequence[str]) -> bool:
    """Whether what stands behind a sign is compared with in a way of its own."""
    return bool(behind) and behind[0].strip() in _NOTHING
