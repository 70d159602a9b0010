"""An infilled function body: where it ends, and the edits that put it in its place."""

from __future__ import annotations

from collections.abc import Iterator

from lsp_server.actions.checks import Problem, check
from lsp_server.actions.edits import apply, edits
from lsp_server.actions.indent import newline_of
from lsp_server.actions.place import Task, body_rows
from lsp_server.actions.rewrite import Rewrite
from lsp_server.context.buffer import split_lines
from lsp_server.context.syntax import errors


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


def rewritten(task: Task, text: str, *, truncated: bool) -> Rewrite:
    """The edits that make what the model wrote the body of the function."""
    end = end_of(task, text + "\n")
    body = text if end is None else text[:end]
    if not body.strip():
        return Rewrite((), Problem("no-code", "The model wrote no body."), text)
    block, newline = task.block, newline_of(task.lines)
    new_file = _file(task, body).replace("\r\n", "\n").replace("\n", newline)
    old, new = list(task.lines), split_lines(new_file)
    made = edits(old, new)
    complete = end is not None or not truncated
    problem = check("".join(old), apply(old, made), block, task.language_id, keep=task.action.keep, complete=complete)
    last = block.last_line + 1 + len(new) - len(old)
    return Rewrite(tuple(made), problem, "".join(new[block.first_line : last]))


def _ends(task: Task, text: str) -> Iterator[int]:
    depth = _depth(task.lines[task.block.header_line])
    at, begun = 0, False
    for line in text.split("\n")[:-1]:
        if line.strip():
            if begun and _depth(line) <= depth:
                yield at
            begun = True
        at += len(line) + 1


def _file(task: Task, body: str) -> str:
    """The file with the body in its place."""
    rows = body_rows(task)
    assert rows is not None, "only a body with lines of its own is infilled"
    first, after = rows
    last_line = "" if after >= len(task.lines) and not task.lines[-1].endswith(("\n", "\r")) else "\n"
    return "".join(task.lines[:first]) + body.strip("\n").rstrip() + last_line + "".join(task.lines[after:])


def _depth(line: str) -> int:
    expanded = line.expandtabs(8)
    return len(expanded) - len(expanded.lstrip())
