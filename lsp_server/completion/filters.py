"""Whether a suggestion is worth showing, and which part of it: nothing that the user would have to delete again."""

from __future__ import annotations

import re

from lsp_server.completion.brackets import CLOSE, unmatched
from lsp_server.completion.stopping import Place
from lsp_server.context.buffer import depth_of

# The same two to forty characters five times in a row.
_LOOP = re.compile(r"(\S.{1,39}?)\1{4,}", re.DOTALL)
# Characters that no source file wants: controls but tab and line feed, and the sign for bytes that are no text.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\ufffd]")


def tidy(text: str, here: Place, *, finished: bool) -> tuple[str, str]:
    """The part of a generated `text` that is worth showing at `here`, or "" and the reason as one sentence.

    `finished`: whether it came to its own end; otherwise its last word or line may be half a one.
    """
    if control := _CONTROL.search(text):
        text, finished = text[: control.start()], True
    if not finished:
        text = _without_loose_end(text)
    text = _once(text).rstrip()
    if not text.strip():
        return "", "The model had nothing to add here."
    if _LOOP.search(text):
        return "", "The model only repeated itself."
    text = _without_following_lines(text, here)
    text = _balanced(_without_rest_of_line(text, here), here).rstrip()
    if not text.strip():
        return "", "What the model wrote is there already, or would not fit the brackets around it."
    return text, ""


def _without_loose_end(text: str) -> str:
    """Without what was cut off when the tokens ran out: the last line, or in a single line the last word."""
    head, newline, _ = text.rstrip("\n").rpartition("\n")
    return head if newline and head.strip() else re.sub(r"\w+$", "", text)


def _once(text: str) -> str:
    """Of a line that comes three times in a row, only the first and what stands before it."""
    lines = text.split("\n")
    for index in range(2, len(lines)):
        if lines[index].strip() and lines[index] == lines[index - 1] == lines[index - 2]:
            return "\n".join(lines[: index - 1])
    return text


def _without_following_lines(text: str, here: Place) -> str:
    """Without its last lines where they are the lines that follow in the buffer."""
    lines, below = text.split("\n"), [line.rstrip() for line in here.lines_below]
    for count in range(min(len(lines), len(below)), 0, -1):
        tail = [line.rstrip() for line in lines[-count:]]
        if tail == below[:count] or (count == len(lines) and _joined(here, tail) == below[:count]):
            return "\n".join(lines[:-count])
    return text


def _joined(here: Place, lines: list[str]) -> list[str]:
    """The lines as they would stand in the buffer: the first one continues the cursor's line."""
    return [here.line_before + lines[0], *lines[1:]]


def _without_rest_of_line(text: str, here: Place) -> str:
    """Without its end where that is what stands right of the cursor (`;`, a quote); brackets are looked at apart."""
    rest = here.line_after.strip()
    if rest and not any(char in "()[]{}" for char in rest) and text.endswith(rest):
        return text[: -len(rest)]
    return text


def _balanced(text: str, here: Place) -> str:
    """Cut before a bracket it must not close, and back to a line end where all that it opened is closed."""
    closers, _ = unmatched(text)
    # Brackets open at the cursor: those that the text before opens, less those that the text after closes.
    openers = unmatched(here.prefix)[1]
    opened = [here.prefix[index] for index in openers]
    closed_after = [CLOSE[here.suffix[index]] for index in unmatched(here.suffix)[0]]
    while opened and closed_after and opened[0] == closed_after[-1]:
        opened.pop(0)
        closed_after.pop()
    if here.cut_after:  # what closes them may stand in the part that is not seen
        line = len(here.prefix) - len(here.line_before)
        own = 0 if _goes_on_below(here) else sum(index >= line for index in openers)
        opened = opened[max(0, len(opened) - own) :]
    for index in closers:
        if opened and opened[-1] == CLOSE[text[index]]:
            opened.pop()
        else:
            text = text[:index]
            break
    while (openers := unmatched(text)[1]) and not _closed_by_suffix(text, openers, closed_after):
        text = text[: text.rfind("\n", 0, openers[0]) + 1].rstrip("\n")
    return text


def _goes_on_below(here: Place) -> bool:
    """Whether what the cursor's line opens may be closed further down, as far as indentation tells."""
    below = here.lines_below
    return not below or depth_of(below[0]) > depth_of(here.line_before)


def _closed_by_suffix(text: str, openers: list[int], spare: list[str]) -> bool:
    """Whether the text after the cursor has brackets to spare that close the ones opened in `text`."""
    return [text[index] for index in reversed(openers)] == spare[: len(openers)]
