"""One code action, from what the user chose to a change that fits the text as it is then, or to a sentence why not."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path

from lsp_server.actions import commit, run
from lsp_server.actions.catalog import EDIT, Action, Diagnostic, Site, action_of, title_of, why_not
from lsp_server.actions.menu import own, shown_path
from lsp_server.actions.site import Task, place_to_edit, site_of, task_of
from lsp_server.actions.target import Change, Refused, Target, change_of, from_disk, with_tests
from lsp_server.context.buffer import Buffer
from lsp_server.context.edits import Edit
from lsp_server.context.git_messages import repository_of
from lsp_server.context.languages import language
from lsp_server.context.surroundings import Surroundings
from lsp_server.context.syntax import selection
from lsp_server.context.uris import file_of
from lsp_server.errors import UserError
from lsp_server.model.access import ModelUnavailable, Reached


@dataclasses.dataclass(frozen=True)
class Choice:
    """What the user chose: an action on a range of a version of a document, in the units of the editor.

    `lines`: the text then, where known. `target`: the language to translate to. `instruction`: what to do, in the
    user's own words.
    """

    action: str
    uri: str
    start: tuple[int, int]
    end: tuple[int, int]
    version: int | None = None
    diagnostic: Diagnostic | None = None
    target: str = ""
    lines: Sequence[str] | None = None
    instruction: str = ""


@dataclasses.dataclass(frozen=True)
class Done:
    """What an action came to: a change to apply, or an answer to read. `title` as the menu had it."""

    title: str
    change: Change | None = None
    answer: str = ""


@dataclasses.dataclass(frozen=True)
class Telling:
    """How the user is told how far things are: in a few words, and that the model is not loaded yet; and where they are
    shown it, the next words of an answer, and what an edit comes to so far."""

    report: Callable[[str], None]
    loading: Callable[[], None]
    words: Callable[[str], None] = lambda words: None
    draft: Callable[[Change], None] | None = None

    def written(self, tokens: int) -> None:
        self.report(f"{tokens} token{'s' * (tokens != 1)} written")


async def act(around: Surroundings, choice: Choice, tell: Telling, *, can_ask: bool, in_place: bool = False) -> Done:
    """Let the model do what was chosen. `can_ask`, `in_place`: see `change_of`. Raises Refused."""
    workspace = around.workspace
    action = _action(around, choice)
    # Of the text as it is now, in a thread: a long file takes a while to parse, and the user types on.
    buffer = workspace.buffer(choice.uri)
    if buffer is None:
        raise Refused("The file is not open in the editor.")
    if hidden := await workspace.hidden(choice.uri):
        raise Refused(hidden)
    if action.result == "message":
        return await _commit(around, action, buffer, tell)
    path = file_of(choice.uri)
    if action.result == "edit" and path is not None and await from_disk(workspace.is_read_only, path):
        raise Refused(f"{path.name} is read-only.")
    task, title = await asyncio.to_thread(_task, choice, action, buffer, shown_path(workspace, choice.uri))
    target = Target(buffer.uri, buffer.version, task.lines)
    if action.result == "tests":
        task, target = await with_tests(workspace, task, target, path)
    model = await reached(around, tell, action)

    def change(outcome: run.Outcome) -> Change:
        here = in_place and target.uri == buffer.uri  # tests go elsewhere
        return change_of(workspace, target, task, outcome, can_ask=can_ask, in_place=here)

    def draft(show: Callable[[Change], None], edits: tuple[Edit, ...]) -> None:
        with contextlib.suppress(Refused):  # which is told at the end, if it is so then
            show(change(run.Outcome("", edits)))

    drafted = None if tell.draft is None else functools.partial(draft, tell.draft)
    following = run.Following(tell.report, tell.written, tell.words, drafted)
    try:
        outcome = await run.run(model, task, following, layout=around.settings.layout)
    except UserError as error:
        raise Refused(str(error)) from error
    if action.result == "answer":
        return Done(title, answer=outcome.answer)
    return Done(title, change(outcome))


def _action(around: Surroundings, choice: Choice) -> Action:
    """Raises Refused."""
    action = action_of(choice.action, own(around))
    if action is None:
        raise Refused(f"There is no action {choice.action!r}.")
    if action is not EDIT:
        return action
    if not choice.instruction.strip():
        raise Refused("Say what is to be changed.")
    return dataclasses.replace(EDIT, instruction=choice.instruction.strip())


async def reached(around: Surroundings, tell: Telling, action: Action | None = None) -> Reached:
    """The model, once it is there and if it can do this. Raises Refused."""
    around.want_model()
    if around.model.reached is None:
        tell.report(around.model.state.message)
        if around.model.state.kind in ("starting", "loading"):
            tell.loading()
    try:
        model = await around.reach()
    except ModelUnavailable as error:
        raise Refused(str(error)) from error
    if action is not None and (reason := why_not(action, model.tokenizer.abilities)):
        raise Refused(reason)
    return model


def _task(choice: Choice, action: Action, buffer: Buffer, path: str) -> tuple[Task, str]:
    """(the task, its title) on the text of the buffer. Raises Refused."""
    moved = _moved(choice, buffer)
    start = buffer.locate(choice.start[0] + moved, choice.start[1])
    end = buffer.locate(choice.end[0] + moved, choice.end[1])
    last = len(buffer.lines) - 1
    found = [
        dataclasses.replace(
            each, first_line=min(each.first_line + moved, last), last_line=min(each.last_line + moved, last)
        )
        for each in ([choice.diagnostic] if choice.diagnostic else [])
    ]
    if action.id == EDIT.id:
        block = place_to_edit(buffer, start, end)
        site = Site(buffer.language_id, block)
        return Task(action, buffer.language_id, list(buffer.lines), block, path), title_of(action, site)
    site = site_of(buffer, start, end, found, path=path)
    task = task_of(action, buffer, site, 0 if found else None, path=path)
    if task is None:
        raise Refused("There is no function and no selection here for this to work on.")
    title = title_of(action, site, found[0] if found else None)
    if choice.target:
        title = title.replace("another language", language(choice.target).name)
    return dataclasses.replace(task, target=choice.target), title


def _moved(choice: Choice, buffer: Buffer) -> int:
    """By how many lines what was chosen has moved since the menu was shown. Raises Refused where it changed itself."""
    if choice.lines is None or choice.version == buffer.version or choice.lines == buffer.lines:
        return 0
    then, now = choice.lines, buffer.lines
    least = min(len(then), len(now))
    above = next((row for row in range(least) if then[row] != now[row]), least)
    below = next((row for row in range(least - above) if then[-1 - row] != now[-1 - row]), least - above)
    if choice.start[0] >= len(then) - below:
        return len(now) - len(then)
    if choice.end[0] < above:
        return 0
    raise Refused("The text changed after the menu was opened; choose the action again.")


async def _commit(around: Surroundings, action: Action, buffer: Buffer, tell: Telling) -> Done:
    """The message above what git wrote into the file in which a commit message is edited."""
    path = file_of(buffer.uri)
    if path is None:
        raise Refused("Which repository this message is for is not known: it is in no file.")
    folder = await asyncio.to_thread(repository_of, path, around.workspace.roots)
    if folder is None:
        raise Refused("Which working tree this message is for is not known; open its folder in the editor.")
    base = list(buffer.lines)
    message = await commit_message(around, folder, tell)
    end = next((row for row, line in enumerate(base) if line.startswith("#")), len(base))
    if any(line.strip() for line in base[:end]):
        raise Refused("There is a message already; delete it first.", message, "plaintext")
    outcome = run.Outcome(message, (Edit(0, min(end, 1), message + "\n"),), proposed=message)
    task = Task(action, buffer.language_id, base, selection("".join(base), 0, 0))
    target = Target(buffer.uri, buffer.version, base)
    return Done(action.title, change_of(around.workspace, target, task, outcome, can_ask=False))


async def commit_message(around: Surroundings, folder: Path, tell: Telling) -> str:
    """The message for what is staged in the repository at `folder`. Raises Refused."""
    try:
        change = await commit.staged(folder, around.workspace.why_each_hidden)
    except commit.NoCommit as error:
        raise Refused(str(error)) from error
    model = await reached(around, tell)
    if not model.tokenizer.abilities.chat:
        raise Refused(model.tokenizer.abilities.chat_reason)
    try:
        message = await run.commit_message(model, change, run.Following(tell.report, tell.written))
    except UserError as error:
        raise Refused(str(error)) from error
    if not message:
        raise Refused("The model wrote no message.")
    return message
