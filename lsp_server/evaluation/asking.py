"""The product asked as an editor asks it: one session, in which a document is opened, a suggestion asked for, and shown
or not."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lsprotocol import types

from lsp_server.completion.suggest import Suggestion
from lsp_server.completion.unasked import inside_word
from lsp_server.context.buffer import Buffer
from lsp_server.context.workspace import Workspace
from lsp_server.evaluation.holes import Hole
from lsp_server.evaluation.scores import Scores, scores
from lsp_server.model.access import ModelState
from lsp_server.server.editor import NoAnswer
from lsp_server.server.session import Session
from lsp_server.settings import Settings

# With this threshold the model is asked how sure it is, and nothing is hidden.
HIDES_NOTHING = 1e-9

# What is waited for the index of a project.
INDEX_SECONDS = 120.0


@dataclasses.dataclass(frozen=True)
class Place:
    """A hole in a file of a project: `root` is the folder that is open."""

    root: Path
    hole: Hole

    @property
    def uri(self) -> str:
        return (self.root / self.hole.name).as_uri()


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a request at a place. `text` is "" where nothing is shown, and `reason` says why. `ms`: from the
    request to the answer; `tokens` and `prompt_tokens`: 0 where nothing is shown. `probability`: that of the first
    line, None where the model does not say."""

    kind: str
    language: str
    name: str
    row: int
    column: int
    text: str
    wanted: str
    reason: str
    ms: float
    tokens: int
    prompt_tokens: int
    probability: float | None
    scores: Scores

    @property
    def shown(self) -> bool:
        return bool(self.text)


class Desk:
    """One editor window at which nobody sits. Use from one event loop; `close` it in the end."""

    def __init__(self, settings: Settings, on_state: Callable[[ModelState], None] = lambda state: None) -> None:
        self.session = Session(_Silent(on_state, lambda: self.session.model.state))
        self.buffers: list[Buffer] = []
        self.session.workspace = Workspace((), lambda: self.buffers)
        self.use(settings)
        self.session.configured()

    def use(self, settings: Settings) -> None:
        """Ask with these settings from now on: without what is done ahead of the next key, as there is none."""
        self.session.use(dataclasses.replace(settings, prefetch=False, debounce_ms=0))

    def close(self) -> None:
        self.session.close()

    async def at(self, place: Place, *, by_hand: bool = False) -> Outcome:
        """What is shown at a place; inside a word always `by_hand`, as none comes of itself there. Raises
        ModelUnavailable."""
        hole = place.hole
        by_hand = by_hand or inside_word(hole.prefix, hole.suffix)
        await self.session.reach()
        if self.session.workspace.roots != (place.root,):
            self.session.workspace.use((place.root,))
        row, column = hole.prefix.count("\n"), len(hole.prefix) - hole.prefix.rfind("\n") - 1
        buffer = Buffer(
            place.uri, hole.prefix + hole.suffix, version=1, language_id=hole.language, encoding="utf-32"
        ).snapshot()
        with self._opened(buffer):
            self.session.suggestions.forget()
            self.session.keeping.want()
            await self.session.keeping.complete(INDEX_SECONDS)
            await self.session.related.at(buffer, row, column, rests=True)  # as it is where the cursor has rested
            started = time.perf_counter()
            answer = await self.session.suggestions.at(buffer, row, column, by_hand=by_hand)
            ms = 1000 * (time.perf_counter() - started)
            first = answer.suggestions
            if not by_hand:
                await self.session.suggestions.settled()  # likewise
                answer = await self.session.suggestions.at(buffer, row, column, by_hand=False)
        shown = answer.suggestions[0] if answer.suggestions else None
        if shown is not None and first:
            shown = dataclasses.replace(shown, timings=first[0].timings)
        return _outcome(place, shown, answer.reason, ms)

    @contextlib.contextmanager
    def _opened(self, buffer: Buffer) -> Iterator[None]:
        self.buffers.append(buffer)
        self.session.related.opened(buffer.uri)
        try:
            yield
        finally:
            self.buffers.remove(buffer)
            self.session.suggestions.closed(buffer.uri)
            self.session.related.closed(buffer.uri)


def _outcome(place: Place, shown: Suggestion | None, reason: str, ms: float) -> Outcome:
    hole = place.hole
    text, timings = (shown.text, shown.timings) if shown else ("", {})
    return Outcome(
        kind=hole.kind,
        language=hole.language,
        name=hole.name,
        row=hole.prefix.count("\n"),
        column=len(hole.prefix) - hole.prefix.rfind("\n") - 1,
        text=text,
        wanted=hole.middle,
        reason=reason,
        ms=round(ms, 1),
        tokens=int(timings.get("tokens") or 0),
        prompt_tokens=int(timings.get("promptTokens") or 0),
        probability=shown.probability if shown and shown.line else None,
        scores=scores(hole, text),
    )


class _Silent:
    """An editor without a user: what it is told goes to `on_state`, what it is asked it does not answer."""

    def __init__(self, on_state: Callable[[ModelState], None], state: Callable[[], ModelState]) -> None:
        self.capabilities = types.ClientCapabilities()
        self._on_state, self._state = on_state, state

    def plain(self, value: Any) -> Any:
        return value

    def structured(self, value: Any, kind: type[Any]) -> Any:
        return value

    def tell_status(self, status: dict[str, Any]) -> None:
        self._on_state(self._state())

    def show_message(self, message: str, kind: types.MessageType) -> None:
        """The error that ends the work says it."""

    def show_document(self, uri: str) -> None: ...

    def send_part(self, token: int | str, part: dict[str, Any]) -> None: ...

    async def configuration(self, section: str) -> Any:
        raise NoAnswer("There is no editor.")

    async def choose(self, question: str, choices: Any) -> str | None:
        return None

    async def apply(self, edit: types.WorkspaceEdit, label: str) -> types.ApplyWorkspaceEditResult:
        return types.ApplyWorkspaceEditResult(False)

    async def make_progress(self, token: str, on_cancel: Callable[[], object]) -> None: ...

    def show_progress(self, token: str, value: Any) -> None: ...
