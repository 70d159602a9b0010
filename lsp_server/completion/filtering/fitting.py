"""In front of the rest of its line a suggestion goes as far as it fits there, with what it leaves open closed."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from lsp_server.completion.filtering.counting import fitting, parses
from lsp_server.completion.marks import OPEN, marks_of
from lsp_server.completion.scanner import LOOK_BACK, Stack, open_after, steps, text_scope
from lsp_server.completion.stopping import Place

# How many parts of it are tried, each of which may be parsed, and how many brackets and quotes are closed behind one.
MOST_TRIED, MOST_CLOSED = 8, 3
_ENDS = (";", ",")
_WORD, _TOKEN = re.compile(r"\w+"), re.compile(r"\w+|[^\w\s]")


def fitted_in(text: str, here: Place) -> str:
    """The longest part of it that fits in front of the rest of the line, with the brackets and quotes closed behind it
    that are opened on the line and not closed there; all of it where none does, for others to judge.

    A model that sees the rest of a line may end before its own brackets do, or go on into what is there.
    """
    scope = text_scope(here.open, marks_of(here.language_id))
    if not here.line_after.strip() or (scope is not None and scope.kind == "comment"):
        return text
    fits, pairs = fitting(text, here), _Pairing(here)

    def fitted(part: str) -> bool:
        """As its syntax tells; where that has errors in any case, it has to pair, too."""
        return parses(part, here) or ((fits is None or fits(part)) and pairs(part))

    return next((each for each in itertools.islice(_tried(text, here), MOST_TRIED) if fitted(each)), text)


def _tried(text: str, here: Place) -> Iterator[str]:
    for part in _parts(text, here):
        yield part
        closing = ""
        for mark in _left_open(part, here)[:MOST_CLOSED]:
            closing += mark
            yield part + closing


def _parts(text: str, here: Place) -> Iterator[str]:
    """It, without the end of a statement that the rest of the line has, and what can be cut off it: from where it has
    the word that the cursor stands in, then by words and signs."""
    if here.line_after[0] in _ENDS and text.endswith(here.line_after[0]):
        yield text[:-1]
    yield text
    if "\n" in text:
        return
    word = _WORD.match(here.line_after)
    if word is not None:
        yield from (text[: at.start()] for at in re.finditer(re.escape(word.group()), text) if at.start())
    ends = [token.end() for token in _TOKEN.finditer(text) if token.end() < len(text.rstrip())]
    for end in reversed(ends[-MOST_TRIED:]):
        part = text[:end]
        joined = word is not None and _WORD.match(part[-1])
        if not joined and any(map(str.isalnum, part)):
            yield part


def _left_open(text: str, here: Place) -> list[str]:
    """What closes that which is open behind `text` and was opened on its line, the innermost first, as far as one mark
    does."""
    marks = []
    for each in reversed(_own(open_after(here.read(text), here.open), here)):
        if each.kind == "comment" or (each.kind == "string" and each.end != each.mark):
            break
        if each.kind != "text":
            marks.append(OPEN.get(each.mark, each.mark))
    return marks


def _own(stack: Stack, here: Place) -> Stack:
    """Those of the things open that were opened on the cursor's line."""
    above = next((step.open for step in reversed(here.read_before) if step.newline), here.within)
    return tuple(each for each in stack if each not in above)


class _Pairing:
    """Whether what is open behind a text is closed behind the cursor: where no grammar tells."""

    def __init__(self, here: Place) -> None:
        self._here = here

    def __call__(self, text: str) -> bool:
        here = self._here
        stack = open_after(here.read(text), here.open)
        own = _own(stack, here)
        before = (here.line_before + text)[-LOOK_BACK:]
        for step in steps(here.suffix, here.language_id, stack, before=before):
            if step.stray:
                return False
            if step.newline and not any(each in step.open for each in own):
                return not any(each in stack for each in own)
            stack = step.open
        return here.cut_after or not any(each in stack for each in own)
