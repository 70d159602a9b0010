"""The folder that engines, language servers and commands share: nobody else's, and said so where it cannot be."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lsp_server import places
from lsp_server.commands.checks import engine
from lsp_server.errors import UserError


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a name short enough for what is in it to be a socket's."""
    folder = Path(tempfile.mkdtemp(prefix="cl-"))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("variable", "folder"),
    [
        ("CODELLAMA_LS_DATA", places.data_folder),
        ("CODELLAMA_LS_CACHE", places.cache_folder),
        ("CODELLAMA_LS_INDEX", places.index_folder),
    ],
)
def test_no_folder_is_one_of_the_workspaces(
    variable: str, folder: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for named, meant in (("of/mine", "home/of/mine"), ("~/mine", "home/mine"), (str(tmp_path / "there"), "there")):
        monkeypatch.setenv(variable, named)
        assert folder() == tmp_path / meant
    assert list((tmp_path / "work").iterdir()) == []


def test_a_folder_of_this_user_alone(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = short / "of" / "mine"
    monkeypatch.setenv("CODELLAMA_LS_RUNTIME", str(folder))
    assert places.runtime_folder() == folder
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    assert places.runtime_folder().stat().st_mode & 0o777 == 0o700


def test_a_path_too_long_for_a_socket_has_a_folder_of_its_own_instead(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(short))
    folders = []
    for name in ("a", "b"):
        wanted = short / (name * 90)
        monkeypatch.setenv("CODELLAMA_LS_RUNTIME", str(wanted))
        folders.append(places.runtime_folder())
        assert folders[-1] == places.runtime_folder()
        assert folders[-1].parent == short
        assert folders[-1].stat().st_mode & 0o777 == 0o700
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(folders[-1] / f"{'0' * 12}.4194304.sock"))
        found = list(engine.folder())
        assert f"the path of {wanted} is too long for a socket, so engines are found in {folders[-1]}" in found[0].found
    assert folders[0] != folders[1], "as whoever names one shares it with nobody else"
    folders[1].joinpath(f"{'0' * 12}.4194304.sock").unlink()
    folders[1].rmdir()
    folders[1].symlink_to(folders[0])
    with pytest.raises(UserError, match="is a link, which others may lead elsewhere; set CODELLAMA_LS_RUNTIME"):
        places.runtime_folder()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770])
def test_a_folder_that_others_write_into_is_left_as_it_is(
    mode: int, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short.chmod(mode)
    monkeypatch.setenv("CODELLAMA_LS_RUNTIME", str(short))
    with pytest.raises(UserError, match=r"Others may write into .*; set CODELLAMA_LS_RUNTIME to a folder of your own"):
        places.runtime_folder()
    assert short.stat().st_mode & 0o7777 == mode


@pytest.mark.parametrize("find", [places.runtime_folder, places.log_folder])
def test_what_is_no_folder_is_said(find: object, short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (short / "file").write_text("")
    for named, says in (
        (str(short / "file"), "cannot be made"),
        (str(short / "file" / "below"), "cannot be made"),
        ("/proc/none/such", "cannot be made"),
        ("relative", "is not a whole path"),
    ):
        monkeypatch.setenv("CODELLAMA_LS_RUNTIME", named)
        with pytest.raises(UserError, match=says):
            find()  # type: ignore[operator]


@pytest.mark.parametrize("command", [["complete", "a.py:1:1"], ["chat", "hello"], ["engine"], ["doctor"]])
def test_every_command_says_it_in_one_sentence(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    environment = {**os.environ, "CODELLAMA_LS_RUNTIME": "/proc/none/such", "CODELLAMA_LS_DATA": str(tmp_path / "data")}
    done = subprocess.run(
        [sys.executable, "-m", "lsp_server", *command],
        cwd=tmp_path, env={**environment, "PYTHONPATH": os.getcwd()}, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "/proc/none/such cannot be made" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("port", ["99999", "-1", "x"])
def test_a_port_that_is_none(port: str) -> None:
    command = [sys.executable, "-m", "lsp_server", "engine", "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("is no port; it is a number from 0 (any that is free) to 65535")
