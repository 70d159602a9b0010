"""From a range in a buffer to what the actions there work on."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Sequence

from lsp_server.actions.catalog import Action, Diagnostic, Site
from lsp_server.actions.project import TestPlace, is_test
from lsp_server.context.buffer import Buffer
from lsp_server.context.languages import Language, language
from lsp_server.context.syntax import Block, Tree, enclosing, selection

# A body of nothing but these is no body yet.
_STUB = re.compile(
    r"\{?\s*(pass|\.\.\.|raise\s+NotImplementedError\b.*|return\s+NotImplemented|todo!\(.*|unimplemented!\(.*|TODO\(.*"
    r"|panic!?\(.*|throw\s+new\s+\w*(Error|Exception)\b.*(implement|todo|TODO).*|throw\s+new\s+\w*Unsupported\w*.*"
    r"|throw\s+new\s+NotImplemented\w*.*|abort\(\)|fatalError\(.*|error\(.*implement.*|raise\s*\(?.*implement.*)?\s*;?\s*\}?;?"
)
# Of a longer function, only the lines around a diagnostic are shown to the model and rewritten.
LONG_BLOCK = 150
AROUND = 12
_BLOCK_COMMENT = re.compile(r"\s*(/\*|\*/|\*(\s|$))")


@dataclasses.dataclass(frozen=True)
class Task:
    """An action with all it needs to know. `lines` is the text of the buffer at the start, and never changes.

    `path` is how the model is told of the file; `comment` the rows of the comment to be followed; `target` the
    language to translate to; `tests` where tests go, with `existing`, the text of that file now.
    """

    action: Action
    language_id: str
    lines: Sequence[str]
    block: Block
    path: str = ""
    diagnostic: Diagnostic | None = None
    comment: tuple[int, int] | None = None
    target: str = ""
    tests: TestPlace | None = None
    existing: str = ""

    @property
    def text(self) -> str:
        return "".join(self.lines)

    @property
    def code(self) -> str:
        """The lines of the block."""
        return "".join(self.lines[self.block.first_line : self.block.last_line + 1])


def site_of(
    buffer: Buffer,
    start: tuple[int, int],
    end: tuple[int, int],
    diagnostics: Sequence[Diagnostic] = (),
    *,
    tree: Tree | None = None,
    text: str = "",
    path: str = "",
) -> Site:
    """What is at `start` to `end` (row, column in characters). `tree`, `text`: the buffer's, if the caller has them."""
    text = text or buffer.source
    block = block_of(text, buffer.language_id, start, end, tree=tree)
    return Site(
        buffer.language_id,
        block,
        stub=block is not None and block.kind == "function" and is_stub(buffer.lines, block, buffer.language_id),
        typed=block is not None and block.kind == "function" and has_types(block, buffer.language_id),
        comment=comment_at(buffer.lines, start[0], buffer.language_id) if start[0] == end[0] else None,
        diagnostics=tuple(diagnostics),
        is_test=bool(path) and is_test(path, buffer.language_id),
    )


def block_of(
    text: str, language_id: str, start: tuple[int, int], end: tuple[int, int], *, tree: Tree | None = None
) -> Block | None:
    """The definition at the cursor, or the selected lines; a selection of exactly a definition is that definition.

    A part of one line is no selection: editors send the word under the cursor as a range.
    """
    first, last = start[0], end[0]
    around = enclosing(text, language_id, *start, tree=tree)
    if last > first and end[1] == 0:
        last -= 1
        if first == last and start[1] == 0:  # one whole line
            return selection(text, first, last)
    if first == last:
        return around
    chosen = selection(text, first, last)
    within = enclosing(text, language_id, chosen.first_line, 10_000, tree=tree)
    for each in (around, within):
        whole = each is not None and each.last_line == chosen.last_line
        if each is not None and whole and each.first_line <= chosen.first_line <= each.header_line:
            return each
    return chosen


def place_to_edit(buffer: Buffer, start: tuple[int, int], end: tuple[int, int], *, tree: Tree | None = None) -> Block:
    """What an instruction of the user's is about: the selected lines, else the definition at the cursor, else the lines
    without a gap around it. Of a long definition, the lines around the cursor."""
    text, row = buffer.source, start[0]
    if start != end:
        chosen = block_of(text, buffer.language_id, start, end, tree=tree) if start[0] != end[0] else None
        return chosen or selection(text, start[0], end[0])
    block = enclosing(text, buffer.language_id, *start, tree=tree)
    if block is not None:
        return block if _is_short(block) else _lines_around(text, block, row, row)
    first = row
    while first and buffer.lines[row].strip() and buffer.lines[first - 1].strip():
        first -= 1
    last = _paragraph_end(buffer.lines, row) if buffer.lines[row].strip() else row
    return selection(text, max(first, row - AROUND), min(last, row + AROUND))


def task_of(
    action: Action,
    buffer: Buffer,
    site: Site,
    diagnostic: int | None = None,
    *,
    tree: Tree | None = None,
    path: str = "",
) -> Task | None:
    """The task that an action is at a place; None where there is nothing for it to work on."""
    lines, id = list(buffer.lines), buffer.language_id
    text = "".join(lines)
    if diagnostic is not None:
        if diagnostic >= len(site.diagnostics):
            return None
        found = site.diagnostics[diagnostic]
        if found.last_line >= len(lines):
            return None
        return Task(action, id, lines, _around(text, id, found, tree), path, diagnostic=found)
    if "comment" in action.applies:
        if site.comment is None:
            return None
        row = site.comment[0]
        block = enclosing(text, id, row, len(lines[row]) - len(lines[row].lstrip()), tree=tree)
        if block is None or block.kind == "class" or block.header_line > row:
            block = selection(text, row, _paragraph_end(lines, site.comment[1]))
        return Task(action, id, lines, block, path, comment=site.comment)
    return None if site.block is None else Task(action, id, lines, site.block, path)


def is_stub(lines: Sequence[str], block: Block, language_id: str) -> bool:
    """Whether a function has nothing in its body but its documentation, comments, and words like `pass`."""
    if block.body_first_line is None:
        return False
    spoken = language(language_id)
    rows = [row for row in range(block.body_first_line, block.last_line + 1) if row > block.header_line]
    inside = [lines[row].strip() for row in rows if not _in_docs(block, row)]
    code = [
        line for line in inside if line and not is_comment(line, spoken) and not re.fullmatch(r"[{})\];]+|end", line)
    ]
    if not rows:  # all on one line
        header = lines[block.header_line].strip()
        after = header.rpartition("{")[2] if spoken.braces else header.rpartition(":")[2]
        return bool(_STUB.fullmatch(after.strip()))
    return len(code) <= 2 and all(_STUB.fullmatch(line) for line in code)


def has_types(block: Block, language_id: str) -> bool:
    """Whether all parameters of a Python function have types, and what it returns."""
    if language(language_id).id != "python":
        return False
    try:
        function = ast.parse(f"{block.signature.strip()}: pass").body[0]
    except (SyntaxError, ValueError, RecursionError, MemoryError, IndexError):
        return False
    if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)) or function.returns is None:
        return False
    given = function.args
    first = [*given.posonlyargs, *given.args][:1] if block.container else []
    found = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return all(each is None or each.annotation is not None or each in first for each in found)


def comment_at(lines: Sequence[str], row: int, language_id: str) -> tuple[int, int] | None:
    """First and last row of the comment that a row is part of; None where the row has code."""
    spoken = language(language_id)
    if not 0 <= row < len(lines) or not is_comment(lines[row].strip(), spoken):
        return None
    first = last = row
    while first and is_comment(lines[first - 1].strip(), spoken):
        first -= 1
    while last + 1 < len(lines) and is_comment(lines[last + 1].strip(), spoken):
        last += 1
    return first, last


def body_rows(task: Task, *, comments: bool = False) -> tuple[int, int] | None:
    """(first row of the body, first row after it) of the task's function; None where header and body share a line.

    What documents the function stays above, with the comments below that unless they count as body, and the bracket or
    word that closes it below.
    """
    block, spoken = task.block, language(task.language_id)
    if block.body_first_line is None or block.body_first_line <= block.header_line:
        return None
    first, last = block.body_first_line, block.last_line
    if block.docs is not None and block.docs[1] >= first:
        first = block.docs[1] + 1
    while not comments and first <= last and is_comment(task.lines[first].strip(), spoken):
        first += 1
    closes = task.lines[last].strip()
    closing = re.match(r"[})]", closes) if spoken.braces else re.fullmatch(r"end[);,]*", closes)
    after = last if closing and last >= first else last + 1
    if spoken.braces and after == last + 1:  # the closing bracket shares its line with the body
        return None
    return first, after


def _around(text: str, language_id: str, found: Diagnostic, tree: Tree | None) -> Block:
    """What is rewritten to mend a diagnostic: the function around it, or the lines around it where that is too much."""
    block = enclosing(text, language_id, found.first_line, 10_000, tree=tree)
    whole = block is not None and (block.kind == "function" or block.header_line == found.first_line)
    return block if block is not None and whole and _is_short(block) else _lines_around(text, block, *found.rows)


def _is_short(block: Block) -> bool:
    return block.last_line - block.first_line < LONG_BLOCK


def _lines_around(text: str, block: Block | None, first: int, last: int) -> Block:
    """The lines around two rows, within the block."""
    low, high = (block.first_line, block.last_line) if block is not None else (0, text.count("\n"))
    return selection(text, max(low, first - AROUND), min(high, last + AROUND))


def _paragraph_end(lines: Sequence[str], row: int) -> int:
    """The last row of the lines without a gap that a comment ends or stands above."""
    while row + 1 < len(lines) and lines[row + 1].strip():
        row += 1
    return row


def _in_docs(block: Block, row: int) -> bool:
    return block.docs is not None and block.docs[0] <= row <= block.docs[1]


def is_comment(line: str, spoken: Language) -> bool:
    """Whether a line, without blanks around it, is a comment or a part of one."""
    if spoken.line_comment and line.startswith(spoken.line_comment) and not line.startswith("#!"):
        return True
    return spoken.block_comment is not None and spoken.block_comment[0] == "/*" and bool(_BLOCK_COMMENT.match(line))
