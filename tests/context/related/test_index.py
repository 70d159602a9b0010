"""The index of a workspace: in step with its files, private, and never in the way."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from projects import CURSOR, Project

from lsp_server.context.related import contents, store
from lsp_server.context.related import index as indexing
from lsp_server.context.related.index import Index
from lsp_server.context.related.signatures import imported
from lsp_server.context.related.similar import similar
from lsp_server.context.workspace import Workspace

MODULE = "def unusual_thing(first: int) -> str:\n    return str(first)\n"
USE = f"unusual_thing({CURSOR}"
SHOWN = "== a.py\ndef unusual_thing(first: int) -> str: ...\n"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, {"a.py": MODULE})


def names(project: Project) -> list[str]:
    return sorted(Path(path).relative_to(project.root).as_posix() for path in held(project).stamps())


def held(project: Project) -> store.Store:
    path = project.index.path
    assert path is not None
    return store.Store(path)


def test_it_is_for_the_user_alone(project: Project) -> None:
    files = sorted(project.cache.iterdir())
    assert files[0].suffix == ".db"
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(project.cache.stat().st_mode) == 0o700
    assert "work" not in files[0].name


def test_only_what_changed_is_read_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(indexing, "read", lambda name, *_, **__: read.append(name) or contents.Source())
    project.refresh()
    assert read == []
    project.write("b.py", MODULE)
    project.write("a.py", MODULE + "# longer\n")
    project.refresh()
    assert sorted(read) == ["a.py", "b.py"]
    again = Index(project.workspace, project.cache)  # the next start
    again.refresh(60)
    assert len(read) == 2


def test_a_pass_is_done_in_slices(tmp_path: Path) -> None:
    project = Project(tmp_path, {})
    for number in range(100):
        project.write(f"m{number}.py", f"def f{number}(): pass\n")
    slices = [project.index.refresh(0)]
    while not slices[-1].complete:
        slices.append(project.index.refresh(0))
    assert [each.left for each in slices] == [68, 36, 4, 0]
    assert slices[-1].files == 100
    assert slices[-1].why == ""


def test_what_changes_and_goes_is_followed(project: Project) -> None:
    assert project.shown("main.py", USE) == SHOWN
    project.write("a.py", MODULE.replace("first: int", "other: bytes"))
    project.refresh()
    assert "unusual_thing(other: bytes)" in project.shown("main.py", USE)
    os.rename(project.root / "a.py", project.root / "b.py")
    project.refresh()
    assert project.shown("main.py", USE).startswith("== b.py\n")
    (project.root / "b.py").unlink()
    project.refresh()
    assert project.shown("main.py", USE) == ""
    assert names(project) == []


def test_a_file_that_was_saved_is_taken_in_at_once(project: Project) -> None:
    project.index.reread([project.write("a.py", MODULE.replace("first", "second")), project.root.parent / "x.py"])
    assert "second: int" in project.shown("main.py", USE)
    project.write(".gitignore", "a.py\n")
    project.index.reread([project.root / "a.py"])
    assert names(project) == []


def test_what_is_hidden_now_is_not_shown_and_goes(project: Project) -> None:
    project.write("b.py", MODULE.replace("unusual", "other"))
    project.refresh()
    project.write(".codellamaignore", "a.py\n")
    (project.root / "b.py").unlink()
    project.write("id_rsa", MODULE)
    os.symlink("id_rsa", project.root / "b.py")
    assert project.shown("main.py", f"other_thing({USE}") == ""  # even before the next pass
    project.refresh()
    assert names(project) == []


def test_what_a_link_leads_to_outside_is_never_taken_in(project: Project) -> None:
    (project.root.parent / "outside.py").write_text(MODULE.replace("first", "outside"))
    (project.root / "a.py").unlink()
    os.symlink("../outside.py", project.root / "a.py")
    assert "outside" not in project.shown("main.py", USE)
    project.refresh()
    assert names(project) == []
    project.index.reread([project.root / "a.py"])
    assert names(project) == []


def test_a_link_inside_is_a_file_like_others(project: Project) -> None:
    os.symlink("a.py", project.root / "link.py")
    project.refresh()
    assert names(project) == ["a.py", "link.py"]


def test_the_text_in_the_editor_counts_and_is_not_written_to_disk(project: Project) -> None:
    project.open("a.py", MODULE.replace("first", "not_saved_yet"))
    project.open("new.py", "def brand_new_thing(): ...\n")
    shown = project.shown("main.py", f"from new import brand_new_thing\nbrand_new_thing(unusual_thing({CURSOR}")
    assert "unusual_thing(not_saved_yet: int)" in shown
    assert "== new.py\ndef brand_new_thing(): ...\n" in shown
    project.refresh()
    kept = b"".join(file.read_bytes() for file in project.cache.iterdir())
    assert b"unusual_thing" in kept
    assert b"not_saved_yet" not in kept
    assert b"brand_new_thing" not in kept


def test_what_is_no_source_is_left_out(project: Project) -> None:
    project.write("latin.py", b"# \xe4\n" + MODULE.encode())
    project.write("zero.py", b"\0" + MODULE.encode())
    project.write("huge.py", MODULE + "x = 1\n" * 50_000)
    project.write("minified.js", "function f(){}" * 1000)
    project.write("data.json", "{}")
    project.write("readme.md", MODULE)
    os.mkfifo(project.root / "pipe.py")
    project.refresh()
    assert names(project) == ["a.py", "huge.py", "latin.py", "minified.js", "zero.py"]  # known to be of no use
    assert project.shown("main.py", USE) == SHOWN
    assert project.shown("b.js", f"f({CURSOR}") == ""


def test_names_that_are_no_text_do_no_harm(project: Project) -> None:
    (project.root / os.fsdecode(b"b\xff.py")).write_text(MODULE.replace("unusual", "other"))
    project.refresh()
    assert project.shown(os.fsdecode(b"c\xff.py"), f"from a import unusual_thing\n{USE}") == SHOWN


@pytest.mark.parametrize("damage", ["garbage", "cut", "empty", "version", "a folder's", "zeros inside"])
def test_a_damaged_database_is_made_anew(project: Project, damage: str) -> None:
    path = project.index.path
    assert path is not None
    for number in range(50):
        project.write(f"m{number}.py", f"def f{number}(): pass\n" * 20)
    project.refresh()
    project.index.close()
    data = path.read_bytes()
    for file in project.cache.iterdir():
        file.unlink()
    if damage == "version":
        path.write_bytes(data)
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()
    elif damage == "zeros inside":
        path.write_bytes(data[:8192] + bytes(len(data) - 8192))
    elif damage == "a folder's":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE other(x)")
        connection.close()
    else:
        path.write_bytes({"garbage": b"garbage" * 1000, "cut": data[:5000], "empty": b""}[damage])
    project.index = Index(project.workspace, project.cache)
    for _ in range(3):  # what is damaged may show at the first question only
        project.shown("main.py", USE)
        similar(project.index, project.workspace, *project.open("other.py", f"{MODULE}{CURSOR}"), 3)
        project.refresh()
    project.opened.clear()
    assert project.shown("main.py", USE) == SHOWN
    assert len(names(project)) == 51


def test_a_database_that_is_damaged_while_it_is_open_is_made_anew(project: Project) -> None:
    path = project.index.path
    assert path is not None
    with open(path, "r+b") as file:
        file.write(b"\0" * path.stat().st_size)
    with open(f"{path}-wal", "r+b") as file:
        file.truncate(0)
    for _ in range(3):
        project.refresh()
    assert project.shown("main.py", USE) == SHOWN
    path.unlink()  # as another window does that finds it damaged
    project.refresh()
    assert path.exists()
    assert project.shown("main.py", USE) == SHOWN


def test_a_folder_that_cannot_be_written_to_is_said_and_does_no_harm(tmp_path: Path) -> None:
    project = Project(tmp_path, {})
    (tmp_path / "file").write_text("")
    project.index = Index(project.workspace, tmp_path / "file")
    project.index.refresh(1)
    assert "cannot be kept" in project.index.refresh(1).why
    assert project.shown("main.py", USE) == ""


def test_it_holds_no_more_than_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project(tmp_path, {})
    monkeypatch.setattr(indexing, "MOST_ON_DISK", 200_000)
    for number in range(400):
        project.write(f"m{number}.py", f"def f{number}(): pass\n" * 50)
    progress = project.index.refresh(60)
    assert progress.complete
    assert 0 < progress.files < 400
    assert progress.bytes < 1_000_000
    assert "no further files" in progress.why


def test_without_full_text_search_there_are_still_signatures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_SEARCH", "CREATE VIRTUAL TABLE found USING fts99(words);")
    project = Project(tmp_path, {"a.py": MODULE})
    assert project.shown("main.py", USE) == SHOWN
    assert similar(project.index, project.workspace, *project.open("b.py", MODULE), 3) == []


def test_no_folder_open_means_no_database(tmp_path: Path) -> None:
    index = Index(Workspace(), tmp_path / "cache")
    assert index.refresh(1).complete
    assert not (tmp_path / "cache").exists() or list((tmp_path / "cache").iterdir()) == []


def test_databases_of_other_folders_do_not_pile_up(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    for number in range(store.MOST_KEPT + 5):
        old = tmp_path / "cache" / f"{number}.db"
        old.write_text("")
        os.utime(old, (number, number))
    Project(tmp_path, {})
    left = {file.stem for file in (tmp_path / "cache").glob("*.db")}
    assert "0" not in left
    assert str(store.MOST_KEPT + 4) in left
    assert len(left) == store.MOST_KEPT + 1


_WINDOW = """
import sys
from pathlib import Path
from lsp_server.context.buffer import Buffer
from lsp_server.context.related.index import Index
from lsp_server.context.related.signatures import imported
from lsp_server.context.uris import uri_of
from lsp_server.context.workspace import Workspace
root, cache = Path(sys.argv[1]), Path(sys.argv[2])
workspace = Workspace((root,))
index = Index(workspace, cache)
buffer = Buffer(uri_of(root / "main.py"), "unusual_thing(", version=1)
progress = index.refresh(0)
while not progress.complete:
    imported(index, workspace, buffer, 0, 14, 1000)
    progress = index.refresh(0)
print(progress.files, progress.why, len(imported(index, workspace, buffer, 0, 14, 1000)))
"""


def test_a_question_after_the_end_has_no_answer_and_does_no_harm(project: Project) -> None:
    path = project.index.path
    assert path is not None
    view = project.index.view()
    project.index.close()
    with pytest.raises(sqlite3.Error) as error:
        view.holds("x")
    project.index.met(error.value)
    assert project.shown("main.py", USE) == ""
    assert project.index.refresh(1).complete
    assert names(project) == ["a.py"]


def test_two_windows_at_once(tmp_path: Path) -> None:
    project = Project(tmp_path, {})
    project.index.close()
    for number in range(300):
        project.write(f"m{number}.py", f"class C{number}:\n    def f{number}(self): pass\n" * 5)
    project.write("z.py", MODULE)
    asked = [sys.executable, "-c", _WINDOW, str(project.root), str(project.cache)]
    windows = [subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for window in windows:
        out, error = window.communicate(timeout=200)
        assert (out, error) == ("301  1\n", "")


def test_one_reads_while_another_writes(project: Project) -> None:
    path = project.index.path
    writing = sqlite3.connect(str(path), isolation_level=None)
    writing.execute("BEGIN IMMEDIATE")
    writing.execute("DELETE FROM files")
    assert project.shown("main.py", USE) == SHOWN
    writing.execute("ROLLBACK")
    writing.close()


def test_questions_and_passes_from_several_threads(project: Project) -> None:
    wrong: list[BaseException] = []

    def ask() -> None:
        try:
            for _ in range(20):
                buffer = project.opened[0]
                assert imported(project.index, project.workspace, buffer, 0, 14, 1000)
        except BaseException as error:
            wrong.append(error)

    project.open("main.py", USE)
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(10):
        project.write(f"m{number}.py", MODULE.replace("unusual", f"thing{number}"))
        project.index.refresh(60)
    for thread in threads:
        thread.join()
    assert wrong == []


SUFFIXES = (".py", ".ts", ".tsx", ".js", ".go", ".rs", ".java", ".c", ".h", ".cpp", ".rb", ".cs", ".php", ".lua", ".sh")
_PARTS = (
    "class ", "def f(", "import a.b", "{", "}", "(", ")", ":", "\n", "    ", '"""', '#include "x.h"', "use crate::{",
    "fn ", "struct S ", "impl ", "export ", "= ", "<T>", "*", ";", "\r", "\f", "\u2028", "é", "𝄞", "abc",
    "func (s *S) ",
)  # fmt: skip
_LIKE_CODE = st.lists(st.sampled_from(_PARTS), max_size=60).map(lambda parts: "".join(parts).encode())


@given(
    suffix=st.sampled_from(SUFFIXES),
    data=st.one_of(st.binary(max_size=300), _LIKE_CODE, _LIKE_CODE.map(lambda data: data * 50)),
)
@settings(max_examples=200, deadline=None)
def test_any_bytes_can_be_a_source_file(suffix: str, data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    read = contents.read(f"a{suffix}", text)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1
    for each in read.definitions:
        assert 0 <= each.first <= each.last <= lines
        assert "\r" not in each.text
    for chunk in read.chunks:
        assert 0 <= chunk.first <= chunk.last < lines
    with_nothing = store.Store(None)
    with_nothing.write([(f"/a{suffix}", 1, 1, read)])
    assert with_nothing.definitions(f"/a{suffix}") == list(read.definitions)
    assert with_nothing.imports(f"/a{suffix}") == read.imports
    assert with_nothing.chunks(f"/a{suffix}") == list(read.chunks)
    with_nothing.close()


@pytest.mark.parametrize("name", ["go.mod", "Cargo.toml", "package.json", "tsconfig.json"])
@given(
    data=st.one_of(
        st.text(max_size=100), st.sampled_from(["[" * 5000, '{"paths": 1}', '{"compilerOptions": {"paths": [1]}}'])
    )
)
@settings(max_examples=40, deadline=None)
def test_any_text_can_be_a_project_file(name: str, data: str) -> None:
    contents.read(name, data)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", "class A:\n" + "".join(f"{' ' * n}class A:\n" for n in range(1, 300))),
        ("a.c", "#if A\n" * 3000),
        ("a.cpp", "namespace a { " * 3000),
        ("a.rs", "mod a { " * 3000),
        ("a.rs", "use a::{" * 3000),
        ("a.js", "(" * 20_000 + "a = function() {}"),
        ("a.ts", "export const a = " + "{ a: " * 5000),
        ("a.py", "def f(a=" + "(\n" * 3000 + "): pass"),
        ("a.java", "class A { " * 3000),
    ],
)
def test_what_is_nested_deeply_does_no_harm(name: str, text: str) -> None:
    contents.read(name, text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("go.mod", "\n"),
        ("go.mod", "module "),
        ("Cargo.toml", "[package]\n"),
        ("Cargo.toml", "[package]\n" + "\n" * 9_000),
        ("Cargo.toml", "[package]\nname = "),
        ("package.json", '\\"'),
        ("package.json", "/* "),
        ("tsconfig.json", ", "),
        ("a.h", "\n"),
        ("a.h", "\t \n"),
        ("a.py", "((((((((\n"),
        ("a.js", "{[({[(\n"),
        ("a.cpp", "::::::::\n"),
        ("a.go", "[*[*[*[*\n"),
        ("a.rs", 'r#"r#"\n'),
        ("a.rs", "&&&&&&&&\n"),
        ("a.lua", "[==[[==[\n"),
        ("A.java", "a<a<a<a<a<"),
        ("A.java", "a<// (\n"),
        ("A.cs", "a<a</* ; */"),
    ],
)
def test_what_is_as_long_as_it_may_be_takes_no_longer_for_what_it_says(name: str, text: str) -> None:
    """All other threads wait while a text is looked through or parsed: the answers to an editor's keys among them."""
    whole = (text * (contents.MOST_BYTES // len(text) + 1))[: contents.MOST_BYTES]
    began = time.process_time()
    contents.read(name, whole)
    assert time.process_time() - began < 4.0


def test_a_key_reads_the_own_file_anew_only_where_a_line_came_or_went(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    whole = indexing.read_tree
    monkeypatch.setattr(indexing, "read_tree", lambda text, *_, **__: read.append(text) or whole(text, *_, **__))
    buffer, row, column = project.open("main.py", f"{MODULE.replace('unusual', 'own')}\n{USE}")
    for typed in ("x", "y", "\n", "z"):
        changed, row, column = buffer.with_text(row, column, typed)
        buffer.lines, buffer.version = changed.lines, (buffer.version or 0) + 1
        assert imported(project.index, project.workspace, buffer, row, column, 1000)
        similar(project.index, project.workspace, buffer, row, column, 3)
    assert len(read) == 2
