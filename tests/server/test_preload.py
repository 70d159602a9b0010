"""What is loaded when: nothing that a menu or a key would wait for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# A session without any library around it, whose editor only remembers what it is told.
SESSION = """
import asyncio, json, sys
from types import SimpleNamespace
from lsprotocol import types
from lsprotocol.converters import get_converter
from lsp_server.server.session import Session
from lsp_server.server import code_action, documents, preload
from lsp_server.context.buffer import Buffer
from lsp_server.context.workspace import Workspace

language, text = sys.argv[1:]
converter = get_converter()
editor = SimpleNamespace(capabilities=types.ClientCapabilities(), tell_status=print, show_message=print,
    plain=converter.unstructure, structured=converter.structure)

async def menu(session, kind):
    context = types.CodeActionContext([], trigger_kind=kind)
    at = types.Range(types.Position(0, 4), types.Position(0, 4))
    params = types.CodeActionParams(types.TextDocumentIdentifier("untitled:a"), at, context)
    return await code_action.code_action(session, params)

async def main():
    session = Session(editor)
    buffer = Buffer("untitled:a", text, version=1, language_id=language)
    session.workspace = Workspace(documents=lambda: [buffer])
    at_start = set(sys.modules)
    session.preload.begin()
    session.opened(buffer.uri)
    first = await menu(session, types.CodeActionTriggerKind.Invoked)
    at_first = set(sys.modules)
    for name in preload.MODULES:
        await session.preload.module(name)
    loaded = set(sys.modules)
    later = await menu(session, types.CodeActionTriggerKind.Invoked)
    await session.actions()
    session.chats
    print(json.dumps({"titles": [[item.title for item in items] for items in (first, later)],
        "start": sorted(at_start), "loaded": sorted(loaded), "late": sorted(set(sys.modules) - loaded)}))

asyncio.run(main())
"""


def session(language: str, text: str) -> dict[str, Any]:
    run = subprocess.run([sys.executable, "-c", SESSION, language, text], capture_output=True, text=True, check=True)
    told: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize(
    ("language", "text", "name"),
    [
        ("python", "def add(a, b):\n    return a + b\n", "add"),
        ("go", "func Add(a int) int {\n\treturn a\n}\n", "Add"),
        ("elm", "add a b =\n  a + b\n", ""),
    ],
)
def test_no_menu_and_no_action_loads_anything(language: str, text: str, name: str) -> None:
    told = session(language, text)
    assert told["titles"][0] == told["titles"][1]
    assert not name or f"Explain `{name}` (Code Llama)" in told["titles"][0]
    assert told["late"] == []


def test_the_answer_to_initialize_needs_none_of_it() -> None:
    told = session("python", "x = 1\n")
    for name in ("tree_sitter", "tokenizers", "httpx", "sqlite3", "difflib", "lsp_server.actions", "lsp_server.chat"):
        assert name not in told["start"]
    for name in ("tree_sitter", "tokenizers", "sqlite3", "lsp_server.actions.acting", "lsp_server.chat.chats"):
        assert name in told["loaded"]


def test_the_menu_comes_before_the_rest() -> None:
    """What the menu needs loads nothing of what reaches the model, writes edits or keeps conversations."""
    needed = "import sys, json, lsp_server.server.menu; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", needed], capture_output=True, check=True).stdout)
    for name in ("tokenizers", "httpx", "sqlite3", "lsp_server.codellama", "lsp_server.actions.acting"):
        assert name not in loaded


def test_no_handler_imports_the_librarys_server() -> None:
    """The wiring alone does: `app` and what implements the editor over it."""
    folder = Path(__file__).parents[2] / "lsp_server"
    using = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        if "pygls.lsp" in (text := path.read_text(encoding="utf-8")) or "pygls.server" in text
    }
    assert using == {"server/app.py", "server/pygls_editor.py"}
