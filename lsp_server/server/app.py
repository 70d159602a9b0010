"""The language server: one for each editor window, light, and alive whatever happens to the engine."""

from __future__ import annotations

import argparse
import asyncio
import functools
import logging
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol, lsp_method

from lsp_server import __version__
from lsp_server.completion.suggester import Suggester
from lsp_server.context.buffer import Buffer
from lsp_server.model.access import ModelAccess
from lsp_server.server import announced, code_action, completion, configuration, inline_completion, status, stdio
from lsp_server.server.buffers import Buffers
from lsp_server.settings import Settings

if TYPE_CHECKING:
    from lsp_server.server.choices import CodeActions

log = logging.getLogger(__name__)

# How long a thread that parses or reads may keep a key waiting; Python's own 5 ms are the whole of what a key may take.
SWITCH_SECONDS = 0.001


class Protocol(LanguageServerProtocol):
    """The library's protocol, which also announces the methods that are this program's own."""

    @lsp_method(types.INITIALIZE)
    def lsp_initialize(self, params: types.InitializeParams) -> Generator[Any, Any, types.InitializeResult]:
        result = yield from super().lsp_initialize(params)
        result.capabilities.experimental = announced.experimental()
        return result


class CodeLlamaServer(LanguageServer):
    """The state of one session: settings, the model within reach, and the request that runs for each document."""

    def __init__(self) -> None:
        super().__init__("codellama-ls", __version__, protocol_cls=Protocol)
        self.settings = Settings()
        self.status = status.Status(self)
        self.model = ModelAccess(self.settings, self.status.model)
        self.suggester = Suggester()
        self.running: dict[str, asyncio.Task[Any]] = {}
        self.configured = False  # whether the editor's settings have arrived
        self.wanted = False  # whether there is a document for which the model is needed

    @functools.cached_property
    def actions(self) -> CodeActions:
        # Loaded after the answer to `initialize`, which the editor waits for.
        from lsp_server.server.choices import CodeActions

        return CodeActions(self)

    @property
    def buffers(self) -> Buffers:
        workspace = self.workspace
        assert isinstance(workspace, Buffers)
        return workspace

    def open_buffer(self, uri: str) -> Buffer | None:
        return self.buffers.buffer(uri)

    def use(self, settings: Settings) -> None:
        """Work with new settings from now on; another model or engine is reached when it is next needed."""
        reach = ("model", "engine_url", "engine_token", "tokenizer", "infilling", "chat_format", "context_length")
        changed = any(getattr(settings, name) != getattr(self.settings, name) for name in reach)
        self.settings = settings
        self.suggester.forget()
        logging.getLogger("lsp_server").setLevel(settings.log_level.upper())
        if changed:
            self.model.close()
            self.model = ModelAccess(settings, self.status.model)
            if self.wanted:
                self.want_model()
        else:
            self.model.settings = settings

    def want_model(self) -> None:
        """Reach the model, as soon as the settings say which: an engine for the wrong one would be a waste."""
        self.wanted = True
        if self.configured:
            self.model.start()

    def supersede(self, uri: str, task: asyncio.Task[Any] | None = None) -> None:
        """End the request that runs for a document, because its text changed or because `task` takes its place. The
        model goes on for a moment: what was typed may be what it writes."""
        self.suggester.doubt(uri)
        older = self.running.pop(uri, None)
        if older is not None:
            older.cancel()
        if task is not None:
            self.running[uri] = task

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Log what went wrong with a message, without its content: buffers are never logged."""
        log.error("A message of the editor could not be handled: %s", type(error).__name__)


def create() -> CodeLlamaServer:
    """A server with all its features, not yet speaking."""
    server = CodeLlamaServer()

    @server.feature(types.INITIALIZE)
    def initialize(params: types.InitializeParams) -> None:
        # The library has made its own workspace by now, and opens no document before this returns.
        server.protocol._workspace = Buffers.replacing(server.workspace)
        configuration.at_start(server, params.initialization_options)
        if server.settings.completion_menu:  # to be announced, it must be there before the answer to `initialize`
            completion.register(server)

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def did_open(params: types.DidOpenTextDocumentParams) -> None:
        if server.settings.enabled and params.text_document.language_id not in server.settings.disabled_languages:
            server.want_model()
        server.actions.opened(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def did_change(params: types.DidChangeTextDocumentParams) -> None:
        server.supersede(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(params: types.DidCloseTextDocumentParams) -> None:
        server.suggester.end(params.text_document.uri)
        server.supersede(params.text_document.uri)
        server.actions.closed(params.text_document.uri)
        log.debug("The editor closed %s.", params.text_document.uri)

    @server.feature(types.SHUTDOWN)
    def shutdown(params: None) -> None:
        server.suggester.forget()
        server.model.close()

    configuration.register(server)
    inline_completion.register(server)
    code_action.register(server)
    status.register(server)
    return server


def main(options: argparse.Namespace | None = None) -> int:
    """Speak the language server protocol on standard input and output until the editor ends it."""
    if sys.stdin.isatty():
        print("codellama-ls speaks the language server protocol here; editors start it. See --help.", file=sys.stderr)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # The library logs whole messages, and with them the user's text, when one cannot be handled.
    logging.getLogger("pygls").setLevel(logging.CRITICAL + 1)
    sys.setswitchinterval(SWITCH_SECONDS)
    return stdio.speak(create())
