"""What the user is told: `codellama/status`, the progress of loading, and messages that must not be missed.

`codellama/status` has `kind` (starting, loading, ready, thinking, busy, off, failed), `message`, one sentence,
`progress` in per cent of what the message says, while loading and where that can be measured, `model`, `device`, and
`suggestion`: what became of the last request, as `{uri, shown, reason}`. Where chat and code actions have a model of
their own, `chat` has the same of that, up to `device`; else it is not there, or null.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from lsprotocol import types

from lsp_server.model.access import ModelState
from lsp_server.model.roles import Role
from lsp_server.server.announced import STATUS
from lsp_server.server.editor import Editor, NoAnswer

# What a model is for, as the user is told of it.
_TITLES: dict[Role, str] = {
    "suggestions": "Code Llama",
    "chat": "Code Llama (chat)",
    "next edit": "Code Llama (next edit)",
}


class Status:
    """What was last told to the editor, and how. `states`: where each model stands now."""

    def __init__(self, editor: Editor, states: Mapping[Role, Callable[[], ModelState]]) -> None:
        self.problems: list[str] = []
        self._told_problems: set[str] = set()
        self._told_notes: set[str] = set()
        self._editor = editor
        self._states = states
        self._progress: dict[Role, asyncio.Task[None]] = {}
        self._told: dict[str, Any] = {}

    def model(self, role: Role, state: ModelState | None) -> None:
        """The state of a model changed. None: there is none of its own for this any more."""
        if role == "chat":
            self._tell(chat=None if state is None else _described(state))
        elif role == "suggestions" and state is not None:  # why there was no suggestion before is old news
            self._tell(**_described(state), suggestion=None)
        if state is None:
            return
        if state.kind == "failed":
            # That of next edits is tried again while one types, who does without it.
            if role != "next edit" or state.message not in self._told_notes:
                self.show(state.message, types.MessageType.Error, role)
            self._told_notes.add(state.message)
        elif state.lost and state.kind == "starting":
            self.show(state.message, types.MessageType.Warning, role)
        elif state.note and state.note not in self._told_notes:
            self._told_notes.add(state.note)
            self.show(state.message, types.MessageType.Info, role)
        progress = self._progress.get(role)
        if state.kind in ("starting", "loading") and (progress is None or progress.done()):
            self._progress[role] = asyncio.ensure_future(self._show_progress(role))

    def thinking(self, uri: str) -> None:
        """The model is asked."""
        self._tell(kind="thinking", message="Thinking.", suggestion=None)

    def answering(self, message: str) -> None:
        """What the model does for a question of the chat; "": it does no more."""
        state = _described(self._states["chat"]())
        changed = {**state, "kind": "thinking", "message": message} if message else state
        self._tell(**({"chat": changed} if self._told.get("chat") else changed))

    def suggestion(
        self, uri: str, *, shown: bool, reason: str = "", off: bool = False, cost: Mapping[str, int] | None = None
    ) -> None:
        """A request for a suggestion ended. `off`: there are none in this document; `cost`: of the one that is shown,
        as `milliseconds` and `tokens`, where the user wants to see it."""
        state = self._states["suggestions"]()
        kind, message = ("off", reason) if off else (state.kind, state.message)
        told = {"uri": uri, "shown": shown, "reason": reason, **(cost or {})}
        self._tell(kind=kind, message=message, suggestion=told)

    def slow(self, seconds: float) -> None:
        """Suggestions take too long."""
        state = self._states["suggestions"]()
        where = f"{state.model} on {state.device}" if state.device else state.model
        self.show(
            f"suggestions take about {seconds:.0f} s each with {where}. A smaller model (codellama.model), fewer "
            "codellama.windowTokens, or a server with a graphics card (codellama.engineUrl) would be faster.",
            types.MessageType.Info,
        )

    def show(self, message: str, kind: types.MessageType, role: Role = "suggestions") -> None:
        self._editor.show_message(f"{_TITLES[role]}: {message}", kind)

    def tell_problems(self) -> None:
        """Tell what is wrong with the settings: each problem once, as long as it is there."""
        for problem in dict.fromkeys(self.problems):
            if problem not in self._told_problems:
                self.show(problem, types.MessageType.Warning)
        self._told_problems, self.problems = set(self.problems), []

    def _tell(self, **changes: Any) -> None:
        told = {**self._told, **changes}
        if told != self._told:
            self._told = told
            self._editor.tell_status(told)

    @property
    def _is_shown(self) -> bool:
        """Whether the editor shows what it is told here, by its own word: the same would stand in two places."""
        experimental = self._editor.capabilities.experimental
        return isinstance(experimental, dict) and bool(experimental.get(STATUS))

    async def _show_progress(self, role: Role) -> None:
        """Show loading as the editor's own progress, from the beginning to the end of it."""
        editor, token = self._editor, secrets.token_hex(8)
        window = editor.capabilities.window
        if window is None or not window.work_done_progress or self._is_shown:
            return
        try:
            await editor.make_progress(token, lambda: None)
        except NoAnswer:  # the status tells the same
            return
        editor.show_progress(token, types.WorkDoneProgressBegin(title=_TITLES[role]))
        shown: ModelState | None = None
        while (state := self._states[role]()).kind in ("starting", "loading"):
            if state != shown:
                percentage = round(100 * state.progress) or None
                editor.show_progress(token, types.WorkDoneProgressReport(message=state.message, percentage=percentage))
                shown = state
            await asyncio.sleep(0.1)
        editor.show_progress(token, types.WorkDoneProgressEnd(message=state.message))


def _described(state: ModelState) -> dict[str, Any]:
    return {
        "kind": state.kind,
        "message": state.message,
        "progress": (round(100 * state.progress) or None) if state.kind == "loading" else None,
        "model": state.model,
        "device": state.device,
    }
