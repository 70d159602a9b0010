"""`ps` and `stop`, with a real engine on a tiny checkpoint."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import checkpoints
import psutil
import pytest
from forking import fork_engines, program

from lsp_server.engine import address
from lsp_server.engine.address import Address
from lsp_server.model import local
from lsp_server.model.access import ModelAccess
from lsp_server.settings import Settings

pytestmark = pytest.mark.usefixtures("engines")


async def run(*words: str) -> tuple[int, str, str]:
    command = program("-m", "lsp_server", *words)
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


async def test_what_runs_is_shown_and_ended(tmp_path: Path) -> None:
    began = time.time()
    fork_engines()
    model = str(checkpoints.random_checkpoint(tmp_path / "tiny", layers=1, hidden=64))
    assert await run("ps") == (0, "No engine runs; the first editor window or command that needs one starts it.\n", "")
    access = ModelAccess(Settings(model=model, context_length=1024))
    await access.wait()
    engine = local.running(model)
    assert engine is not None
    (found,) = json.loads((await run("ps", "--json"))[1])
    assert (found["model"], found["pid"], found["status"]) == (model, engine.pid, "ready")
    assert found["memory"] == pytest.approx(psutil.Process(engine.pid).memory_info().rss, rel=0.2)
    assert began - 1 < found["since"] < time.time()
    assert [each["pid"] for each in found["users"]] == [os.getpid()], "and not the one that asked how it is"
    status, said, _ = await run("ps")
    assert status == 0
    assert said.startswith(f"{model}: ready on CPU")
    assert re.search(r"\n  planned with \d.* in 8 bits for a context of 1,024 tokens, on memory\n  holds \d", said)
    assert f"process {engine.pid}, since " in said
    assert f"({os.getpid()})" in said

    command = [sys.executable, "-m", "lsp_server", "chat", "--model", model]
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, cwd=tmp_path) as chat:  # noqa: ASYNC220
        assert chat.stdin is not None
        for _ in range(100):  # it takes a moment to ask for the model
            if f"codellama-ls chat ({chat.pid})" in (await run("ps"))[1]:
                break
        assert f"codellama-ls chat ({chat.pid})" in (await run("ps"))[1]
        chat.stdin.close()
    command = program("-m", "lsp_server", "engine", "--model", model, "--listen", "127.0.0.1:0")
    refused = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1
    assert f"(process {engine.pid}); `codellama-ls stop {model}` ends it.\n" in refused.stderr

    (tmp_path / "a.py").write_text("x = ")
    file = address.files(model).address
    address.write(file, dataclasses.replace(engine, root="/other/checkout"))
    status, _, told = await run("complete", f"{tmp_path}/a.py:1:5", "--model", model, "--max-tokens", "1")
    assert (status, told.count("of another installation (version 0.1.0 in /other/checkout)")) == (0, 1)
    address.write(file, engine)

    os.kill(engine.pid, signal.SIGSTOP)
    assert f"{model}: does not answer\n" in (await run("ps"))[1]
    os.kill(engine.pid, signal.SIGCONT)
    status, _, said = await run("stop", "org/other")
    assert (status, said) == (
        1,
        "codellama-ls: No engine of org/other runs; `codellama-ls ps` says which do.\n",
    )
    assert local.running(model) is not None
    assert await run("stop", model) == (0, f"The engine of {model} has ended (process {engine.pid}).\n", "")
    assert local.running(model) is None
    assert await run("stop") == (0, "No engine runs.\n", "")
    access.close()


async def test_what_a_crash_has_left_is_no_engine() -> None:
    address.write(address.files("org/name").address, Address(999_999_999, "0.1.0", "org/name"))
    assert json.loads((await run("ps", "--json"))[1]) == []
