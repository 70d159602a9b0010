"""The engine of this machine, where something is in its way."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import checkpoints
import psutil
import pytest

from lsp_server.commands import engine
from lsp_server.engine import address
from lsp_server.engine.loading import rates
from lsp_server.model import local
from lsp_server.model.access import ModelAccess, ModelState
from lsp_server.model.answering import Answer, Question
from lsp_server.settings import Settings

pytestmark = [
    pytest.mark.usefixtures("engines"),
    pytest.mark.skipif(sys.platform == "win32", reason="signals and Unix sockets"),
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.random_checkpoint(tmp_path_factory.mktemp("tiny"), layers=1, hidden=64)


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Files can be made, and nothing can be written into them."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("removed", ["address", "socket", "both"])
async def test_a_stuck_engine_whose_files_were_removed_is_replaced(
    tiny: Path, removed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot make them again, and holds the lock."""
    monkeypatch.setattr(local, "MENDED_SECONDS", 1.0)
    monkeypatch.setattr(local, "END_SECONDS", 1.0)
    settings = Settings(model=str(tiny))
    first = await local.ensure(settings)
    os.kill(first.pid, signal.SIGSTOP)
    files = address.files(str(tiny))
    for path in [*([files.address] if removed != "socket" else []), *(files.sockets() if removed != "address" else [])]:
        path.unlink()
    second = await local.ensure(settings)
    assert second.pid != first.pid
    assert not psutil.pid_exists(first.pid) or psutil.Process(first.pid).status() == psutil.STATUS_ZOMBIE
    assert Path(second.socket).exists()


async def test_a_full_disk_is_named(tiny: Path, engines: Path, full_disk: None) -> None:
    with pytest.raises(local.EngineFailed) as failed:
        await local.ensure(Settings(model=str(tiny)))
    assert "it said nothing" not in str(failed.value)
    assert str(engines) in str(failed.value)
    assert "CODELLAMA_LS_RUNTIME" in str(failed.value)


async def test_a_log_that_cannot_be_written_is_named(tiny: Path) -> None:
    local.log_file(str(tiny)).mkdir()
    with pytest.raises(local.EngineFailed, match=r"log cannot be written: .* CODELLAMA_LS_RUNTIME"):
        await local.ensure(Settings(model=str(tiny)))


async def test_what_an_engine_before_said_is_not_the_reason(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local.log_file(str(tiny)).write_text("the end of another\n")
    monkeypatch.setattr(
        local.processes, "python", lambda *_, **__: [sys.executable, "-c", "print('mine'); raise SystemExit(3)"]
    )
    with pytest.raises(local.EngineFailed, match="ended at its start: mine "):
        await local.ensure(Settings(model=str(tiny)))


async def test_a_window_is_within_reach_of_its_engine_again(tiny: Path) -> None:
    """A socket that was tidied away is neither lack of memory nor the end of the engine."""
    states: list[ModelState] = []
    settings = Settings(model=str(tiny))
    at = await local.ensure(settings)
    for path in address.files(str(tiny)).sockets():
        path.unlink()
    access = ModelAccess(settings, states.append)
    reached = await asyncio.wait_for(access.wait(), 200)
    answer = Answer(reached, Question([1, 500], [2], 2))
    assert [part async for part in answer.parts()]
    assert (await reached.client.health()).pid == at.pid
    assert not any(state.lost or "memory" in state.message for state in states[:-1])
    access.close()
    await reached.client.aclose()


def test_the_starter_of_a_server_is_read_with_the_starter_s_own_tokenizer(starter: Path) -> None:
    assert local.tokenizer_files("starter") == starter


def test_without_an_engine_here_it_is_said_where_the_starter_s_tokenizer_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODELLAMA_LS_CACHE", str(tmp_path))
    monkeypatch.setattr(local, "_installed", lambda name: False)
    with pytest.raises(local.EngineFailed, match=r"codellama\.tokenizer to the starter's folder"):
        local.tokenizer_files("starter")


def test_an_engine_in_the_foreground_says_that_its_packages_are_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(local, "_installed", lambda name: name != "starlette")
    assert engine.run(["--model", "starter"]) == 1
    assert "The engine is not installed here (starlette missing): run" in capsys.readouterr().err


def test_how_fast_memory_is_read_is_measured_without_the_engine_s_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    rates.of_memory.cache_clear()
    assert rates.of_memory() > 1e8
