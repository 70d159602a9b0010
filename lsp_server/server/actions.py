"""What is done when something is chosen from the menu of code actions."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from lsprotocol import types

from lsp_server.actions.acting import Choice, Done, Telling, act, commit_message
from lsp_server.actions.target import Change, Refused
from lsp_server.context.languages import language
from lsp_server.context.surroundings import Surroundings
from lsp_server.context.uris import file_of
from lsp_server.server import progress, reading
from lsp_server.server.editor import Editor, InvalidParameters, NoAnswer
from lsp_server.server.menu import BY, Menu, diagnostic_of
from lsp_server.server.status import Status
from lsp_server.server.workspace_edit import asks, text_edits, workspace_edit

T = TypeVar("T")

# Offered as targets of a translation.
TARGETS = ("python", "typescript", "rust", "go", "java", "c")


class Actions:
    """What was chosen in a session, and what comes of it."""

    def __init__(self, around: Surroundings, editor: Editor, status: Status, menu: Menu) -> None:
        self._around, self._editor, self._status, self._menu = around, editor, status, menu

    def _choice(self, values: Any) -> Choice | None:
        """What a client sends back of a menu; None for what is not ours."""
        if not isinstance(values, Mapping) or not {"action", "uri", "range"} <= values.keys():
            return None
        diagnostic, uri, version = values.get("diagnostic"), str(values["uri"]), values.get("version")
        try:
            chosen = self._editor.structured(values["range"], types.Range)
            found = None if diagnostic is None else self._editor.structured(diagnostic, types.Diagnostic)
        except Exception:  # the converter raises all kinds of errors for what is no range
            return None
        return Choice(
            str(values["action"]),
            uri,
            (chosen.start.line, chosen.start.character),
            (chosen.end.line, chosen.end.character),
            version,
            None if found is None else diagnostic_of(self._around.workspace.buffer(uri), found),
            str(values.get("target") or ""),
            self._menu.menus.lines_of(uri, version),
            str(values.get("instruction") or ""),
        )

    async def resolve(self, action: types.CodeAction) -> types.CodeAction:
        """The action with its edit; as it came where there is none, the user being told why."""
        choice = self._choice(action.data)
        if choice is None or action.edit is not None or action.command is not None or action.disabled is not None:
            return action
        done = await self._done(choice, action.title.removesuffix(BY), lazily=True)
        if done is not None and done.change is not None:
            action.edit = workspace_edit(self._editor.capabilities, done.change)
        return action

    async def command(self, values: Any) -> dict[str, Any] | None:
        """Do what was chosen, and apply the edit or show the answer."""
        choice = self._choice(values)
        if choice is None:
            self._status.show("This command needs an action, a uri and a range.", types.MessageType.Error)
            return None
        try:
            if choice.action == "translate" and not choice.target:
                choice = await self._with_target(choice)
                if choice is None:
                    return None
            done = await self._done(choice, str(values.get("title") or choice.action), lazily=False)
            if done is None:
                return {"applied": False}
            if done.change is not None:
                return {"applied": await self._apply(done)}
        except NoAnswer as error:
            self._status.show(str(error), types.MessageType.Warning)
            return {"applied": False}
        uri = await reading.show(self._editor, done.title, f"# {done.title}\n\n{done.answer}\n")
        return {"answer": done.answer, "uri": uri}

    async def perform(self, values: Any) -> dict[str, Any] | None:
        """Do what was chosen, and hand over the edit or the answer; what there is of it on the way, too. None where the
        user stopped it. Raises InvalidParameters, Refused."""
        choice = self._choice(values)
        if choice is None:
            raise InvalidParameters("This request needs an action, a uri and a range.")
        token = values.get("partialResultToken")
        if isinstance(token, bool) or not isinstance(token, (str, int, type(None))):
            raise InvalidParameters("`partialResultToken` must be a text or a whole number.")
        if choice.action == "translate" and not choice.target:
            choice = await self._with_target(choice)
            if choice is None:
                return None
        chosen = choice

        def work(tell: Telling) -> Awaitable[Done]:
            return act(self._around, chosen, tell, can_ask=True, in_place=True)

        title = str(values.get("title") or choice.instruction or choice.action)
        done = await self._working(title, work, functools.partial(self._streamed, token))
        if done is None:
            return None
        change = done.change
        plain = None if change is None else dataclasses.replace(change, problem="")  # which is told beside it
        edit = None if plain is None else workspace_edit(self._editor.capabilities, plain)
        problem = "" if change is None else change.problem
        return {"title": done.title, "edit": self._editor.plain(edit), "problem": problem, "answer": done.answer}

    def _streamed(self, token: int | str | None, report: Callable[[str], None]) -> Telling:
        """How the user is told where the client shows an edit or an answer while it is written."""
        editor, due = self._editor, progress.pacer()

        def send(part: dict[str, Any]) -> None:
            if token is not None:
                editor.send_part(token, part)

        def draft(change: Change) -> None:
            send({"version": change.version, "edits": editor.plain(text_edits(change))})

        def both(message: str) -> None:
            report(message)
            if due():
                send({"message": message})

        return Telling(both, self._tell_loading, lambda words: send({"delta": words}), draft)

    async def commit_message(self, where: Any) -> str | None:
        """The message for what is staged in the repository at a folder or its URI, by default the workspace's."""
        folder = next(iter(self._around.workspace.roots), Path())
        if isinstance(where, str) and where:
            folder = (file_of(where) if where.startswith("file:") else Path(where)) or folder
        return await self._shown(
            "Write the commit message", lambda telling: commit_message(self._around, folder, telling)
        )

    async def _done(self, choice: Choice, title: str, *, lazily: bool) -> Done | None:
        """Do what was chosen, with progress; None where nothing came of it, the user being told why. `lazily`: the edit
        goes into a code action."""
        can_ask = asks(self._editor.capabilities, lazily=lazily)
        return await self._shown(title, lambda telling: act(self._around, choice, telling, can_ask=can_ask))

    async def _shown(self, title: str, work: Callable[[Telling], Awaitable[T]]) -> T | None:
        """The result of `work`; None where there is none, the user being told why."""
        try:
            return await self._working(title, work, lambda report: Telling(report, self._tell_loading))
        except Refused as refused:
            self._status.show(str(refused), types.MessageType.Warning)
            return None

    async def _working(
        self,
        title: str,
        work: Callable[[Telling], Awaitable[T]],
        telling: Callable[[Callable[[str], None]], Telling],
    ) -> T | None:
        """The result of `work`, which may be cancelled by request or by the progress; None where it is cancelled by the
        progress. Raises Refused; what the model wrote is shown then."""

        async def with_progress() -> T:
            async with progress.shown(self._editor, f"Code Llama: {title}", asyncio.current_task()) as report:
                return await work(telling(report))

        task = asyncio.ensure_future(with_progress())
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                return None  # by the button of the progress
            task.cancel()
            raise
        except Refused as refused:
            if refused.proposed.strip() and reading.opens(self._editor):  # as a message it would only be in the way
                text = reading.proposal(str(refused), refused.proposed, language(refused.language_id))
                await reading.show(self._editor, f"Not applied: {title}", text)
            raise

    def _tell_loading(self) -> None:
        window = self._editor.capabilities.window
        if not (window and window.work_done_progress):  # which would show it
            self._status.show("The model is loading; this goes on when it is ready.", types.MessageType.Info)

    async def _apply(self, done: Done) -> bool:
        """Have the editor apply a change; whether it did. Raises NoAnswer."""
        assert done.change is not None
        editor, status = self._editor, self._status
        workspace = editor.capabilities.workspace
        if workspace is None or not workspace.apply_edit:
            status.show("This editor takes no edits from a language server.", types.MessageType.Warning)
            return False
        answer = await editor.apply(workspace_edit(editor.capabilities, done.change), done.title)
        if not answer.applied:
            why = f": {answer.failure_reason}" if answer.failure_reason else "."
            status.show(f"The editor did not apply the edit{why}", types.MessageType.Warning)
        return bool(answer.applied)

    async def _with_target(self, choice: Choice) -> Choice | None:
        """Ask the user for the language to translate to; None where they choose none. Raises NoAnswer."""
        buffer = self._around.workspace.buffer(choice.uri)
        source = language(buffer.language_id).id if buffer else ""
        names = {language(target).name: target for target in TARGETS if target != source}
        chosen = await self._editor.choose("Code Llama: Translate to", list(names))
        return None if chosen is None else dataclasses.replace(choice, target=names[chosen])
