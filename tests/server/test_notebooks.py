"""Notebooks over the wire: the cells before are what the program did so far."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from actions.stand_in import StandIn
from editor import Editor, editor
from lsprotocol import types

pytestmark = pytest.mark.usefixtures("engines")

CELLS = (
    "import pandas as pd\n",
    "# Sales\nAll of *last* year.",
    "frame = pd.read_csv('sales.csv')",
    "total = ",
    "later = 1\n",
)


class Notebook:
    """A notebook in an editor, one cell of Markdown among those of Python."""

    def __init__(self, window: Editor, path: Path) -> None:
        self.client: Any = window.client
        self.window = window
        self.uri = path.as_uri()
        self.version = 1
        self.uris = [f"vscode-notebook-cell:{path}#W{number}" for number in range(len(CELLS))]
        documents = [self.document(number, text) for number, text in enumerate(CELLS)]
        notebook = types.NotebookDocument(self.uri, "jupyter-notebook", 1, [self.cell(each) for each in documents])
        self.client.notebook_document_did_open(types.DidOpenNotebookDocumentParams(notebook, documents))

    def document(self, number: int, text: str) -> types.TextDocumentItem:
        return types.TextDocumentItem(self.uris[number], "markdown" if text.startswith("# ") else "python", 1, text)

    def cell(self, document: types.TextDocumentItem) -> types.NotebookCell:
        kind = types.NotebookCellKind.Markup if document.language_id == "markdown" else types.NotebookCellKind.Code
        return types.NotebookCell(kind, document.uri)

    def change(self, **cells: Any) -> None:
        self.version += 1
        self.client.notebook_document_did_change(
            types.DidChangeNotebookDocumentParams(
                types.VersionedNotebookDocumentIdentifier(self.version, self.uri),
                types.NotebookDocumentChangeEvent(cells=types.NotebookDocumentCellChanges(**cells)),
            )
        )

    def insert(self, number: int, line: int, column: int, text: str) -> None:
        at = types.Position(line, column)
        content = types.NotebookDocumentCellContentChanges(
            types.VersionedTextDocumentIdentifier(self.version + 1, self.uris[number]),
            [types.TextDocumentContentChangePartial(types.Range(at, at), text)],
        )
        self.change(text_content=[content])


@pytest.fixture
def engine(engine: StandIn, tokenizer_folder: Callable[..., Path]) -> StandIn:
    """One whose prompts can be read."""
    engine.tokenizer = tokenizer_folder("7b")
    return engine


async def prompt(notebook: Notebook, engine: StandIn, number: int, column: int, wanted: str) -> str:
    """The prompt at the end of a cell, once that has gone with it for which there may be no time at first."""
    for _ in range(6):
        notebook.insert(number, 0, column, "z")
        column += 1
        before = len(engine.asked)
        await asyncio.wait_for(notebook.window.suggest(notebook.uris[number], 0, column), 60)
        assert len(engine.asked) > before, notebook.window.reason
        if wanted in engine.prompt:
            break
        await asyncio.sleep(1.1)
    return engine.prompt


async def test_the_cells_before_in_their_order(options: dict[str, object], engine: StandIn, tmp_path: Path) -> None:
    async with editor(options, folder=tmp_path, notebooks=True) as window:
        notebook = Notebook(window, tmp_path / "sales.ipynb")
        await window.ready()
        before = (
            "import pandas as pd\n\n# # Sales\n# All of *last* year.\n\nframe = pd.read_csv('sales.csv')\n\ntotal = z"
        )
        seen = await prompt(notebook, engine, 3, 8, before)
        assert before in seen
        assert "later" not in seen
        assert "Path:" not in seen


async def test_cells_that_are_changed_moved_and_closed(
    options: dict[str, object], engine: StandIn, tmp_path: Path
) -> None:
    async with editor(options, folder=tmp_path, notebooks=True) as window:
        notebook = Notebook(window, tmp_path / "sales.ipynb")
        await window.ready()
        notebook.insert(0, 0, 0, "import numpy\n")
        removed = [types.TextDocumentIdentifier(notebook.uris[1])]
        array = types.NotebookCellArrayChange(1, 1, [])
        notebook.change(structure=types.NotebookDocumentCellChangeStructure(array, did_close=removed))
        before = "import numpy\nimport pandas as pd\n\nframe = pd.read_csv('sales.csv')\n\ntotal = z"
        assert before in await prompt(notebook, engine, 3, 8, before)
        closed = [types.TextDocumentIdentifier(uri) for uri in notebook.uris]
        notebook.client.notebook_document_did_close(
            types.DidCloseNotebookDocumentParams(types.NotebookDocumentIdentifier(notebook.uri), closed)
        )
        assert await window.suggest(notebook.uris[3], 0, 8) == []


async def test_a_notebook_that_is_ignored(options: dict[str, object], engine: StandIn, tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.ipynb\n")
    async with editor(options, folder=tmp_path, notebooks=True) as window:
        notebook = Notebook(window, tmp_path / "sales.ipynb")
        await window.ready()
        assert await window.suggest(notebook.uris[3], 0, 8) == []
        assert "never shown to the model" in window.reason
        assert engine.asked == []


@pytest.mark.parametrize("change", [{"cells": {"textContent": [{"document": {}, "changes": 5}]}}, 7])
async def test_after_a_change_that_cannot_be_understood_it_counts_as_closed(
    change: Any, options: dict[str, object], tmp_path: Path
) -> None:
    async with editor(options, folder=tmp_path, notebooks=True) as window:
        notebook = Notebook(window, tmp_path / "sales.ipynb")
        await window.ready()
        assert await window.suggest(notebook.uris[3], 0, 8)
        wrong = {"notebookDocument": {"uri": notebook.uri, "version": 2}, "change": change}
        message = {"jsonrpc": "2.0", "method": types.NOTEBOOK_DOCUMENT_DID_CHANGE, "params": wrong}
        notebook.client.protocol._send_data(message)
        assert await window.suggest(notebook.uris[3], 0, 8) == []
        assert "not open" in window.reason


async def test_changes_of_what_is_not_open_change_nothing(options: dict[str, object], tmp_path: Path) -> None:
    async with editor(options, folder=tmp_path, notebooks=True) as window:
        notebook = Notebook(window, tmp_path / "sales.ipynb")
        await window.ready()
        uris, notebook.uris = notebook.uris, ["vscode-notebook-cell:/no#1"] * len(CELLS)
        notebook.insert(3, 0, 0, "x")
        notebook.uris = uris
        assert await window.suggest(uris[3], 0, 8)
        notebook.uri += "x"
        notebook.insert(3, 0, 0, "x")
        assert await window.suggest(uris[3], 0, 8)
