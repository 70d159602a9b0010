"""The prompt of an action at a place of a file, without asking any model: for `codellama-ls prompt --action`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from lsp_server.actions import commit, project, prompts
from lsp_server.actions.catalog import ACTIONS, Diagnostic, action_of
from lsp_server.actions.site import site_of, task_of
from lsp_server.context.buffer import Buffer
from lsp_server.context.workspace import Workspace
from lsp_server.errors import UserError

if TYPE_CHECKING:
    from lsp_server.codellama import CodeLlamaTokenizer


class NoPrompt(UserError):
    """There is no such action, or nothing for it here; the message is a sentence."""


@dataclasses.dataclass(frozen=True)
class Spot:
    """A place of a buffer, whose `file` belongs to the project at `root`."""

    buffer: Buffer
    row: int
    column: int
    file: Path
    root: Path


async def preview(
    id: str,
    spot: Spot,
    tokenizer: CodeLlamaTokenizer,
    context_length: int,
    *,
    target: str = "",
    message: str = "",
    layout: str = "auto",
    healing: bool = True,
) -> prompts.ActionPrompt:
    """What the model would see. `target`: the language to translate to; `message`: the diagnostic, for the actions on
    one.

    Raises NoPrompt, OutOfReach, prompts.TooLong, commit.NoCommit, DialogError.
    """
    buffer, row, file, root = spot.buffer, spot.row, spot.file, spot.root
    action = action_of(id)
    if action is None:
        known = ", ".join(each.id for each in ACTIONS)
        raise NoPrompt(f"There is no action {id!r}; there are {known}.")
    if action.result == "message":
        return prompts.commit_prompt(tokenizer, context_length, await commit.staged(file.parent))
    path = file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
    found = [Diagnostic(message or "(what is reported here)", row, row)] if "diagnostic" in action.applies else []
    site = site_of(buffer, (row, spot.column), (row, spot.column), found, path=path)
    task = task_of(action, buffer, site, 0 if found else None, path=path)
    if task is None or ("stub" in action.applies and not site.stub):
        raise NoPrompt(f"There is nothing at line {row + 1} for the action {id!r} to work on.")
    if action.result == "tests":
        workspace = Workspace((root,))
        files, texts = project.read_project(workspace, root, buffer.language_id)
        tests = project.test_place(path, buffer.language_id, files, texts)
        at = root / tests.path if tests is not None and tests.exists and not tests.inline else None
        existing = workspace.text(at) if at is not None else ""
        task = dataclasses.replace(task, tests=tests, existing=existing)
    return prompts.build(
        dataclasses.replace(task, target=target), tokenizer, context_length, layout=layout, healing=healing
    )
