"""How many places around a cursor do not parse, with a suggestion in it and without."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator

from lsp_server.completion.brackets import unmatched
from lsp_server.completion.marks import CLOSE, OPEN, marks_of
from lsp_server.completion.scanner import LOOK_BACK, open_after
from lsp_server.completion.stopping import Place
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
# A line that belongs to what stands above it.
_GOES_ON = re.compile(
    r"[)\]}]|(?:else|elif|elsif|except|finally|catch|rescue|ensure|end|then|when|case|default|fi|done)\b"
)
# The head of what holds methods.
_HEADS = {"python": "class _:\n", "rust": "impl X {\n"}
_HEADS |= dict.fromkeys(("java", "javascript", "typescript", "typescriptreact", "csharp", "cpp"), "class X {\n")
# What a block that is tried cannot do without.
_TRY = re.compile(r"\btry\s*\Z")
_HANDLERS = dict.fromkeys(
    ("java", "javascript", "javascriptreact", "typescript", "typescriptreact", "csharp", "php"), "finally{}"
) | {"cpp": "catch(...){}"}
# The plainest suggestions: a name, and a statement.
_PLAIN = ("x", "x;")
# What may follow the header of a block that one is about to write.
_BODIES = {"python": ("\n{0}    pass", "\n{0}    pass\n{0}finally: pass", "\n{0}def _(): pass"), "": (" {{}}", ";")}
# The plainest suggestion that ends the header of a block in Python in front of the rest of its line.
_HEADED = "x: "


def fitting(text: str, here: Place) -> Callable[[str], bool] | None:
    """What tells whether parts of `text` leave the file with no more errors than it had; None where nothing does."""
    return _count(here).fits if _can_tell(text, here) else None


def fits_in_line(text: str, here: Place) -> bool:
    """Whether there is more on the cursor's line, and all that is seen parses with `text` in front of it."""
    return bool(here.line_after.strip()) and parses(text, here)


def parses(text: str, here: Place) -> bool:
    """Whether all that is seen parses with `text` at the cursor; False where there is no telling."""
    return _can_tell(text, here) and _count(here).none(text)


def _can_tell(text: str, here: Place) -> bool:
    """Whether there is a grammar, and no line so long that it is data, and slow to parse."""
    if len(text) > LONGEST or language(here.language_id).grammar is None:
        return False
    lines = (here.prefix[-BEFORE:] + text + here.suffix[:AFTER]).split("\n")
    return max(map(len, lines)) <= MOST_COLUMNS


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
        self._open = [_closer(here.prefix, at, here.language_id) for at in opened]
        self._above = sum(at < len(here.prefix) - len(here.line_before) for at in opened)
        self._closed_below = [each for each in here.after.closers if each < self._end]
        opened_below = unmatched(step for step in here.after.read if step.start < self._end)[1]
        self._opened_below = [_closer(here.suffix, at, here.language_id) for at in opened_below]

    def fits(self, text: str) -> bool:
        """Whether there are no more with `text` at the cursor, as far as can be told."""
        if (found := self._errors(text)) == 0 or found <= self._known or (self._cut_before and self._known):
            return True
        return any(self._errors(text, body) <= self._known for body in self._bodies(text))

    def none(self, text: str) -> bool:
        """Whether there are none with `text` at the cursor, which ends nothing that stands around all that is seen."""
        return self._errors(text) == 0 and self._closing(text)[0] >= self._closing("")[0]

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
        if self._in_header and self._here.line_after.strip():
            plain += (each + _HEADED for each in dict.fromkeys(("", gap)))
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
        return _Count(dataclasses.replace(here, prefix=before, suffix=after))._least("", *_PLAIN[:1])

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
                bodies = tuple(":" + body for body in bodies) if self._in_header else ()
        if unended:
            bodies = (*bodies, ",")
        return tuple(body.format(indent) for body in bodies)

    @functools.cached_property
    def _in_header(self) -> bool:
        """Whether the cursor is in a statement that begins, maybe further up, as those of Python with a block."""
        here = self._here
        starts = (step.end for step in reversed(here.read_before) if step.newline and not step.open)
        start = next(starts, 0)
        return here.language_id == "python" and _BLOCK.match(here.prefix, start) is not None

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
            if stack and stack[-1][0] == text[index]:
                stack.pop()
        line, start = self._here.line_before + text, len(self._here.line_before)
        stack += [_closer(line, start + index, self._here.language_id) for index in openers]
        for index in self._closed_below:
            if len(stack) <= self._above and index < len(self._here.line_after) and self._goes_on_below:
                continue
            if not stack and self._cut_before:
                return index, "}" if "{" in self._head else ""
            if stack and stack[-1][0] == self._here.suffix[index]:
                stack.pop()
        if not self._cut_after:
            return self._end, ""
        stack[:0] = ["}"] if "{" in self._head else []
        tail = "".join(reversed([*stack, *self._opened_below]))
        return self._end, "\n" + tail if tail else ""

    @functools.cached_property
    def _goes_on_below(self) -> bool:
        """Whether a brace ends the cursor's line, and yet the next line stands in the same block."""
        here = self._here
        below = next(iter(here.lines_below), "")
        if here.line_after.strip() != "}" or self._open[: self._above][-1:] != ["}"]:
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


def _closer(code: str, at: int, language_id: str) -> str:
    """What closes the bracket there, and the block that it begins."""
    tried = code[at] == "{" and _TRY.search(code, max(0, at - LOOK_BACK), at) is not None
    return OPEN[code[at]] + (_HANDLERS.get(language_id, "") if tried else "")


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
        yield "+ " + mirrored
