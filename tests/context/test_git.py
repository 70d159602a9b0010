"""Git is asked about repositories whose configuration, files and surroundings are full of traps, which must not spring.

A trap is a program that writes a file. That it is a good one is shown by git itself, asked as people ask it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lsp_server.context import git as asked
from lsp_server.context.git import NoGit, find, snapshot

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the traps are shell scripts")


def git(folder: Path, *arguments: str, check: bool = True, told: str = "") -> str:
    command = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false", *arguments]
    return subprocess.run(
        command, cwd=folder, check=check, capture_output=True, text=True, input=told, timeout=120
    ).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """With a commit, and an edit of `a.py` staged."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "a.py").write_text("x = 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "Add a")
    (folder / "a.py").write_text("x = 2\n")
    git(folder, "add", ".")
    return folder


@pytest.fixture
def owned(tmp_path: Path) -> Path:
    """The file that a trap writes."""
    return tmp_path / "OWNED"


@pytest.fixture
def trap(tmp_path: Path, owned: Path) -> Path:
    return script(tmp_path / "trap", f"touch '{owned}'")


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


async def all_of(folder: Path) -> str:
    """What the commit message is made of, by all commands that it takes."""
    async with snapshot(folder) as taken:
        names = await taken.git("diff-index", "--cached", "--raw", "-C", taken.base)
        patch = await taken.git("diff-index", "--cached", "-p", "-C", taken.base)
        log = await taken.git("log", "-n", "3", "--format=%B", taken.head) if taken.head else b""
    return (names + patch + log).decode()


EDIT = "-x = 1\n+x = 2\n"

# How a repository names a program, and a command by which git runs it; "" where that takes a server or a terminal.
CONFIGURED: dict[str, tuple[list[str], str]] = {
    "core.fsmonitor": (["core.fsmonitor=TRAP"], "diff --cached"),
    "diff.external": (["diff.external=TRAP"], "diff --cached"),
    "diff.command": (["diff.any.command=TRAP"], "diff --cached"),
    "diff.textconv": (["diff.any.textconv=TRAP"], "diff --cached"),
    "filter.clean": (["filter.any.clean=TRAP"], "hash-object a.py"),
    "filter.process": (["filter.any.process=TRAP", "filter.any.required=true"], "hash-object a.py"),
    "core.hooksPath": (["core.hooksPath=HOOKS"], "update-index --refresh --force-write-index"),
    "core.pager": (["core.pager=TRAP", "pager.diff=TRAP", "pager.log=TRAP"], ""),
    "gpg.program": (["gpg.program=TRAP", "log.showSignature=true"], ""),
    "alias": (["alias.diff-index=!TRAP", "alias.x=!TRAP"], "x"),
    "credential.helper": (["credential.helper=!TRAP"], "credential fill"),
    "core.askPass": (["core.askPass=TRAP"], "-c credential.helper= credential fill"),
    "core.editor": (["core.editor=TRAP", "sequence.editor=TRAP"], "commit"),
    "core.sshCommand": (["core.sshCommand=TRAP", "remote.origin.url=ssh://h/x"], "fetch origin"),
    "core.gitProxy": (["core.gitProxy=TRAP", "remote.origin.url=git://h/x"], "fetch origin"),
    "remote.uploadpack": (["remote.origin.url=.", "remote.origin.uploadpack=TRAP"], "fetch origin"),
    "ext transport": (["remote.origin.url=ext::TRAP", "protocol.ext.allow=always"], "fetch origin"),
    "core.alternateRefsCommand": (["core.alternateRefsCommand=TRAP"], ""),
    "include.path": (["include.path=../included"], "diff --cached"),
    "includeIf": (["includeIf.gitdir:**.path=../included"], "diff --cached"),
    "config.worktree": (["extensions.worktreeConfig=true"], "diff --cached"),
}


def set_traps(folder: Path, trap: Path, settings: list[str]) -> None:
    (folder / ".gitattributes").write_text("* diff=any filter=any\n")
    (folder / ".git" / "info" / "attributes").write_text("* diff=any filter=any\n")
    (folder / "included").write_text(f"[core]\n    fsmonitor = {trap}\n")
    (folder / ".git" / "config.worktree").write_text(f"[core]\n    fsmonitor = {trap}\n")
    for hook in ("post-index-change", "reference-transaction", "fsmonitor-watchman", "pre-commit"):
        for hooks in (folder / "hooks", folder / ".git" / "hooks"):
            script(hooks / hook, str(trap))
    for setting in settings:
        name, _, value = setting.partition("=")
        git(folder, "config", name, value.replace("TRAP", str(trap)).replace("HOOKS", str(folder / "hooks")))


@pytest.mark.parametrize("kind", CONFIGURED)
async def test_nothing_that_the_configuration_names_is_run(
    kind: str, repository: Path, trap: Path, owned: Path
) -> None:
    settings, command = CONFIGURED[kind]
    set_traps(repository, trap, settings)
    owned.unlink(missing_ok=True)
    assert EDIT in await all_of(repository)
    assert not owned.exists()
    if command:
        git(repository, *command.split(), check=False, told="protocol=https\nhost=h\n\n")
        assert owned.exists()


async def test_all_traps_at_once(repository: Path, trap: Path, owned: Path) -> None:
    set_traps(repository, trap, [each for settings, _ in CONFIGURED.values() for each in settings])
    owned.unlink(missing_ok=True)
    assert EDIT in await all_of(repository / ".")
    assert not owned.exists()


async def test_no_daemon_is_started(repository: Path) -> None:
    git(repository, "config", "core.fsmonitor", "true")
    assert EDIT in await all_of(repository)
    assert not list((repository / ".git").glob("fsmonitor--daemon*"))


async def test_missing_objects_are_not_fetched(repository: Path, trap: Path, owned: Path) -> None:
    blob = git(repository, "rev-parse", "HEAD:a.py").strip()
    (repository / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    for name, value in {
        "core.repositoryFormatVersion": "1", "extensions.partialClone": "origin", "remote.origin.promisor": "true",
        "remote.origin.url": f"ext::{trap}", "protocol.ext.allow": "always", "protocol.allow": "always",
    }.items():  # fmt: skip
        git(repository, "config", name, value)
    async with snapshot(repository) as taken:
        with pytest.raises(NoGit, match="git diff-index failed"):
            await taken.git("diff-index", "--cached", "-p", taken.base)
        assert b"a.py" in await taken.git("diff-index", "--cached", "--raw", taken.base)
    assert not owned.exists()
    git(repository, "diff", "--cached", check=False)
    assert owned.exists()


@pytest.mark.parametrize("where", ["", ".", "repository", "bin of the repository", "link into the repository"])
async def test_the_repositorys_own_git_is_not_run(
    where: str, repository: Path, trap: Path, owned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(repository / "git", str(trap))
    script(repository / "bin" / "git", str(trap))
    outside = trap.parent / "outside"
    outside.mkdir()
    (outside / "git").symlink_to(repository / "git")
    entry = {
        "repository": str(repository),
        "bin of the repository": str(repository / "bin"),
        "link into the repository": str(outside),
    }.get(where, where)
    monkeypatch.chdir(repository)
    monkeypatch.setenv("PATH", os.pathsep.join([entry, os.environ["PATH"]]))
    assert EDIT in await all_of(repository)
    assert not owned.exists()
    monkeypatch.setenv("PATH", entry)
    with pytest.raises(NoGit, match="git is not installed"):
        await all_of(repository)
    assert not owned.exists()


async def test_what_the_environment_says_to_git_is_left_out(
    repository: Path, trap: Path, owned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    variables = {
        "GIT_DIR": str(other / ".git"), "GIT_WORK_TREE": str(other), "GIT_INDEX_FILE": str(other / ".git" / "index"),
        "GIT_OBJECT_DIRECTORY": str(other / ".git" / "objects"), "GIT_COMMON_DIR": str(other / ".git"),
        "GIT_EXTERNAL_DIFF": str(trap), "GIT_PAGER": str(trap), "GIT_EDITOR": str(trap), "GIT_SSH": str(trap),
        "GIT_SSH_COMMAND": str(trap), "GIT_ASKPASS": str(trap), "GIT_EXEC_PATH": str(tmp_path),
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.fsmonitor", "GIT_CONFIG_VALUE_0": str(trap),
        "GIT_CONFIG_PARAMETERS": f"'core.fsmonitor'='{trap}'", "GIT_NAMESPACE": "x", "GIT_TRACE": str(owned),
        "GIT_TRACE2_EVENT": str(owned), "GIT_CEILING_DIRECTORIES": str(repository), "GIT_DIFF_OPTS": "-U0",
        "GIT_LITERAL_PATHSPECS": "x", "GIT_REFLOG_ACTION": "x", "GIT_DEFAULT_HASH": "sha256", "GIT_PREFIX": "x/",
    }  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert EDIT in await all_of(repository)
    assert not owned.exists()


async def test_no_settings_and_no_attributes_of_the_user(
    repository: Path, trap: Path, owned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / "git").mkdir(parents=True)
    (home / "git" / "attributes").write_text("* diff=any\n")
    for file in (home / ".gitconfig", home / "git" / "config"):
        file.write_text(f'[diff "any"]\n    textconv = {trap}\n[trace2]\n    eventTarget = {owned}\n')
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    assert EDIT in await all_of(repository)
    assert not owned.exists()
    git(repository, "diff", "--cached")
    assert owned.exists()


def fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("made", [fifo, endless])
@pytest.mark.parametrize("name", [".git/index", ".git/shallow"])
async def test_no_pipe_and_no_device_is_read(made: Callable[[Path], None], name: str, repository: Path) -> None:
    made(repository / name)
    with pytest.raises(NoGit, match=rf"{name} is (not what git puts there|a link)"):
        await all_of(repository)


PIPES = ["index", "shallow", "config", "packed-refs", "commondir", "config.worktree", "refs/heads/main", "refs/x/y",
         "objects/info/alternates", "objects/info/commit-graph", "objects/info/commit-graphs/commit-graph-chain",
         "objects/pack/multi-pack-index", "objects/pack/pack-1.idx"]  # fmt: skip


@pytest.mark.parametrize("name", PIPES)
async def test_a_pipe_that_git_would_wait_for_is_named_at_once(
    name: str, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = repository / ".git" / name
    pipe.parent.mkdir(parents=True, exist_ok=True)
    fifo(pipe)
    started: list[object] = []
    monkeypatch.setattr(asked, "_run", lambda *all, **named: started.append(all))
    with pytest.raises(NoGit, match=f"/{name} is not what git puts there"):
        await all_of(repository)
    assert not started


async def test_a_loose_object_that_is_a_pipe(repository: Path) -> None:
    blob = git(repository, "rev-parse", ":a.py").strip()
    fifo(repository / ".git" / "objects" / blob[:2] / blob[2:])
    with pytest.raises(NoGit, match=f"{blob[2:]} is not what git puts there"):
        await all_of(repository)


@pytest.mark.parametrize("name", [".git", ".git/HEAD"])
async def test_what_is_no_repository(name: str, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    if name == ".git":
        (tmp_path / name).rename(tmp_path / "there")
    fifo(tmp_path / name)
    with pytest.raises(NoGit, match="is not in a git repository"):
        await all_of(tmp_path)


async def test_head_may_be_a_link_also_before_the_first_commit(tmp_path: Path) -> None:
    """As old versions of git made it."""
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("x = 1\n")
    git(tmp_path, "add", ".")
    (tmp_path / ".git" / "HEAD").unlink()
    (tmp_path / ".git" / "HEAD").symlink_to("refs/heads/main")
    for message in ("", "Add a"):
        if message:
            git(tmp_path, "commit", "-q", "-m", message)
        async with snapshot(tmp_path) as taken:
            assert bool(taken.head) is bool(message)
            assert (b"+x = 1" in await taken.git("diff-index", "--cached", "-p", taken.base)) is not bool(message)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("target", ["pipe", "/dev/zero", "HEAD"])
async def test_head_that_is_a_link_to_anything_else_is_not_read(target: str, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / ".git" / "HEAD").unlink()
    (tmp_path / ".git" / "HEAD").symlink_to(target)
    os.mkfifo(tmp_path / ".git" / "pipe")
    with pytest.raises(NoGit, match="HEAD is a link"):
        await all_of(tmp_path)


async def test_git_that_hangs_is_ended(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "SECONDS", 0.6)
    fifo(repository / "included")
    git(repository, "config", "user.name", "A")
    with (repository / ".git" / "config").open("a") as config:
        config.write("[include]\n    path = ../included\n")
    with pytest.raises(NoGit, match="git rev-parse did not answer within"):
        await all_of(repository)


async def test_git_that_always_hangs_has_no_more_time_for_many_questions(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.which("git")
    script(tmp_path / "bin" / "git", f'test "$1" = rev-parse && exec {real} "$@"; exec sleep 60')
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]]))
    monkeypatch.setattr(asked, "SECONDS", 1.0)
    waited: list[float] = []
    async with snapshot(repository) as taken:
        for _ in range(4):
            with pytest.raises(NoGit, match="did not answer within") as error:
                await taken.git("log")
            waited.append(float(str(error.value).split()[-2]))
    assert sum(waited) <= 1.0


async def test_what_git_prints_is_bounded(repository: Path) -> None:
    (repository / "long.txt").write_text("line\n" * 100_000)
    git(repository, "add", ".")
    async with snapshot(repository) as taken:
        assert len(await taken.git("diff-index", "--cached", "-p", taken.base, most=10_000)) == 10_000


async def test_a_huge_file_is_not_read(repository: Path) -> None:
    # 100 MB that take 100 kB in the repository.
    with (repository / "huge.txt").open("wb") as file:
        for _ in range(100):
            file.write(b"0123456789abcde\n" * 65_536)
    git(repository, "add", ".")
    text = await all_of(repository)
    assert "Binary files /dev/null and b/huge.txt differ" in text
    assert EDIT in text


def test_a_bare_repository_among_the_files_is_none(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "inner")
    with pytest.raises(NoGit, match="is not in a git repository"):
        find(tmp_path / "inner")
    git(tmp_path, "init", "-q")
    assert find(tmp_path / "inner").root == tmp_path


async def test_another_working_tree_in_the_configuration(repository: Path, tmp_path: Path) -> None:
    git(repository, "config", "core.worktree", str(tmp_path))
    assert find(repository).root == repository
    assert EDIT in await all_of(repository)


async def test_a_folder_deep_inside_and_one_reached_by_a_link(repository: Path, tmp_path: Path) -> None:
    (repository / "deep" / "down").mkdir(parents=True)
    (tmp_path / "link").symlink_to(repository / "deep" / "down")
    assert find(repository / "deep" / "down").root == repository
    assert find(tmp_path / "link").root == repository
    (repository / "deep" / ".git").mkdir()  # an empty one is none, as git has it
    assert EDIT in await all_of(repository / "deep" / "down")


async def test_a_linked_working_tree(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "-q", str(tmp_path / "linked"))
    (tmp_path / "linked" / "b.py").write_text("y = 1\n")
    git(tmp_path / "linked", "add", ".")
    text = await all_of(tmp_path / "linked")
    assert "+y = 1" in text
    assert "x = 2" not in text
    assert "Add a" in text


async def test_a_submodule(repository: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    git(whole, "init", "-q")
    git(whole, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(repository), "part")
    assert (whole / "part" / ".git").is_file()
    (whole / "part" / "b.py").write_text("y = 1\n")
    git(whole / "part", "add", ".")
    assert "+y = 1" in await all_of(whole / "part")
    assert find(whole / "part").root == whole / "part"
    (whole / ".gitmodules").write_text('[submodule "part"]\n    path = part\n    url = .\n    ignore = all\n')
    git(whole, "add", ".gitmodules")
    assert "+Subproject commit" in await all_of(whole)


@pytest.mark.parametrize(
    "kind", ["split index", "sparse index", "sha256", "shallow", "packed references", "alternates"]
)
async def test_repositories_of_every_kind(kind: str, repository: Path, tmp_path: Path) -> None:
    if kind == "sha256":
        (repository / ".git").rename(tmp_path / "old")
        git(repository, "init", "-q", "--object-format=sha256")
        assert "new file" in (await all_of_staged(repository))
        git(repository, "commit", "-q", "-m", "Add a")
        (repository / "a.py").write_text("x = 1\n")
        git(repository, "commit", "-q", "-a", "-m", "Change a")
        (repository / "a.py").write_text("x = 2\n")
    elif kind == "split index":
        git(repository, "update-index", "--split-index")
        (repository / ".git" / "sharedindex.other").write_text("x")
    elif kind == "sparse index":
        (repository / "kept").mkdir()
        (repository / "other").mkdir()
        (repository / "kept" / "b.py").touch()
        (repository / "other" / "c.py").touch()
        git(repository, "add", ".")
        git(repository, "commit", "-q", "-m", "Add a")
        (repository / "a.py").write_text("x = 1\n")
        git(repository, "commit", "-q", "-a", "-m", "Change a")
        git(repository, "sparse-checkout", "set", "--cone", "--sparse-index", "kept")
        assert "other/\n" in git(repository, "ls-files", "--sparse")
        (repository / "a.py").write_text("x = 2\n")
    elif kind in ("shallow", "alternates"):
        git(repository, "commit", "-q", "-m", "Change a")
        (repository / "a.py").write_text("x = 1\n")
        git(repository, "commit", "-q", "-a", "-m", "Add a")
        options = ["--depth", "1", f"file://{repository}"] if kind == "shallow" else ["--shared", str(repository)]
        git(tmp_path, "clone", "-q", *options, "cloned")
        repository = tmp_path / "cloned"
        (repository / "a.py").write_text("x = 2\n")
    else:
        git(repository, "gc", "-q")
        git(repository, "pack-refs", "--all")
    git(repository, "add", "a.py")
    text = await all_of(repository)
    assert EDIT in text
    assert "\nAdd a\n" in text


EXTENSION = b"link" + (100).to_bytes(4, "big")


async def test_of_all_that_may_be_a_shared_index_one_is_copied(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are, and however large: the copies must not fill the disk."""
    monkeypatch.setattr(asked, "MOST_INDEX_BYTES", 3_000_000)
    index = repository / ".git" / "index"
    hashes = [bytes([number]) * 20 for number in range(1, 13)]
    index.write_bytes(index.read_bytes() + b"".join(EXTENSION + each for each in hashes) + hashes[0])
    for name in (*(each.hex() for each in hashes), *(f"{byte:02x}" for byte in set(index.read_bytes()))):
        with (repository / ".git" / f"sharedindex.{name}").open("wb") as file:
            file.truncate(2_000_000)
    async with snapshot(repository) as taken:
        assert [path.name for path in taken.folder.glob("sharedindex.*")] == [f"sharedindex.{hashes[0].hex()}"]
    monkeypatch.setattr(asked, "MOST_INDEX_BYTES", 2_000_000)  # the index and its part together are larger
    with pytest.raises(NoGit, match="is larger than 2 MB"):
        await all_of(repository)


def test_a_copy_that_nobody_waits_for_is_not_made(repository: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    asked._copy(repository / ".git" / "index", tmp_path / "copy", 1_000_000, stop)
    assert (tmp_path / "copy").stat().st_size == 0


async def all_of_staged(repository: Path) -> str:
    git(repository, "add", ".")
    return await all_of(repository)


async def test_a_file_that_is_only_meant_to_be_added(repository: Path) -> None:
    git(repository, "reset", "-q", "--hard")
    (repository / "b.py").write_text("y = 1\n")
    git(repository, "add", "-N", "b.py")
    async with snapshot(repository) as taken:
        raw = await taken.git("diff-index", "--cached", "--raw", "--ita-invisible-in-index", taken.base)
    assert raw == b""


async def test_the_index_of_a_commit_that_is_being_written(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`git commit -a` has its own, and the editor it starts is told so. An older one may be gone."""
    (repository / "a.py").write_text("x = 3\n")
    seen = tmp_path / "seen"
    editor = script(tmp_path / "editor", f'echo "$GIT_INDEX_FILE" > "{seen}"; cp "$GIT_INDEX_FILE" .git/kept; exit 1')
    git(repository, "-c", f"core.editor={editor}", "commit", "-a", check=False)
    assert EDIT in await all_of(repository)
    monkeypatch.setenv("GIT_INDEX_FILE", seen.read_text().strip())
    assert EDIT in await all_of(repository)
    (repository / ".git" / "kept").rename(repository / seen.read_text().strip())
    assert "+x = 3" in await all_of(repository)


async def test_nothing_is_left_behind_or_changed(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    os.utime(repository / "a.py", (1, 1))  # a refresh would write the index
    before = {path: path.stat().st_mtime_ns for path in repository.rglob("*")}
    await all_of(repository)
    assert {path: path.stat().st_mtime_ns for path in repository.rglob("*")} == before
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")
async def test_cancelling_ends_git(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = tmp_path / "running"
    script(tmp_path / "bin" / "git", f"echo $$ > '{running}'; exec sleep 60")
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]]))
    task = asyncio.create_task(all_of(repository))
    for _ in range(3000):
        if running.exists() and running.read_text():
            break
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    process = Path("/proc", running.read_text().strip())
    for _ in range(3000):
        if not process.exists():
            break
        await asyncio.sleep(0.02)
    assert not process.exists()
