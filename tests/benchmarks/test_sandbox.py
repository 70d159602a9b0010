"""Programs of a model are run where they can do no harm: each of these would be seen from outside if it got through."""

from __future__ import annotations

import socket
import textwrap
import time
from pathlib import Path

import pytest

from benchmarks.quality import sandbox


def passes(program: str, **limits: object) -> bool:
    return sandbox.passes(textwrap.dedent(program), **limits)  # type: ignore[arg-type]


def test_what_is_right_passes_and_what_is_wrong_does_not() -> None:
    assert passes("import math, re, collections, typing, hashlib\nassert math.floor(1.5) == 1\n")
    assert not passes("assert 1 == 2")
    assert not passes("x = (")
    assert passes("print('é' * 100_000)")


@pytest.mark.parametrize(
    "early", ["raise SystemExit(0)", "import sys; sys.exit(0)", "import os; os._exit(0)", "quit()"]
)
def test_an_early_end_is_no_success(early: str) -> None:
    assert not passes(early + "\nassert False")


@pytest.mark.parametrize("loop", ["while True: pass", "import time\nwhile True: time.sleep(1)"])
def test_an_endless_loop_is_ended(loop: str) -> None:
    started = time.monotonic()
    assert not passes(loop, seconds=1)
    assert time.monotonic() - started < 30


def test_what_eats_memory_is_ended() -> None:
    assert passes("x = bytearray(8 * 2**20)")
    assert not passes("x = bytearray(900 * 2**20)")
    assert not passes("x = []\nwhile True: x.append(' ' * 2**20)")


@pytest.mark.parametrize(
    "write",
    [
        "open({file!r}, 'w').write('x')",
        "open({file!r}, 'a').close()",
        "import os\nos.open({file!r}, os.O_CREAT | os.O_WRONLY)",
        "import pathlib\npathlib.Path({file!r}).touch()",
        "import os\nos.mkdir({file!r})",
        "import os\nos.symlink('/etc', {file!r})",
        "import io\nio.FileIO({file!r}, 'w')",
    ],
)
def test_nothing_is_written(write: str, tmp_path: Path) -> None:
    file = tmp_path / "written"
    assert not passes(write.format(file=str(file)))
    assert not file.exists()


@pytest.mark.parametrize(
    "change", ["os.remove({file!r})", "os.truncate({file!r}, 0)", "os.rename({file!r}, {file!r} + 'x')"]
)
def test_nothing_that_is_there_changes(change: str, tmp_path: Path) -> None:
    file = tmp_path / "precious"
    file.write_text("words")
    assert not passes("import os\n" + change.format(file=str(file)))
    assert file.read_text() == "words"


def test_no_file_of_the_user_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("words")
    assert not passes(f"open({str(tmp_path / 'secret')!r}).read()")


def test_no_connection_is_made() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        port = server.getsockname()[1]
        assert not passes(f"import socket\nsocket.create_connection(('127.0.0.1', {port}))")
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize(
    "start",
    [
        "import subprocess\nsubprocess.run(['touch', {file!r}])",
        "import os\nos.system('touch {file}')",
        "import os\nif os.fork() == 0: open({file!r}, 'w')",
        "import ctypes\nctypes.CDLL(None).system(b'touch {file}')",
        "import _posixsubprocess",
        "import os\nos.kill(os.getppid(), 9)",
    ],
)
def test_no_program_is_started_or_ended(start: str, tmp_path: Path) -> None:
    file = tmp_path / "started"
    assert not passes(start.format(file=str(file)))
    assert not file.exists()


def test_it_is_given_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODELLAMA_LS_ENGINE_TOKEN", "secret")
    assert passes("import os\nassert not [each for each in os.environ.values() if 'secret' in each]")


def test_what_programs_do_all_the_time_is_let_through() -> None:
    assert passes(
        """
        import collections, typing
        Point = collections.namedtuple("Point", "x y")
        class Named(typing.NamedTuple):
            x: int
        assert Point(1, 2).y == Named(2).x
        import decimal, fractions, statistics
        """
    )
