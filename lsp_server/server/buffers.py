"""The open documents, as `context.buffer.Buffer` instead of the library's own.

The library's document splits at form feeds and U+2028, which the protocol does not, and joins and splits the whole text
for each change; both show in long or old files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.workspace import Workspace

from lsp_server.context import workspace as files
from lsp_server.context.buffer import Buffer
from lsp_server.context.uris import file_of


class Buffers(Workspace):
    """The workspace of a session whose documents are buffers. `files`: what the rest of the program sees of it."""

    def __init__(self, *arguments: Any) -> None:
        self._had_folders = False
        self.files = files.Workspace(documents=lambda: self.text_documents.values(), notebooks=self._cells)
        super().__init__(*arguments)
        self.files.use(self._roots())

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
    ) -> Any:
        """A buffer in the place of the library's document."""
        encoding = self.position_encoding or types.PositionEncodingKind.Utf16
        return Buffer(
            doc_uri,
            source or "",
            version=version,
            language_id=language_id or "",
            encoding=str(getattr(encoding, "value", encoding)),  # type: ignore[arg-type]
        )

    def put_text_document(self, text_document: types.TextDocumentItem, notebook_uri: str | None = None) -> None:
        super().put_text_document(text_document, notebook_uri)
        opened: Any = self.get_text_document(text_document.uri)
        self.files.journal.opened(opened)

    def remove_text_document(self, doc_uri: str) -> None:
        super().remove_text_document(doc_uri)
        self.files.journal.closed(doc_uri)

    def add_folder(self, folder: types.WorkspaceFolder) -> None:
        super().add_folder(folder)
        self._had_folders = True
        self.files.use(self._roots())

    def remove_folder(self, folder_uri: str) -> None:
        super().remove_folder(folder_uri)
        self.files.use(self._roots())

    def _cells(self) -> list[list[str]]:
        return [[cell.document for cell in notebook.cells] for notebook in self.notebook_documents.values()]

    def _roots(self) -> list[Path]:
        """The folders of the workspace on disk. The library's own keys are decoded, so they are no URIs any more.

        The root that older editors name stands for folders where there were none, and not for those that were removed.
        """
        uris = [folder.uri for folder in self.folders.values()]
        if not self._had_folders and self.root_uri:
            uris = [self.root_uri]
        return [path for path in map(file_of, uris) if path is not None]
