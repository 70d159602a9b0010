"""What the program asks of the editor and tells it, whatever carries the messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from lsprotocol import types

from lsp_server.errors import UserError

Progress = types.WorkDoneProgressBegin | types.WorkDoneProgressReport | types.WorkDoneProgressEnd


T = TypeVar("T")


class NoAnswer(UserError):
    """The editor did not answer in time, or with an error; the message is one sentence for the user."""


class InvalidParameters(UserError):
    """A request of this program's own does not have what it needs; the message says what."""


class Editor(Protocol):
    """The editor of one session. What is asked of it is answered within a time limit, or raises NoAnswer."""

    @property
    def capabilities(self) -> types.ClientCapabilities: ...

    def plain(self, value: Any) -> Any:
        """A value of the protocol as JSON."""

    def structured(self, value: Any, kind: type[T]) -> T:
        """JSON as a value of the protocol. Raises all kinds of errors where it is none."""

    def tell_status(self, status: dict[str, Any]) -> None:
        """Send `codellama/status`."""

    def show_message(self, message: str, kind: types.MessageType) -> None: ...

    def show_document(self, uri: str) -> None:
        """Open a document in front of the user. Not waited for: some editors answer only once the user has looked."""

    def send_part(self, token: int | str, part: dict[str, Any]) -> None:
        """Send a partial result."""

    async def configuration(self, section: str) -> Any:
        """The settings of a section. Raises NoAnswer."""

    async def choose(self, question: str, choices: Sequence[str]) -> str | None:
        """What the user chooses; None where they choose nothing. Raises NoAnswer."""

    async def apply(self, edit: types.WorkspaceEdit, label: str) -> types.ApplyWorkspaceEditResult:
        """Have an edit applied. Raises NoAnswer."""

    async def make_progress(self, token: str, on_cancel: Callable[[], object]) -> None:
        """Make room for a progress, of which the user may cancel the work. Raises NoAnswer."""

    def show_progress(self, token: str, value: Progress) -> None: ...
