"""Engines that are real processes, asked to end in every phase, and to go on with other options."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import checkpoints
import filelock
import forking
import httpx
import psutil
import pytest

from lsp_server.engine import address, ending

pytestmark = [
    pytest.mark.usefixtures("engines"),
    pytest.mark.skipif(sys.platform == "win32", reason="signals and Unix sockets"),
]
SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.random_checkpoint(tmp_path_factory.mktemp("tiny"), layers=1, hidden=64)


def start(model: Path, *options: str, whole: bool = False) -> subprocess.Popen[str]:
    """`whole`: one that loads its libraries itself, for what happens meanwhile."""
    words = ("-m", "lsp_server.engine", "--model", str(model), *options)
    command = [sys.executable, *words] if whole else forking.engine(*words)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def until(true: Callable[[], Any], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while not (result := true()):
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.02)
    return result


def client(model: Path) -> httpx.Client:
    found = address.read(address.files(str(model)).address)
    assert found is not None
    return httpx.Client(
        transport=httpx.HTTPTransport(verify=False, uds=found.socket), base_url="http://localhost", timeout=120
    )


def health(model: Path) -> dict[str, Any]:
    if address.read(address.files(str(model)).address) is None:
        return {}
    with contextlib.suppress(httpx.TransportError), client(model) as http:
        return dict(http.get("/health").json())
    return {}


def ready(model: Path) -> dict[str, Any]:
    return dict(until(lambda: (said := health(model)).get("status") == "ready" and said))


@contextlib.contextmanager
def ends_in_order(process: subprocess.Popen[str], model: Path, number: int) -> Iterator[None]:
    """Sends the signal after the block: nothing stays but the lock's file, which is free."""
    yield
    process.send_signal(number)
    started = time.monotonic()
    said, _ = process.communicate(timeout=120)
    assert time.monotonic() - started < ending.SECONDS + 5
    assert process.returncode == 0, said
    assert "Traceback" not in said
    files = address.files(str(model))
    assert not files.address.exists()
    assert not files.sockets()
    assert not list(files.lock.parent.glob("*.tmp"))
    with filelock.FileLock(files.lock, timeout=0):
        pass


@SIGNALS
def test_while_it_waits_for_the_lock(tiny: Path, number: int) -> None:
    """The first engine goes on."""
    first = start(tiny)
    pid = until(lambda: health(tiny))["pid"]
    second = start(tiny, whole=True)
    until(lambda: psutil.Process(second.pid).num_threads() > 1)
    second.send_signal(number)
    said, _ = second.communicate(timeout=120)
    assert (second.returncode, said) == (0, "")
    with ends_in_order(first, tiny, number):
        assert ready(tiny)["pid"] == pid


@SIGNALS
def test_while_it_loads(tiny: Path, number: int) -> None:
    process = start(tiny, whole=True)
    with ends_in_order(process, tiny, number):
        until(lambda: health(tiny).get("message") == "Starting torch.")


@SIGNALS
def test_as_soon_as_it_listens(tiny: Path, number: int) -> None:
    process = start(tiny, whole=True)
    with ends_in_order(process, tiny, number):
        until(lambda: address.files(str(tiny)).sockets())


@SIGNALS
def test_while_it_serves_and_somebody_holds_a_connection(tiny: Path, number: int) -> None:
    process = start(tiny)
    ready(tiny)
    with socket.socket(socket.AF_UNIX) as idle, socket.socket(socket.AF_UNIX) as half:
        for connection in (idle, half):
            connection.connect(str(address.files(str(tiny)).sockets()[0]))
        half.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        with ends_in_order(process, tiny, number):
            pass


@SIGNALS
def test_while_nobody_reads_its_answer(tiny: Path, number: int) -> None:
    process = start(tiny)
    ready(tiny)
    ask = {"prompt": [1, 500], "max_tokens": 8000, "stream": True, "ignore_eos": True, "logprobs": 20}
    body = json.dumps(ask).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(address.files(str(tiny)).sockets()[0]))
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        with ends_in_order(process, tiny, number), client(tiny) as http:
            until(lambda: generated(http) > 500)


def generated(http: httpx.Client) -> float:
    """Tokens that running requests hold."""
    lines = http.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("engine_kv_tokens "))


@SIGNALS
def test_while_it_streams_an_answer(tiny: Path, number: int) -> None:
    """Who reads the answer is told why it ends, and the stream ends as a stream ends."""
    process = start(tiny)
    ready(tiny)
    lines: list[str] = []

    def read() -> None:
        ask = {"prompt": [1, 500], "max_tokens": 8000, "stream": True, "ignore_eos": True}
        with client(tiny) as http, http.stream("POST", "/v1/completions", json=ask) as response:
            lines.extend(line for line in response.iter_lines() if line)

    reader = threading.Thread(target=read)
    with ends_in_order(process, tiny, number):
        reader.start()
        until(lambda: lines)
    reader.join(20)
    assert lines[-1] == "data: [DONE]"
    assert json.loads(lines[-2].removeprefix("data: "))["error"]["message"] == "The engine is shutting down."


def test_a_library_that_is_not_done_is_not_waited_for(tiny: Path) -> None:
    """The thread that loads never comes back; the process ends by force, and still leaves nothing."""
    code = (
        "import sys, time; from lsp_server.engine import process; process._load = lambda *_: time.sleep(1000)\n"
        "import lsp_server.engine.ending as ending; ending.SECONDS = 0.5; process.STOP_SECONDS = 1000\n"
        "sys.exit(process.main(sys.argv[1:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "--model", str(tiny)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with ends_in_order(process, tiny, signal.SIGTERM):
        until(lambda: health(tiny))


def test_options_change_in_a_running_engine(tiny: Path) -> None:
    words = ("--threads", "1", "--idle-minutes", "30", "--context-length", "1024", "--quantization", "4")
    process = start(tiny, *words)
    with ends_in_order(process, tiny, signal.SIGTERM):
        said = ready(tiny)
        assert "in 4 bits for a context of 1,024 tokens, on memory; as set, about " in said["message"]
        assert "Bits of a weight: 4; as set" in said["plan"]
        assert said["options"] == {
            **{"context_length": 1024, "threads": 1, "idle_minutes": 30.0},
            **{"infilling": "auto", "chat_format": "auto", "log_level": "info", "quantization": "4"},
        }
        with client(tiny) as http:
            changes = {"threads": 2, "infilling": "off", "chatFormat": "inst", "logLevel": "warning"}
            assert http.post("/options", json=changes).status_code == 200
            ask = {"prompt": [1, 500], "max_tokens": 2}
            assert http.post("/v1/completions", json=ask).status_code == 200
            assert http.post("/options", json={"contextLength": 2048}).status_code == 409
            assert http.post("/options", json={"quantization": "8"}).status_code == 409
        options = health(tiny)["options"]
        assert (options["threads"], options["infilling"], options["log_level"]) == (2, "off", "warning")
        assert options["context_length"] == 1024


def test_a_shorter_idle_time_ends_a_running_engine(tiny: Path) -> None:
    process = start(tiny)
    ready(tiny)
    with client(tiny) as http:
        assert http.post("/options", json={"idleMinutes": 0.01}).status_code == 200
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert not address.files(str(tiny)).address.exists()


@pytest.mark.parametrize("removed", ["address", "socket", "lock", "all", "folder"])
def test_what_a_tidier_removes_of_its_files_is_there_again(tiny: Path, engines: Path, removed: str) -> None:
    """It is found and serves, as the same process, and no other can be started beside it."""
    process = start(tiny)
    files = address.files(str(tiny))
    with ends_in_order(process, tiny, signal.SIGTERM):
        before = ready(tiny) if removed == "folder" else until(lambda: health(tiny))
        own = {"address": [files.address], "socket": files.sockets(), "lock": [files.lock]}
        for path in own.get(removed, [each for paths in own.values() for each in paths]):
            path.unlink()
        if removed == "folder":
            shutil.rmtree(engines)
        until(lambda: files.address.exists() and files.sockets() and files.lock.exists() and health(tiny), 10)
        assert health(tiny)["pid"] == before["pid"]
        time.sleep(1.5)  # it looks once a second
        with pytest.raises(filelock.Timeout), filelock.FileLock(files.lock, timeout=0):
            pass


def test_what_it_does_after_the_last_shard_is_said(tiny: Path) -> None:
    """Not `shard 5 of 5, 100%` until it is warm."""
    process = start(tiny)
    said: dict[str, list[float]] = {}
    with ends_in_order(process, tiny, signal.SIGTERM):
        end = time.monotonic() + 240
        while (seen := health(tiny)).get("status") != "ready":
            assert time.monotonic() < end, said
            said.setdefault(seen.get("message", ""), []).append(seen.get("progress", 0.0))
    messages = [message.partition(" ")[0] for message in said]
    assert messages.index("Loading") < messages.index("Compiling")
    assert all(share < 1 for message, shares in said.items() for share in shares if "shard" not in message)


def test_one_that_is_started_by_hand_and_cannot_load_ends_at_once(tmp_path: Path) -> None:
    with start(tmp_path) as process:
        said, _ = process.communicate(timeout=15)  # less than it stays for a window
    assert process.returncode == 1
    assert "ERROR" in said
