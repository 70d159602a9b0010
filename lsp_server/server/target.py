"""The document that an action's edit is for: found before the model works, and compared with what it is afterwards."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsprotocol import types

from lsp_server.actions import project, run
from lsp_server.actions.edits import Conflict, Edit, apply, rebase
from lsp_server.actions.place import Task
from lsp_server.context.buffer import split_lines, units_of
from lsp_server.context.privacy import why_hidden
from lsp_server.server import workspace_edit

if TYPE_CHECKING:
    from lsp_server.server.app import CodeLlamaServer


class Refused(RuntimeError):
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


def edit_of(
    server: CodeLlamaServer, target: Target, task: Task, outcome: run.Outcome, *, lazily: bool
) -> types.WorkspaceEdit:
    """The edit for the text as it is now. Raises Refused."""

    def refused(sentence: str) -> Refused:
        return Refused(sentence, outcome.proposed, task.language_id)

    can_ask = target.lines is not None and workspace_edit.asks(server.client_capabilities, lazily=lazily)
    if outcome.problem and not (outcome.edits and can_ask):
        raise refused(outcome.problem)
    if not outcome.edits:
        raise Refused("The model found nothing to change.")
    buffer = server.open_buffer(target.uri)
    if buffer is None and target.is_open:
        raise refused("The file was closed meanwhile, so nothing was changed.")
    if buffer is None and target.lines is None:
        return workspace_edit.new_file(server.client_capabilities, target.uri, apply([""], outcome.edits))
    base = [""] if target.lines is None else target.lines
    now = base if buffer is None else buffer.lines
    edits: Sequence[Edit] | Conflict = outcome.edits
    if now != base:
        edits = rebase(outcome.edits, base, now)
    if isinstance(edits, Conflict):
        raise refused(f"{edits.sentence} Nothing was applied.")
    encoding: Any = buffer.encoding if buffer is not None else "utf-16"
    return workspace_edit.changes(
        server.client_capabilities,
        target.uri,
        None if buffer is None else buffer.version,
        edits,
        now,
        lambda row, column: units_of(now[row], column, encoding),
        doubt=outcome.problem,
    )


async def with_tests(server: CodeLlamaServer, task: Task, target: Target, path: Path | None) -> tuple[Task, Target]:
    """The task with where its tests go in the project on disk, and the document that is. Raises Refused."""
    if path is None:
        raise Refused("Save the file first: where its tests go depends on where it is.")
    root = next((root for root in server.buffers.roots() if path.is_relative_to(root)), path.parent)
    files, texts = await asyncio.to_thread(project.read_project, root, task.language_id)
    place = project.test_place(path.relative_to(root).as_posix(), task.language_id, files, texts)
    if place is None:
        raise Refused("For this language it is not known where tests go.")
    if place.inline:
        return dataclasses.replace(task, tests=place, existing=task.text), target
    at = root / place.path
    if hidden := why_hidden(at, (root,)):
        raise Refused(hidden)
    opened = server.open_buffer(at.as_uri())
    if opened is not None:
        lines: list[str] | None = list(opened.lines)
    else:
        lines = split_lines(await asyncio.to_thread(_read, at)) if place.exists else None
    place = dataclasses.replace(place, exists=lines is not None)
    target = Target(at.as_uri(), opened.version if opened else None, lines, is_open=opened is not None)
    return dataclasses.replace(task, tests=place, existing="".join(lines or [])), target


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path.name}, where the tests go, cannot be read: {error}.") from error
