"""A project whose `.git` leads to another project's: by whatever way, nothing of that one is shown. And honest ones,
whose git folder is elsewhere as git itself has it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lsp_server.actions.commit import NoCommit, staged
from lsp_server.context.git import NoGit, find

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links take rights there")

SECRET, MERGER = "TOPSECRET42", "Merge with ACME"


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always")
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=120).stdout.strip()


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """With a commit, and an edit of `plan.py` staged."""
    made = tmp_path / "private"
    made.mkdir()
    git(made, "init", "-q", "-b", "main")
    (made / "plan.py").write_text("x = 1\n")
    git(made, "add", ".")
    git(made, "commit", "-q", "-m", MERGER)
    (made / "plan.py").write_text(f"KEY = '{SECRET}'\n")
    git(made, "add", ".")
    return made


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """With a file staged."""
    made = tmp_path / "project"
    made.mkdir()
    git(made, "init", "-q", "-b", "main")
    (made / "a.py").write_text("a = 1\n")
    git(made, "add", ".")
    return made


async def shown(folder: Path) -> str:
    """All that a commit message is made of; why there is none, where there is none."""
    try:
        change = await staged(folder)
    except NoCommit as error:
        return str(error)
    return "\n".join([*(text for _, text in change.diffs), *change.history])


def linked(name: str, to: str = "") -> Callable[[Path, Path], None]:
    """A link in the project's git folder, to what the private one has by the same or another name."""

    def make(project: Path, private: Path) -> None:
        entry, target = project / ".git" / name, private / ".git" / (to or name)
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink(missing_ok=True)
        entry.parent.mkdir(parents=True, exist_ok=True)
        entry.symlink_to(os.path.relpath(target, entry.parent))
        borrow(project, private)

    return make


def borrow(project: Path, private: Path) -> None:
    """Git finds the private objects."""
    if not (project / ".git" / "objects").is_symlink():
        (project / ".git" / "objects" / "info" / "alternates").write_text(f"{private / '.git' / 'objects'}\n")


def gitdir(project: Path, private: Path) -> None:
    shutil.rmtree(project / ".git")
    (project / ".git").write_text("gitdir: ../private/.git\n")


def gitdir_by_a_link(project: Path, private: Path) -> None:
    shutil.rmtree(project / ".git")
    (project / "inner").symlink_to("../private")
    (project / ".git").write_text("gitdir: inner/.git\n")


def link(project: Path, private: Path) -> None:
    shutil.rmtree(project / ".git")
    (project / ".git").symlink_to("../private/.git")


def link_to_a_pointer(project: Path, private: Path) -> None:
    gitdir(project, private)
    (project / ".git").rename(project / "pointer")
    (project / ".git").symlink_to("pointer")


def commondir(project: Path, private: Path) -> None:
    (project / ".git" / "commondir").write_text("../../private/.git\n")
    shutil.copy(private / ".git" / "index", project / ".git" / "index")


def commondir_from_worktrees(project: Path, private: Path) -> None:
    own = project / "inner" / "worktrees" / "x"
    shutil.copytree(project / ".git", own)
    shutil.rmtree(project / ".git")
    (project / ".git").write_text("gitdir: inner/worktrees/x\n")
    (own / "commondir").write_text("../../../../private/.git\n")
    (own / "gitdir").write_text(f"{project / '.git'}\n")


def a_working_tree_of_the_private_one(project: Path, private: Path) -> None:
    git(private, "worktree", "add", "-q", "../other", "-b", "other")
    (private.parent / "other" / "plan.py").write_text(f"KEY = '{SECRET}'\n")
    git(private.parent / "other", "add", ".")
    shutil.rmtree(project / ".git")
    (project / ".git").write_text("gitdir: ../private/.git/worktrees/other\n")


def shared_index(project: Path, private: Path) -> None:
    git(private, "update-index", "--split-index")
    part = next((private / ".git").glob("sharedindex.*"))
    shutil.copy(private / ".git" / "index", project / ".git" / "index")
    (project / ".git" / part.name).symlink_to(part)
    borrow(project, private)


def reference_as_a_name_that_climbs(project: Path, private: Path) -> None:
    (project / ".git" / "HEAD").unlink()
    (project / ".git" / "HEAD").symlink_to("refs/../../../private/.git/refs/heads/main")
    borrow(project, private)


def reference_that_climbs(project: Path, private: Path) -> None:
    (project / ".git" / "HEAD").write_text("ref: refs/../../../private/.git/refs/heads/main\n")
    borrow(project, private)


WAYS = {
    "gitdir": gitdir,
    "gitdir by a link": gitdir_by_a_link,
    ".git is a link": link,
    ".git is a link to a gitdir": link_to_a_pointer,
    "commondir": commondir,
    "commondir from worktrees": commondir_from_worktrees,
    "a working tree of the private one": a_working_tree_of_the_private_one,
    "index": linked("index"),
    "shared index": shared_index,
    "refs": linked("refs"),
    "refs/heads": linked("refs/heads"),
    "refs/heads/main": linked("refs/heads/main"),
    "packed-refs": linked("packed-refs"),
    "HEAD to a branch": linked("HEAD", "refs/heads/main"),
    "HEAD that climbs": reference_as_a_name_that_climbs,
    "a reference that climbs": reference_that_climbs,
    "objects": linked("objects"),
}


@pytest.mark.parametrize("way", WAYS)
async def test_nothing_of_another_project_is_shown(way: str, project: Path, private: Path) -> None:
    git(private, "pack-refs", "--all", "--no-prune")
    WAYS[way](project, private)
    told = await shown(project)
    assert SECRET not in told
    assert MERGER not in told
    told = await shown(private)
    assert SECRET in told
    assert MERGER in told


async def test_why_is_said_and_how_to_mend_it(project: Path, private: Path) -> None:
    gitdir(project, private)
    told = await shown(project)
    assert told.startswith(f"{project}/.git leads to {private}/.git, which does not name {project} as its working tree")
    assert f"git config core.worktree {project}" in told
    shutil.rmtree(private / ".git" / "hooks")
    (private / ".git" / "index").rename(private / "index")
    (private / ".git" / "index").symlink_to("../index")
    assert f"{private}/.git/index is a link" in await shown(private)


async def test_a_git_folder_elsewhere_that_names_its_working_tree(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--separate-git-dir", "kept.git", "tree")
    tree = tmp_path / "tree"
    (tree / "a.py").write_text("a = 1\n")
    git(tree, "add", ".")
    with pytest.raises(NoGit, match="does not name"):
        find(tree)
    git(tree, "config", "core.worktree", str(tree))
    assert "+a = 1" in await shown(tree)


async def test_a_git_folder_within_the_project(project: Path) -> None:
    (project / ".git").rename(project / "kept")
    (project / ".git").write_text("gitdir: kept\n")
    assert "+a = 1" in await shown(project)


@pytest.mark.parametrize("relative", [False, True])
async def test_linked_working_trees_and_those_of_a_bare_repository(
    relative: bool, project: Path, tmp_path: Path
) -> None:
    git(project, "commit", "-q", "-m", "Add a")
    git(tmp_path, "clone", "-q", "--bare", str(project), "bare.git")
    for repository in (project, tmp_path / "bare.git"):
        tree = tmp_path / f"tree of {repository.name}"
        git(repository, "worktree", "add", "-q", str(tree), "-b", "other")
        if relative:  # as `worktree.useRelativePaths` has it
            folder = Path((tree / ".git").read_text().removeprefix("gitdir: ").strip())
            (folder / "gitdir").write_text(os.path.relpath(tree / ".git", folder) + "\n")
            (tree / ".git").write_text(f"gitdir: {os.path.relpath(folder, tree)}\n")
        (tree / "b.py").write_text("b = 1\n")
        git(tree, "add", ".")
        told = await shown(tree)
        assert "+b = 1" in told
        assert "Add a" in told


async def test_a_submodule_and_a_working_tree_of_it(project: Path, private: Path, tmp_path: Path) -> None:
    git(project, "submodule", "--quiet", "add", str(private), "libs/part")
    git(project / "libs" / "part", "worktree", "add", "-q", str(tmp_path / "tree"), "-b", "other")
    for tree in (project / "libs" / "part", tmp_path / "tree"):
        (tree / "b.py").write_text("b = 1\n")
        git(tree, "add", ".")
        assert "+b = 1" in await shown(tree)


async def test_a_submodule_with_a_sparse_checkout(project: Path, private: Path) -> None:
    """Where git moves `core.worktree` into `config.worktree`."""
    git(project, "submodule", "--quiet", "add", str(private), "part")
    git(project / "part", "sparse-checkout", "set", "kept")
    assert "worktree = " in (project / ".git" / "modules" / "part" / "config.worktree").read_text()
    (project / "part" / "kept").mkdir()
    (project / "part" / "kept" / "b.py").write_text("b = 1\n")
    git(project / "part", "add", ".")
    assert "+b = 1" in await shown(project / "part")


@pytest.mark.parametrize("option", ["--shared", "--reference"])
async def test_a_clone_that_borrows_objects(option: str, private: Path, tmp_path: Path) -> None:
    options = ["--shared"] if option == "--shared" else ["--reference", str(private)]
    git(tmp_path, "clone", "-q", *options, f"file://{private}" if option == "--reference" else str(private), "clone")
    assert (tmp_path / "clone" / ".git" / "objects" / "info" / "alternates").exists()
    (tmp_path / "clone" / "plan.py").write_text("x = 2\n")
    git(tmp_path / "clone", "add", ".")
    told = await shown(tmp_path / "clone")
    assert "-x = 1\n+x = 2" in told
    assert MERGER in told


async def test_references_that_old_versions_of_git_made_links(project: Path) -> None:
    git(project, "commit", "-q", "-m", "Add a")
    (project / ".git" / "refs" / "remotes" / "origin").mkdir(parents=True)
    (project / ".git" / "refs" / "remotes" / "origin" / "HEAD").symlink_to("refs/remotes/origin/main")
    (project / ".git" / "HEAD").unlink()
    (project / ".git" / "HEAD").symlink_to("refs/heads/main")
    (project / "a.py").write_text("a = 2\n")
    git(project, "add", ".")
    told = await shown(project)
    assert "-a = 1\n+a = 2" in told
    assert "Add a" in told


async def test_a_linked_working_tree_that_was_made_by_another_name(project: Path, tmp_path: Path) -> None:
    git(project, "commit", "-q", "-m", "Add a")
    (tmp_path / "real").mkdir()
    (tmp_path / "by link").symlink_to("real")
    git(project, "worktree", "add", "-q", str(tmp_path / "by link" / "tree"), "-b", "other")
    folder = project / ".git" / "worktrees" / "tree"
    (folder / "gitdir").write_text(f"{tmp_path / 'by link' / 'tree' / '.git'}\n")
    (tmp_path / "real" / "tree" / "b.py").write_text("b = 1\n")
    git(tmp_path / "real" / "tree", "add", ".")
    assert "+b = 1" in await shown(tmp_path / "real" / "tree")


@pytest.mark.parametrize("named", ["", "gone/.git", "\0", "../private/.git"])
async def test_a_linked_working_tree_whose_folder_names_another(named: str, project: Path, tmp_path: Path) -> None:
    git(project, "commit", "-q", "-m", "Add a")
    git(project, "worktree", "add", "-q", str(tmp_path / "tree"), "-b", "other")
    (project / ".git" / "worktrees" / "tree" / "gitdir").write_text(f"{named}\n")
    told = await shown(tmp_path / "tree")
    assert f"does not name {tmp_path / 'tree'} as its working tree" in told
    assert f"`git worktree repair {tmp_path / 'tree'}`" in told
    git(project, "worktree", "repair", str(tmp_path / "tree"))
    assert "Nothing is staged" in await shown(tmp_path / "tree")
