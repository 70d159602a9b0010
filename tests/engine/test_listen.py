"""`codellama-ls engine --listen`, as a real process: who may listen where, and other programs at the starter."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import checkpoints
import httpx
import pytest
from engine.others.conftest import RECORDED, answers, read, text_in

pytestmark = [
    pytest.mark.usefixtures("engines"),
    pytest.mark.skipif(sys.platform == "win32", reason="signals"),
]
COMMAND = [sys.executable, "-m", "lsp_server", "engine"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.random_checkpoint(tmp_path_factory.mktemp("tiny"), layers=1, hidden=64)


def run(*options: str, token: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CODELLAMA_LS_ENGINE_TOKEN": token}
    return subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=200, env=environment)


@contextlib.contextmanager
def listening(model: str, *options: str, at: str = "127.0.0.1:0", token: str = "") -> Iterator[str]:
    """An engine that listens: the URL it says. It ends in order."""
    environment = {**os.environ, "CODELLAMA_LS_ENGINE_TOKEN": token}
    process = subprocess.Popen(
        [*COMMAND, "--model", model, "--listen", at, *options], stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stderr is not None
    try:
        said = process.stderr.readline()
        found = re.search(r"http://\S+:\d+", said)
        assert found is not None, said + process.stderr.read()
        yield found[0]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def ready(url: str, headers: dict[str, str] | None = None) -> None:
    end = time.monotonic() + 240
    while httpx.get(f"{url}/health", headers=headers, timeout=120, verify=False).status_code != 200:
        assert time.monotonic() < end, "it never became ready"
        time.sleep(0.1)


@pytest.mark.parametrize("at", ["0.0.0.0:0", "[::]:0"])
def test_a_public_address_without_a_token_is_refused(at: str) -> None:
    done = run("--listen", at)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert "can be reached from other machines, so a token is needed" in line
    assert "CODELLAMA_LS_ENGINE_TOKEN" in line
    assert "--token-file" in line


@pytest.mark.parametrize("at", ["8012", "127.0.0.1", "127.0.0.1:port", "127.0.0.1:70000", ":8012", "::1:8012", ""])
def test_what_is_no_place_to_listen_on_is_wrong_usage(at: str) -> None:
    done = run("--listen", at)
    assert done.returncode == 2
    assert "no place to listen on" in done.stderr.splitlines()[-1]


def test_a_port_that_is_taken(tiny: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = run("--model", str(tiny), "--listen", f"127.0.0.1:{port}")
    assert done.returncode == 1
    assert f"127.0.0.1:{port} cannot be listened on (address already in use)" in done.stderr


def test_a_token_in_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    for mode, text, words in (
        (0o644, "sesame", "chmod 600"),
        (0o600, "", "one word"),
        (0o600, "two words", "one word"),
    ):
        file.write_text(text)
        file.chmod(mode)
        done = run("--listen", "0.0.0.0:0", "--token-file", str(file))
        assert done.returncode == 1
        [line] = done.stderr.splitlines()
        assert words in line
    done = run("--listen", "0.0.0.0:0", "--token-file", str(tmp_path / "none"))
    assert (done.returncode, "There is no" in done.stderr) == (1, True)
    assert run("--token-file", str(file)).returncode == 2, "it goes with --listen"


def test_with_a_token_it_serves_others_and_with_a_second_engine_beside_it(tiny: Path, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("sesame\n")
    file.chmod(0o600)
    with listening(str(tiny), "--token-file", str(file), at="0.0.0.0:0") as url:
        here = url.replace("0.0.0.0", "127.0.0.1")
        right = {"authorization": "Bearer sesame"}
        ready(here, right)
        assert httpx.get(f"{here}/props").status_code == 401
        named = {**right, "host": "gpu-box:8012"}
        assert httpx.get(f"{here}/props", headers=named).status_code == 200
        second = run("--model", str(tiny), "--listen", "127.0.0.1:0")
        assert second.returncode == 1
        assert "is running already (process" in second.stderr


def test_the_token_of_the_environment(tiny: Path) -> None:
    with listening(str(tiny), token="sesame") as url:
        assert httpx.get(f"{url}/health").status_code == 401
        assert httpx.get(f"{url}/health", headers={"authorization": "Bearer sesame"}).status_code in (200, 503)


@pytest.fixture(scope="module")
def starter_url(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("r")
    folder.chmod(0o700)
    patch.setenv("CODELLAMA_LS_RUNTIME", str(folder))
    try:
        with listening("starter") as url:
            ready(url)
            yield url
    finally:
        patch.undo()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", sorted(RECORDED))
def test_what_other_programs_send_to_the_starter(starter_url: str, name: str) -> None:
    """Every one of them gets the text that is missing, or an answer."""
    recorded = RECORDED[name]
    body: dict[str, Any] = {**recorded["body"], **({"max_tokens": 16} if "messages" in recorded["body"] else {})}
    response = httpx.post(
        starter_url + recorded["path"], content=json.dumps(body), headers=recorded["headers"], timeout=60
    )
    assert response.status_code == 200, response.text
    parts = answers(response)
    for path in recorded["reads"]:
        read(parts[-1 if recorded["path"] == "/completion" else 0], path)
    if recorded["infills"]:
        assert "".join(map(text_in, parts)).startswith("th.")
