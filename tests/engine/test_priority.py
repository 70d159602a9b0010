"""That an engine stands still while another one computes a suggestion: with real processes."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lsp_server.engine import priority
from lsp_server.engine.generating.request import Request
from lsp_server.engine.generating.scheduler import Scheduler

fcntl = pytest.importorskip("fcntl")
IS_FIRST = "from lsp_server.engine import priority; priority.meet(Path(sys.argv[1])); priority.go_first()"
# Works in steps of a millisecond for a second, and says how many there were.
GIVES_WAY = """
from lsp_server.engine import priority
priority.meet(Path(sys.argv[1])); priority.give_way()
until, steps = time.monotonic() + float(sys.argv[2]), 0
while time.monotonic() < until:
    priority.stand()
    time.sleep(0.001)
    steps += 1
print(steps)
"""


def begun(code: str, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", f"import sys, time; from pathlib import Path; {code}", *words]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@contextlib.contextmanager
def somebody_first(folder: Path) -> Iterator[subprocess.Popen[str]]:
    with begun(f"{IS_FIRST}; print(1, flush=True); sys.stdin.read()", str(folder)) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "1\n"
        yield other
        other.kill()


def steps(folder: Path, seconds: float) -> int:
    code = GIVES_WAY.strip().replace("\n", "\\n")
    done, _ = begun(f"exec('{code}')", str(folder), str(seconds)).communicate(timeout=60)
    return int(done)


def test_who_gives_way_has_a_tenth_of_the_time(tmp_path: Path) -> None:
    alone = steps(tmp_path, 1.5)
    with somebody_first(tmp_path):
        beside = steps(tmp_path, 1.5)
    assert 5 < beside < alone / 4


def test_it_goes_on_at_once_when_who_was_first_is_killed(tmp_path: Path) -> None:
    with somebody_first(tmp_path) as other:
        other.kill()
        other.wait(60)
        assert steps(tmp_path, 0.5) > 50


@pytest.fixture
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], bool]]:
    """Whether this process is first, as another sees it."""
    for name in ("file", "stands", "stood", "goes_until"):
        monkeypatch.setattr(priority._Turns, name, getattr(priority._Turns, name))
    priority.meet(tmp_path)
    with open(tmp_path / priority.FILE, "rb") as theirs:

        def ask() -> bool:
            try:
                fcntl.flock(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            fcntl.flock(theirs, fcntl.LOCK_UN)
            return False

        yield ask


@pytest.mark.parametrize(("urgency", "wanted"), [(0, True), (5, False), (10, False), (20, False)])
async def test_an_engine_is_first_while_it_computes_a_suggestion_and_no_longer(
    urgency: int,
    wanted: bool,
    first: Callable[[], bool],
    make_scheduler: Callable[..., Scheduler],
    gate: Callable[[int], Any],
) -> None:
    held = gate(2)
    scheduler = make_scheduler()
    handle = scheduler.submit(Request(list(range(20, 60)), max_tokens=5, priority=urgency))
    assert held.reached.wait(20)
    assert first() is wanted
    held.opened.set()
    assert [tokens async for tokens in handle]
    for _ in range(2000):
        if not first():
            break
        await asyncio.sleep(0.01)
    assert not first()
