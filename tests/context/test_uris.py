"""URIs as editors write them, and the files that they name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lsp_server.context.uris import file_of, names_in, path_in, uri_of


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///w/C%23/app", "/w/C#/app"),
        ("file:///w/C#/app", "/w/C#/app"),
        ("file:///w/what%3F/a.py", "/w/what?/a.py"),
        ("file:///w/what?/a.py", "/w/what?/a.py"),
        ("file:///w/x%2520y/a.py", "/w/x%20y/a.py"),
        ("file:///w/x%20y/a%3Bb.py", "/w/x y/a;b.py"),
        ("file:///w/a;b.py", "/w/a;b.py"),
        ("FILE:///w/a.py", "/w/a.py"),
        ("file://localhost/w/a.py", "/w/a.py"),
        ("file:/w/a.py", "/w/a.py"),
        ("file:///w/%C3%A9.py", "/w/é.py"),
        ("file:///w/100%", "/w/100%"),
        ("file:////w/a.py", "/w/a.py"),
        ("file://///w//a.py", "/w//a.py"),
        ("file:///%2Fw/a.py", "/w/a.py"),
        ("file://localhost//w/a.py", "/w/a.py"),
    ],
)
def test_files(uri: str, path: str) -> None:
    assert path_in(uri, windows=False) == path


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///c%3A/Users/me/C%23/a.py", "c:\\Users\\me\\C#\\a.py"),
        ("file:///C:/a%20b.py", "C:\\a b.py"),
        ("file:///c:", "c:\\"),
        ("file://server/share/x%231/a.py", "\\\\server\\share\\x#1\\a.py"),
        ("file://wsl%24/Ubuntu/home/a.py", "\\\\wsl$\\Ubuntu\\home\\a.py"),
        ("file://wsl.localhost/Ubuntu/a.py", "\\\\wsl.localhost\\Ubuntu\\a.py"),
        ("file://localhost/c:/a.py", "c:\\a.py"),
    ],
)
def test_files_of_windows(uri: str, path: str) -> None:
    assert path_in(uri, windows=True) == path


@pytest.mark.parametrize(
    "name", ["C#", "what?", "x%20y", "a b", "é", "a;b", "a&b=c", "100%", "[id]", "+page", "~x", "\udcff"]
)
def test_each_name_comes_back(name: str) -> None:
    path = Path("/w") / name / "a.py"
    assert file_of(uri_of(path)) == path
    assert file_of(path.as_uri()) == path


def test_a_zero_byte_ends_a_name_and_names_no_file() -> None:
    assert file_of("file:///w/a.py%00") is None
    assert names_in("file:///w/.env%00.py") == (Path("/w/.env"),)
    assert names_in("git:/w/.env%00?x")[0] == Path("/w/.env")
    assert names_in("untitled:%00") == ()


def test_what_is_no_file() -> None:
    assert file_of("untitled:Untitled-1") is None
    assert file_of("vscode-vfs://github/a/b.py") is None
    assert file_of("") is None


@pytest.mark.skipif(os.name == "nt", reason="the paths of others")
@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("vscode-notebook-cell:/w/scratch/a.ipynb#W1", "/w/scratch/a.ipynb"),
        ("vscode-notebook-cell:/w/C%23/a.ipynb#W1sZmlsZQ%3D%3D", "/w/C#/a.ipynb"),
        ("vscode-vfs://github/owner/repo/.env", "/owner/repo/.env"),
        ("vscode-remote://ssh-remote%2Bbox/home/me/.env", "/home/me/.env"),
        ("untitled:/w/.env", "/w/.env"),
        ("git:/w/.env?%7B%22path%22%3A%22x%22%7D", "/w/.env"),
        ("file:///w/.env#L3", "/w/.env"),
        ("untitled:Untitled-1", "Untitled-1"),
        ("vscode-notebook-cell:////w/a.ipynb#W1", "/w/a.ipynb"),
        ("//w/a.py", "/w/a.py"),
        ("file://w/a.py", "/w/a.py"),
        ("file://%2Fw/a.py", "/w/a.py"),
        ("jar:file:///w/lib.jar!/a/b.py", "/w/lib.jar"),
        ("jar:file:////w/a.py", "/w/a.py"),
        ("jar:file%3A%2F%2F%2Fw%2Fa.py", "/w/a.py"),
        ("jar:file:///w/x%2520y/a.py", "/w/x%20y/a.py"),
        ("zip:///w/a.zip!/.env", "/w/a.zip!/.env"),
        ("zipfile:///w/a.zip::b.py", "/w/a.zip"),
        ("view-source:jar:file:///w/lib.jar!/b.py", "/w/lib.jar"),
        ("x:/w/lib.jar!/b.py!/c.py", "/w/lib.jar"),
        ('git:/other?{"path":"/w/a.py","ref":"HEAD"}', "/w/a.py"),
        ("git:/other?%7B%22path%22%3A%22%2Fw%2Fa.py%22%2C%22ref%22%3A%22%22%7D", "/w/a.py"),
        ('history:/other?{"of":[{"uri":"file:///w/a.py"}]}', "/w/a.py"),
        ("diff:///other?left=file%3A%2F%2F%2Fw%2Fa.py&right=/w/b.py", "/w/a.py"),
        ("diff:///other?left=file%3A%2F%2F%2Fw%2Fa.py&right=/w/b.py", "/w/b.py"),
        ("output:other#/w/a.py", "/w/a.py"),
        ("fugitive:///w/.git//0123abc/src/a.py", "/w/src/a.py"),
        ("gitsigns:///w/.git//:0:src/a.py", "/w/src/a.py"),
        ("diffview:///w/.git/:0:/src/a.py", "/w/src/a.py"),
    ],
)
def test_the_file_that_any_uri_speaks_of(uri: str, name: str) -> None:
    assert Path(name) in names_in(uri)


def test_no_uri_is_followed_for_ever() -> None:
    assert len(names_in("jar:" * 10_000 + "file:///w/a.py")) < 1000
    assert len(names_in("x:/a?" + "/w/a.py&" * 10_000)) < 1000
    assert len(names_in("x:/" + "a!/" * 10_000)) < 1000
    assert len(names_in("x:/a?" + "[" * 100_000)) < 1000
