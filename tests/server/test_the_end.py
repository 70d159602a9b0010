"""The editor is gone, in every way that it can be: then so is the server, soon, and what was written is kept."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from chat.wire import Engine

from lsp_server.chat.store import Store
from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.server import lifetime

SERVER = [sys.executable, "-m", "lsp_server"]
# Two seconds are what it may take; a machine that is busy is given more.
SECONDS = 20.0
LIMIT = 60.0


def framed(**message: Any) -> bytes:
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def initialize(process: int | None = None, **options: Any) -> bytes:
    params = {"processId": process, "rootUri": None, "capabilities": {}, "initializationOptions": options}
    return framed(id=1, method="initialize", params=params) + framed(method="initialized", params={})


def opened(text: str = "x = 1\n") -> bytes:
    document = {"uri": "untitled:a", "languageId": "python", "version": 1, "text": text}
    return framed(method="textDocument/didOpen", params={"textDocument": document})


# An editor that starts a server, whose pipes a program holds too; it says the process ids of both, sends a message,
# reads what comes back if it should, and ends as if it was killed.
EDITOR = """
import os, subprocess, sys
server, message, reads = sys.argv[1:4], sys.argv[4].encode(), sys.argv[5] == "reads"
taken, stdin = os.pipe()
stdout, given = os.pipe()
others = subprocess.Popen(["sleep", "100"], pass_fds=(stdin, stdout), stdout=subprocess.DEVNULL)
process = subprocess.Popen(server, stdin=taken, stdout=given)
print(process.pid, others.pid, flush=True)
os.write(stdin, message.replace(b"_EDITOR", b"%7d" % os.getpid()))
if reads:
    os.read(stdout, 1)
os._exit(9)
"""


class Window:
    """A server, and the editor's ends of its two pipes. `editor` is a process that can be killed in its place."""

    def __init__(self, folder: Path) -> None:
        self.editor = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
        taken, self.stdin = os.pipe()
        self.stdout, given = os.pipe()
        self.closed: set[int] = set()
        self.log = folder / "log"
        environment = {**os.environ, "CODELLAMA_LS_DATA": str(folder / "data")}
        with self.log.open("wb") as log:
            self.server = subprocess.Popen(SERVER, stdin=taken, stdout=given, stderr=log, cwd=folder, env=environment)
        os.close(taken)
        os.close(given)

    def write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.stdin, data) :]

    def until(self, text: bytes) -> bytes:
        """Read until something has come."""
        come, end = b"", time.monotonic() + LIMIT
        while text not in come:
            assert time.monotonic() < end, come
            come += os.read(self.stdout, 2**16)
        return come

    def begin(self, *, watched: bool = True, **options: Any) -> Window:
        self.write(initialize(self.editor.pid if watched else None, **options))
        self.until(b"serverInfo")
        return self

    def hold(self, descriptor: int) -> None:
        """Let another process hold an end of the pipe too, as a program does that the editor has started."""
        os.set_inheritable(descriptor, True)
        self.others = subprocess.Popen(["sleep", "100"], close_fds=True, pass_fds=(descriptor,))

    def close(self, *ends: int) -> None:
        """Close these ends of the pipes, or both: each once, for its number may be another file's after that."""
        for descriptor in set(ends or (self.stdin, self.stdout)) - self.closed:
            os.close(descriptor)
            self.closed.add(descriptor)

    def kill_editor(self) -> None:
        self.editor.kill()  # and nobody waits for it: it stays a zombie, as under an editor's own parent
        self.close()

    def ends(self) -> None:
        began = time.monotonic()
        self.server.wait(LIMIT)
        assert time.monotonic() - began < SECONDS

    def said(self) -> str:
        return self.log.read_text()


@pytest.fixture
def window(tmp_path: Path, engines: Path) -> Iterator[Callable[[], Window]]:
    made: list[Window] = []

    def start() -> Window:
        made.append(Window(tmp_path))
        return made[-1]

    yield start
    for each in made:
        each.close()
        for process in (each.server, each.editor, getattr(each, "others", each.editor)):
            process.kill()
            process.wait()


def test_a_killed_editor_whose_pipes_others_hold(window: Any) -> None:
    held = window().begin()
    held.hold(held.stdin)
    held.kill_editor()
    held.ends()


@pytest.mark.parametrize("waits", [False, True])
def test_an_editor_that_ended_before_the_session_began(window: Any, waits: bool) -> None:
    """It is gone, or its parent has not yet taken note."""
    late = window()
    late.editor.kill()
    if waits:
        late.editor.wait()
    late.write(initialize(late.editor.pid))
    late.server.wait(LIMIT)


@pytest.mark.parametrize(
    ("message", "reads"),
    [(initialize(1234567).replace(b"1234567", b"_EDITOR"), False), (framed(id=1, method="shutdown"), True)],
    ids=["while the server starts", "before it begins the session"],
)
def test_an_editor_that_ends_at_the_start(engines: Path, tmp_path: Path, message: bytes, reads: bool) -> None:
    arguments = [sys.executable, "-c", EDITOR, *SERVER, message.decode(), "reads" if reads else ""]
    said = subprocess.run(arguments, stdout=subprocess.PIPE, timeout=LIMIT, cwd=tmp_path).stdout
    server, others = (psutil.Process(int(each)) for each in said.split())
    try:
        server.wait(LIMIT)
    finally:
        for each in (server, others):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()


def test_an_editor_whose_process_never_was_here(window: Any) -> None:
    """Such as one outside of the container in which the server runs: it counts its processes elsewhere."""
    outside = window()
    outside.write(initialize(2**31 - 1))
    outside.until(b"serverInfo")
    with pytest.raises(subprocess.TimeoutExpired):
        outside.server.wait(4)
    outside.write(framed(id=2, method="codellama/chat/commands"))
    outside.until(b"instruction")


def test_its_output_is_closed_and_its_input_is_not(window: Any) -> None:
    """Whether or not there is something to say."""
    for message in (b"", framed(id=2, method="codellama/chat/commands")):
        half = window().begin(watched=False)
        half.close(half.stdout)
        with contextlib.suppress(BrokenPipeError):
            half.write(message)
        half.ends()


def test_a_thousand_requests_wait_and_nobody_is_there(window: Any) -> None:
    for watched in (True, False):
        many = window().begin(watched=watched)
        many.write(opened("def f():\n    return 1\n" * 1000))
        place = {"start": {"line": 0, "character": 0}, "end": {"line": 9, "character": 0}}
        params = {"textDocument": {"uri": "untitled:a"}, "range": place, "context": {"diagnostics": []}}
        requests = b"".join(framed(id=n, method="textDocument/codeAction", params=params) for n in range(10, 1010))
        fcntl.fcntl(many.stdin, fcntl.F_SETPIPE_SZ, 2**20)
        many.write(requests)
        many.kill_editor()
        many.ends()


@pytest.mark.parametrize("how", ["killed", "input closed"])
def test_nobody_reads_what_it_says_any_more(window: Any, how: str) -> None:
    """The pipe is full, and others hold it."""
    full = window().begin(watched=how == "killed")
    full.hold(full.stdout)
    for number in range(10, 3000):
        full.write(framed(id=number, method="codellama/unknown"))
    time.sleep(0.5)
    full.kill_editor()
    full.ends()


def test_an_editor_that_reads_only_once_all_is_written(window: Any) -> None:
    """Each would wait for the other; nothing is lost, and the channel stays as it was given."""
    slow = window().begin()
    count = 5000
    for number in range(10, 10 + count):
        slow.write(framed(id=number, method="codellama/unknown"))
    slow.write(opened("x = 1\n" * 200_000))
    assert not fcntl.fcntl(slow.stdout, fcntl.F_GETFL) & os.O_NONBLOCK
    slow.write(framed(id="last", method="shutdown") + framed(method="exit"))
    come = b""
    while data := os.read(slow.stdout, 2**16):
        come += data
    assert come.count(b'"error"') == count
    assert b'"last"' in come
    assert slow.server.wait(LIMIT) == 0


def test_a_thread_hangs(window: Any, tmp_path: Path) -> None:
    """Here in a file that is a pipe into which nobody writes; others hang in a file system that is gone."""
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    os.mkfifo(folder / "tokenizer.json")
    for how in ("kill_editor", "close", "exit"):
        hung = window().begin(engineUrl="http://127.0.0.1:9", tokenizer=str(folder))
        hung.write(opened() + framed(id=3, method="codellama/chat/send", params={"message": "hello"}))
        time.sleep(1.0)
        if how == "exit":
            hung.write(framed(id=2, method="shutdown") + framed(method="exit"))
        else:
            getattr(hung, how)()
        hung.ends()


@pytest.mark.parametrize("how", ["input closed", "killed", "output closed"])
def test_an_answer_is_kept_as_far_as_it_was_written(
    window: Any, how: str, tmp_path: Path, tokenizer_folder: Callable[..., Path]
) -> None:
    folder = tokenizer_folder("7b")
    engine = Engine(CodeLlamaTokenizer.from_pretrained(folder))
    engine.answer, engine.pause = "One two three four five six seven eight nine ten. " * 20, 0.05
    with engine.running() as url:
        asked = window().begin(watched=how == "killed", engineUrl=url, tokenizer=str(folder), chatFormat="inst")
        params = {"message": "Count.", "partialResultToken": "t"}
        asked.write(framed(id=3, method="codellama/chat/send", params=params))
        asked.until(b" three")
        if how == "killed":
            asked.hold(asked.stdin)
            asked.kill_editor()
        else:
            asked.close(asked.stdin if how == "input closed" else asked.stdout)
        asked.ends()
    store = Store(tmp_path / "data")
    (kept,) = store.summaries("")
    turns = store.get(kept.id).turns
    assert turns[0].content == "Count."
    assert turns[1].content.startswith("One two three")


def test_an_editor_has_not_ended_because_the_clock_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    gone: list[str] = []
    monkeypatch.setattr(lifetime, "WATCH_SECONDS", 0.01)
    monkeypatch.setattr(lifetime, "_gone", lambda sentence, on_gone: gone.append(sentence))
    boot = psutil.boot_time()
    lifetime.watch(os.getpid(), lambda: None)
    for module in (psutil, psutil._pslinux):  # which tell when a process began by when the machine did
        monkeypatch.setattr(module, "boot_time", lambda: boot + 3600)
    time.sleep(0.2)
    assert gone == []
