"""What is open at a place in code: brackets, strings, comments. Read without a grammar, from any place to any other.

Inside strings and comments, and in prose, brackets and quotes are only text: they pair where they can, within the line,
and need no partner.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from lsp_server.completion.marks import CLOSE, OPEN, Marks, Quote, marks_of

# A word before an apostrophe or a quote that makes it a string of some kind, in one language or another.
_PREFIXES = {"r", "b", "u", "f", "t", "br", "rb", "fr", "rf", "tr", "rt", "L", "u8", "U", "R", "N", "E", "X", "c", "s"}
# In text a bracket may be closed by another: the interval [0, 1).
_TEXT_OPENERS = {")": "([", "]": "([", "}": "{"}
_WORD = re.compile(r"\w+\Z")
_PARTNER = re.compile(r"'(?:\\.|[^'\\\n])*'")
_CHARACTER = re.compile(r"'(?:\\(?:u\{[^}\n]*\}|x\w\w|.)|[^'\\\n])?'")
# A regular expression between slashes; and the words that one may follow, where after others a slash divides.
_SLASHED = re.compile(r"/(?![ =>*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\[\n])+/")
_BEFORE_VALUE = re.compile(
    r"(?:^|[^\w.$])(?:return|typeof|case|in|of|void|delete|throw|yield|await|when|if|and|or|not)\Z"
)
# How far a look back goes, and how many things may be open at a time: what goes on deeper is no code.
LOOK_BACK, MOST_OPEN = 40, 100


@dataclasses.dataclass(frozen=True, eq=False)
class Open:
    """Something open. `end`: the pattern of what closes it; the rest is as in `Quote`.

    A `text` is a bracket or quote inside a string, a comment or prose.
    """

    kind: Literal["bracket", "string", "comment", "text"]
    mark: str
    end: str = ""
    one_line: bool = False
    escapes: bool = False
    slot: str = ""

    @property
    def holds_text(self) -> bool:
        return self.kind in ("string", "comment")


Stack = tuple[Open, ...]


class Step(NamedTuple):
    """After a mark at `start` to `end`: what is `open`, outermost first, and what the mark `closed`, if anything.

    `kept`: how many of those that were open at first have been open ever since; `outer`: whether it closed one of them.
    `stray`: a bracket that closes nothing.
    """

    start: int
    end: int
    open: Stack
    kept: int
    closed: Open | None = None
    outer: bool = False
    stray: bool = False
    newline: bool = False


def steps(piece: str, language_id: str, within: Stack = (), *, before: str = "", behind: str = "") -> Iterator[Step]:
    """The marks of `piece`, at the beginning of which `within` is open. What stands `before` and `behind` it is looked
    at where a mark can be read in two ways."""
    marks, stack, kept = marks_of(language_id), within, len(within)
    code, shift = before + piece + behind, len(before)
    index, end = shift, shift + len(piece)
    while True:
        scope = text_scope(stack, marks)
        pattern = marks.code if scope is None else _text(scope.end, scope.slot, scope.escapes)
        if (match := pattern.search(code, index, end)) is None:
            return
        start, index, mark, group = match.start(), match.end(), match.group(), match.lastgroup
        after: Stack = stack
        closed: Open | None = None
        stray = False
        newline = mark.endswith("\n")  # also one that is escaped in a string, which goes on
        if group == "newline":
            after = _next_line(stack)
        elif scope is not None and group == "end":
            closed, after = scope, stack[: stack.index(scope)]
        elif scope is not None:
            after, closed = _in_text(code, start, mark, group, stack)
        elif group == "bracket":
            after, closed, stray = _bracket(mark, stack)
        elif group == "string":
            after, index, closed = _quote(code, start, end, stack, marks)
        elif group == "slash":
            after, index = _slash(code, start, end, stack)
        elif group != "literal":
            after = _comment(mark, stack, marks)
        if len(after) > MOST_OPEN:
            after = stack
        if after is not stack or stray or newline:
            outer = closed is not None and len(after) < kept
            stack, kept = after, min(kept, len(after))
            yield Step(start - shift, index - shift, stack, kept, closed, outer, stray, newline)


def open_after(read: Iterable[Step], within: Stack) -> Stack:
    """What is open behind the last of the marks that were `read`, where `within` was open before the first."""
    for step in read:
        within = step.open
    return within


def open_far_above(code: str, language_id: str) -> Stack:
    """The long string or comment that the end of `code` is in, as far as counting tells: for text that would take too
    long to be read."""
    marks = marks_of(language_id)
    for quote, mark in itertools.product(marks.quotes, ('"""', "'''", "`")):
        if not quote.one_line and quote.opening.fullmatch(mark) and code.count(mark) % 2:
            return (Open("string", mark, mark, False, quote.escapes, quote.slot),)
    for mark, end in marks.blocks.items():
        start = code.rfind(mark)
        alone = not code[code.rfind("\n", 0, max(0, start)) + 1 : start].strip()  # not in a string, such as "**/*.py"
        if start > code.rfind(end) and alone:
            return (Open("comment", mark, re.escape(end)),)
    return ()


def in_word(char: str) -> bool:
    """Whether a character belongs to a word: a letter, a digit or an underscore; "" does not."""
    return char.isalnum() or char == "_"


def text_scope(stack: Stack, marks: Marks) -> Open | None:
    """The string or comment, or the prose, that is read at the top of `stack`; None in code."""
    for each in reversed(stack):
        if each.kind != "text":
            return each if each.holds_text else None
    return _PROSE if marks.prose else None


_PROSE = Open("comment", "")


@functools.cache
def _text(end: str, slot: str, escapes: bool) -> re.Pattern[str]:
    """Finds what matters inside a string or comment."""
    groups = [r"(?P<newline>\n)"]
    if slot:
        groups.append(f"(?P<slot>{slot})")
    if escapes:
        groups.append(r"(?P<escape>\\[\s\S])")
    if end:
        groups.append(f"(?P<end>{end})")
    groups.append(r"(?P<text>[()\[\]{}\"'`])")
    return re.compile("|".join(groups))


def _next_line(stack: Stack) -> Stack:
    """What is still open on the next line."""
    for index, each in enumerate(stack):
        if each.one_line or each.kind == "text":
            return stack[:index]
    return stack


def _bracket(mark: str, stack: Stack) -> tuple[Stack, Open | None, bool]:
    """(what is open, what was closed, whether it closes nothing) after a bracket in code."""
    if mark in OPEN:
        return (*stack, Open("bracket", mark)), None, False
    stray = not stack or stack[-1].mark != CLOSE[mark]
    return (stack, None, True) if stray else (stack[:-1], stack[-1], False)


def _comment(mark: str, stack: Stack, marks: Marks) -> Stack:
    """What is open after a mark that begins a comment, over several lines or to the end of this one."""
    if (end := marks.blocks.get(mark)) is not None:
        return (*stack, Open("comment", mark, re.escape(end)))
    if any(each.one_line for each in stack):  # in a slot of a string on one line
        return stack
    return (*stack, Open("comment", mark, one_line=True))


def _in_text(code: str, at: int, mark: str, group: str | None, stack: Stack) -> tuple[Stack, Open | None]:
    """(what is open, what was closed) after a mark at `at` in a string, a comment or prose, which does not end it."""
    if group == "slot":
        return (*stack, Open("bracket", mark[-1])), None
    if group == "escape":
        return stack, None
    after_word = code[at - 1 : at].isalnum()
    if mark == "'" and after_word and code[at + 1 : at + 2].isalnum():  # an apostrophe
        return stack, None
    wanted = _TEXT_OPENERS.get(mark, mark)
    for index in range(len(stack) - 1, -1, -1):
        if stack[index].kind != "text":
            break
        if stack[index].mark in wanted and mark not in OPEN:
            return stack[:index], stack[index]
    if mark in CLOSE or (mark == "'" and after_word):
        return stack, None
    return (*stack, Open("text", mark)), None


def _quote(code: str, at: int, end: int, stack: Stack, marks: Marks) -> tuple[Stack, int, Open | None]:
    """(what is open, where to read on, what was closed) after what may begin a string at `at`."""
    quote, opened = _opening(code, at, end, marks)
    if quote is None or opened is None:
        return stack, at + 1, None
    mark = opened.group()
    if len(stack) > 1 and stack[-1].kind == "bracket" and stack[-2].kind == "string" and not marks.commands:
        # The quote of the string that this is a slot of: behind a value it ends the string, as no other can begin.
        outer = stack[-2]
        before = code[max(0, at - LOOK_BACK) : at].rstrip(" \t")
        prefixed = (word := _WORD.search(before)) is not None and word.group() in _PREFIXES
        if outer.slot and mark == outer.mark and re.search(r"[\w)\]}\"'`]\Z", before) and not prefixed:
            return stack[:-2], opened.end(), outer
    if mark == "'" and not _begins_string(code, at, marks):
        return stack, at + 1, None
    ends = opened.expand(quote.end) if "\\" in quote.end else quote.end
    found = Open("string", mark, ends, quote.one_line, quote.escapes, quote.slot)
    return (*stack, found), opened.end(), None


def _opening(code: str, at: int, end: int, marks: Marks) -> tuple[Quote | None, re.Match[str] | None]:
    for quote in marks.quotes:
        if opened := quote.opening.match(code, at, end):
            return quote, opened
    return None, None


def _begins_string(code: str, at: int, marks: Marks) -> bool:
    """Whether the apostrophe at `at` begins a string, and is not part of a word, of prose, or a lifetime."""
    word = _WORD.search(code[max(0, at - LOOK_BACK) : at])
    if word and not marks.joined and word.group() not in _PREFIXES and not _BEFORE_VALUE.search(word.group()):
        return False
    if marks.characters:
        return _CHARACTER.match(code, at) is not None
    return not marks.partner or _PARTNER.match(code, at) is not None


def _slash(code: str, at: int, end: int, stack: Stack) -> tuple[Stack, int]:
    """(what is open, where to read on) after a slash: a regular expression, where it does not divide."""
    before = code[max(0, at - LOOK_BACK) : at].rstrip(" \t")
    if re.search(r"[\w$)\]}\"'`<]\Z", before) and not _BEFORE_VALUE.search(before):
        return stack, at + 1
    if whole := _SLASHED.match(code, at, end):
        return stack, whole.end()
    if code.find("\n", at, end) >= 0 or code[at + 1 : at + 2] in (" ", "=", ">", "*", "/"):
        return stack, at + 1
    return (*stack, Open("string", "/", "/", one_line=True, escapes=True)), at + 1
