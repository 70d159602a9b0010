"""The engine on this machine: joined where one runs for the model, started where none does."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import os
import re
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lsp_server import __version__, installing, logs, places, processes
from lsp_server.engine import address
from lsp_server.engine.address import Address
from lsp_server.engine.options import Options
from lsp_server.errors import UserError
from lsp_server.settings import Settings

if TYPE_CHECKING:
    from lsp_server.codellama import CodeLlamaTokenizer

log = logging.getLogger(__name__)

# From process start to listening; the model is loaded after that. Generous: a cold disk, a busy machine.
START_SECONDS = 60.0
# An engine that is asked to end is given this long to do so by itself.
END_SECONDS = 10.0
# A process that was killed closes its connections a moment before it is gone.
LOST_SECONDS = 1.0
# An engine makes a socket or an address that was removed again within a second, unless it is stuck.
MENDED_SECONDS = 6.0
# What a process computes within some seconds that does nothing.
IDLE_SECONDS = 0.05

# The bytes of a path, and of one name in it, that file systems can hold.
MOST_PATH, MOST_NAME = 4095, 255

# More than a file system keeps without a block for it.
_PROBE_BYTES = 65536


class EngineFailed(UserError):
    """The engine could not be started; the message is one sentence that says why and how to mend it."""


def check_installed() -> None:
    """Raises EngineFailed where the packages of an engine are not here."""
    missing = [name for name in ("torch", "transformers", "accelerate", "starlette", "uvicorn") if not _installed(name)]
    if missing:
        raise EngineFailed(
            f"The engine is not installed here ({', '.join(missing)} missing): run `{installing.engine()}`, or set "
            "codellama.engineUrl to a server that has the model."
        )


async def ensure(settings: Settings, *, gives_way: bool = False) -> Address:
    """The address of a running engine for `settings.model`, of this version or a later one; starts one where there is
    none, which `gives_way` to all else that computes on this machine. Raises EngineFailed.

    After an update, windows of both versions may be open for a while: if each ended the other's engine, there would be
    none any more that lasts.
    """
    files = address.files(settings.model)
    found = running(settings.model)
    if found is not None and (_is_earlier(found.version, __version__) or not await _can_be_reached(found)):
        await end_engine(found)
        found = None
    if found is not None:
        return found
    check_installed()
    process, said_before = _start(settings, files.log, gives_way)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_SECONDS
    unseen_since = None
    while loop.time() < deadline:
        if (found := running(settings.model)) is not None:
            return found
        if process.poll() not in (None, 0):
            raise EngineFailed(
                f"The engine ended at its start: {_why_ended(files.log, said_before)} (log: {files.log})"
            )
        if process.poll() == 0:
            # Another engine holds the lock: one that another window has just started, whose address appears in a
            # moment; or one whose address was removed and that is too stuck to write it again.
            unseen_since = unseen_since or loop.time()
            if loop.time() - unseen_since > MENDED_SECONDS:
                await asyncio.to_thread(_kill_holder, files.lock)
                process, said_before = _start(settings, files.log, gives_way)
                unseen_since = None
        await asyncio.sleep(0.05)
    raise EngineFailed(f"The engine did not start within {START_SECONDS:.0f} s; see {files.log}.")


def check_names(settings: Settings) -> None:
    """Raises EngineFailed where a setting cannot be what a checkpoint is called."""
    for setting, name in (("model", settings.model), ("tokenizer", settings.tokenizer)):
        if why := _wrong(name):
            raise EngineFailed(
                f"codellama.{setting} is {short(repr(name))}, which {why}; give a hub id such as "
                "codellama/CodeLlama-7b-hf, a checkpoint folder, or starter."
            )


def short(name: str) -> str:
    """A name as a sentence can hold it: of a long one the beginning and the end."""
    return name if len(name) <= 120 else f"{name[:60]}…{name[-40:]}"


def _wrong(name: str) -> str:
    """Why no checkpoint can be called so; "" where one can."""
    try:
        parts = [name.encode(), *name.encode().replace(b"\\", b"/").split(b"/")]
    except UnicodeEncodeError:
        return "has half a character in it"
    if b"\0" in parts[0]:
        return "has a zero byte in it"
    return "is too long for a name" if len(parts[0]) > MOST_PATH or max(map(len, parts[1:])) > MOST_NAME else ""


def reaching(model: str) -> str:
    """What is said while the engine of a model is reached."""
    try:
        return "Starting the engine." if running(model) is None else "Reaching the engine."
    except (OSError, ValueError):  # what no checkpoint can be called is told when it is looked for
        return "Starting the engine."


def running(model: str) -> Address | None:
    """The address of the engine of `model`, or None where there is none, or only the trace of one that crashed."""
    found = address.read(address.files(model).address)
    return found if found is not None and address.alive(found) else None


async def crashed(model: str) -> bool:
    """Whether the engine of `model` that was lost ended without its orderly end, which removes the address."""
    found = address.read(address.files(model).address)
    if found is None or not await gone(found, LOST_SECONDS):
        return False
    return address.read(address.files(model).address) == found


async def gone(found: Address, seconds: float) -> bool:
    """Wait until an engine has ended, at most so long; whether it has."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while address.alive(found):
        if loop.time() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True


def of_another_installation(found: Address) -> str:
    """One sentence on an engine that another checkout or version of this program has started; "" for one of our own."""
    if found.version == __version__ and found.root in ("", processes.ROOT):
        return ""
    where = f"version {found.version}" + (f" in {found.root}" if found.root else "")
    return f"The engine is that of another installation ({where}); restart it to have this one's."


def work(found: Address) -> tuple[float, int]:
    """What an engine has done so far: seconds of a processor, and bytes that it read where the system counts them."""
    import psutil

    try:
        process = psutil.Process(found.pid)
        times = process.cpu_times()
        read = process.io_counters().read_bytes if hasattr(process, "io_counters") else 0
        return times.user + times.system, read
    except psutil.Error:
        return 0.0, 0


def has_worked(before: tuple[float, int], after: tuple[float, int]) -> bool:
    """Whether there is more between the two than a process does that only waits."""
    return after[0] - before[0] > IDLE_SECONDS or after[1] != before[1]


def _is_earlier(version: str, than: str) -> bool:
    """Whether one version of this program comes before another."""
    one, other = (tuple(map(int, re.findall(r"\d+", each))) for each in (version, than))
    return one < other


async def _can_be_reached(found: Address) -> bool:
    """Whether an engine's socket is there, or is again in a moment: something may have tidied its folder."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + MENDED_SECONDS
    while found.socket and not os.path.exists(found.socket):  # noqa: ASYNC240  (on the user's own machine)
        if loop.time() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True


def _kill_holder(lock: Path) -> None:
    """End by force the engine that holds a lock and cannot be found by its address: the oldest that has it open."""
    import psutil

    holders = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            command = " ".join(process.cmdline())
            if ("lsp_server" in command or "codellama-ls" in command) and process.pid != os.getpid():
                holders += [process] * any(each.path == str(lock) for each in process.open_files())
    for process in sorted(holders, key=lambda each: each.create_time())[:1]:
        log.warning("ending an engine that cannot be reached (process %d)", process.pid)
        with contextlib.suppress(psutil.Error):
            process.kill()
            process.wait(END_SECONDS)


def log_file(model: str) -> Path:
    """Where the engine of `model` writes its log."""
    return address.files(model).log


def tokenizer_files(name: str) -> Path:
    """The folder with the tokenizer and configuration of a checkpoint: `name` itself where it is a folder, what is made
    of it where it is a GGUF file, otherwise those files of a hub id, fetched if need be. Raises EngineFailed.
    """
    if (folder := places.named_folder(name)) is not None:
        return _unpacked(folder) if folder.is_file() else folder
    from lsp_server.engine.loading import naming

    if name == naming.STARTER:
        return _of_starter()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = ["tokenizer*", "*.json", "*.jinja"]
    try:
        return Path(snapshot_download(name, allow_patterns=patterns, ignore_patterns=["*.index.json"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise EngineFailed(
            f"The tokenizer of {name} could not be fetched from the hub: go online, check that the name is right and "
            "that you may read it, or set codellama.tokenizer to a folder that has it."
        ) from error


def _of_starter() -> Path:
    """The starter's folder, made where it is not here yet, for which the engine's packages are needed."""
    from lsp_server.engine.loading import starter
    from lsp_server.engine.loading.checkpoint import CheckpointProblem

    if (folder := starter.here()) is not None:
        return folder
    if not _installed("torch"):
        raise EngineFailed(
            f"The tokenizer of the starter is made where an engine is installed: run `{installing.engine()}`, or set "
            "codellama.tokenizer to the starter's folder, copied from the server."
        )
    try:
        return starter.ensure(lambda progress: None)
    except CheckpointProblem as problem:
        raise EngineFailed(str(problem)) from problem


def _unpacked(file: Path) -> Path:
    from lsp_server.engine.loading.checkpoint import CheckpointProblem
    from lsp_server.engine.loading.naming import checkpoint_folder

    try:
        return checkpoint_folder(str(file), lambda progress: None)
    except CheckpointProblem as problem:
        raise EngineFailed(str(problem)) from None


def tokenizer(folder: Path, settings: Settings) -> CodeLlamaTokenizer:
    """The tokenizer in a checkpoint's folder, as the settings would have it used; it takes a while."""
    from lsp_server.codellama import CodeLlamaTokenizer

    return CodeLlamaTokenizer.from_pretrained(folder, infilling=settings.infilling, chat_format=settings.chat_format)


async def end(model: str) -> None:
    """End the engine of `model`, where there is one, and wait until it has ended."""
    if not _wrong(model) and (found := running(model)) is not None:
        await end_engine(found)


async def kill(found: Address) -> None:
    """End an engine by force, and wait until it has ended."""
    if address.alive(found):
        _signal(found, getattr(signal, "SIGKILL", signal.SIGTERM))
        await gone(found, END_SECONDS)


async def end_engine(found: Address) -> None:
    """End an engine in order, or by force where that takes long, and wait until it has ended."""
    _signal(found, signal.SIGTERM)
    if hasattr(signal, "SIGCONT"):  # one that was stopped can end in order too
        _signal(found, signal.SIGCONT)
    if not await gone(found, END_SECONDS):
        await kill(found)


def _signal(found: Address, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended by itself meanwhile
        os.kill(found.pid, number)


def _start(settings: Settings, log_file: Path, gives_way: bool) -> tuple[subprocess.Popen[bytes], int]:
    """Start an engine that outlives this process: it serves other windows, and the next one. (the process, the bytes
    that its log has from engines before). Raises EngineFailed."""
    command = [
        *processes.python("lsp_server.engine", "--model", settings.model),
        *("--by-settings", *Options.of(settings).words()),
        *(["--gives-way"] if gives_way else []),
    ]
    try:
        logs.turn_over(log_file)
        output = open(log_file, "ab", opener=places.private)  # noqa: SIM115  (closed below)
    except OSError as error:
        raise EngineFailed(f"The engine's log cannot be written: {_cannot(error)}") from error
    with output:
        said_before = output.tell()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=places.runtime_folder(),
            env=processes.environment(),
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        return process, said_before


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _why_ended(log_file: Path, said_before: int) -> str:
    """Why an engine ended at its start: the last thing that it said, or else what kept it from that."""
    said = log_file.read_bytes()[said_before:].decode(errors="replace")
    lines = [line for line in said.splitlines() if line.strip()]
    if lines:
        return lines[-1].strip().removeprefix("codellama-ls: ")
    try:
        with tempfile.TemporaryFile(dir=places.runtime_folder()) as probe:
            probe.write(b"x" * _PROBE_BYTES)
            probe.flush()
    except (OSError, UserError) as error:
        return f"nothing can be written where it runs: {_cannot(error)}"
    return "it said nothing"


def _cannot(error: Exception) -> str:
    """What is wrong with a folder of ours, and the way to mend it."""
    if isinstance(error, OSError):
        where = error.filename or places.runtime_folder()
        why = (error.strerror or str(error)).lower()
        return f"{where} ({why}); free some space there, or set CODELLAMA_LS_RUNTIME to a folder of your own."
    return str(error)
