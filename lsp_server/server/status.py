"""What the user is told: `codellama/status`, the progress of loading, and messages that must not be missed.

`codellama/status` has `kind` (starting, loading, ready, thinking, off, failed), `message`, one sentence, `progress` in
per cent while loading, `model`, `device`, and `suggestion`: what became of the last request, as
`{uri, shown, reason}`.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

from lsprotocol import types

from lsp_server.model import local
from lsp_server.model.access import ModelState
from lsp_server.server.announced import STATUS

if TYPE_CHECKING:
    from lsp_server.server.app import CodeLlamaServer


class Status:
    """What was last told to the editor, and how."""

    def __init__(self, server: CodeLlamaServer) -> None:
        self.problems: list[str] = []
        self._server = server
        self._progress: asyncio.Task[None] | None = None
        self._told: dict[str, Any] = {}

    def model(self, state: ModelState) -> None:
        """The state of the model changed."""
        self._tell(
            kind=state.kind,
            message=state.message,
            progress=round(100 * state.progress) if state.kind == "loading" else None,
            model=state.model,
            device=state.device,
        )
        if state.kind == "failed":
            self.show(state.message, types.MessageType.Error)
        elif state.lost and state.kind == "starting":
            self.show(state.message, types.MessageType.Warning)
        if state.kind in ("starting", "loading") and (self._progress is None or self._progress.done()):
            self._progress = asyncio.ensure_future(self._show_progress())

    def thinking(self, uri: str) -> None:
        """The model is asked."""
        self._tell(kind="thinking", message="Thinking.", suggestion=None)

    def suggestion(self, uri: str, *, shown: bool, reason: str = "", off: bool = False) -> None:
        """A request for a suggestion ended. `off`: there are none in this document."""
        state = self._server.model.state
        kind, message = ("off", reason) if off else (state.kind, state.message)
        self._tell(kind=kind, message=message, suggestion={"uri": uri, "shown": shown, "reason": reason})

    def show(self, message: str, kind: types.MessageType) -> None:
        self._server.window_show_message(types.ShowMessageParams(type=kind, message=f"Code Llama: {message}"))

    def tell_problems(self) -> None:
        """Tell what is wrong with the settings, once."""
        for problem in dict.fromkeys(self.problems):
            self.show(problem, types.MessageType.Warning)
        self.problems = []

    def _tell(self, **changes: Any) -> None:
        told = {**self._told, **changes}
        if told != self._told:
            self._told = told
            self._server.protocol.notify(STATUS, told)

    async def _show_progress(self) -> None:
        """Show loading as the editor's own progress, from the beginning to the end of it."""
        window = self._server.client_capabilities.window
        if window is None or not window.work_done_progress:
            return
        token, progress = secrets.token_hex(8), self._server.work_done_progress
        await progress.create_async(token)
        progress.begin(token, types.WorkDoneProgressBegin(title="Code Llama", percentage=0))
        shown: ModelState | None = None
        while (state := self._server.model.state).kind in ("starting", "loading"):
            if state != shown:
                percentage = round(100 * state.progress)
                progress.report(token, types.WorkDoneProgressReport(message=state.message, percentage=percentage))
                shown = state
            await asyncio.sleep(0.1)
        progress.end(token, types.WorkDoneProgressEnd(message=state.message))


def register(server: CodeLlamaServer) -> None:
    @server.command("codellama.restart")
    def restart() -> None:
        """End the engine of this machine and start it anew, or reach the remote one again."""
        if not server.settings.engine_url:
            local.end(server.settings.model)
        server.model.retry()
