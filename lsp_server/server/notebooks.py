"""Notebooks: each cell is a document, in the order of the cells."""

from __future__ import annotations

from collections.abc import Sequence

from lsprotocol import types

from lsp_server.server.session import Session

# Every notebook, and all of its cells: those that are no code say what the code is for.
OPTIONS = types.NotebookDocumentSyncOptions([types.NotebookDocumentFilterWithNotebook("*")])


def opened(session: Session, params: types.DidOpenNotebookDocumentParams) -> None:
    _opened(session, params.cell_text_documents)


def changed(session: Session, params: types.DidChangeNotebookDocumentParams) -> None:
    cells = params.change.cells
    if cells is None:
        return
    if cells.structure is not None:
        _opened(session, cells.structure.did_open or [])
        for document in cells.structure.did_close or []:
            session.closed(document.uri)
    for text in cells.text_content or []:
        session.changed(text.document.uri)


def closed(session: Session, params: types.DidCloseNotebookDocumentParams) -> None:
    for document in params.cell_text_documents:
        session.closed(document.uri)


def _opened(session: Session, documents: Sequence[types.TextDocumentItem]) -> None:
    for document in documents:
        if session.settings.enabled and document.language_id not in session.settings.disabled_languages:
            session.want_model()
        session.opened(document.uri)
