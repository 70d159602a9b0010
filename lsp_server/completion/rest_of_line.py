"""Where the rest of the cursor's line takes over from a suggestion: what stands there is not written twice."""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Sequence

from lsp_server.completion.closing import After, closes_again
from lsp_server.completion.scanner import Step, in_word

# So much of the rest of a line, blanks not counted, is known again wherever it stands in a suggestion; less at its end.
LEAST_KNOWN = 2
_BRACKETS = "()[]{}"
_PAIRED = _BRACKETS + "\"'`"
# What the rest of a line may begin with that comes once in a statement or an expression: a word after a blank, such as
# `import`, `as`, `if`, but for those that join conditions; an assignment, a comparison or an arrow.
_ONCE = re.compile(r"[ \t]+((?!(?:and|or)\b)[^\W\d]\w+(?!\w)|(?:[-+*/%&|^<>!:=]?=[=>]?|->)(?=[ \t]))")


def taken_over(text: str, read: Sequence[Step], after: After) -> int | None:
    """Where the rest of the line takes over from a suggestion that begins with `text`, of which `read` are the marks;
    None where it may yet go on.

    That is where it closes a bracket, a string or a comment that the rest closes, and does not open it again; where it
    begins to repeat the rest; and before a comment of its own, which would take the rest in. White space makes no
    difference.
    """
    closing, certain = closes_again(text, read, after)
    ends = [
        closing if certain else None,
        _repeats(text, read, after),
        _begins_again(text, read, after),
        _comment(read, after, certain=True),
    ]
    return min((end for end in ends if end is not None), default=None)


def in_front(text: str, read: Sequence[Step], after: After) -> str:
    """The part of a suggestion, which ends with `text`, that stands in front of the rest of the line.

    At its end less counts as a repetition than within it: what the rest of the line begins with, up to the end of a
    word.
    """
    closing, _ = closes_again(text, read, after)
    text = text[:closing]
    text = text[: taken_over(text, read, after)]
    text = text[: _comment([step for step in read if step.end <= len(text)], after)]
    while (end := _overlap(text, read, after)) is not None:
        text = text[:end]
    return text


def fits_at_end(text: str, read: Sequence[Step], after: After) -> bool:
    """Whether `text` leaves open exactly what the rest of the line closes."""
    return _Fitting(read, after).at(len(text))


class _Fitting:
    """Where in a text a suggestion may end so that what the rest of the line closes is open."""

    def __init__(self, read: Sequence[Step], after: After) -> None:
        self._ends = [step.end for step in read]
        self._read, self._after = read, after

    def at(self, index: int) -> bool:
        before = bisect.bisect_right(self._ends, index) - 1
        return self._after.fits(self._read[before] if before >= 0 else None)


def _comment(read: Sequence[Step], after: After, *, certain: bool = False) -> int | None:
    """Where a comment begins in front of the rest of the line, and does not end; `certain`: cannot end on the line."""
    if not after.in_code or not after.line.strip() or not read:
        return None
    own = read[-1].open[read[-1].kept :]
    opened = next((each for each in own if each.kind == "comment" and (each.one_line or not certain)), None)
    return next((step.start for step in read if opened is not None and opened in step.open), None)


def _repeats(text: str, read: Sequence[Step], after: After) -> int | None:
    """Where the whole rest of the line is repeated, whatever may follow."""
    line = after.line.strip()
    rest, bare = _bare(line), _bare(text)
    if len(rest) < LEAST_KNOWN or not any(map(in_word, line)) or all(map(in_word, line)) or rest not in bare:
        return None
    where, fitting = _where(text), _Fitting(read, after)
    at = bare.find(rest)
    while at >= 0:
        start, end = where[at], where[at + len(rest) - 1] + 1
        whole = not in_word(rest[-1]) or (end < len(text) and not in_word(text[end]))
        if whole and not _splits(text, start) and fitting.at(start):
            return _behind_blanks(text, start, after)
        at = bare.find(rest, at + 1)
    return None


def _begins_again(text: str, read: Sequence[Step], after: After) -> int | None:
    """Where the first word or sign of the rest of the line is repeated that comes but once, however it goes on."""
    first = _ONCE.match(after.line) if after.in_code else None
    if first is None:
        return None
    fitting = _Fitting(read, after)
    for found in re.finditer(rf"[ \t]+{re.escape(first.group(1))}(?=[ \t])", text):
        if fitting.at(found.end()):
            return found.start()
    return None


def _overlap(text: str, read: Sequence[Step], after: After) -> int | None:
    """Where the end of `text` begins that is the beginning of the rest of the line."""
    line = after.line.lstrip()
    rest, bare, where, places = _bare(line), _bare(text), _where(text), _where(line)
    fitting = _Fitting(read, after)
    # How many of the first characters are in no word, are not paired, are brackets.
    no_word, unpaired = _first(rest, in_word), _first(rest, _PAIRED.__contains__)
    brackets = _first(rest, lambda char: char not in _BRACKETS)
    for count in range(min(len(rest), len(bare)), 0, -1):
        if not bare.endswith(rest[:count]):
            continue
        start = where[len(bare) - count]
        whole = count == len(rest)
        if not whole and (_splits(text, start) or _splits(line, places[count])):
            continue
        if rest[0] in _PAIRED and text[:start].endswith("\\"):
            continue
        # In text a bracket or a quote may stand alone; in code it is not known which of several brackets one closes.
        signs = unpaired < count <= no_word
        alone = signs and (not after.in_code or (not after.wanted and count <= brackets))
        if not alone and fitting.at(start):
            return _behind_blanks(text, start, after)
    return None


def _first(text: str, is_so: Callable[[str], bool]) -> int:
    """The place of the first character that is so; the length of the text where none is."""
    return next((index for index, char in enumerate(text) if is_so(char)), len(text))


def _behind_blanks(text: str, start: int, after: After) -> int:
    """`start`, or where the blanks before it begin, if the rest of the line begins with some, too."""
    return len(text[:start].rstrip(" \t")) if after.line[:1].isspace() else start


def _splits(text: str, index: int) -> bool:
    """Whether `index` is inside a word of `text`."""
    return 0 < index < len(text) and in_word(text[index - 1]) and in_word(text[index])


def _bare(text: str) -> str:
    """Without blanks."""
    return "".join(text.split())


def _where(text: str) -> list[int]:
    """For each character that is no blank, where it stands."""
    return [index for index, char in enumerate(text) if not char.isspace()]
