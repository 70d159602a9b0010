"""Servers that others made, as processes of their own, with the starter model."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "actions"))  # for the editor that asks for code actions

START_SECONDS = 120.0
PORT = "PORT"
SERVE = "from transformers.cli.transformers import main; main()"


@contextlib.contextmanager
def serving(command: Sequence[str], log: Path, *, page: str = "/health", **variables: str) -> Iterator[str]:
    """The URL of a server while it runs. In `command` PORT stands for its port; `page` is there once it is ready."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    words = [port if word == PORT else word for word in command]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", **variables}
    with log.open("wb") as output:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
    try:
        _until_there(f"http://127.0.0.1:{port}{page}", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def transformers_serve(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of `transformers serve`, which has the starter and nothing in its cache."""
    log = tmp_path_factory.mktemp("serve") / "log"
    command = [sys.executable, "-c", SERVE, "serve", str(starter), "--port", PORT, "--log-level", "error"]
    with serving(command, log, HF_HOME=str(log.parent)) as url:
        yield url


def _until_there(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.2)
