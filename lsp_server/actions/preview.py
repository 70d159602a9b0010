"""The prompt of an action at a place of a file, without asking any model: for `codellama-ls prompt --action`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lsp_server.actions import commit, project, prompts
from lsp_server.actions.catalog import ACTIONS, Action, Diagnostic, action_of
from lsp_server.actions.place import place_of, task_of
from lsp_server.context.buffer import Buffer

if TYPE_CHECKING:
    from lsp_server.codellama import CodeLlamaTokenizer


class NoPrompt(ValueError):
    """There is no such action, or nothing for it here; the message is a sentence."""


async def preview(
    id: str,
    buffer: Buffer,
    row: int,
    column: int,
    tokenizer: CodeLlamaTokenizer,
    context_length: int,
    *,
    file: Path,
    root: Path,
    own: Sequence[Action] = (),
    target: str = "",
    message: str = "",
    layout: str = "auto",
    healing: bool = True,
) -> prompts.Prompt:
    """What the model would see. `file` lies in the project at `root`; `target`: the language to translate to;
    `message`: the diagnostic, for the actions on one.

    Raises NoPrompt, prompts.TooLong, commit.NoCommit, DialogError.
    """
    action = action_of(id, own)
    if action is None:
        known = ", ".join(each.id for each in (*ACTIONS, *own))
        raise NoPrompt(f"There is no action {id!r}; there are {known}.")
    if action.result == "message":
        return prompts.commit_prompt(tokenizer, context_length, await commit.staged(file.parent))
    path = file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
    found = [Diagnostic(message or "(what is reported here)", row, row)] if "diagnostic" in action.applies else []
    place = place_of(buffer, (row, column), (row, column), found, path=path)
    task = task_of(action, buffer, place, 0 if found else None, path=path)
    if task is None or ("stub" in action.applies and not place.stub):
        raise NoPrompt(f"There is nothing at line {row + 1} for the action {id!r} to work on.")
    if action.result == "tests":
        files, texts = project.read_project(root, buffer.language_id)
        tests = project.test_place(path, buffer.language_id, files, texts)
        at = root / tests.path if tests is not None and tests.exists and not tests.inline else None
        existing = at.read_text(encoding="utf-8", errors="replace") if at is not None else ""
        task = dataclasses.replace(task, tests=tests, existing=existing)
    return prompts.build(
        dataclasses.replace(task, target=target), tokenizer, context_length, layout=layout, healing=healing
    )
