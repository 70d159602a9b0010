"""An editor that asks for code actions, resolves them, and does to its texts what the edits say."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest_lsp
from editor import Editor
from forking import program
from lsprotocol import types
from pygls.protocol import default_converter
from pytest_lsp.client import LanguageClient, register_lsp_features

from lsp_server.context.buffer import Buffer

SERVER = """
from lsp_server.server import app
app.main()
"""


ADD = "def add(a, b):\n    return a + b\n"
DOCUMENTED = 'def add(a, b):\n    """Add."""\n    return a + b\n'
ANSWER = f"Sure:\n\n```python\n{DOCUMENTED}```\nAnything else?"


class ActingEditor(Editor):
    """`created`: files that edits made; `annotations`: what edits asked to be confirmed; `applied_edits`: those that
    came by `workspace/applyEdit`; `chosen`: what is answered to a question. `answers`: until it is set no
    request is answered."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.created: list[str] = []
        self.annotations: list[types.ChangeAnnotation] = []
        self.applied_edits: list[types.WorkspaceEdit] = []
        self.chosen: str | None = None
        self.questions: list[types.ShowMessageRequestParams] = []
        self.answers = asyncio.Event()
        self.answers.set()
        features = client.protocol.fm.features
        features[types.WORKSPACE_APPLY_EDIT] = self._in_time(self._apply_edit)
        features[types.WINDOW_SHOW_MESSAGE_REQUEST] = self._in_time(self._ask)
        create = features[types.WINDOW_WORK_DONE_PROGRESS_CREATE]
        features[types.WINDOW_WORK_DONE_PROGRESS_CREATE] = self._in_time(create)

    def _in_time(self, handle: Callable[[Any], Any]) -> Callable[[Any], Any]:
        async def handled(params: Any) -> Any:
            await self.answers.wait()
            return handle(params)

        return handled

    async def menu(
        self,
        uri: str,
        start: tuple[int, int],
        end: tuple[int, int] | None = None,
        *,
        diagnostics: Sequence[types.Diagnostic] = (),
        only: Sequence[str] | None = None,
        automatic: bool = False,
    ) -> list[Any]:
        kind = types.CodeActionTriggerKind.Automatic if automatic else types.CodeActionTriggerKind.Invoked
        kinds = [types.CodeActionKind(each) for each in only] if only else None
        context = types.CodeActionContext(list(diagnostics), kinds, kind)
        found = types.Range(types.Position(*start), types.Position(*(end or start)))
        params = types.CodeActionParams(types.TextDocumentIdentifier(uri), found, context)
        return list(await self.client.text_document_code_action_async(params) or [])

    async def choose(self, items: Sequence[Any], title: str) -> Any:
        """Do what a client does with the item whose title begins so; what was resolved, or the command's result."""
        item = next(item for item in items if item.title.startswith(title))
        if isinstance(item, types.Command):
            return await self.command(item)
        if item.command is not None:
            return await self.command(item.command)
        resolved = await self.client.code_action_resolve_async(item)
        if resolved.edit is not None:
            self.apply(resolved.edit)
        return resolved

    async def command(self, command: types.Command) -> Any:
        params = types.ExecuteCommandParams(command.command, command.arguments)
        return await self.client.workspace_execute_command_async(params)

    def apply(self, edit: types.WorkspaceEdit) -> None:
        """Apply an edit to the open texts and the files, checking versions as an editor does."""
        self.annotations += (edit.change_annotations or {}).values()
        for change in edit.document_changes or []:
            if isinstance(change, types.CreateFile):
                path = Path(unquote(urlparse(change.uri).path))
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
                self.created.append(change.uri)
            else:
                assert isinstance(change, types.TextDocumentEdit)
                version = change.text_document.version
                assert version is None or version == self.versions[change.text_document.uri]
                self._apply_texts(change.text_document.uri, change.edits)
        for uri, texts in (edit.changes or {}).items():
            self._apply_texts(uri, texts)

    def _apply_texts(self, uri: str, edits: Sequence[Any]) -> None:
        path = Path(unquote(urlparse(uri).path))
        if uri not in self.texts:
            self.texts[uri] = path.read_bytes().decode() if path.exists() else ""
        buffer = Buffer(uri, self.texts[uri])
        for edit in sorted(edits, key=lambda each: (each.range.start.line, each.range.start.character), reverse=True):
            buffer.apply_change(types.TextDocumentContentChangePartial(edit.range, edit.new_text))
        self.texts[uri] = buffer.source
        if uri in self.versions:
            self.change(uri, types.TextDocumentContentChangeWholeDocument(buffer.source))

    def type(self, uri: str, line: int, text: str, *, remove: int = 0) -> None:
        """Put text before a line, and remove some lines from there."""
        found = types.Range(types.Position(line, 0), types.Position(line + remove, 0))
        change = types.TextDocumentContentChangePartial(found, text)
        buffer = Buffer(uri, self.texts[uri])
        buffer.apply_change(change)
        self.texts[uri] = buffer.source
        self.change(uri, change)

    def _apply_edit(self, params: types.ApplyWorkspaceEditParams) -> types.ApplyWorkspaceEditResult:
        self.applied_edits.append(params.edit)
        self.apply(params.edit)
        return types.ApplyWorkspaceEditResult(applied=True)

    def _ask(self, params: types.ShowMessageRequestParams) -> types.MessageActionItem | None:
        self.questions.append(params)
        return next((each for each in params.actions or [] if each.title == self.chosen), None)

    @property
    def shown(self) -> list[str]:
        """The texts of the documents that were opened for the user."""
        return [Path(unquote(urlparse(each.uri).path)).read_text() for each in self.client.shown_documents]


@functools.cache
def _converter() -> Any:
    """The library's, which takes a code action that has a command for that command, mended; one for all clients, as
    what it has learnt of a message's kind it need not learn again."""
    made = default_converter()

    def read(value: Any, _: Any) -> Any:
        kind = types.Command if isinstance(value.get("command"), str) else types.CodeAction
        return made.structure(value, kind)

    made.register_structure_hook(types.Command | types.CodeAction, read)
    return made


def _client() -> Any:
    client = LanguageClient(converter_factory=_converter)
    register_lsp_features(client)
    return client


def capabilities(
    *,
    resolves: bool = True,
    literals: bool = True,
    document_changes: bool = True,
    annotations: bool = False,
    disabled: bool = True,
    shows: bool = True,
    creates: bool = True,
    progress: bool = True,
    encoding: str = "utf-16",
) -> types.ClientCapabilities:
    """What an editor announces; by default what VS Code does, but for annotations."""
    literal = types.ClientCodeActionLiteralOptions(types.ClientCodeActionKindOptions([]))
    return types.ClientCapabilities(
        general=types.GeneralClientCapabilities(position_encodings=[types.PositionEncodingKind(encoding)]),
        window=types.WindowClientCapabilities(
            work_done_progress=progress, show_document=types.ShowDocumentClientCapabilities(support=shows)
        ),
        workspace=types.WorkspaceClientCapabilities(
            apply_edit=True,
            workspace_edit=types.WorkspaceEditClientCapabilities(
                document_changes=document_changes,
                resource_operations=[types.ResourceOperationKind.Create] if creates else None,
                change_annotation_support=types.ChangeAnnotationsSupportOptions() if annotations else None,
            ),
        ),
        text_document=types.TextDocumentClientCapabilities(
            code_action=types.CodeActionClientCapabilities(
                code_action_literal_support=literal if literals else None,
                data_support=True,
                disabled_support=disabled,
                honors_change_annotations=annotations,
                resolve_support=types.ClientCodeActionResolveOptions(["edit"]) if resolves else None,
            )
        ),
    )


@contextlib.asynccontextmanager
async def acting_editor(
    options: dict[str, Any],
    folder: Path,
    client_capabilities: types.ClientCapabilities | None = None,
    *,
    prepared: str = "",
    command: list[str] | None = None,
) -> AsyncIterator[ActingEditor]:
    """`prepared`: what is run in the server's process before it begins. `command`: of another server than ours here."""
    config = pytest_lsp.ClientServerConfig(
        server_command=command or program("-c", prepared + SERVER),
        server_env=dict(os.environ),
        client_factory=_client,
    )
    client = await config.start()
    window = ActingEditor(client)
    window.result = await client.initialize_session(  # type: ignore[attr-defined]
        types.InitializeParams(
            capabilities=client_capabilities or capabilities(),
            workspace_folders=[types.WorkspaceFolder(folder.as_uri(), folder.name)],
            initialization_options=options,
        )
    )
    try:
        yield window
        await asyncio.wait_for(client.shutdown_session(), 60)
    finally:
        if client._server and client._server.returncode is None:  # the test failed: it would wait for ever
            client._server.kill()
        await client.stop()


def opened(editor: ActingEditor, folder: Path, text: str = ADD, name: str = "a.py", language: str = "python") -> str:
    path = folder / name
    path.write_bytes(text.encode())
    return editor.open(path, language=language)


def diagnostic(row: int, message: str = "This is wrong.") -> types.Diagnostic:
    found = types.Range(types.Position(row, 0), types.Position(row, 1))
    return types.Diagnostic(found, message, types.DiagnosticSeverity.Error, source="lint")
