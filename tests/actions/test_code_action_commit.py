"""Commit messages over the wire."""

from __future__ import annotations

import subprocess
from pathlib import Path

from acting_editor import ADD, ActingEditor, opened
from lsprotocol import types
from stand_in import StandIn

# Commit messages


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


async def test_commit_message(editor: ActingEditor, engine: StandIn, tmp_path: Path) -> None:
    command = types.Command("", "codellama.commitMessage", arguments=[tmp_path.as_uri()])
    assert await editor.command(command) is None
    assert "is not in a git repository" in (await editor.until(lambda: editor.messages))[-1]
    git(tmp_path, "init", "-q")
    assert await editor.command(command) is None
    assert "Nothing is staged" in (await editor.until(lambda: editor.messages[1:]))[-1]
    assert engine.asked == []
    (tmp_path / "a.py").write_text(ADD)
    git(tmp_path, "add", ".")
    engine.answers = ["```\nadd a function.\n```"]
    assert await editor.command(command) == "Add a function"
    assert "+def add(a, b):" in engine.prompt


async def test_commit_message_into_its_buffer(editor: ActingEditor, engine: StandIn, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text(ADD)
    git(tmp_path, "add", ".")
    engine.answers = ["Add a function"]
    uri = opened(editor, tmp_path, "\n# Please enter a message\n", ".git/COMMIT_EDITMSG", "gitcommit")
    items = await editor.menu(uri, (0, 0))
    assert [(item.title, item.kind) for item in items] == [("Write the commit message", "source")]
    await editor.choose(items, "Write the commit message")
    assert editor.texts[uri] == "Add a function\n# Please enter a message\n"
