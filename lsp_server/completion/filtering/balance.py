"""Brackets and quotes: a suggestion closes what it opens, and nothing that stands around it."""

from __future__ import annotations

from lsp_server.completion.brackets import unmatched
from lsp_server.completion.filtering.counting import fits_in_line, parses
from lsp_server.completion.marks import CLOSE, marks_of
from lsp_server.completion.rest_of_line import fits_at_end, in_front
from lsp_server.completion.scanner import Open
from lsp_server.completion.stopping import Place
from lsp_server.context.buffer import depth_of

MOST_DEPTH = 10_000  # columns


def in_front_of_rest(text: str, here: Place) -> str:
    """The part that repeats and closes nothing of what stands right of the cursor."""
    return in_front(text, list(here.read(text)), here.after)


def with_strings_closed(text: str, here: Place) -> str:
    """Without the line on which it begins a string or comment that it does not end.

    One that was open at the cursor, and is nowhere ended, keeps its first line where one line is wanted.
    """
    if fits_in_line(text, here):
        return text
    opened: dict[Open, int] = {}
    if text[:1] in ("'", '"', "`") and here.line_before.endswith(text[:1] * 2):
        return text  # with what stands before the cursor it is another mark
    for step in here.read(text):
        now = {each: opened.get(each, step.start) for each in step.open[step.kept :]}
        if step.newline:
            lapsed = next((at for each, at in opened.items() if each not in now and _is_string(each, here)), None)
            if lapsed is not None:
                return _before_line(text, lapsed)
        opened = {each: at for each, at in now.items() if each.holds_text}
    left = [at for each, at in opened.items() if not (each.kind == "comment" and each.one_line)]
    if left and not _ended_below(opened, text, here):
        return _before_line(text, left[0])
    return text


def balanced(text: str, here: Place) -> str:
    """Cut before a bracket it must not close, and back to a line end where all that it opened is closed."""
    if fits_in_line(text, here):
        return text
    if here.after.in_code and here.after.wanted and fits_at_end(text, list(here.read(text)), here.after):
        return text
    closers, own = unmatched(here.read(text))
    # Brackets open at the cursor: those that the text before opens, less those that the text after closes.
    openers = here.opened
    opened = [here.prefix[index] for index in openers]
    # In a shell this closes nothing where nothing is open: it ends a pattern of `case`.
    ends_pattern = here.language_id == "shellscript" and all(here.prefix[index] != "(" for index in openers)
    after = [here.suffix[index] for index in _closers_after(openers, here)]
    closed_after = [CLOSE[mark] for mark in after]
    if ends_pattern:
        closed_after = [mark for mark in closed_after if mark != "("]
    # What closes them may stand in the part that is not seen.
    unseen = _closed_out_of_sight(openers, here) if here.cut_after else 0
    if _open_at_end(opened, [text[index] for index in closers], [text[index] for index in own], after) == unseen:
        return text
    if unseen and closers and not closed_after and parses(text, here):  # it does not: what follows stands for itself
        unseen = 0
    opened = opened[unseen:]
    while opened and closed_after and opened[0] == closed_after[-1]:
        opened.pop(0)
        closed_after.pop()
    for index in closers:
        if opened and opened[-1] == CLOSE[text[index]]:
            opened.pop()
        elif not (ends_pattern and text[index] == ")"):
            text = text[:index]
            break
    while (openers := unmatched(here.read(text))[1]) and not _closed_by_suffix(text, openers, closed_after):
        if _opens_what_is_cut(text, openers, here):
            break
        text = text[: text.rfind("\n", 0, openers[0]) + 1].rstrip("\n")
    return text


def _open_at_end(opened: list[str], closers: list[str], own: list[str], after: list[str]) -> int | None:
    """How many of the brackets that are `opened` at the cursor are open at the end of all that is seen, with a text in
    it that has `closers` and opens its `own`, and what `after` it closes; None where any does not pair, or one of the
    text's own is open there."""
    stack = list(opened)
    for mark in closers:
        if not stack or stack.pop() != CLOSE[mark]:
            return None
    around = len(stack)
    stack += own
    for mark in after:
        if not stack or stack.pop() != CLOSE[mark]:
            return None
    return len(stack) if len(stack) <= around else None


def _closers_after(openers: list[int], here: Place) -> list[int]:
    """Where the text after the cursor closes what is opened before: but for what is opened further up than is seen,
    whose end stands shallower than any line that opens something."""
    closers = here.after.closers
    if not openers:
        return closers
    start = here.prefix.rfind("\n", 0, openers[0]) + 1
    depth = depth_of(here.prefix[start : openers[0] + 1])
    for count, index in enumerate(closers):
        line = here.suffix[here.suffix.rfind("\n", 0, index) + 1 : index + 1]
        if "\n" in here.suffix[:index] and not line[:-1].strip() and depth_of(line) < depth:
            return closers[:count]
    return closers


def _opens_what_is_cut(text: str, openers: list[int], here: Place) -> bool:
    """Whether all that is left open is opened on the last line, and all that is seen below stands deeper: it may be
    closed further down."""
    if not here.cut_after or openers[0] < text.rfind("\n") or here.line_after.strip():
        return False
    line = (here.line_before + text).rpartition("\n")[2]
    return all(depth_of(each) > depth_of(line) for each in here.suffix.split("\n")[1:] if each.strip())


def _closed_out_of_sight(openers: list[int], here: Place) -> int:
    """How many of the brackets open at the cursor may be closed further down than is seen, as far as indentation tells:
    those before which everything below stands deeper."""
    below = [depth_of(line) for line in here.suffix.split("\n")[1:] if line.strip()]
    least = min(below, default=MOST_DEPTH)
    for count, index in enumerate(openers):
        line = here.prefix[here.prefix.rfind("\n", 0, index) + 1 : index + 1]
        if depth_of(line) >= least:
            return count
    return len(openers)


def _closed_by_suffix(text: str, openers: list[int], spare: list[str]) -> bool:
    """Whether the text after the cursor has brackets to spare that close the ones opened in `text`."""
    return [text[index] for index in reversed(openers)] == spare[: len(openers)]


def _is_string(each: Open, here: Place) -> bool:
    return each.kind == "string" and each.mark != "/" and not marks_of(here.language_id).partner


def _ended_below(opened: dict[Open, int], text: str, here: Place) -> bool:
    """Whether a string or comment that is left open is one that the text after the cursor ends: further down it is not
    where something that stands shallower comes before, unless all that follows is seen and pairs so."""
    for each, at in opened.items():
        mark = marks_of(here.language_id).blocks.get(each.mark, each.mark)
        inside, ended, _ = here.suffix.partition(mark)
        if not ended:
            continue
        head = here.line_before + text if "\n" not in text[:at] else text
        depth = depth_of(head[head.rfind("\n", 0, at + len(head) - len(text)) + 1 :])
        lines = inside.split("\n")[1:]
        if not lines or (not each.one_line and all(depth_of(line) >= depth for line in lines if line.strip())):
            return True
        if not each.one_line and not here.cut_after and here.suffix.count(mark) % 2:
            return True
    return False


def _before_line(text: str, at: int) -> str:
    return text[: text.rfind("\n", 0, at + 1) + 1].rstrip("\n")
