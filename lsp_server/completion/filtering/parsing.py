"""A suggestion goes as far as what it begins is whole, and the file is none the worse for it."""

from __future__ import annotations

import ast
import dataclasses
import functools
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator

from lsp_server.completion.brackets import unmatched
from lsp_server.completion.marks import CLOSE, OPEN, marks_of
from lsp_server.completion.scanner import open_after, text_scope
from lsp_server.completion.stopping import MOST_LINES, Place
from lsp_server.context.buffer import depth_of
from lsp_server.context.languages import language
from lsp_server.context.syntax import errors

# Characters before and after the cursor that are parsed, and of a suggestion: 6,000 take about 1 ms.
BEFORE, AFTER, LONGEST = 4000, 2000, 4000
MOST_COLUMNS = 500
# What editors put behind the cursor, so that the end of the line is still to come; and what has a block in Python.
_PUT_BEHIND = ")]}\"'`"
_BLOCK = re.compile(r"\s*(?:async\s+)?(?:def|class|if|elif|for|while|with|except|match|case)\b")
# Brackets and quotes behind the cursor for which it is tried whether one that opens them is missing.
MOST_MIRRORED = 3
_WORDS = (
    r"(?:(?:export|default|public|private|protected|internal|static|abstract|final|async|override|open|unsafe|extern"
    r"|inline|const|virtual|sealed|partial|local|pub(?:\([a-z]+\))?) )*"
)
_DEFINITION = re.compile(
    rf"{_WORDS}(?:def|class|fn|func|function\*?|fun|sub|interface|struct|enum|trait|impl|module|namespace|record|type)"
    r" ?[\w<(&*]"
)
# A method or function that begins with its type or name, as in C and its kin, or in a class of JavaScript.
_TYPED = re.compile(rf"{_WORDS}[\w:<>\[\],*&~ ]*?[\w>*&~]+ ?\([^;={{}}]*\)[^;={{}}()]*\{{\s*\Z")
_CONTROL = re.compile(r"(?:\}?\s*)(?:if|else|for|foreach|while|switch|catch|do|try|return|with|using|lock|when)\b")
_HOLDS = re.compile(rf"{_WORDS}(?:class|interface|struct|enum|trait|impl|module|namespace|record|object|extension)\b")
_ABOVE = re.compile(r"\s*(?:@|#\[|\[[A-Z]|template\b)")
# What a line ends in that has its other half still to come.
_HALF = re.compile(r"(?:\s*(?:[-+*/%&|^=<>!.,?~@]+|\b(?:and|or|not|in|is|if|else|for|as|lambda|new|await)\b))+\s*\Z")
# A line that belongs to what stands above it.
_GOES_ON = re.compile(
    r"[)\]}]|(?:else|elif|elsif|except|finally|catch|rescue|ensure|end|then|when|case|default|fi|done)\b"
)
# The head of what holds methods.
_HEADS = {"python": "class _:\n", "rust": "impl X {\n"}
_HEADS |= dict.fromkeys(("java", "javascript", "typescript", "typescriptreact", "csharp", "cpp"), "class X {\n")
# The plainest suggestions: a name, and a statement.
_PLAIN = ("x", "x;")
# What may follow the header of a block that one is about to write.
_BODIES = {"python": ("\n{0}    pass", "\n{0}    pass\n{0}finally: pass", "\n{0}def _(): pass"), "": (" {{}}", ";")}


def without_loose_end(text: str, here: Place) -> str:
    """Without what was cut off when the tokens ran out: the last line, or in a single line the last word."""
    head, newline, _ = text.rstrip("\n").rpartition("\n")
    return head if newline and head.strip() else re.sub(r"\w+$", "", text)


def without_next_definition(text: str, here: Place) -> str:
    """Up to where the next definition begins behind what was asked for."""
    lines = text.split("\n")
    if len(lines) < 2 or text_scope(here.open, marks_of(here.language_id)) is not None:
        return text
    first = next((index for index, line in enumerate(lines) if line.strip()), 0)
    depth = depth_of(here.line_before + lines[0]) if first == 0 else depth_of(lines[first])
    if here.opens_block or (depth and not _is_in_class(here, depth)):
        return text
    marks = marks_of(here.language_id)
    starts = [(), *(step.open[step.kept :] for step in here.read(text) if step.newline)]
    begun = not _leads(lines[first])
    for index in range(first + 1, len(lines)):
        line = lines[index]
        if not line.strip() or starts[index] or text_scope(starts[index], marks) is not None:
            continue
        if begun and depth_of(line) <= depth and _defines(line.strip()):
            while index > first + 1 and (_leads(lines[index - 1]) or not lines[index - 1].strip()):
                index -= 1
            return "\n".join(lines[:index])
        begun = begun or not _leads(line)
    return text


def parsing(text: str, here: Place) -> str:
    """As much of it as leaves the file with no more errors than it had: whole lines, or a line without its loose end.

    The cursor's line may be half a one: the file had as many as it has without the suggestion, or with the plainest one
    in its place. What is typed as the header of a block may have its body still to come.
    """
    if not _can_tell(text, here):
        return text
    scope = text_scope(open_after(here.read(text), here.open), marks_of(here.language_id))
    mark = language(here.language_id).line_comment or ""
    behind_code = scope is not None and scope.one_line and scope.kind == "comment"
    if scope is not None and not (behind_code and not _last_line(text, here).lstrip().startswith(mark)):
        return text  # it ends within a string or comment, which what follows ends
    fits = _count(here).fits
    return next((each for each in _shorter(text, here) if fits(each) and not _leaves_indented(each, here)), "")


def fitting(text: str, here: Place) -> Callable[[str], bool] | None:
    """What tells whether parts of `text` leave the file with no more errors than it had; None where nothing does."""
    return _count(here).fits if _can_tell(text, here) else None


def fits_in_line(text: str, here: Place) -> bool:
    """Whether there is more on the cursor's line, and that is seen to parse with `text` in front of it."""
    return bool(here.line_after.strip()) and _can_tell(text, here) and _count(here).fits(text)


def parses(text: str, here: Place) -> bool:
    """Whether all that is seen parses with `text` at the cursor; False where there is no telling."""
    return _can_tell(text, here) and _count(here).none(text)


def _can_tell(text: str, here: Place) -> bool:
    """Whether there is a grammar, and no line so long that it is data, and slow to parse."""
    if len(text) > LONGEST or language(here.language_id).grammar is None:
        return False
    lines = (here.prefix[-BEFORE:] + text + here.suffix[:AFTER]).split("\n")
    return max(map(len, lines)) <= MOST_COLUMNS


def _last_line(text: str, here: Place) -> str:
    return (here.line_before + text).rpartition("\n")[2]


def _leaves_indented(text: str, here: Place) -> bool:
    """Whether in Python the next line is left deeper than it may be, which the grammar does not mind: behind a line
    that opens no block any more."""
    if here.language_id != "python" or not here.lines_below:
        return False
    above = here.line_before + here.line_after
    above = above if above.strip() else next((line for line in reversed(here.lines_above) if line.strip()), "")
    last = _last_line(text, here) + here.line_after
    return _is_indented_in_vain(last, here.lines_below[0]) and not _is_indented_in_vain(above, here.lines_below[0])


def _is_indented_in_vain(line: str, below: str) -> bool:
    """... as Python's own parser says of two lines."""
    if depth_of(below) <= depth_of(line) or not line.strip():
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on escapes and the like
        try:
            ast.parse(textwrap.dedent(f"{line}\n{below}\n"))
        except SyntaxError as error:
            return error.msg == "unexpected indent"
        except (ValueError, MemoryError, RecursionError):  # null bytes, and code that is too deep for it
            return False
    return False


def _shorter(text: str, here: Place) -> Iterator[str]:
    """A suggestion, and what can be cut off it, the longest first."""
    yield text
    lines = text.split("\n")
    for count in range(min(len(lines) - 1, MOST_LINES), 0, -1):
        if shorter := "\n".join(lines[:count]).rstrip():
            yield shorter
    if len(lines) == 1 and (bare := _HALF.sub("", text)) != text and bare.strip():
        yield bare


class _Count:
    """How many places around a cursor do not parse, counted when it is asked for.

    Where the text is cut, it begins with a line that nothing open reaches into, and ends before one as deep as any;
    what is open there is closed.
    """

    def __init__(self, here: Place) -> None:
        self._here = here
        self._counted: dict[tuple[str, str], int] = {}
        self._marks = marks_of(here.language_id)
        self._start, self._cut_before = self._first()
        self._end, self._cut_after = self._last()
        self._after = here.suffix[: self._end]
        opened = [at for at in here.opened if at >= self._start]
        self._open = [here.prefix[at] for at in opened]
        self._above = sum(at < len(here.prefix) - len(here.line_before) for at in opened)
        self._closed_below = [each for each in here.after.closers if each < self._end]
        opened_below = unmatched(step for step in here.after.read if step.start < self._end)[1]
        self._opened_below = [here.suffix[at] for at in opened_below]

    def fits(self, text: str) -> bool:
        """Whether there are no more with `text` at the cursor, as far as can be told."""
        if (found := self._errors(text)) == 0 or found <= self._known or (self._cut_before and self._known):
            return True
        return any(self._errors(text, body) <= self._known for body in self._bodies(text))

    def none(self, text: str) -> bool:
        """Whether there are none with `text` at the cursor."""
        return self._errors(text) == 0

    @functools.cached_property
    def _before(self) -> str:
        return self._here.prefix[self._start :]

    @functools.cached_property
    def _head(self) -> str:
        """What stands for that which is cut off above lines that are indented: a class, or nothing."""
        if not self._cut_before or self._before.lstrip("\n")[:1] not in (" ", "\t"):
            return ""
        return _HEADS.get(self._here.language_id, "")

    @functools.cached_property
    def _known(self) -> int:
        gap = " " if re.search(r"\w\Z", self._before) else ""
        plain = [gap + each for each in (*_PLAIN, *_mirrored(self._here.line_after))]
        known = self._least("", *plain)
        return min(known, self._without_line) if known and self._here.line_after.strip() else known

    def _least(self, *texts: str) -> int:
        """The least that there are with one of the texts at the cursor: when that is none, no other is parsed."""
        least = self._errors(texts[0])
        for text in texts[1:]:
            least = min(least, self._errors(text)) if least else 0
        return least

    @functools.cached_property
    def _without_line(self) -> int:
        """How many there are without the cursor's line, but for what it opens and closes of the lines around it."""
        here = self._here
        start = len(here.prefix) - len(here.line_before)
        if self._head and not here.prefix[self._start : start].strip():
            return self._errors("")  # it is not known what it stands in
        indent = here.line_before[: len(here.line_before) - len(here.line_before.lstrip())]
        before = here.prefix[:start] + indent + _frame(here)
        after = here.suffix[len(here.line_after) :]
        return _Count(dataclasses.replace(here, prefix=before, suffix=after))._errors("")

    def _bodies(self, text: str) -> tuple[str, ...]:
        """What may come behind a header that is being typed."""
        here = self._here
        if here.multiline or "\n" in text or not here.line_before.strip():
            return ()
        indent = here.line_before[: len(here.line_before) - len(here.line_before.lstrip())]
        bodies = _BODIES.get(here.language_id, _BODIES[""])
        unended = bool(here.line_after) and all(char in _PUT_BEHIND for char in here.line_after)
        if here.language_id == "python" and not (text + here.line_after).rstrip().endswith(":"):
            if here.line_before.lstrip().startswith("@"):
                bodies = bodies[-1:]
            else:
                bodies = tuple(":" + body for body in bodies) if unended and _BLOCK.match(here.line_before) else ()
        if unended:
            bodies = (*bodies, ",")
        return tuple(body.format(indent) for body in bodies)

    def _errors(self, text: str, body: str = "") -> int:
        if (text, body) not in self._counted:
            self._counted[text, body] = self._parsed(text, body)
        return self._counted[text, body]

    def _parsed(self, text: str, body: str) -> int:
        line_end = len(self._here.line_after)
        end, tail = self._closing(text)
        below = self._after[:line_end] + body + self._after[line_end:end] if end > line_end else self._after[:end]
        return errors(self._head + self._before + text + below + tail, self._here.language_id) or 0

    def _closing(self, text: str) -> tuple[int, str]:
        """With `text` at the cursor: (where what follows begins to close what was opened too far above to be seen, what
        closes that which is closed too far below)."""
        stack = list(self._open)
        closers, openers = unmatched(self._here.read(text))
        for index in closers:
            if stack and stack[-1] == CLOSE[text[index]]:
                stack.pop()
        stack += [text[index] for index in openers]
        for index in self._closed_below:
            if len(stack) <= self._above and index < len(self._here.line_after) and self._goes_on_below:
                continue
            if not stack and self._cut_before:
                return index, "}" if "{" in self._head else ""
            if stack and stack[-1] == CLOSE[self._here.suffix[index]]:
                stack.pop()
        if not self._cut_after:
            return self._end, ""
        stack[:0] = ["{"] if "{" in self._head else []
        tail = "".join(OPEN[mark] for mark in reversed([*stack, *self._opened_below]))
        return self._end, "\n" + tail if tail else ""

    @functools.cached_property
    def _goes_on_below(self) -> bool:
        """Whether a brace ends the cursor's line, and yet the next line stands in the same block."""
        here = self._here
        below = next(iter(here.lines_below), "")
        if here.line_after.strip() != "}" or self._open[: self._above][-1:] != ["{"]:
            return False
        return bool(below) and depth_of(below) >= depth_of(here.line_before) > 0 and not _GOES_ON.match(below.strip())

    def _first(self) -> tuple[int, bool]:
        """(where to begin: at a line as little indented as any that follows, and that ends nothing; whether something
        stands above it)"""
        here, start = self._here, len(self._here.prefix) - BEFORE
        strays = [step.end for step in here.read_before if step.stray and not self._marks.commands]
        if start <= 0 and not strays and not here.within and here.prefix.lstrip("\n")[:1] not in (" ", "\t"):
            return 0, False
        start = max([start, *strays])
        python = here.language_id == "python"
        best, least = len(here.prefix) - len(here.line_before), depth_of(here.line_before + "x")
        for step in reversed(here.read_before):
            if step.end <= start:
                break
            if step.newline and not any(each.holds_text or each.mark in "([" or python for each in step.open):
                line = here.prefix[step.end : here.prefix.find("\n", step.end) + 1]
                if line.strip() and depth_of(line) <= least and not _GOES_ON.match(line.strip()):
                    best, least = step.end, depth_of(line)
        return best, True

    def _last(self) -> tuple[int, bool]:
        """(where to end, whether something stands below it)"""
        here = self._here
        if not here.cut_after and len(here.suffix) <= AFTER:
            return len(here.suffix), False
        best, least = 0, 0
        for step in here.after.read:
            if not step.newline or step.end > AFTER or any(each.holds_text for each in step.open):
                continue
            line = here.suffix[step.end : here.suffix.find("\n", step.end)]
            if line.strip() and not _GOES_ON.match(line.strip()) and (not best or depth_of(line) <= least):
                best, least = step.end, depth_of(line)
        return best or here.suffix.rfind("\n", 0, AFTER) + 1, True


@functools.lru_cache(maxsize=2)  # several filters ask
def _count(here: Place) -> _Count:
    return _Count(here)


def _frame(here: Place) -> str:
    """What stands for the cursor's line: the header of a block, and brackets that lines above open or lines below
    close."""
    if here.language_id == "python" and here.line_after.rstrip().endswith(":"):
        return "if x:"
    start = len(here.prefix) - len(here.line_before)
    on_line = [(here.prefix, step) for step in here.read_before if step.start >= start]
    on_line += [(here.suffix, step) for step in here.after.read if step.start < len(here.line_after)]
    above = [each.mark for each in open_after((step for step in here.read_before if step.start < start), here.within)]
    kept, opened = "", list[tuple[str, bool]]()  # each with whether it stands behind the cursor
    for code, step in on_line:
        mark = code[step.end - 1]
        if mark in OPEN and step.closed is None:
            opened.append((mark, code is here.suffix))
        elif mark in CLOSE and opened and opened[-1][0] == CLOSE[mark]:
            opened.pop()
        elif mark in CLOSE and not opened and above and above[-1] == CLOSE[mark]:
            kept += mark
            above.pop()
    return kept + "".join(mark for mark, behind in opened if behind)


def _mirrored(rest: str) -> Iterator[str]:
    """The plainest suggestions that open what the rest of a line begins to close."""
    mirrored = "x"
    for mark in rest.lstrip()[:MOST_MIRRORED]:
        if mark not in CLOSE and mark not in "\"'`":
            return
        mirrored = f"{mirrored[:1]}{CLOSE.get(mark, mark)}{mirrored[1:]}"
        yield mirrored


def _is_in_class(here: Place, depth: int) -> bool:
    """Whether what stands at this depth is a member of a class or the like."""
    for line in reversed(here.prefix.split("\n")[:-1]):
        if line.strip() and depth_of(line) < depth and line.strip() != "{":
            return _HOLDS.match(line.strip()) is not None
    return False


def _leads(line: str) -> bool:
    """Whether a line only leads to a definition: a comment, a decorator."""
    return bool(_ABOVE.match(line)) or line.strip().startswith(("#", "//", "/*", "*", "--", '"""'))


def _defines(line: str) -> bool:
    named = _DEFINITION.match(line) and not line.endswith((";", ","))
    return bool(named or (_TYPED.match(line) and not _CONTROL.match(line)))
