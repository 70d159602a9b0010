"""The open documents, as `context.buffer.Buffer` instead of the library's own.

The library's document splits at form feeds and U+2028, which the protocol does not, and joins and splits the whole text
for each change; both show in long or old files.
"""

from __future__ import annotations

from pathlib import Path

from lsprotocol import types
from pygls.uris import to_fs_path, uri_scheme
from pygls.workspace import Workspace

from lsp_server.context.buffer import Buffer


class Buffers(Workspace):
    """The workspace of a session whose documents are buffers."""

    @classmethod
    def replacing(cls, workspace: Workspace) -> Buffers:
        """A workspace like the one the library made, before any document is open."""
        return cls(
            workspace.root_uri,
            types.TextDocumentSyncKind.Incremental,
            list(workspace.folders.values()),
            workspace.position_encoding,
        )

    def _create_text_document(
        self,
        doc_uri: str,
        source: str | None = None,
        version: int | None = None,
        language_id: str | None = None,
    ) -> Buffer:
        encoding = self.position_encoding or types.PositionEncodingKind.Utf16
        return Buffer(
            doc_uri,
            source or "",
            version=version,
            language_id=language_id or "",
            encoding=str(getattr(encoding, "value", encoding)),  # type: ignore[arg-type]
        )

    def buffer(self, uri: str) -> Buffer | None:
        """The open document, or None where it is not open."""
        document = self.get_text_document(uri)
        return document if document.version is not None else None

    def roots(self) -> tuple[Path, ...]:
        """The folders of the workspace on disk."""
        uris = list(self.folders) or [self.root_uri or ""]
        return tuple(path for path in map(file_path, uris) if path is not None)


def file_path(uri: str) -> Path | None:
    """The file behind a `file:` URI; None for an unsaved buffer and the like."""
    if uri_scheme(uri) != "file":
        return None
    path = to_fs_path(uri)
    return Path(path) if path else None
