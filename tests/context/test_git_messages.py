"""The working tree whose commit message is edited: git itself says where it has that file written."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from lsp_server.context.git_messages import repository_of

IDENTITY = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always"]


def git(folder: Path, *arguments: str) -> str:
    run = subprocess.run(["git", *IDENTITY, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return run.stdout.strip()


def repository(folder: Path, name: str) -> Path:
    made = folder / name
    git(folder, "init", "-q", name)
    git(made, "commit", "-q", "--allow-empty", "-m", "first")
    return made


def message_file(tree: Path) -> Path:
    """Where git has the message of a working tree written, and its editor opens it."""
    asked = git(tree, "rev-parse", "--path-format=absolute", "--git-path", "COMMIT_EDITMSG")
    file = Path(asked)
    file.write_text("\n# Please enter the commit message\n", encoding="utf-8")
    return file


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return repository(tmp_path, "project")


def test_of_an_ordinary_repository(project: Path) -> None:
    assert repository_of(message_file(project)) == project


def test_of_a_linked_working_tree(project: Path, tmp_path: Path) -> None:
    git(project, "worktree", "add", "-q", "../other")
    file = message_file(tmp_path / "other")
    assert file.is_relative_to(project / ".git" / "worktrees")
    assert repository_of(file, [project]) == tmp_path / "other", "and not the folder that is open"


def test_of_a_submodule(project: Path, tmp_path: Path) -> None:
    library = repository(tmp_path, "library")
    git(project, "submodule", "add", "-q", str(library), "vendor/lib rary")
    file = message_file(project / "vendor" / "lib rary")
    assert file.is_relative_to(project / ".git" / "modules")
    assert repository_of(file, [project]) == project / "vendor" / "lib rary"


def test_of_a_linked_working_tree_of_a_submodule(project: Path, tmp_path: Path) -> None:
    library = repository(tmp_path, "library")
    git(project, "submodule", "add", "-q", str(library), "lib")
    git(project / "lib", "worktree", "add", "-q", str(tmp_path / "elsewhere"))
    assert repository_of(message_file(tmp_path / "elsewhere"), [project]) == tmp_path / "elsewhere"


def test_of_a_git_folder_elsewhere_only_where_its_folder_is_open(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--separate-git-dir", str(tmp_path / "kept.git"), "tree")
    file = message_file(tmp_path / "tree")
    other = repository(tmp_path, "other")
    assert repository_of(file, [other]) is None, "nothing says where the working tree is"
    (tmp_path / "tree" / "src").mkdir()
    assert repository_of(file, [other, tmp_path / "tree" / "src"]) == tmp_path / "tree"


def test_a_pointer_that_lies_is_not_believed(project: Path, tmp_path: Path) -> None:
    git(project, "worktree", "add", "-q", "../other")
    victim = repository(tmp_path, "victim")
    file = message_file(tmp_path / "other")
    (file.parent / "gitdir").write_text(f"{victim / '.git'}\n", encoding="utf-8")
    assert repository_of(file, [victim]) is None


def test_through_a_link(project: Path, tmp_path: Path) -> None:
    os.symlink(project, tmp_path / "link", target_is_directory=True)
    message_file(project)
    assert repository_of(tmp_path / "link" / ".git" / "COMMIT_EDITMSG") == project


def test_of_a_file_in_no_git_folder(project: Path) -> None:
    assert repository_of(project / "message.txt") == project


@pytest.mark.skipif(os.name == "nt", reason="there are no such files")
@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["gitdir", "config", "config.worktree"])
def test_a_pipe_in_the_git_folder_holds_nobody_up(project: Path, name: str) -> None:
    file = message_file(project)
    where = project / ".git" / name
    where.unlink(missing_ok=True)
    os.mkfifo(where)
    file = file.rename(project / ".git" / "MESSAGE")
    moved = project.with_name("elsewhere")  # so that the folder around it is not the answer
    (project / ".git").rename(moved)
    assert repository_of(moved / file.name) is None


def test_a_configuration_may_say_anything_without_holding_up_the_server(project: Path) -> None:
    """All other threads wait while a regular expression looks."""
    file = message_file(project)
    (project / ".git" / "config").write_text("[core]" + "\n" * 190_000 + "worktree = ../tree" + " " * 5_000)
    began = time.process_time()
    repository_of(file)
    assert time.process_time() - began < 2.0
