"""What others may have put in the place of a file is refused at once, and never read without an end."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from lsp_server.files import FileRefused, read_bytes

posix = pytest.mark.skipif(os.name == "nt", reason="there are no such files")


def test_a_file_is_read_whole_up_to_its_limit(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"\r\n\x1a" * 1_000_000)
    assert read_bytes(file, 3_000_000) == b"\r\n\x1a" * 1_000_000
    with pytest.raises(FileRefused, match=r"a is larger than 2 MB, so it is not read\.$"):
        read_bytes(file, 2 * 2**20)
    with pytest.raises(FileRefused, match="larger than 10 bytes"):
        read_bytes(file, 10)
    (tmp_path / "link").symlink_to(file)
    assert len(read_bytes(tmp_path / "link", 3_000_000)) == 3_000_000


@posix
@pytest.mark.timeout(10)
def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("socket")  # a short name, as that of a socket must be
    for name in ("pipe", "endless", "folder", "socket", "/dev/null", "/dev/tty"):
        with pytest.raises(OSError, match=r"is no regular file|No such device") as caught:
            read_bytes(tmp_path / name, 100)
        assert isinstance(caught.value, FileRefused) or name == "/dev/tty"
    listener.close()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no files without a size")
def test_a_file_that_calls_itself_empty_is_not_read_beyond_its_limit() -> None:
    assert os.stat("/proc/self/maps").st_size == 0
    with pytest.raises(FileRefused, match="larger than 100 bytes"):
        read_bytes(Path("/proc/self/maps"), 100)


def test_what_is_not_there_is_an_ordinary_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "missing", 100)
    with pytest.raises(FileRefused, match="is no name of a file"):
        read_bytes(tmp_path / "a\0b", 100)
