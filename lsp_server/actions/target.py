"""The document that an action's edit is for: found before the model works, and compared with what it is afterwards."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

from lsp_server.actions import project, run
from lsp_server.actions.site import Task
from lsp_server.context.buffer import Encoding, split_lines
from lsp_server.context.edits import Conflict, Edit, rebase
from lsp_server.context.uris import uri_of
from lsp_server.context.workspace import Workspace
from lsp_server.errors import UserError

P = ParamSpec("P")
T = TypeVar("T")


class Refused(UserError):
    """Nothing is changed; the text says why, in one sentence. `proposed`: what the model wrote, for the user to see."""

    def __init__(self, sentence: str, proposed: str = "", language_id: str = "") -> None:
        super().__init__(sentence)
        self.proposed, self.language_id = proposed, language_id


@dataclasses.dataclass(frozen=True)
class Target:
    """The document that an edit is for, as it was when the work began. `lines` None: it is to be made."""

    uri: str
    version: int | None
    lines: Sequence[str] | None
    is_open: bool = True


@dataclasses.dataclass(frozen=True)
class Change:
    """Edits of a document as it is now, with these `lines`, which the editor counts in `encoding`; `version` None where
    it is not open. `is_new`: it is to be made. `problem`: why the user should look before it is applied."""

    uri: str
    version: int | None
    lines: Sequence[str]
    edits: Sequence[Edit]
    encoding: Encoding = "utf-16"
    is_new: bool = False
    problem: str = ""


def change_of(
    workspace: Workspace, target: Target, task: Task, outcome: run.Outcome, *, can_ask: bool, in_place: bool = False
) -> Change:
    """The edits for the text as it is now; or with `in_place`, where the editor moves them along itself, as it was when
    the work began. `can_ask`: whether the editor asks
    the user before it applies one that has a problem. Raises Refused."""

    def refused(sentence: str) -> Refused:
        return Refused(sentence, outcome.proposed, task.language_id)

    if outcome.problem and not (outcome.edits and can_ask and target.lines is not None):
        raise refused(outcome.problem)
    if not outcome.edits:
        raise Refused("The model found nothing to change.")
    buffer = workspace.buffer(target.uri)
    if buffer is None and target.is_open:
        raise refused("The file was closed meanwhile, so nothing was changed.")
    if buffer is None and target.lines is None:
        return Change(target.uri, None, [""], outcome.edits, is_new=True)
    base = [""] if target.lines is None else target.lines
    now = base if buffer is None else buffer.lines
    edits: Sequence[Edit] | Conflict = outcome.edits
    if in_place and buffer is not None:
        return Change(target.uri, target.version, base, outcome.edits, buffer.encoding, problem=outcome.problem)
    if now != base:
        edits = rebase(outcome.edits, base, now)
    if isinstance(edits, Conflict):
        raise refused(f"{edits.sentence} Nothing was applied.")
    if buffer is None:
        return Change(target.uri, None, now, edits, problem=outcome.problem)
    return Change(target.uri, buffer.version, now, edits, buffer.encoding, problem=outcome.problem)


async def with_tests(workspace: Workspace, task: Task, target: Target, path: Path | None) -> tuple[Task, Target]:
    """The task with where its tests go in the project on disk, and the document that is. Raises Refused."""
    if path is None:
        raise Refused("Save the file first: where its tests go depends on where it is.")
    root = workspace.folder_of(path) or (None if workspace.roots else path.parent)
    if root is None:
        raise Refused(f"{path.name} lies outside the workspace, so no tests are written; open its folder first.")
    files, texts = await from_disk(project.read_project, workspace, root, task.language_id)
    place = project.test_place(path.relative_to(root).as_posix(), task.language_id, files, texts)
    if place is None:
        raise Refused("For this language it is not known where tests go.")
    if place.inline:
        return dataclasses.replace(task, tests=place, existing=task.text), target
    at = root / place.path
    await from_disk(workspace.may_write, at)
    opened = workspace.open_at(at)
    lines = opened.lines if opened is not None else await from_disk(_lines, workspace, at)
    place = dataclasses.replace(place, exists=lines is not None)
    if opened is not None:
        target = Target(opened.uri, opened.version, lines)
    else:
        target = Target(uri_of(at), None, lines, is_open=False)
    return dataclasses.replace(task, tests=place, existing="".join(lines or [])), target


async def from_disk(work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """What work finds or does on disk, in a thread. Raises Refused."""
    try:
        return await asyncio.to_thread(work, *arguments, **named)
    except UserError as error:
        raise Refused(str(error)) from error


def _lines(workspace: Workspace, path: Path) -> list[str] | None:
    """The lines of a file, None where there is none. Raises OutOfReach, TooSlow."""
    return split_lines(workspace.text(path)) if workspace.is_file(path) else None
