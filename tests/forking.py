"""The program in processes that begin as copies of one that has loaded it.

To load the program takes a processor a second, and an engine six, as often as a test starts it. So there is one process
that has loaded it and only forks, and another one for engines: a copy is a process of its own, with the streams, the
environment and the folder of who started it, as with `python -m lsp_server`. What each would do first, to read the
tests' tokenizer and to learn the shapes of messages, is done before. Tests of the start itself, or of a process's
number, start it whole, and so do benchmarks, which borrow from the tests.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import re
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import filelock

# Stands for a copy where it was asked for: hands its own streams over, passes signals on, and ends as the copy ends.
LAUNCHER = """
import json, os, signal, socket, sys
keeper = socket.socket(socket.AF_UNIX)
keeper.connect(sys.argv[1])
told = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(keeper, [len(told).to_bytes(4, "big")], [0, 1, 2])
keeper.sendall(told)
for number in (0, 1):
    os.close(number)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: keeper.send(bytes([number])))
status = keeper.recv(1)[0]
if status > 128:
    signal.signal(status - 128, signal.SIG_DFL)
    os.kill(os.getpid(), status - 128)
os._exit(status)
"""
# Where a copy finds the keeper of engines.
ENGINES = "TESTS_ENGINES"
# What passes need that only machines with a card have.
CARDS = "triton"


# Whether programs are copies here: in tests, and in the programs that they start with this in their environment.
in_tests = ENGINES in os.environ


def program(*words: str) -> list[str]:
    """The command that runs `python WORDS`, in tests in a copy; the words are `-m MODULE ...` or `-c CODE ...`."""
    return _copied("lsp_server", words)


def engine(*words: str) -> list[str]:
    """The same for an engine."""
    return _copied("lsp_server.engine", words)


def _copied(module: str, words: Sequence[str]) -> list[str]:
    if not _are_copied():
        return [sys.executable, *words]
    return _launched(_kept(module), words)


def _are_copied() -> bool:
    return in_tests and hasattr(os, "pidfd_open")  # which Linux has


def fork_engines() -> None:
    """The engines that servers start, which are forked from now on, are copies too."""
    if _are_copied():
        os.environ[ENGINES] = _kept("lsp_server.engine")


@contextlib.contextmanager
def copied_engines() -> Iterator[None]:
    """The engines that this process starts meanwhile are copies too."""
    from lsp_server import processes

    whole = processes.python
    if _are_copied():
        processes.python = _with_copies(_kept("lsp_server.engine"))
    try:
        yield
    finally:
        processes.python = whole


def _with_copies(keeper: str) -> Callable[..., list[str]]:
    """How Python is started, where an engine is a copy."""
    from lsp_server import processes

    whole = processes.python

    def python(module: str, *arguments: str, **options: Any) -> list[str]:
        if module == "lsp_server.engine":
            return _launched(keeper, ("-m", module, *arguments))
        return whole(module, *arguments, **options)

    return python


def _launched(keeper: str, words: Sequence[str]) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", LAUNCHER, keeper, *words]


@functools.cache
def _kept(module: str) -> str:
    """The socket of the keeper of a module, by whose name its copies are known too. All workers of a run share it, and
    it ends with the last of them: its standard input is a pipe that each of them holds open."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    folder = Path(tempfile.gettempdir(), f"fork-{run}-{module}")
    folder.mkdir(mode=0o700, exist_ok=True)
    path, held = folder / "socket", folder / "held"
    with filelock.FileLock(folder / "lock"):
        if path.exists():
            os.open(held, os.O_WRONLY)
            return str(path)
        os.mkfifo(held)
        reading = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
        os.open(held, os.O_WRONLY)
        # Not the environment of the test that is the first, by which its processes are found when it ends.
        around = {name: value for name, value in os.environ.items() if not name.startswith("CODELLAMA_LS_")}
        command = [sys.executable, __file__, module, str(path)]
        keeper = subprocess.Popen(command, stdin=reading, stdout=subprocess.PIPE, env=around, cwd="/")
        _started.append(keeper)  # not waited for: it may outlive this worker
        os.close(reading)
        assert keeper.stdout is not None
        assert keeper.stdout.read(1) == b"."
        return str(path)


_started: list[subprocess.Popen[bytes]] = []


class Keeper:
    """Forks for whoever connects, until its standard input ends."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._selector = selectors.DefaultSelector()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(path)
        self._listening.listen(100)
        self._copies: dict[int, tuple[int, socket.socket]] = {}  # number and launcher, by the handle of the process

    def run(self) -> list[str]:
        """In each copy, the words that it is to run."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._selector.register(0, selectors.EVENT_READ, self._end)
        self._selector.register(self._listening, selectors.EVENT_READ, self._fork)
        os.write(1, b".")
        while True:
            for key, _ in self._selector.select():
                if words := key.data():
                    return words

    def _end(self) -> None:
        for number, _ in self._copies.values():
            os.kill(number, signal.SIGKILL)
        shutil.rmtree(os.path.dirname(self._path), ignore_errors=True)
        os._exit(0)

    def _fork(self) -> list[str] | None:
        launcher, _ = self._listening.accept()
        size, streams, _, _ = socket.recv_fds(launcher, 4, 3)
        told = launcher.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL)
        number = os.fork()
        if not number:
            for each in (self._selector, self._listening, launcher, *(other for _, other in self._copies.values())):
                each.close()
            return _become(streams, *json.loads(told))
        for stream in streams:
            os.close(stream)
        handle = os.pidfd_open(number)
        self._copies[handle] = number, launcher
        self._selector.register(handle, selectors.EVENT_READ, functools.partial(self._ended, handle))
        self._selector.register(launcher, selectors.EVENT_READ, functools.partial(self._told, handle))
        return None

    def _told(self, handle: int) -> None:
        """A launcher has passed a signal on, or was killed."""
        if handle not in self._copies:
            return
        number, launcher = self._copies[handle]
        sent = b""
        with contextlib.suppress(OSError):
            sent = launcher.recv(1)
        if not sent:
            self._selector.unregister(launcher)
        os.kill(number, sent[0] if sent else signal.SIGKILL)

    def _ended(self, handle: int) -> None:
        number, launcher = self._copies.pop(handle)
        code = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
        with contextlib.suppress(OSError):  # it was killed
            launcher.send(bytes([code if code >= 0 else 128 - code]))
        self._selector.unregister(handle)
        with contextlib.suppress(KeyError):
            self._selector.unregister(launcher)
        launcher.close()
        os.close(handle)


def _become(streams: list[int], words: list[str], folder: str, environment: dict[str, str]) -> list[str]:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", 1, "utf-8", "backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    return words


def _run(words: list[str]) -> None:
    from lsp_server import processes

    processes.PARENT = os.getppid()
    if keeper := os.environ.get(ENGINES):
        processes.python = _with_copies(keeper)
    sys.argv[:] = [words[0], *words[2:]]
    if words[0] == "-c":
        exec(compile(words[1], "<string>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)


def _load_engine() -> None:
    from numba.core.registry import cpu_target

    from lsp_server.engine import process

    os.environ.update(process.THREADS | process.PREPARED, TORCHDYNAMO_DISABLE="1")
    importlib.import_module("lsp_server.engine.passes.rounding").bitsandbytes()
    for room in ("generating", "loading", "passes", "serving"):
        for module in pkgutil.iter_modules(importlib.import_module(f"lsp_server.engine.{room}").__path__):
            try:
                importlib.import_module(f"lsp_server.engine.{room}.{module.name}")
            except ModuleNotFoundError as error:
                if error.name != CARDS:
                    raise
    for name in ("models.llama.modeling_llama", "generation", "integrations.bitsandbytes"):
        importlib.import_module(f"transformers.{name}")
    importlib.import_module("uvicorn.lifespan.off")
    # What numba does before its first kernel; a kernel itself would begin threads, which no copy has.
    for context in (cpu_target.typing_context, cpu_target.target_context):
        context.refresh()
    importlib.import_module("lsp_server.engine.loading.rates").of_memory()  # which each would measure
    _read_tokenizer()


def _read_tokenizer() -> None:
    """The one that most checkpoints of the tests have."""
    import checkpoints
    import vocabularies

    from lsp_server.codellama.tokenizer import CodeLlamaTokenizer

    vocabularies.remember()
    with tempfile.TemporaryDirectory() as folder:
        CodeLlamaTokenizer.from_pretrained(checkpoints.code_llama_tokenizer(Path(folder)))


def _learn_messages() -> None:
    """The library works out how to read and write a kind of message when the first of it comes."""
    from lsprotocol import types
    from pygls.protocol import JsonRPCNotification, JsonRPCRequestMessage, JsonRPCResponseMessage

    from lsp_server.server import app, shapes

    converter = shapes.converter()
    shapes.converter = lambda: converter
    sent = (
        types.PROGRESS,
        types.WINDOW_SHOW_MESSAGE,
        types.WINDOW_WORK_DONE_PROGRESS_CREATE,
        types.WORKSPACE_APPLY_EDIT,
    )
    progress = (types.WorkDoneProgressBegin, types.WorkDoneProgressReport, types.WorkDoneProgressEnd)
    results = (types.InitializeResult, types.InlineCompletionList, types.CompletionList, types.CodeAction)
    methods = (
        *app.create().protocol.fm.features,
        *sent,
        types.WORKSPACE_CONFIGURATION,
        types.WORKSPACE_EXECUTE_COMMAND,
    )
    messages = {kind for method in methods for kind in types.METHOD_TO_TYPES.get(method, ())[:2] if kind is not None}
    for kind in {*messages, *progress, *results, JsonRPCNotification, JsonRPCRequestMessage, JsonRPCResponseMessage}:
        converter.get_structure_hook(kind)
        converter.get_unstructure_hook(kind)


def _load_server() -> None:
    import lsp_server

    heavy = re.compile(r"__main__|\.evaluation\b|\.engine\.(generating|loading|passes|process|serving)\b")
    for module in pkgutil.walk_packages(lsp_server.__path__, "lsp_server."):
        if not heavy.search(module.name):
            importlib.import_module(module.name)
    importlib.import_module("lsp_server.model.exchange").load()
    _read_tokenizer()
    _learn_messages()
    assert "torch" not in sys.modules, "which no server may need"


def _end(status: int) -> NoReturn:
    """End as Python does, but for giving all memory back, which takes most of the time."""
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    if not any(Path(entry, "lsp_server").is_dir() for entry in sys.path):
        sys.path.insert(0, str(Path(__file__).parents[1]))
    {"lsp_server": _load_server, "lsp_server.engine": _load_engine}[sys.argv[1]]()
    sys.path.remove(str(Path(__file__).parent))
    gc.collect()
    gc.freeze()
    status = 0
    try:
        _run(Keeper(sys.argv[2]).run())
    except SystemExit as end:
        if isinstance(end.code, str):
            raise
        status = end.code or 0
    _end(status)
