"""Functions in Python files, and the tasks that the product's code actions make of them."""

from __future__ import annotations

import ast
import random

from lsp_server.actions.catalog import action_of
from lsp_server.actions.site import Task, site_of, task_of
from lsp_server.context.buffer import Buffer
from training.data import File

LINES = (4, 16)  # of a function that is asked about


def function_row(file: File, rng: random.Random) -> int | None:
    """The row in which some function of a Python file begins whose length is in `LINES`; None where there is
    none."""
    try:
        nodes = [node for node in ast.walk(ast.parse(file.text)) if isinstance(node, ast.FunctionDef)]
    except SyntaxError:  # written for another Python
        return None
    fitting = [node for node in nodes if LINES[0] <= (node.end_lineno or 0) - node.lineno < LINES[1]]
    return rng.choice(fitting).lineno - 1 if fitting else None


def task_at(text: str, row: int, action: str) -> Task | None:
    """The code action of this name on the function that begins in a row; None where it has nothing to work on."""
    buffer = Buffer("file:///one.py", text, language_id="python")
    at = row, len(buffer.lines[row]) - len(buffer.lines[row].lstrip())
    known = action_of(action)
    assert known is not None
    return task_of(known, buffer, site_of(buffer, at, at, [], path="one.py"), path="one.py")
