"""Documents that are opened, changed, saved and closed, and what is copied in them.

codellama/copied  {text, uri?, languageId?}: a text was copied inside the editor, from that document
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from lsprotocol import types

from lsp_server.server import feedback
from lsp_server.server.session import Session

log = logging.getLogger(__name__)


def opened(session: Session, params: types.DidOpenTextDocumentParams) -> None:
    document = params.text_document
    if session.settings.enabled and document.language_id not in session.settings.disabled_languages:
        session.want_model()
    session.opened(document.uri)


def changed(session: Session, params: types.DidChangeTextDocumentParams) -> None:
    uri = params.text_document.uri
    session.changed(uri)
    session.outcomes.changed(uri, feedback.changes(params.content_changes))


def closed(session: Session, params: types.DidCloseTextDocumentParams) -> None:
    uri = params.text_document.uri
    session.closed(uri)
    log.debug("The editor closed %s.", uri)


def saved(session: Session, params: types.DidSaveTextDocumentParams) -> None:
    if (path := session.workspace.file(params.text_document.uri)) is not None:
        session.keeping.saved(path)


def copied(session: Session, params: Any) -> None:
    given = params if isinstance(params, Mapping) else {}
    text, uri = given.get("text"), given.get("uri")
    if isinstance(text, str) and (uri is None or isinstance(uri, str)):
        session.related.copied(text, uri or "")
