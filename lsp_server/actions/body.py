"""The body that a model wrote for a function: where it ends, and the edits that put it in its place.

Whatever else the model wrote, the function keeps its signature and documentation as they are.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence

from lsp_server.actions.checks import Problem, check
from lsp_server.actions.indent import newline_of
from lsp_server.actions.rewrite import Rewrite, rewrite
from lsp_server.actions.site import Task, body_rows, is_comment
from lsp_server.context.buffer import depth_of, split_lines
from lsp_server.context.edits import apply, edits
from lsp_server.context.languages import language
from lsp_server.context.syntax import errors, symbols

_AT_MARGIN = re.compile(
    r"[A-Za-z_]\w*:$|#\s*(?:if|ifdef|ifndef|else|elif|endif|define|undef|pragma|error|region|endregion)\b"
)
_CLOSES = re.compile(r"[})]|end\b")


def end_of(task: Task, text: str) -> int | None:
    """Where the body ends in what the model wrote so far; None where it may go on.

    It ends at a line that is no deeper than the function's header, if the file parses with what stands before that
    line: in the middle of a long string there are such lines too.
    """
    before: int | None = None
    for end in _ends(task, text):
        found = errors(_file(task, text[:end]), task.language_id)
        before = errors(task.text, task.language_id) if before is None else before
        if found is None or before is None or found <= before:
            return end
    return None


def has_new_end(task: Task, text: str, seen: int) -> bool:
    """Whether `text`, of which `seen` characters were looked at before, has another line where the body may end."""
    return "\n" in text[seen:] and any(end >= seen - 1 for end in _ends(task, text))


def infilled(task: Task, text: str, *, truncated: bool) -> Rewrite:
    """The edits that make what the model infilled the body of the function."""
    end = end_of(task, text + "\n")
    body = text if end is None else text[:end]
    spoken = language(task.language_id)
    if all(not line.strip() or is_comment(line.strip(), spoken) for line in body.split("\n")):
        return Rewrite((), Problem("no-code", "The model wrote no body."), text)
    new_file = _file(task, body).replace("\r\n", "\n").replace("\n", newline_of(task.lines))
    return _rewritten(task, split_lines(new_file), complete=end is not None or not truncated)


def answered(task: Task, answer: str, *, truncated: bool) -> Rewrite:
    """The edits that make the body of the function in a chat's answer that of the function in the file."""
    made = rewrite(answer, truncated, task.text, task.block, task.language_id, task.action.keep)
    rows = body_rows(task)
    if rows is None or (made.problem is not None and made.problem.kind != "dropped"):
        return made
    first, after = rows
    lines = split_lines(apply(task.lines, made.edits))
    end = task.block.last_line + len(lines) - len(task.lines)
    found = symbols("".join(lines), task.language_id)
    own = [
        block
        for block in found
        if block.path == task.block.path and task.block.first_line <= block.header_line <= block.last_line <= end
    ]
    inner = body_rows(dataclasses.replace(task, lines=lines, block=own[-1]), comments=True) if own else None
    if inner is None:
        return made
    above = {line.strip() for line in task.lines[task.block.first_line : first]}
    start = next((row for row in range(*inner) if lines[row].strip() not in above), inner[1])
    return _rewritten(task, [*task.lines[:first], *lines[start : inner[1]], *task.lines[after:]], complete=True)


def _rewritten(task: Task, new: Sequence[str], *, complete: bool) -> Rewrite:
    """From the lines of the file to those with the body."""
    block, made = task.block, tuple(edits(task.lines, new))
    text = apply(task.lines, made)
    problem = check(task.text, text, block, task.language_id, keep=task.action.keep, complete=complete)
    last = block.last_line + 1 + len(new) - len(task.lines)
    return Rewrite(made, problem, "".join(new[block.first_line : last]))


def _ends(task: Task, text: str) -> Iterator[int]:
    """Before each line that is no deeper than the header, and before the comments above it.

    What may stand at the margin inside a body is none: comments, labels, lines for a preprocessor.
    """
    spoken = language(task.language_id)
    depth = depth_of(task.lines[task.block.header_line])
    at, begun = 0, False
    comments: int | None = None  # where those at the margin begin that nothing deeper follows yet
    for line in text.split("\n")[:-1]:
        stripped = line.strip()
        if stripped and begun and depth_of(line) <= depth and not (spoken.braces and _AT_MARGIN.match(stripped)):
            if is_comment(stripped, spoken):
                comments = at if comments is None else comments
            else:
                yield at if comments is None or _CLOSES.match(stripped) else comments
        elif stripped:
            begun, comments = True, None
        at += len(line) + 1


def _file(task: Task, body: str) -> str:
    """The file with the body in its place."""
    rows = body_rows(task)
    assert rows is not None, "only a body with lines of its own is infilled"
    first, after = rows
    last_line = "" if after >= len(task.lines) and not task.lines[-1].endswith(("\n", "\r")) else "\n"
    return "".join(task.lines[:first]) + body.strip("\n").rstrip() + last_line + "".join(task.lines[after:])
