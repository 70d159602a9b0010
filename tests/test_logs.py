"""What is logged, and the files that keep it."""

from __future__ import annotations

import logging
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lsp_server import logs, printing

WRITES = """
import logging, sys
from lsp_server import logs
logs.MOST_BYTES = 20_000
logs.to_server_file()
logging.getLogger().setLevel("INFO")
print("ready", flush=True)
sys.stdin.read()
for number in range(1000):
    logging.info("%s %d", sys.argv[1], number)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CODELLAMA_LS_RUNTIME", str(tmp_path))
    return tmp_path


@pytest.fixture
def unchanged() -> Iterator[None]:
    """The handlers of this process are as they were in the end."""
    root = logging.getLogger()
    before = root.handlers[:], logs.requests.handlers[:]
    yield
    root.handlers[:], logs.requests.handlers[:] = before
    logs.requests.propagate = True


def test_a_file_that_many_write_to_stays_small_and_private(folder: Path) -> None:
    names = [f"window-{number}" for number in range(4)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    writers = {name: subprocess.Popen([sys.executable, "-c", WRITES, name], **pipes) for name in names}
    assert {each.stdout.readline() for each in writers.values()} == {"ready\n"}
    for each in writers.values():  # at once
        each.stdin.close()
    assert [each.wait() for each in writers.values()] == [0] * len(names)
    kept, older = folder / "server.log", folder / "server.log.1"
    for file in (kept, older):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.stat().st_size < 25_000
    lines = kept.read_text().splitlines() + older.read_text().rpartition("\n")[0].splitlines()
    assert lines
    processes = {(str(each.pid), name) for name, each in writers.items()}
    written = re.compile(r"\S+ \S+ (\d+) INFO (\S+) \d+")
    assert {match and match.groups() for match in map(written.fullmatch, lines)} <= processes, "no line is torn"


def test_a_log_that_is_no_full_one_stays(folder: Path) -> None:
    log = folder / "engine.log"
    log.write_text("a")
    logs.turn_over(log)
    logs.turn_over(folder / "none.log")
    assert [each.name for each in folder.iterdir()] == ["engine.log"]


def test_who_has_a_log_open_goes_on_with_it(folder: Path) -> None:
    log = folder / "engine.log"
    with open(log, "ab", buffering=0) as output:
        output.write(b"a" * (logs.MOST_BYTES + 1))
        logs.turn_over(log)
        output.write(b"b")
    assert log.read_bytes() == b"b"
    assert (folder / "engine.log.1").read_bytes() == b"a" * (logs.MOST_BYTES + 1)


@pytest.mark.usefixtures("unchanged")
def test_requests_are_kept_in_the_file_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printing.log_to_stderr(logging.INFO)
    logs.to_server_file()
    logs.requests.setLevel(logging.INFO)
    logs.requests.info("request %s: one", "a")
    logging.getLogger("lsp_server").warning("two\nforged")
    written = (folder / "server.log").read_text().splitlines()
    assert [line.partition("INFO ")[2] for line in written[:1]] == ["request a: one"]
    assert written[1].endswith("WARNING two")
    assert written[2] == "    forged"
    said = capsys.readouterr().err
    assert "two" in said
    assert "one" not in said


@pytest.mark.usefixtures("unchanged")
def test_a_file_that_cannot_be_kept_is_said_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "server.log").mkdir()
    printing.log_to_stderr(logging.INFO)
    logs.to_server_file()
    logs.requests.setLevel(logging.INFO)
    logs.requests.info("request %s: one", "a")
    said = capsys.readouterr().err.splitlines()
    assert "The log is not kept in a file" in said[0]
    assert said[1].endswith("request a: one")
