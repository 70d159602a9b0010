"""What an answer comes to that is still being written: to be looked at, not to be applied."""

from __future__ import annotations

from collections.abc import Sequence

from lsp_server.actions.answer import NoCode, code_of
from lsp_server.actions.prompts import ActionPrompt
from lsp_server.actions.rewrite import fitted
from lsp_server.actions.site import Task, body_rows
from lsp_server.context.buffer import split_lines
from lsp_server.context.edits import Edit, differences


def draft(task: Task, prompt: ActionPrompt, text: str) -> tuple[Edit, ...]:
    """The edits so far; () where there is no code yet. Not for the event loop: long blocks take a while."""
    whole = text[: text.rfind("\n") + 1]
    if prompt.kind != "chat":
        rows = body_rows(task)
        assert rows is not None, "only a body with lines of its own is infilled"
        return _so_far(task.lines[slice(*rows)], split_lines(whole.lstrip("\n")), rows[0])
    try:
        code = code_of(whole, task.language_id, truncated=True, name=task.block.name, known=task.text)
    except NoCode:
        return ()
    block = task.block
    old = task.lines[block.first_line : block.last_line + 1]
    return _so_far(old, split_lines(fitted(code, task.lines, block, task.language_id)), block.first_line)


def _so_far(old: Sequence[str], new: Sequence[str], shift: int) -> tuple[Edit, ...]:
    """The edits of the old lines; those below the last that was written again may still come, and stay."""
    new = [line for line in new if line]
    found = differences(old, new)
    if found and found[-1][1] == len(old):
        first, _, new_first, new_last = found.pop()
        found += [(first, first, new_first, new_last)] if new_first < new_last else []
    return tuple(Edit(first + shift, last + shift, "".join(new[a:b])) for first, last, a, b in found)
