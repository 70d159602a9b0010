"""The indentation of a suggestion: that of the file, and of the place."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Sequence

from lsp_server.completion.marks import marks_of
from lsp_server.completion.scanner import text_scope
from lsp_server.completion.stopping import Place
from lsp_server.context.buffer import depth_of

# How many of a file's lines must agree for it to have a way of indenting, and how many lines are looked at.
AGREEING, LOOKED_AT = 0.9, 400
_OPENER = re.compile(r"(?:[:{(\[]|->|=>|\b(?:then|do|begin|else))\s*\Z")
_GOES_ON = re.compile(r"[,\\+\-*/%&|=.?<>]\s*\Z")
_CONTINUES = re.compile(r"\s*(?:\.\w|\?\.|[&|]{2}|[?:] |[+\-*/%] |(?:and|or)\b)")
_END_OF_STATEMENT = re.compile(r"[;{}]\s*\Z")


def at_own_depth(text: str, here: Place) -> str:
    """Without the indentation that the cursor's line has already, and no deeper than the line above allows."""
    if here.line_before.strip() or text_scope(here.open, marks_of(here.language_id)) is not None:
        return text
    bare = text.lstrip(" \t")
    blanks = text[: len(text) - len(bare)]
    if not blanks or not bare or bare[0] == "\n":
        return text
    base = depth_of(here.line_before + "x")
    written = depth_of(here.line_before + blanks + "x")
    allowed = base if here.line_before and not _opens_deeper(here, base) else _deepest(here)
    if allowed is None or written <= allowed:
        return text
    excess = written - allowed
    first, *others = bare.split("\n")
    depths = [depth_of(line) for line in others if line.strip()]
    if depths and depths[0] >= written and min(depths) >= excess:  # all of it stands too deep
        others = [_moved(line, -excess) if depth_of(line) >= excess else line for line in others]
    return "\n".join([_indent(allowed - base, here) + first, *others])


def as_the_file_indents(text: str, here: Place) -> str:
    """With the file's own indentation: tabs or blanks, and as many of them."""
    lines = text.split("\n")
    if len(lines) < 2:
        return text
    style = _style("\n".join(_around(here)), here.line_before)
    if style is None:
        return text
    tabs, unit = style
    inside = _in_text(text, here)
    looked_at = [index for index in range(1, len(lines)) if lines[index].strip() and not inside[index]]
    wrong = any(_is_other(lines[index], tabs) for index in looked_at)
    if not wrong and not tabs and unit:
        opened = [index for index in looked_at if index == 1 or index - 1 in looked_at]
        steps = [
            depth_of(lines[index]) - _own_depth(lines, index - 1, here)
            for index in opened
            if lines[index - 1].rstrip().endswith(("{", ":")) and _own_depth(lines, index - 1, here) >= 0
        ]
        wrong = any(step > 0 and step != unit for step in steps)
    if not wrong:
        return text
    return "\n".join(_again(lines, looked_at, here, tabs=tabs, unit=unit))


def _again(lines: list[str], looked_at: Sequence[int], here: Place, *, tabs: bool, unit: int) -> list[str]:
    """The lines, each at the depth that those before it give it."""
    own = re.match(r"[ \t]*", here.line_before)
    base = own.group() if own else ""
    step = "\t" if tabs else " " * (unit or _own_step(here))
    levels = [depth_of(here.line_before + "x" if not here.line_before.strip() else here.line_before)]
    written = list(lines)
    above = here.line_before + lines[0]
    for index in looked_at:
        line = lines[index]
        depth = depth_of(line)
        deeper = bool(_OPENER.search(above) or _GOES_ON.search(above) or _CONTINUES.match(line))
        back = depth < levels[-1]
        while len(levels) > 1 and depth < levels[-1]:
            levels.pop()
        if depth > levels[-1] and deeper and not back:
            levels.append(depth)
        else:
            levels[-1] = depth
        star = " " if line.lstrip().startswith("*") and not line.lstrip().startswith("**") else ""
        written[index] = base + step * (len(levels) - 1) + star + line.lstrip()
        above = line
    return written


def _own_depth(lines: Sequence[str], index: int, here: Place) -> int:
    """The columns that the line at `index` is indented by."""
    return depth_of(here.line_before + lines[0]) if index == 0 else depth_of(lines[index])


def _is_other(line: str, tabs: bool) -> bool:
    """Whether a line is indented in the other way than the file."""
    if tabs:
        return line.startswith(" ") and not line.lstrip().startswith("*")
    return line[: len(line) - len(line.lstrip())].count("\t") > 0


def _around(here: Place) -> list[str]:
    below = here.suffix.split("\n", LOOKED_AT)[1 : LOOKED_AT + 1]
    return [*here.prefix.split("\n")[-LOOKED_AT - 1 : -1], *below]


@functools.lru_cache(16)
def _style(around: str, line_before: str) -> tuple[bool, int] | None:
    """(whether a file indents by tabs, by how many columns if not, or 0 where that does not show); None where it has
    no one way."""
    lines = [line for line in (*around.split("\n"), line_before + "x") if line[:1] in (" ", "\t") and line.strip()]
    lines = [line for line in lines if not line.lstrip().startswith("*")]
    by_tabs = sum(line[0] == "\t" for line in lines)
    if not lines or max(by_tabs, len(lines) - by_tabs) < AGREEING * len(lines):
        return None
    if by_tabs > len(lines) / 2:
        return True, 0
    steps: Counter[int] = Counter()
    above = ""
    for line in around.split("\n"):
        if line.strip():
            step = depth_of(line) - depth_of(above)
            if step > 0 and above.rstrip().endswith(("{", ":")):
                steps[step] += 1
            above = line
    if above.rstrip().endswith(("{", ":")) and line_before and not line_before.strip():
        steps[depth_of(line_before + "x") - depth_of(above)] += 1
    if not steps:
        return False, 0
    unit, count = steps.most_common(1)[0]
    return False, unit if unit > 0 and count >= AGREEING * sum(steps.values()) else 0


def _own_step(here: Place) -> int:
    """Columns of one level, of a file that indents by blanks but does not show by how many."""
    depth = depth_of(here.line_before + "x")
    above = _line_above(here)
    step = depth - depth_of(above)
    return step if step > 0 else 2 if depth % 4 else 4


def _deepest(here: Place) -> int | None:
    """The deepest that a statement may stand on a line that is empty, None where that is not known."""
    if here.open and any(each.mark in "([" for each in here.open):
        return None
    above = _line_above(here)
    if _OPENER.search(above) or above.rstrip().endswith("\\"):
        return None
    if here.language_id == "python" and not above.strip().startswith(("#", "@")) and not _ends_text(above):
        return depth_of(above)
    return depth_of(above) if _END_OF_STATEMENT.search(above) else None


def _opens_deeper(here: Place, depth: int) -> bool:
    """Whether the line above opens a block in which a line of this depth does not stand."""
    above = _line_above(here)
    return bool(_OPENER.search(above)) and depth_of(above) >= depth


def _line_above(here: Place) -> str:
    """The last line above the cursor's that is not blank."""
    return next((line for line in reversed(here.prefix.split("\n")[:-1]) if line.strip()), "")


def _ends_text(line: str) -> bool:
    """Whether a line may be the end of a string or a bracket, so that its indentation says nothing."""
    return line.rstrip().endswith(('"""', "'''")) or line.strip()[:1] in ")]}"


def _indent(columns: int, here: Place) -> str:
    style = _style("\n".join(_around(here)), here.line_before)
    if style is not None and style[0]:
        return "\t" * (columns // 8)
    return " " * columns


def _moved(line: str, columns: int) -> str:
    """A line indented by so many columns more."""
    bare = line.lstrip(" \t")
    blanks = line[: len(line) - len(bare)]
    return ("\t" * ((depth_of(line) + columns) // 8) if "\t" in blanks else " " * (depth_of(line) + columns)) + bare


def _in_text(text: str, here: Place) -> list[bool]:
    """Whether each line begins within a string."""
    marks = marks_of(here.language_id)
    starts = [text_scope(step.open, marks) for step in here.read(text) if step.newline]
    return [False, *(scope is not None and scope.kind == "string" for scope in starts)]
