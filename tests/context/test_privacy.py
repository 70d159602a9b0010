"""What is hidden from the model, against git's own opinion where git has one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lsp_server.context.privacy import why_hidden


@pytest.mark.parametrize(
    "name",
    [".env", ".env.local", "prod.env", "server.pem", "id_rsa", "id_ed25519_work", ".npmrc", ".pypirc", ".netrc",
     ".ssh/config", ".aws/credentials", "secrets.yaml", "terraform.tfstate", "terraform.tfvars", "deep/down/.env"],
)  # fmt: skip
def test_secrets_are_hidden_everywhere(name: str, tmp_path: Path) -> None:
    assert "secrets" in why_hidden(tmp_path / name, ())


@pytest.mark.parametrize("name", ["main.py", ".env.example", "id_rsa.pub", "environment.py", "secrets.py", "keys.ts"])
def test_ordinary_files_are_not(name: str, tmp_path: Path) -> None:
    assert why_hidden(tmp_path / name, (tmp_path,)) == ""


def test_unsaved_buffers_are_not() -> None:
    assert why_hidden(None, ()) == ""


def test_ignored_files_as_git_sees_them(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text("build/\n*.log\n/only_here.txt\n!important.log\n# comment\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".gitignore").write_text("!keep.log\nlocal.py\n")
    names = ["a.py", "build/x.py", "sub/build/y.py", "a.log", "important.log", "sub/a.log", "sub/keep.log",
             "sub/local.py", "local.py", "only_here.txt", "sub/only_here.txt"]  # fmt: skip
    for name in names:
        git = subprocess.run(["git", "-C", tmp_path, "check-ignore", "-q", name]).returncode == 0
        assert bool(why_hidden(tmp_path / name, (tmp_path,))) == git, name


def test_a_changed_ignore_file_is_heeded_and_ours_too(tmp_path: Path) -> None:
    file = tmp_path / "notes.md"
    assert why_hidden(file, (tmp_path,)) == ""
    (tmp_path / ".codellamaignore").write_text("*.md\n")
    assert ".codellamaignore" in why_hidden(file, (tmp_path,))
    (tmp_path / ".codellamaignore").unlink()
    assert why_hidden(file, (tmp_path,)) == ""
