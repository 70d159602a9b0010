"""The language server: one for each editor window, light, and alive whatever happens to the engine.

This is the wiring: which function answers which message. They are given the session and never the library's server.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import logging
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer

from lsp_server import __version__, logs, printing
from lsp_server.server import (
    announced,
    code_action,
    completion,
    configuration,
    documents,
    feedback,
    inline_completion,
    log_files,
    next_edit,
    notebooks,
    preload,
    prompt,
    protocol,
    restart,
    shapes,
    stdio,
)
from lsp_server.server.buffers import Buffers
from lsp_server.server.pygls_editor import PyglsEditor
from lsp_server.server.session import Session

# How long a thread that parses or reads may keep a key waiting; Python's own 5 ms are the whole of what a key may take.
SWITCH_SECONDS = 0.001

FEATURES: tuple[tuple[str, Callable[..., Any], Any], ...] = (
    (types.TEXT_DOCUMENT_DID_OPEN, documents.opened, None),
    (types.TEXT_DOCUMENT_DID_CHANGE, documents.changed, None),
    (types.TEXT_DOCUMENT_DID_SAVE, documents.saved, types.SaveOptions(include_text=False)),
    (types.TEXT_DOCUMENT_DID_CLOSE, documents.closed, None),
    (types.NOTEBOOK_DOCUMENT_DID_OPEN, notebooks.opened, None),
    (types.NOTEBOOK_DOCUMENT_DID_CHANGE, notebooks.changed, None),
    (types.NOTEBOOK_DOCUMENT_DID_CLOSE, notebooks.closed, None),
    (announced.COPIED, documents.copied, None),
    (announced.NEXT_EDIT, next_edit.next_edit, None),
    (announced.NEXT_EDIT_OUTCOME, next_edit.outcome, None),
    (announced.INLINE_EDIT, next_edit.inline_edit, None),
    (announced.SHOWN, feedback.shown, None),
    (types.WORKSPACE_DID_CHANGE_CONFIGURATION, configuration.changed, None),
    # Without options the library does not announce the feature.
    (types.TEXT_DOCUMENT_INLINE_COMPLETION, inline_completion.inline_completion, types.InlineCompletionOptions()),
    (types.TEXT_DOCUMENT_CODE_ACTION, code_action.code_action, code_action.OPTIONS),
    (types.CODE_ACTION_RESOLVE, code_action.resolve, None),
    (announced.ACTING, code_action.perform, None),
)
COMMANDS: tuple[tuple[str, Callable[..., Coroutine[Any, Any, Any]]], ...] = (
    (announced.ACTION, code_action.act),
    (announced.ACCEPTED, feedback.accepted),
    ("codellama.explain", code_action.explain),
    ("codellama.commitMessage", code_action.commit_message),
    ("codellama.prompt", prompt.prompt),
    ("codellama.logs", log_files.log_files),
    ("codellama.restart", restart.restart),
    (announced.NEXT_EDIT_ACCEPTED, next_edit.accepted),
)


def create() -> LanguageServer:
    """A server with all its features, not yet speaking."""
    server = LanguageServer(
        "codellama-ls",
        __version__,
        notebook_document_sync=notebooks.OPTIONS,
        protocol_cls=protocol.Protocol,
        converter_factory=shapes.converter,
    )
    session = Session(PyglsEditor(server))

    def feature(method: str, handle: Callable[..., Any], options: Any = None) -> None:
        server.feature(method, options)(functools.partial(handle, session))

    def initialize(session: Session, params: types.InitializeParams) -> None:
        # The library has made its own workspace by now, and opens no document before this returns.
        buffers = server.protocol._workspace = Buffers.replacing(server.workspace)
        session.workspace = buffers.files
        session.editor_name = params.client_info.name if params.client_info is not None else ""
        configuration.at_start(session, params.initialization_options)
        if session.settings.completion_menu:  # to be announced, it must be there before the answer to `initialize`
            feature(types.TEXT_DOCUMENT_COMPLETION, completion.completion, completion.OPTIONS)
        asyncio.get_running_loop().call_soon(session.preload.begin)  # the answer is sent by then

    async def initialized(session: Session, params: types.InitializedParams) -> None:
        await configuration.ask(session)

    def shutdown(session: Session, params: None) -> None:
        session.close()

    feature(types.INITIALIZE, initialize)
    feature(types.INITIALIZED, initialized)
    feature(types.SHUTDOWN, shutdown)
    for method, handle, options in FEATURES:
        feature(method, handle, options)
    for name in announced.CHAT_METHODS:
        server.feature(announced.CHAT + name)(functools.partial(_chat, session, name))
    for name, run in COMMANDS:
        server.command(name)(_command(server, session, run))
    return server


async def _chat(session: Session, name: str, params: Any) -> Any:
    chat = await session.preload.module(preload.CHAT)
    try:
        return await chat.answered(session, name, params)
    except chat.NotAnswered as error:
        raise JsonRpcException(str(error), error.code, error.data) from None


def _command(
    server: LanguageServer, session: Session, run: Callable[..., Coroutine[Any, Any, Any]]
) -> Callable[..., Coroutine[Any, Any, Any]]:
    """A command that ends when the client cancels its request: the library itself only forgets the answer."""

    async def handle(*arguments: Any) -> Any:
        task = asyncio.ensure_future(run(session, *arguments[:1]))
        number = server.protocol.msg_id
        request = server.protocol._request_futures.get(number) if number is not None else None
        if request is not None:
            request.add_done_callback(lambda future: task.cancel() if future.cancelled() else None)
        return await task

    return handle


def main(options: argparse.Namespace | None = None) -> int:
    """Speak the language server protocol on standard input and output until the editor ends it."""
    if sys.stdin.isatty():
        printing.note("codellama-ls speaks the language server protocol here; editors start it. See --help.")
    printing.log_to_stderr(logging.INFO)
    logs.to_server_file()
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # The library logs whole messages, and with them the user's text, when one cannot be handled.
    logging.getLogger("pygls").setLevel(logging.CRITICAL + 1)
    sys.setswitchinterval(SWITCH_SECONDS)
    spoken = create().protocol
    assert isinstance(spoken, protocol.Protocol)
    return stdio.speak(spoken)
