"""One code action, from what the client chose to an edit that fits the text as it is then, or to a sentence why not."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lsprotocol import types

from lsp_server.actions import commit, run
from lsp_server.actions.catalog import Action, Diagnostic, action_of, own_actions, title_of, why_not
from lsp_server.actions.edits import Edit
from lsp_server.actions.place import Task, place_of, task_of
from lsp_server.actions.prompts import TooLong
from lsp_server.codellama import DialogError
from lsp_server.context.buffer import Buffer
from lsp_server.context.languages import language
from lsp_server.context.privacy import why_hidden
from lsp_server.context.syntax import selection
from lsp_server.model.access import ModelUnavailable, Reached
from lsp_server.model.client import EngineLost, EngineRefused
from lsp_server.server.buffers import file_path
from lsp_server.server.target import Refused, Target, edit_of, with_tests

if TYPE_CHECKING:
    from lsp_server.server.app import CodeLlamaServer

Report = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Request:
    """What the client chose: an action on a range of a version of a document. `lines`: the text then, where known."""

    action: str
    uri: str
    range: types.Range
    version: int | None = None
    diagnostic: types.Diagnostic | None = None
    target: str = ""
    lines: Sequence[str] | None = None


@dataclasses.dataclass(frozen=True)
class Done:
    """What an action came to: an edit to apply, or an answer to read. `title` as the menu had it."""

    title: str
    edit: types.WorkspaceEdit | None = None
    answer: str = ""


def own(server: CodeLlamaServer) -> list[Action]:
    """The user's own actions."""
    return own_actions(server.settings.actions)[0]


def shown_path(server: CodeLlamaServer, uri: str) -> str:
    """How the model is told of a file: its path in the workspace; "" for an unsaved buffer."""
    path = file_path(uri)
    if path is None:
        return ""
    root = next((root for root in server.buffers.roots() if path.is_relative_to(root)), None)
    return path.relative_to(root).as_posix() if root else path.name


def diagnostic_of(buffer: Buffer, found: types.Diagnostic) -> Diagnostic:
    first, _ = buffer.locate(found.range.start.line, 0)
    last, _ = buffer.locate(found.range.end.line, 0)
    code = "" if found.code is None else str(found.code)
    # Messages may be Markdown in newer versions of the protocol.
    message = found.message if isinstance(found.message, str) else str(getattr(found.message, "value", ""))
    return Diagnostic(message, first, max(first, last), found.source or "", code)


async def act(server: CodeLlamaServer, request: Request, report: Report, *, lazily: bool) -> Done:
    """Let the model do what was chosen. Raises Refused. `lazily`: the edit goes into a code action."""
    buffer = server.open_buffer(request.uri)
    action = action_of(request.action, own(server))
    if action is None:
        raise Refused(f"There is no action {request.action!r}.")
    if buffer is None:
        raise Refused("The file is not open in the editor.")
    path = file_path(request.uri)
    if hidden := why_hidden(path, server.buffers.roots()):
        raise Refused(hidden)
    if action.result == "message":
        return await _commit(server, action, buffer, report)
    if action.result == "edit" and path is not None and path.exists() and not os.access(path, os.W_OK):
        raise Refused(f"{path.name} is read-only.")
    # Of the text as it is now, in a thread: a long file takes a while to parse, and the user types on.
    now = Buffer(
        buffer.uri, buffer.source, version=buffer.version, language_id=buffer.language_id, encoding=buffer.encoding
    )
    task, title = await asyncio.to_thread(_task, request, action, now, shown_path(server, request.uri))
    target = Target(request.uri, now.version, task.lines)
    if action.result == "tests":
        task, target = await with_tests(server, task, target, path)
    model = await reached(server, report, action)
    try:
        outcome = await run.run(model, task, lambda tokens: report(_written(tokens)), layout=server.settings.layout)
    except EngineLost as error:
        server.model.lost(model.client)
        raise Refused(str(error)) from error
    except (EngineRefused, TooLong, DialogError) as error:
        raise Refused(str(error)) from error
    if action.result == "answer":
        return Done(title, answer=outcome.answer)
    return Done(title, edit_of(server, target, task, outcome, lazily=lazily))


async def reached(server: CodeLlamaServer, report: Report, action: Action | None = None) -> Reached:
    """The model, once it is there and if it can do this. Raises Refused."""
    if server.model.reached is None:
        server.model.start()
        report(server.model.state.message)
        window = server.client_capabilities.window
        if server.model.state.kind in ("starting", "loading") and not (window and window.work_done_progress):
            server.status.show("The model is loading; this goes on when it is ready.", types.MessageType.Info)
    try:
        model = await server.model.wait()
    except ModelUnavailable as error:
        raise Refused(str(error)) from error
    if action is not None and (reason := why_not(action, model.tokenizer.abilities)):
        raise Refused(reason)
    return model


def _task(request: Request, action: Action, buffer: Buffer, path: str) -> tuple[Task, str]:
    """(the task, its title) on the text of the buffer. Raises Refused."""
    moved = _moved(request, buffer)
    start = buffer.locate(request.range.start.line + moved, request.range.start.character)
    end = buffer.locate(request.range.end.line + moved, request.range.end.character)
    found = [] if request.diagnostic is None else [diagnostic_of(buffer, request.diagnostic)]
    found = [
        dataclasses.replace(each, first_line=each.first_line + moved, last_line=each.last_line + moved)
        for each in found
    ]
    place = place_of(buffer, start, end, found, path=path)
    task = task_of(action, buffer, place, 0 if found else None, path=path)
    if task is None:
        raise Refused("There is no function and no selection here for this to work on.")
    title = title_of(action, place, found[0] if found else None)
    if request.target:
        title = title.replace("another language", language(request.target).name)
    return dataclasses.replace(task, target=request.target), title


def _moved(request: Request, buffer: Buffer) -> int:
    """By how many lines what was chosen has moved since the menu was shown. Raises Refused where it changed itself."""
    if request.lines is None or request.version == buffer.version or request.lines == buffer.lines:
        return 0
    then, now = request.lines, buffer.lines
    least = min(len(then), len(now))
    above = next((row for row in range(least) if then[row] != now[row]), least)
    below = next((row for row in range(least - above) if then[-1 - row] != now[-1 - row]), least - above)
    if request.range.start.line >= len(then) - below:
        return len(now) - len(then)
    if request.range.end.line < above:
        return 0
    raise Refused("The text changed after the menu was opened; choose the action again.")


def _written(tokens: int) -> str:
    return f"{tokens} token{'s' * (tokens != 1)} written"


async def _commit(server: CodeLlamaServer, action: Action, buffer: Buffer, report: Report) -> Done:
    """The message above what git wrote into the file in which a commit message is edited."""
    path = file_path(buffer.uri)
    folder = path.parent if path else Path()
    if folder.name == ".git":
        folder = folder.parent
    elif ".git" in folder.parts:  # of a linked work tree
        folder = next(iter(server.buffers.roots()), folder)
    base = list(buffer.lines)
    message = await commit_message(server, folder, report)
    end = next((row for row, line in enumerate(base) if line.startswith("#")), len(base))
    if any(line.strip() for line in base[:end]):
        raise Refused("There is a message already; delete it first.", message, "plaintext")
    outcome = run.Outcome(message, (Edit(0, min(end, 1), message + "\n"),), proposed=message)
    task = Task(action, buffer.language_id, base, selection("".join(base), 0, 0))
    return Done(action.title, edit_of(server, Target(buffer.uri, buffer.version, base), task, outcome, lazily=False))


async def commit_message(server: CodeLlamaServer, folder: Path, report: Report) -> str:
    """The message for what is staged in the repository at `folder`. Raises Refused."""
    try:
        change = await commit.staged(folder)
    except commit.NoCommit as error:
        raise Refused(str(error)) from error
    model = await reached(server, report)
    if not model.tokenizer.abilities.chat:
        raise Refused(model.tokenizer.abilities.chat_reason)
    try:
        message = await run.commit_message(model, change, lambda tokens: report(_written(tokens)))
    except EngineLost as error:
        server.model.lost(model.client)
        raise Refused(str(error)) from error
    except (EngineRefused, DialogError) as error:
        raise Refused(str(error)) from error
    if not message:
        raise Refused("The model wrote no message.")
    return message
