"""Bodies that end where no line deeper than the header says so, in real functions of real projects."""

from __future__ import annotations

from pathlib import PurePath

import pytest
from real_files import HIREDIS, JPYPE, TIKTOKEN, Release

from lsp_server.actions import body
from lsp_server.actions.catalog import action_of
from lsp_server.actions.site import Task, is_stub
from lsp_server.context.buffer import split_lines
from lsp_server.context.edits import apply
from lsp_server.context.syntax import enclosing

LANGUAGE = {".c": "c", ".java": "java", ".py": "python"}
STUB = {"c": "abort();", "java": 'throw new UnsupportedOperationException("TODO");', "python": "pass"}

# (release, file, lines of the header, of the first and of the last statement), counted from 1
FUNCTIONS = {
    "a label at the margin": (HIREDIS, "vendor/hiredis/async.c", 106, 107, 158),
    "a conditional at the margin": (HIREDIS, "vendor/hiredis/net.c", 231, 232, 245),
    "comments at the margin": (JPYPE, "native/java/org/jpype/html/HtmlTreeHandler.java", 63, 65, 98),
    "a bracket at the end of a body without any": (TIKTOKEN, "tiktoken/core.py", 371, 372, 382),
}


@pytest.fixture(params=FUNCTIONS.values(), ids=FUNCTIONS)
def stub(request: pytest.FixtureRequest) -> tuple[Task, list[str], tuple[int, int]]:
    """The task to implement a function; the file's lines; the rows of its body, the last excluded."""
    release, path, header, first, last = request.param
    assert isinstance(release, Release)
    language, lines = LANGUAGE[PurePath(path).suffix], split_lines(release.text(path))
    indent = lines[first - 1][: len(lines[first - 1]) - len(lines[first - 1].lstrip())]
    text = [*lines[: first - 1], f"{indent}{STUB[language]}\n", *lines[last:]]
    block = enclosing("".join(text), language, header - 1, len(indent))
    action = action_of("implement")
    assert block is not None
    assert action is not None
    assert is_stub(text, block, language)
    return Task(action, language, text, block, path), lines, (first - 1, last)


def test_infilled_and_gone_on(stub: tuple[Task, list[str], tuple[int, int]]) -> None:
    """The model goes on with what stands behind the function in the file."""
    task, lines, (first, end) = stub
    made = body.infilled(task, "".join(lines[first : end + 9]), truncated=True)
    assert made.problem is None
    assert apply(task.lines, made.edits) == "".join(lines)


def test_the_next_function_is_not_part_of_it(stub: tuple[Task, list[str], tuple[int, int]]) -> None:
    """The model leaves out the bracket that closes the function, and goes on with a documented one."""
    task, lines, (first, end) = stub
    margin = task.block.indent
    comment = "# Next.\n" if task.language_id == "python" else f"{margin}/* Next. */\n"
    header = "def next():\n" if task.language_id == "python" else f"{margin}int next(void) {{\n"
    written = "".join(lines[first:end]) + f"\n{comment}{header}{margin}    "
    made = body.infilled(task, written, truncated=True)
    assert made.problem is None
    assert apply(task.lines, made.edits) == "".join(lines)


def test_answered(stub: tuple[Task, list[str], tuple[int, int]]) -> None:
    task, lines, (_, end) = stub
    closing = 0 if task.language_id == "python" else 1
    code = "".join(lines[task.block.first_line : end + closing])
    made = body.answered(task, f"Sure:\n\n```{task.language_id}\n{code}```\n", truncated=False)
    assert made.problem is None
    assert apply(task.lines, made.edits) == "".join(lines)


def test_comments_are_no_body(stub: tuple[Task, list[str], tuple[int, int]]) -> None:
    task, _, _ = stub
    made = body.infilled(task, "    # Later.\n" if task.language_id == "python" else "    // Later.\n", truncated=False)
    assert made.problem is not None
    assert made.problem.kind == "no-code"
    assert not made.edits
