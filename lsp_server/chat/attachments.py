"""From what the user attaches to the text that goes with the question. What may not or cannot go is said.

An open document's text is the one in the editor, not the one on disk.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from lsp_server.chat.turns import Attachment, Kind
from lsp_server.context import syntax
from lsp_server.context.buffer import split_lines
from lsp_server.context.languages import Language, language
from lsp_server.context.uris import file_of
from lsp_server.context.window import normalized
from lsp_server.context.workspace import MAX_BYTES, Workspace
from lsp_server.errors import UserError

# Lines that go along of what is around a cursor: the function, where it is no longer, else so many on both sides.
MOST_AROUND, LINES_AROUND = 60, 15

SEVERITIES = {1: "error", 2: "warning", 3: "information", 4: "hint"}


class Refused(UserError):
    """This cannot be attached; the message is one sentence that says why."""


@dataclasses.dataclass(frozen=True)
class Reported:
    """What another tool said of a line (0-based `row`). `severity` as the protocol counts it, 1 is an error."""

    row: int
    message: str
    severity: int = 1
    source: str = ""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """An attachment as it was asked for. `rows` are 0-based, both included; `column` as the editor counts.

    With rows, a "file" is sent whole as long as there is room, a "selection" is those rows alone; "around" is what
    there is around the first of them.
    """

    uri: str
    kind: Kind
    rows: tuple[int, int] | None = None
    column: int = 0
    diagnostics: tuple[Reported, ...] = ()


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


def document(workspace: Workspace, uri: str) -> Document:
    """The text behind a URI. Raises Refused."""
    path, name = file_of(uri), workspace.name_of(uri)
    if hidden := workspace.why_hidden(uri):
        raise Refused(f"{name} was not attached: {hidden}")
    buffer = workspace.buffer(uri)
    if buffer is not None:
        return Document(buffer.uri, name, normalized(buffer.source), language(buffer.language_id, name))
    if path is None:
        raise Refused(f"{name} was not attached: it is not open in the editor.")
    try:
        return Document(uri, name, normalized(workspace.text(path, MAX_BYTES)), language("", name))
    except UserError as error:
        raise Refused(f"{name} was not attached: {error}") from error


def attached(workspace: Workspace, request: Wanted) -> Attachment:
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
    if request.kind == "around":
        return _around(found, request.rows[0] if request.rows else 0, request.column)
    if request.rows is None:
        return found.whole()
    first, last = request.rows
    if first >= max(1, found.total):
        raise Refused(f"{found.name} has {found.total} lines; there is no line {first + 1} to attach.")
    if request.kind == "file":  # the whole, of which these lines matter most
        return found.whole((first + 1, min(last + 1, found.total)))
    return found.part("selection", first + 1, last + 1)


def all_attached(workspace: Workspace, requests: Sequence[Wanted]) -> tuple[list[Attachment], list[str]]:
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


def without_around(attachments: Sequence[Attachment]) -> list[Attachment]:
    """What is around the cursor goes along where nothing else of its document does; of a file that is attached whole,
    and in which nothing is named, those lines stay when it shrinks."""
    around = {one.uri: one.named for one in attachments if one.kind == "around"}
    others = {one.uri for one in attachments if one.kind not in ("around", "diagnostics")}
    return [
        dataclasses.replace(one, named=one.named or around.get(one.uri)) if one.kind == "file" else one
        for one in attachments
        if one.kind != "around" or (one.uri not in others and one.text.strip())
    ]


def _around(found: Document, row: int, column: int) -> Attachment:
    """The function at a place, where that is short, else the lines around it."""
    row = min(row, max(found.total, 1) - 1)
    block = syntax.enclosing(found.text, found.language.id, row, column)
    if block is not None and block.last_line - block.first_line < MOST_AROUND:
        return found.part("around", block.first_line + 1, block.last_line + 1)
    return found.part("around", max(0, row - LINES_AROUND) + 1, row + LINES_AROUND + 1)


def _diagnostics(workspace: Workspace, request: Wanted) -> Attachment:
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
