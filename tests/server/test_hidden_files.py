"""What the model must never see, over the wire: whatever the file is called, wherever the folder is, by which URI or
link it is opened. And that nothing which lies about in a project can hold up the server."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest
from actions.stand_in import StandIn
from editor import ALONE, Editor, editor
from lsprotocol import types

from lsp_server.server.buffers import Buffers

pytestmark = pytest.mark.usefixtures("engines")

LINE = "value = "


async def suggested(window: Editor, file: Path | str) -> bool:
    """Whether a suggestion comes at the end of a file's only line; if not, the reason is one of hiding."""
    uri = window.open(file, LINE)
    await window.ready()
    items = await asyncio.wait_for(window.suggest(uri, 0, len(LINE)), 60)
    assert items or "never shown to the model" in window.reason, window.reason
    return bool(items)


def written(path: Path, text: str = LINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def repository(path: Path) -> Path:
    subprocess.run(["git", "init", "-q", path], check=True)
    return path


def ignored_by_git(top: Path, path: Path, home: Path) -> bool:
    environment = {**os.environ, "HOME": str(home)}
    return subprocess.run(["git", "-C", top, "check-ignore", "-q", path], env=environment).returncode == 0


@pytest.mark.parametrize("name", ["C#", "what?", "x%20y", "100%", "a b", "[id]"])
async def test_a_folder_of_any_name_is_itself(
    name: str, options: dict[str, object], engine: StandIn, tmp_path: Path
) -> None:
    root = tmp_path / name / "app"
    written(root / ".gitignore", "private/\n")
    async with editor(options, folder=root) as window:
        assert not await suggested(window, written(root / "private" / "a.py"))
        assert engine.asked == []
        assert await suggested(window, written(root / "b.py"))


async def test_the_rules_of_the_whole_repository(options: dict[str, object], engine: StandIn, tmp_path: Path) -> None:
    top = repository(tmp_path / "repository")
    written(top / ".gitignore", "local/\n*.secret.py\nprivate/\n!a.py\n")
    written(top / ".git" / "info" / "exclude", "excluded.py\n")
    app = top / "packages" / "app"
    hidden = [app / "local" / "a.py", app / "b.secret.py", app / "excluded.py", app / "private" / "a.py"]
    home = tmp_path / "home"
    written(home / ".gitconfig", '[core]\n\texcludesFile = "~/my rules"  # of mine\n')
    written(home / "my rules", "mine.py\n")
    hidden.append(app / "mine.py")
    for path in hidden:
        written(path)
        assert ignored_by_git(top, path, home)
    environment = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")}
    for folder in (app, None):
        async with editor(options, folder=folder, env=environment) as window:
            for path in hidden:
                assert not await suggested(window, path)
            assert engine.asked == []
            assert await suggested(window, written(app / "shown.py"))
            engine.asked.clear()


async def test_every_folder_of_the_workspace_that_holds_the_file(
    options: dict[str, object], engine: StandIn, tmp_path: Path
) -> None:
    inner = repository(tmp_path / "outer" / "inner")
    written(tmp_path / "outer" / ".codellamaignore", "inner/notes.py\n")
    async with editor(options, folder=inner) as window:
        added = types.WorkspaceFolder((tmp_path / "outer").as_uri(), "outer")
        event = types.WorkspaceFoldersChangeEvent([added], [])
        window.client.workspace_did_change_workspace_folders(types.DidChangeWorkspaceFoldersParams(event))
        assert not await suggested(window, written(inner / "notes.py"))
        assert engine.asked == []


def test_folders_that_are_removed_are_not_given_back_by_the_root(tmp_path: Path) -> None:
    folder = types.WorkspaceFolder(tmp_path.as_uri(), "work")
    workspace = Buffers(folder.uri, types.TextDocumentSyncKind.Incremental, [folder])
    assert workspace.files.roots == (tmp_path,)
    workspace.remove_folder(folder.uri)
    assert workspace.files.roots == ()
    assert Buffers(folder.uri).files.roots == (tmp_path,), "of an editor that knows no folders"


@pytest.mark.parametrize(
    "uri",
    [
        "vscode-notebook-cell:{root}/scratch/a.ipynb#W1sZmlsZQ%3D%3D",
        "vscode-notebook-cell:{root}/scratch/C%23.ipynb#W1",
        "vscode-vfs://github/owner/repo/.env",
        "vscode-remote://ssh-remote%2Bbox{root}/.env",
        "untitled:{root}/scratch/b.ipynb",
        "untitled:.env",
        "git:{root}/.env?%7B%22ref%22%3A%22HEAD%22%7D",
        "jar:file://{root}/.env",
        "jar:file://{root}/scratch/a.ipynb!/b.py",
        'git:/other?{{"path":"{root}/a.ipynb"}}',
    ],
)
async def test_a_uri_of_any_scheme_names_a_file(
    uri: str, options: dict[str, object], engine: StandIn, tmp_path: Path
) -> None:
    written(tmp_path / ".gitignore", "*.ipynb\n")
    async with editor(options, folder=tmp_path) as window:
        assert not await suggested(window, uri.format(root=tmp_path))
        assert engine.asked == []
        assert await suggested(window, "untitled:Untitled-1")


async def test_slashes_that_stand_twice_are_one(options: dict[str, object], engine: StandIn, tmp_path: Path) -> None:
    """In a file's name, in that of the folder, and in what a link leads to."""
    root = tmp_path / "root"
    written(root / ".gitignore", "private/\n")
    file = written(root / "private" / "a.py")
    os.symlink(f"/{root}/private", root / "public")
    twice = [f"file:///{file}", f"file:////{str(file).replace('/', '//')}", f"file:///{root}/public/a.py"]
    async with editor({**options, "chatFormat": "inst"}, folder=root) as window:
        for uri in (*twice, file):
            assert not await suggested(window, uri)
        params = {"message": "What?", "attachments": [{"uri": uri} for uri in twice]}
        shown = await window.client.protocol.send_request_async("codellama/chat/preview", params)
        assert list(shown.attachments) == []
    added = types.WorkspaceFolder(f"file:///{root}", "root")
    async with editor(options) as window:
        event = types.WorkspaceFoldersChangeEvent([added], [])
        window.client.workspace_did_change_workspace_folders(types.DidChangeWorkspaceFoldersParams(event))
        for uri in (file, *twice):
            assert not await suggested(window, uri)
        assert engine.asked == []
        assert await suggested(window, f"file:///{written(root / 'b.py')}")


async def test_every_name_of_a_file_is_asked_for(options: dict[str, object], engine: StandIn, tmp_path: Path) -> None:
    root = tmp_path / "real"
    written(root / ".gitignore", "private/\n")
    written(root / ".env")
    written(root / "private" / "a.py")
    written(tmp_path / "plain.txt")
    os.symlink(".env", root / "link.py")
    os.symlink("link.py", root / "link of a link.py")
    os.symlink("private", root / "public")
    os.symlink(root, tmp_path / "by link")
    os.symlink("../plain.txt", root / ".netrc")
    os.symlink(".netrc", root / "by a name of a secret.py")
    names = ["link.py", "link of a link.py", "public/a.py", "by a name of a secret.py", "private/a.py"]
    async with editor(options, folder=tmp_path / "by link") as window:
        for folder in (root, tmp_path / "by link"):
            for name in names:
                assert not await suggested(window, folder / name)
        assert engine.asked == []
        assert await suggested(window, written(root / "b.py"))


async def test_a_rule_that_is_new_is_heeded_at_the_next_key(
    options: dict[str, object], engine: StandIn, tmp_path: Path
) -> None:
    file = written(tmp_path / "a.py")
    async with editor(options, folder=tmp_path) as window:
        assert await suggested(window, file)
        (tmp_path / ".codellamaignore").write_text("a.py\n")
        assert not await window.suggest(file.as_uri(), 0, len(LINE))
        assert "codellamaignore" in window.reason
        (tmp_path / ".codellamaignore").write_text("b.py\n")
        assert await window.suggest(file.as_uri(), 0, len(LINE))


def zero(path: Path) -> None:
    os.symlink("/dev/zero", path)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def stdin(path: Path) -> None:
    os.symlink("/dev/stdin", path)


def circle(path: Path) -> None:
    os.symlink(path.name, path)


def slow(path: Path) -> None:
    path.write_text("*a" * 60 + "b\n")


@pytest.mark.parametrize("name", [".gitignore", ".codellamaignore", ".git"])
async def test_nothing_in_a_project_holds_up_the_server(name: str, options: dict[str, object], tmp_path: Path) -> None:
    async with editor(options, folder=tmp_path, command=ALONE) as window:
        for made in (zero, pipe, stdin, circle, slow):
            folder = tmp_path / made.__name__
            folder.mkdir()
            made(folder / name)
            assert await suggested(window, written(folder / ("a" * 200 + ".py")))
        memory = Path(f"/proc/{window.pid}/status").read_text()
        used = next(int(line.split()[1]) for line in memory.splitlines() if line.startswith("VmHWM"))
        assert used < 400_000, "kB"


@pytest.mark.timeout(60)
async def test_rules_for_one_file_hold_up_no_other(options: dict[str, object], tmp_path: Path) -> None:
    written(tmp_path / ".gitignore", ("**/" + "*a/" * 20 + "b\n") * 1_400)
    async with editor(options, folder=tmp_path) as window:
        assert not await suggested(window, written(tmp_path.joinpath(*["a" * 9] * 40) / "a.py"))
        assert ".gitignore take too long to follow" in window.reason
        assert await suggested(window, written(tmp_path / "b.py"))
