"""The workspace: what is inside and what is not, what is read, walked and kept."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from lsprotocol import types

from lsp_server.context import in_time as threads
from lsp_server.context import look, privacy, walking
from lsp_server.context.buffer import Buffer
from lsp_server.context.in_time import Threads, TooSlow, in_time, soon
from lsp_server.context.uris import uri_of
from lsp_server.context.workspace import OutOfReach, Workspace


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.py").write_text("outside = 1\n")
    (tmp_path / "work" / "a.py").write_text("inside = 1\n")
    return tmp_path / "work"


def test_what_is_inside_is_read(root: Path) -> None:
    os.symlink("a.py", root / "link.py")
    for path in (root / "a.py", root / "link.py", root / "x" / ".." / "a.py"):
        assert Workspace((root,)).read(path) == b"inside = 1\n"
    os.symlink(root, root.parent / "by link")
    assert Workspace((root.parent / "by link",)).read(root.parent / "by link" / "a.py") == b"inside = 1\n"
    assert Workspace((root.parent / "by link",)).read(root / "a.py") == b"inside = 1\n"


def outside(root: Path) -> list[Path]:
    """Names in the workspace that lead out of it, and names outside."""
    os.symlink("../outside/a.py", root / "link.py")
    os.symlink("link.py", root / "link2.py")
    os.symlink("../outside", root / "folder")
    os.symlink("/dev/zero", root / "zero.py")
    return [root / "link.py", root / "link2.py", root / "folder" / "a.py", root / "folder" / "new.py",
            root / ".." / "outside" / "a.py", root.parent / "outside" / "a.py", root / "zero.py"]  # fmt: skip


def test_what_leads_out_is_neither_read_nor_written(root: Path) -> None:
    workspace = Workspace((root,))
    for path in outside(root):
        with pytest.raises(OutOfReach, match="outside the workspace; open it in the editor first"):
            workspace.read(path)
        with pytest.raises(OutOfReach, match="outside the workspace"):
            workspace.may_write(path)
    workspace.may_write(root / "a.py")
    workspace.may_write(root / "new" / "b.py")


def test_what_is_open_counts_as_inside(root: Path) -> None:
    file = root.parent / "outside" / "a.py"
    opened = [Buffer(uri_of(file), "typed", version=1)]
    workspace = Workspace((root,), lambda: opened)
    assert workspace.read(file) == b"outside = 1\n"
    workspace.may_write(file)
    with pytest.raises(OutOfReach):
        workspace.read(root.parent / "outside" / "b.py")
    # With no folder open at all, the folder of an open document is the workspace.
    Workspace((), lambda: opened).may_write(root.parent / "outside" / "b.py")
    with pytest.raises(OutOfReach):
        Workspace((), lambda: opened).read(root / "a.py")


def test_what_is_hidden_is_neither_read_nor_written(root: Path) -> None:
    (root / ".env").write_text("KEY=1")
    (root / ".gitignore").write_text("private/\n")
    (root / "private").mkdir()
    (root / "private" / "a.py").write_text("x")
    os.symlink(".env", root / "link.py")
    os.symlink("private", root / "public")
    for name in (".env", "link.py", "private/a.py", "public/a.py", "private/new.py"):
        with pytest.raises(OutOfReach, match="never shown to the model"):
            Workspace((root,)).read(root / name)
        with pytest.raises(OutOfReach, match="never shown to the model"):
            Workspace((root,)).may_write(root / name)


def test_the_folder_itself_by_a_link_is_no_file(root: Path, tmp_path: Path) -> None:
    os.symlink(root, tmp_path / "by link")
    workspace = Workspace((tmp_path / "by link",))
    for name in (tmp_path / "by link", root):
        with pytest.raises(OutOfReach, match="is a folder"):
            workspace.read(name)


def test_only_files_are_read_and_not_too_large_ones(root: Path) -> None:
    os.mkfifo(root / "pipe.py")
    os.symlink("circle.py", root / "circle.py")
    (root / "large.py").write_bytes(b"x" * 101)
    (root / "zero.txt").write_bytes(b"a\0b")
    (root / "latin.txt").write_bytes(b"\xe4")
    words = {
        "pipe.py": "regular file",
        "circle.py": "leads nowhere",
        "large.py": "larger than",
        "missing": "No such",
        "": "folder",
        "zero.txt": "not a text",
        "latin.txt": "not UTF-8",
        "x" * 300: "File name too long",
    }
    for name, said in words.items():
        with pytest.raises(OutOfReach, match=said) as refused:
            Workspace((root,)).text(root / name, 100)
        assert str(refused.value).endswith(".")
        assert str(root) not in str(refused.value)
    with pytest.raises(OutOfReach, match="no name of a file"):
        Workspace((root,)).read(root / "\0")


def test_a_walk_stays_inside_and_ends(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside(root)
    (root / "sub").mkdir()
    (root / "sub" / "b.py").write_text("b")
    (root / "sub" / "secrets.yml").write_text("b")
    (root / "sub" / ".gitignore").write_text("ignored/\nc.py\n")
    (root / "sub" / "c.py").write_text("c")
    (root / "sub" / "ignored").mkdir()
    (root / "sub" / "ignored" / "d.py").write_text("d")
    (root / "node_modules").mkdir()
    (root / "node_modules" / "e.py").write_text("e")
    os.symlink("..", root / "sub" / "up")
    os.symlink("a.py", root / "same.py")
    os.mkfifo(root / "pipe.py")
    walk = Workspace((root, root / "sub")).walk(lambda name: name.endswith((".py", ".yml")))
    assert walk.complete
    assert [path.relative_to(root).as_posix() for path in walk.files] == ["a.py", "same.py", "sub/b.py"]
    assert len(Workspace((root,)).walk(most=1).files) == 1
    assert not Workspace((root,)).walk(most=1).complete
    assert not Workspace((root,)).walk(seconds=0).complete
    monkeypatch.setattr(walking, "MOST_IN_FOLDER", 3)
    assert not Workspace((root,)).walk().complete


def test_many_files_are_read_and_the_others_left_out(root: Path) -> None:
    (root / "large.py").write_bytes(b"x" * 101)
    paths = [*outside(root), root / "large.py", root / "missing.py", root / "a.py"]
    assert list(Workspace((root,)).read_all(paths * 10, 100)) == [(root / "a.py", b"inside = 1\n")] * 10


def test_names(root: Path) -> None:
    workspace = Workspace((root, root / "sub"))
    assert workspace.name_of(uri_of(root / "sub" / "a.py")) == "a.py"
    assert workspace.name_of(uri_of(root / "x" / "a.py")) == "x/a.py"
    assert workspace.name_of(uri_of(root.parent / "a.py")) == str(root.parent / "a.py")
    assert workspace.name_of("untitled:Untitled-1") == "untitled:Untitled-1"
    assert workspace.folder_of(root.parent) is None


def test_a_snapshot_is_made_once_for_each_version_and_stays() -> None:
    buffer = Buffer("untitled:a", "one\ntwo\n", version=1, language_id="python")
    workspace = Workspace((), lambda: [buffer])
    before = workspace.buffer("untitled:a")
    assert before is not None
    assert before is workspace.buffers()[0] is before.snapshot()
    assert before.source is before.source
    one = types.Range(types.Position(0, 0), types.Position(0, 3))
    buffer.apply_change(types.TextDocumentContentChangePartial(one, "1"))
    buffer.version = 2
    after = workspace.buffer("untitled:a")
    assert after is not None
    assert (before.version, before.source, after.version, after.source) == (1, "one\ntwo\n", 2, "1\ntwo\n")
    assert after is workspace.buffer("untitled:a")
    with pytest.raises(TypeError):
        after.apply_change(types.TextDocumentContentChangeWholeDocument("x"))


async def test_nothing_is_read_or_found_anew_while_nothing_changes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key costs a few questions to the system, none of them on the event loop."""
    (root / ".gitignore").write_text("private/\n")
    workspace, uri = Workspace((root,)), uri_of(root / "a.py")
    assert await workspace.hidden(uri) == ""
    where: list[bool] = []
    stat = os.stat
    main = threading.main_thread()

    def counted(*arguments: object, **named: object) -> os.stat_result:
        where.append(threading.current_thread() is main)
        return stat(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(look.os, "stat", counted)
    monkeypatch.setattr(look, "read_bytes", None)
    monkeypatch.setattr("lsp_server.context.workspace.Privacy", None)
    assert await workspace.hidden(uri) == ""
    assert 0 < len(where) < 60
    assert not any(where)
    monkeypatch.undo()
    (root / ".gitignore").write_text("a.py\n")
    assert "ignored" in await workspace.hidden(uri)


async def test_a_file_system_that_hangs_is_said_and_holds_up_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()
    monkeypatch.setattr(threads, "_threads", Threads(2))
    try:
        with pytest.raises(TooSlow, match=r"a\.py could not be looked at in time; check the disk or the network"):
            in_time(free.wait, "a.py", 0.05)
        with pytest.raises(TooSlow):
            await soon(free.wait, "a.py", 0.05)
        with pytest.raises(TooSlow):  # no thread is left
            in_time(lambda: 1, "a.py", 0.05)
        free.set()
        assert in_time(lambda: 1, "a.py") == 1
        assert await soon(lambda: 1, "a.py") == 1
    finally:
        free.set()
    monkeypatch.setattr("lsp_server.context.workspace.SECONDS", 0)
    assert "too long" in Workspace((root,)).why_hidden(root / "a.py")


async def test_the_same_question_at_each_key_takes_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()
    monkeypatch.setattr(threads, "_threads", Threads(2))
    done: list[int] = []

    def work(number: int) -> None:
        free.wait()
        done.append(number)

    keys = [asyncio.ensure_future(soon(lambda each=each: work(each), "a.py", 20, about="a.py")) for each in range(20)]
    try:
        await asyncio.sleep(0)
        for key in keys[:-2]:  # as a newer one comes, the older ones are given up
            key.cancel()
        assert await soon(lambda: "another file", "b.py", 20, about="b.py") == "another file"
    finally:
        free.set()
    await asyncio.wait(keys)
    assert done == [0, 18, 19], "one that had begun goes on, and those that nobody waits for are not begun"
    assert await soon(lambda: 1, "a.py", 20, about="a.py") == 1


def test_what_takes_too_long_to_follow_is_followed_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / ".gitignore").write_text(("**/" + "*a/" * 20 + "b\n") * 1_400)
    file = root.joinpath(*["a" * 9] * 40) / "a.py"
    workspace = Workspace((root,))
    told = workspace.why_hidden(file)
    assert told.endswith("never shown to the model; shorten them.")
    monkeypatch.setattr("lsp_server.context.workspace.Privacy", None)
    assert workspace.why_hidden(file) == told
    monkeypatch.undo()
    (root / ".gitignore").write_text("b.py\n")
    assert workspace.why_hidden(file) == ""


async def test_what_fails_in_a_thread_fails_for_who_waits() -> None:
    def fails() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        in_time(fails, "a.py")
    with pytest.raises(TimeoutError, match="its own"):
        await soon(fails, "a.py")
    task = asyncio.ensure_future(soon(lambda: time.sleep(0.05), "a.py"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_thread_that_hangs_does_not_keep_the_program() -> None:
    program = (
        "import threading\nfrom lsp_server.context.in_time import in_time\n"
        "try: in_time(threading.Event().wait, 'a', 0.1)\nexcept Exception as error: print(error)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert ended.stdout.startswith("a could not be looked at in time")


def test_many_files_are_looked_at_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(privacy, "read_bytes", lambda path, most: read.append(path.name) or path.read_bytes())
    (tmp_path / ".gitignore").write_text("*.log\n")
    paths = [tmp_path / f"{number}.{ending}" for number in range(100) for ending in ("py", "log", "pem")]
    whys = list(Workspace((tmp_path,)).why_each_hidden(paths))
    assert read.count(".gitignore") == 1
    assert whys == [Workspace((tmp_path,)).why_hidden(path) for path in paths]
    assert [bool(why) for why in whys[:3]] == [False, True, True]
