"""Line edits: the smallest that make one text of another, and where they belong in a text that has moved on.

Lines have their endings, as in `context.buffer`. Rows are 0-based; all edits of a list count rows of the same text, are
in its order and do not touch each other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence


@dataclasses.dataclass(frozen=True)
class Edit:
    """The lines from `first_line` up to, not including, `last_line` become `text`; equal rows: `text` is inserted.

    Rows may be one behind the last line, for text at the very end.
    """

    first_line: int
    last_line: int
    text: str


@dataclasses.dataclass(frozen=True)
class Conflict:
    """The document changed where an edit belongs. `sentence` is for the user."""

    sentence: str


def edits(before: Sequence[str], after: Sequence[str], *, shift: int = 0) -> list[Edit]:
    """The edits that make `after` of `before`; lines that are in both stay untouched. `shift` is added to each row."""
    return [
        Edit(first + shift, last + shift, "".join(after[new_first:new_last]))
        for first, last, new_first, new_last in differences(before, after)
    ]


def apply(lines: Sequence[str], changes: Iterable[Edit]) -> str:
    """The text with the edits made."""
    parts: list[str] = []
    at = 0
    for edit in changes:
        parts += lines[at : edit.first_line]
        parts.append(edit.text)
        at = edit.last_line
    parts += lines[at:]
    return "".join(parts)


def rebase(changes: Sequence[Edit], base: Sequence[str], now: Sequence[str]) -> list[Edit] | Conflict:
    """The edits of `base` as edits of `now`; a Conflict where lines between the two changed in or next to an edit.

    Lines next to an edit count as edited, as in a merge of git: what is right there often depends on both.
    """
    moved = differences(base, now)
    rebased: list[Edit] = []
    for edit in changes:
        offset = 0
        for first, last, new_first, new_last in moved:
            if last < edit.first_line:
                offset = new_last - last
            elif first <= edit.last_line:
                changed = "a line" if new_last - new_first <= 1 and last - first <= 1 else "lines"
                return Conflict(
                    f"The document changed meanwhile: {changed} at {new_first + 1}, where the edit belongs."
                )
        rebased.append(Edit(edit.first_line + offset, edit.last_line + offset, edit.text))
    return rebased


def differences(before: Sequence[str], after: Sequence[str]) -> list[tuple[int, int, int, int]]:
    """(first, end) of the rows that differ, in both texts, in their order.

    What both begin and end with is set aside first: it is most of a file, and a matcher may find a longer block of
    equal lines elsewhere.
    """
    start, stop = 0, min(len(before), len(after))
    while start < stop and before[start] == after[start]:
        start += 1
    end = 0
    while end < stop - start and before[-1 - end] == after[-1 - end]:
        end += 1
    import difflib  # not needed before the first edit, and slow to load

    matcher = difflib.SequenceMatcher(
        None, before[start : len(before) - end], after[start : len(after) - end], autojunk=False
    )
    return [(a + start, b + start, c + start, d + start) for tag, a, b, c, d in matcher.get_opcodes() if tag != "equal"]
