"""From what the user attaches to the text that goes with the question. What may not or cannot go is said.

An open document's text is the one in the editor, not the one on disk.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pygls.uris import from_fs_path, to_fs_path, uri_scheme

from lsp_server.chat.turns import Attachment, Kind
from lsp_server.context import syntax
from lsp_server.context.buffer import Buffer, split_lines
from lsp_server.context.languages import Language, language
from lsp_server.context.privacy import why_hidden
from lsp_server.context.window import normalized

# More than any context holds; a mistaken attachment must not fill the memory.
MAX_BYTES = 4_000_000
SEVERITIES = {1: "error", 2: "warning", 3: "information", 4: "hint"}


class Refused(ValueError):
    """This cannot be attached; the message is one sentence that says why."""


@dataclasses.dataclass(frozen=True)
class Workspace:
    """The user's work: the folders on disk, and the documents that are open now."""

    roots: tuple[Path, ...] = ()
    buffers: Callable[[], Iterable[Buffer]] = tuple

    def open_at(self, path: Path) -> Buffer | None:
        """The open document of a file. An editor may write the URI of a file in its own way."""
        return next((buffer for buffer in self.buffers() if path_of(buffer.uri) == path), None)

    def name_of(self, uri: str) -> str:
        """What the user calls a document: its path in the workspace."""
        path = path_of(uri)
        if path is None:
            return uri
        root = next((root for root in self.roots if path.is_relative_to(root)), None)
        return path.relative_to(root).as_posix() if root else str(path)

    def why_hidden(self, path: Path | None) -> str:
        """Why a file must not be shown, under its name or the one it is a link to; "" where it may."""
        if path is None:
            return ""
        real = path.resolve()
        return why_hidden(path, self.roots) or (real != path and why_hidden(real, self.roots)) or ""


@dataclasses.dataclass(frozen=True)
class Diagnostic:
    """What another tool said of a line (0-based `row`). `severity` as the protocol counts it, 1 is an error."""

    row: int
    message: str
    severity: int = 1
    source: str = ""


@dataclasses.dataclass(frozen=True)
class Request:
    """An attachment as it was asked for. `rows` are 0-based, both included; `column` as the editor counts.

    With rows, a "file" is sent whole as long as there is room, a "selection" is those rows alone.
    """

    uri: str
    kind: Kind
    rows: tuple[int, int] | None = None
    column: int = 0
    diagnostics: tuple[Diagnostic, ...] = ()


@dataclasses.dataclass(frozen=True)
class Document:
    """A text to attach from: that of an open document, or of a file."""

    uri: str
    name: str
    text: str
    language: Language

    @property
    def total(self) -> int:
        return len(split_lines(self.text)) - self.text.endswith("\n")

    def part(self, kind: Kind, first: int, last: int, name: str = "") -> Attachment:
        """Lines `first` to `last` (from 1) as an attachment, all of them named."""
        lines = split_lines(self.text)[first - 1 : last]
        last = first + len(lines) - 1
        name = f"{name} in {self.name}" if name else self.name
        fence = self.language.fence
        return Attachment(kind, name, self.uri, fence, "".join(lines), first, self.total, (first, last))

    def whole(self, named: tuple[int, int] | None = None) -> Attachment:
        return Attachment("file", self.name, self.uri, self.language.fence, self.text, 1, self.total, named)


def path_of(uri: str) -> Path | None:
    """The file behind a `file:` URI; None for an unsaved buffer and the like."""
    path = to_fs_path(uri) if uri_scheme(uri) == "file" else None
    return Path(path) if path else None


def uri_of(path: Path) -> str:
    return from_fs_path(str(path)) or path.as_uri()


def document(workspace: Workspace, uri: str) -> Document:
    """The text behind a URI. Raises Refused."""
    path, name = path_of(uri), workspace.name_of(uri)
    if hidden := workspace.why_hidden(path):
        raise Refused(f"{name} was not attached: {hidden}")
    buffer = next((each for each in workspace.buffers() if each.uri == uri), None)
    buffer = buffer or (workspace.open_at(path) if path else None)
    if buffer is not None:
        return Document(buffer.uri, name, normalized(buffer.source), language(buffer.language_id, name))
    if path is None:
        raise Refused(f"{name} was not attached: it is not open in the editor.")
    try:
        if path.is_dir():
            raise Refused(f"{name} was not attached: it is a folder; attach files.")
        if path.stat().st_size > MAX_BYTES:
            raise Refused(f"{name} was not attached: it is larger than {MAX_BYTES // 1_000_000} MB.")
        data = path.read_bytes()
        if b"\0" in data:
            raise Refused(f"{name} was not attached: it is not a text.")
        return Document(uri, name, normalized(data.decode("utf-8-sig")), language("", name))
    except UnicodeDecodeError as error:
        raise Refused(f"{name} was not attached: it is not UTF-8 (byte {error.start}).") from error
    except OSError as error:
        raise Refused(f"{name} was not attached: {error.strerror or error}.") from error


def attached(workspace: Workspace, request: Request) -> Attachment:
    """One attachment. Raises Refused."""
    if request.kind == "diagnostics":
        return _diagnostics(workspace, request)
    found = document(workspace, request.uri)
    if request.kind == "function":
        row = request.rows[0] if request.rows else 0
        block = syntax.enclosing(found.text, found.language.id, row, request.column)
        if block is None:
            raise Refused(f"There is no function at line {row + 1} of {found.name}; nothing of it was attached.")
        return found.part("function", block.first_line + 1, block.last_line + 1, block.path)
    if request.rows is None:
        return found.whole()
    first, last = request.rows
    if first >= max(1, found.total):
        raise Refused(f"{found.name} has {found.total} lines; there is no line {first + 1} to attach.")
    if request.kind == "file":  # the whole, of which these lines matter most
        return found.whole((first + 1, min(last + 1, found.total)))
    return found.part("selection", first + 1, last + 1)


def all_attached(workspace: Workspace, requests: Sequence[Request]) -> tuple[list[Attachment], list[str]]:
    """The attachments, and a sentence for each that was refused.

    A selection, a function or a problem in a file that is attached whole marks the lines that stay when it shrinks.
    """
    found: list[Attachment] = []
    refused: list[str] = []
    for request in dict.fromkeys(requests):
        try:
            found.append(attached(workspace, request))
        except Refused as error:
            refused.append(str(error))
    return named_together(found), refused


def named_together(attachments: Sequence[Attachment]) -> list[Attachment]:
    """With the lines named that other attachments of the same file point at."""
    named: dict[str, tuple[int, int]] = {}
    for one in attachments:
        if one.kind in ("selection", "function", "symbol") and one.named:
            low, high = named.get(one.uri, one.named)
            named[one.uri] = (min(low, one.named[0]), max(high, one.named[1]))
    return [
        dataclasses.replace(one, named=one.named or named.get(one.uri)) if one.kind == "file" else one
        for one in attachments
    ]


def _diagnostics(workspace: Workspace, request: Request) -> Attachment:
    """What other tools said of a document: each with its line, so that it can be understood alone."""
    found = document(workspace, request.uri)
    lines = found.text.split("\n")
    entries = []
    for one in request.diagnostics:
        severity = SEVERITIES.get(one.severity, "error")
        source = f" ({one.source})" if one.source else ""
        code = lines[one.row].strip() if one.row < len(lines) else ""
        entries.append(f"line {one.row + 1}: {severity}{source}: {' '.join(one.message.split())}    | {code}")
    if not entries:
        raise Refused(f"No problems are reported in {found.name}; nothing of that was attached.")
    text = normalized("".join(f"{entry}\n" for entry in entries))
    return Attachment("diagnostics", found.name, found.uri, "", text, 1, len(entries), (1, len(entries)))
