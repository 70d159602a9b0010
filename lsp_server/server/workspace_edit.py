"""Changes as the protocol's workspace edits, in the form that the client at hand can take. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lsprotocol import types

from lsp_server.actions.target import Change
from lsp_server.context.buffer import units_of
from lsp_server.context.edits import Edit, apply

_ANNOTATION = "codellama"


def workspace_edit(capabilities: types.ClientCapabilities, change: Change) -> types.WorkspaceEdit:
    """A change of one document. With a `problem` only for a client that `asks`."""
    if change.is_new:
        return _new_file(capabilities, change.uri, apply(change.lines, change.edits))
    texts = text_edits(change)
    document = types.OptionalVersionedTextDocumentIdentifier(change.uri, change.version)
    if change.problem:
        annotated = [types.AnnotatedTextEdit(_ANNOTATION, each.range, each.new_text) for each in texts]
        label = types.ChangeAnnotation("Code Llama", needs_confirmation=True, description=change.problem)
        return types.WorkspaceEdit(
            document_changes=[types.TextDocumentEdit(document, annotated)], change_annotations={_ANNOTATION: label}
        )
    if not _document_changes(capabilities):
        return types.WorkspaceEdit(changes={change.uri: texts})
    return types.WorkspaceEdit(document_changes=[types.TextDocumentEdit(document, texts)])


def text_edits(change: Change) -> list[types.TextEdit]:
    """The edits of a document that there is."""

    def units(row: int, column: int) -> int:
        return units_of(change.lines[row], column, change.encoding)

    return [types.TextEdit(_range(edit, change.lines, units), edit.text) for edit in change.edits]


def _new_file(capabilities: types.ClientCapabilities, uri: str, text: str) -> types.WorkspaceEdit:
    """A file that is made with this text. A client that cannot make files is sent an edit of an empty one."""
    start = types.Position(0, 0)
    edit = types.TextEdit(types.Range(start, start), text)
    able = _workspace_edit(capabilities)
    operations = able.resource_operations or () if able else ()
    if types.ResourceOperationKind.Create not in operations:
        return types.WorkspaceEdit(changes={uri: [edit]})
    document = types.OptionalVersionedTextDocumentIdentifier(uri, None)
    # Ignored if it exists: what somebody else wrote there meanwhile stays.
    create = types.CreateFile(uri, options=types.CreateFileOptions(ignore_if_exists=True))
    return types.WorkspaceEdit(document_changes=[create, types.TextDocumentEdit(document, [edit])])


def asks(capabilities: types.ClientCapabilities, *, lazily: bool) -> bool:
    """Whether the client can ask the user before it applies an edit. `lazily`: one that is part of a code action, for
    which clients announce this apart."""
    if not lazily:
        able = _workspace_edit(capabilities)
        return bool(able and able.change_annotation_support)
    document = capabilities.text_document
    action = document.code_action if document else None
    return bool(action and action.honors_change_annotations)


def _document_changes(capabilities: types.ClientCapabilities) -> bool:
    able = _workspace_edit(capabilities)
    return bool(able and able.document_changes)


def _workspace_edit(capabilities: types.ClientCapabilities) -> types.WorkspaceEditClientCapabilities | None:
    return capabilities.workspace.workspace_edit if capabilities.workspace else None


def _range(edit: Edit, lines: Sequence[str], units: Callable[[int, int], int]) -> types.Range:
    return types.Range(_start(edit.first_line, lines, units), _start(edit.last_line, lines, units))


def _start(row: int, lines: Sequence[str], units: Callable[[int, int], int]) -> types.Position:
    """The start of a row; of one behind the last, the end of that."""
    if row < len(lines):
        return types.Position(row, 0)
    last = len(lines) - 1
    return types.Position(last, units(last, len(lines[last])))
