"""An editor for tests: a real language server over stdio, and what an editor would do with it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import InvalidStateError
from pathlib import Path
from typing import Any

import pytest_lsp
from forking import program
from lsprotocol import types
from pygls.protocol import default_converter
from pytest_lsp.client import LanguageClient, register_lsp_features

# One for all clients: what it has learnt of a message's kind, it need not learn again.
_converter = functools.cache(default_converter)


def _client() -> Any:
    """pytest-lsp's client, for which the answer to a request that was cancelled meanwhile is no fault of the server."""
    client = LanguageClient(converter_factory=_converter)
    register_lsp_features(client)
    report = client.report_server_error

    def report_server_error(error: Exception, source: Any) -> None:
        if not isinstance(error, InvalidStateError):  # of the future, which is over
            report(error, source)

    client.report_server_error = report_server_error  # type: ignore[method-assign]
    return client


# As users start it; most tests take a copy of one that has been started.
ALONE = [sys.executable, "-m", "lsp_server"]


class Editor:
    """One window: open documents, keystrokes, suggestions. `statuses` holds every `codellama/status`."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.statuses: list[dict[str, Any]] = []
        self.versions: dict[str, int] = {}
        self.texts: dict[str, str] = {}
        client.feature("codellama/status")(lambda params: self.statuses.append(_plain(params)))

    @property
    def messages(self) -> list[str]:
        """What was shown to the user."""
        return [message.message for message in self.client.messages]

    @property
    def pid(self) -> int:
        return int(self.client._server.pid)

    def open(self, path: Path | str, text: str | None = None, language: str = "python") -> str:
        """Open a file, or a buffer of that URI with `text`; returns its URI."""
        uri = path.as_uri() if isinstance(path, Path) else path
        self.texts[uri] = path.read_bytes().decode() if text is None else text  # type: ignore[union-attr]
        self.versions[uri] = 1
        item = types.TextDocumentItem(uri, language, 1, self.texts[uri])
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))
        return uri

    def insert(self, uri: str, line: int, character: int, text: str) -> None:
        """Insert text at a position, in the units of the session."""
        at = types.Position(line, character)
        self.change(uri, types.TextDocumentContentChangePartial(types.Range(at, at), text))

    def change(self, uri: str, *changes: Any) -> None:
        self.versions[uri] += 1
        document = types.VersionedTextDocumentIdentifier(self.versions[uri], uri)
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(document, list(changes)))

    async def suggest(self, uri: str, line: int, character: int, *, typed: bool = False) -> list[Any]:
        """The items of the answer to a request for a suggestion, which is always a list."""
        trigger = types.InlineCompletionTriggerKind.Automatic if typed else types.InlineCompletionTriggerKind.Invoked
        answer = await self.client.text_document_inline_completion_async(
            types.InlineCompletionParams(
                types.InlineCompletionContext(trigger),
                types.TextDocumentIdentifier(uri),
                types.Position(line, character),
            )
        )
        assert isinstance(answer, types.InlineCompletionList)
        assert all(item.range is not None for item in answer.items)
        return list(answer.items)

    async def until(self, condition: Callable[[], Any], seconds: float = 60.0) -> Any:
        """Wait until `condition` holds; its value."""
        end = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < end, (
                f"waited {seconds} s in vain; last status {self.statuses[-1:]}, {self.messages}"
            )
            await asyncio.sleep(0.02)
        return value

    async def ready(self, seconds: float = 120.0) -> dict[str, Any]:
        """Wait until the model is ready; the status that says so. Fails with the reason if it cannot be."""
        about_model = ("starting", "loading", "ready", "failed")

        def ended() -> dict[str, Any] | None:
            last = next((status for status in reversed(self.statuses) if status["kind"] in about_model), None)
            return last if last and last["kind"] in ("ready", "failed") else None

        status = await self.until(ended, seconds)
        assert status["kind"] == "ready", status
        return status

    @property
    def reason(self) -> str:
        """Why the last request had no suggestion."""
        last = next((s["suggestion"] for s in reversed(self.statuses) if s.get("suggestion")), None)
        return last["reason"] if last else ""


@contextlib.asynccontextmanager
async def editor(
    options: Mapping[str, Any] | None = None,
    *,
    env: Mapping[str, str] | None = None,
    encoding: str = "utf-16",
    configuration: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    notebooks: bool = False,
    command: list[str] | None = None,
) -> AsyncIterator[Editor]:
    """An editor window whose server was given `options` as initializationOptions."""
    config = pytest_lsp.ClientServerConfig(
        server_command=command or program("-m", "lsp_server"),
        server_env={**os.environ, **(env or {})},
        client_factory=_client,
    )
    client = await config.start()
    window = Editor(client)
    if configuration is not None:
        client.set_configuration({"codellama": dict(configuration)})
    capabilities = types.ClientCapabilities(
        general=types.GeneralClientCapabilities(position_encodings=[types.PositionEncodingKind(encoding)]),
        window=types.WindowClientCapabilities(work_done_progress=True),
        workspace=types.WorkspaceClientCapabilities(configuration=configuration is not None),
        text_document=types.TextDocumentClientCapabilities(
            inline_completion=types.InlineCompletionClientCapabilities()
        ),
        notebook_document=(
            types.NotebookDocumentClientCapabilities(types.NotebookDocumentSyncClientCapabilities())
            if notebooks
            else None
        ),
    )
    root = [types.WorkspaceFolder(folder.as_uri(), folder.name)] if folder else None
    window.result = await client.initialize_session(  # type: ignore[attr-defined]
        types.InitializeParams(
            capabilities=capabilities,
            workspace_folders=root,
            initialization_options=dict(options) if options is not None else None,
        )
    )
    try:
        yield window
        await asyncio.wait_for(client.shutdown_session(), 60)
    finally:
        if client._server and client._server.returncode is None:  # the test failed: it would wait for ever
            client._server.kill()
        await client.stop()


def _plain(value: Any) -> Any:
    """The JSON of a custom notification, which arrives as an object with attributes."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if hasattr(value, "_asdict"):
        return {key: _plain(item) for key, item in value._asdict().items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return vars(value) if hasattr(value, "__dict__") else value
