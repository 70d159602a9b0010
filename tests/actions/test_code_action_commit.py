"""Commit messages over the wire."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from acting_editor import ADD, ActingEditor, opened
from lsprotocol import types
from stand_in import StandIn

# Commit messages


IDENTITY = ("-c", "user.name=A", "-c", "user.email=a@example.org")


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
    assert [(item.title, item.kind) for item in items] == [("Write the commit message (Code Llama)", "source")]
    await editor.choose(items, "Write the commit message")
    assert editor.texts[uri] == "Add a function\n# Please enter a message\n"


async def test_commit_message_in_a_linked_working_tree(
    editor: ActingEditor, engine: StandIn, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its file lies in the repository that is open, but what is staged there is not what is committed."""
    git(tmp_path, "init", "-q")
    git(tmp_path, *IDENTITY, "commit", "-q", "--allow-empty", "-m", "First")
    other = tmp_path_factory.mktemp("trees") / "other"
    git(tmp_path, "worktree", "add", "-q", str(other))
    (tmp_path / "mine.py").write_text("mine = 1\n")
    (other / "there.py").write_text("there = 1\n")
    for tree in (tmp_path, other):
        git(tree, "add", ".")
    engine.answers = ["Add a variable"]
    uri = opened(editor, tmp_path, "\n# Please enter a message\n", ".git/worktrees/other/COMMIT_EDITMSG", "gitcommit")
    await editor.choose(await editor.menu(uri, (0, 0)), "Write the commit message")
    assert editor.texts[uri] == "Add a variable\n# Please enter a message\n"
    assert "there = 1" in engine.prompt
    assert "mine" not in engine.prompt


async def test_no_program_of_the_repository_is_run(
    editor: ActingEditor, engine: StandIn, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    trap, owned = outside / "trap", outside / "OWNED"
    trap.write_text(f"#!/bin/sh\ntouch '{owned}'\n")
    trap.chmod(0o755)
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitattributes").write_text("* diff=any\n")
    (tmp_path / "a.py").write_text(ADD)
    git(tmp_path, "add", ".")
    for name in ("core.fsmonitor", "diff.any.textconv", "diff.any.command", "diff.external", "gpg.program"):
        git(tmp_path, "config", name, str(trap))
    git(tmp_path, "config", "diff.mnemonicPrefix", "true")
    git(tmp_path, "config", "log.showSignature", "true")
    engine.answers = ["Add a function"]
    command = types.Command("", "codellama.commitMessage", arguments=[tmp_path.as_uri()])
    assert await editor.command(command) == "Add a function"
    assert not owned.exists()
    assert "+def add(a, b):" in engine.prompt
    git(tmp_path, "diff", "--cached")
    assert owned.exists()


async def test_what_another_project_has_staged_is_not_sent(
    editor: ActingEditor, engine: StandIn, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    private = tmp_path_factory.mktemp("private")
    git(private, "init", "-q")
    (private / "plan.py").write_text("KEY = 'TOPSECRET42'\n")
    git(private, "add", ".")
    (tmp_path / ".git").write_text(f"gitdir: {private / '.git'}\n")
    engine.answers = ["Add a plan"]
    command = types.Command("", "codellama.commitMessage", arguments=[tmp_path.as_uri()])
    assert await editor.command(command) is None
    said = (await editor.until(lambda: editor.messages))[-1]
    assert f"does not name {tmp_path} as its working tree" in said
    (tmp_path / ".git").unlink()
    git(tmp_path, "init", "-q")
    (tmp_path / ".git" / "index").symlink_to(private / ".git" / "index")
    (tmp_path / ".git" / "objects" / "info" / "alternates").write_text(f"{private / '.git' / 'objects'}\n")
    assert await editor.command(command) is None
    said = (await editor.until(lambda: editor.messages[1:]))[-1]
    assert "index is a link, and none is followed in a git folder" in said
    assert engine.asked == []
