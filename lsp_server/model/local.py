"""The engine on this machine: joined where one runs for the model, started where none does."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

from lsp_server import __version__
from lsp_server.engine import address
from lsp_server.engine.address import Address
from lsp_server.settings import Settings

# From process start to listening; the model is loaded after that. Generous: a cold disk, a busy machine.
START_SECONDS = 60.0
# An engine of another version is given this long to end by itself.
END_SECONDS = 10.0
# A log that has grown beyond this is begun anew with the next engine.
LOG_BYTES = 2_000_000

INSTALL = "pip install 'codellama-ls[engine]'"


class EngineFailed(RuntimeError):
    """The engine could not be started; the message is one sentence that says why and how to mend it."""


async def ensure(settings: Settings) -> Address:
    """The address of a running engine of this version for `settings.model`; starts one where there is none.

    Raises EngineFailed.
    """
    files = address.files(settings.model)
    found = running(settings.model)
    if found is not None and found.version != __version__:
        await _end(found)
        found = None
    if found is not None:
        return found
    missing = [name for name in ("torch", "transformers", "accelerate", "starlette", "uvicorn") if not _installed(name)]
    if missing:
        raise EngineFailed(
            f"The engine is not installed here ({', '.join(missing)} missing): run {INSTALL}, or set "
            "codellama.engineUrl to a server that has the model."
        )
    process = _start(settings, files.log)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_SECONDS
    while loop.time() < deadline:
        if (found := running(settings.model)) is not None:
            return found
        # Status 0 means that another window's engine was faster: its address appears in a moment.
        if process.poll() not in (None, 0):
            raise EngineFailed(f"The engine ended at its start: {_last_line(files.log)} (log: {files.log})")
        await asyncio.sleep(0.05)
    raise EngineFailed(f"The engine did not start within {START_SECONDS:.0f} s; see {files.log}.")


def running(model: str) -> Address | None:
    """The address of the engine of `model`, or None where there is none, or only the trace of one that crashed."""
    found = address.read(address.files(model).address)
    return found if found is not None and _alive(found) else None


def crashed(model: str) -> bool:
    """Whether the last engine of `model` ended without its orderly end, which removes the address."""
    found = address.read(address.files(model).address)
    return found is not None and not _alive(found)


def log_file(model: str) -> Path:
    """Where the engine of `model` writes its log."""
    return address.files(model).log


def tokenizer_files(name: str) -> Path:
    """The folder with the tokenizer and configuration of a checkpoint: `name` itself where it is a folder, otherwise
    those files of a hub id, fetched if need be; no weights. Raises EngineFailed.
    """
    if (folder := Path(name).expanduser()).is_dir():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = ["tokenizer*", "*.json", "*.jinja"]
    try:
        return Path(snapshot_download(name, allow_patterns=patterns, ignore_patterns=["*.index.json"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise EngineFailed(
            f"The tokenizer of {name} could not be fetched ({type(error).__name__}): set codellama.tokenizer to a "
            "folder that has the served model's tokenizer."
        ) from error


def end(model: str) -> bool:
    """Ask the engine of `model` to end; whether there was one."""
    found = running(model)
    if found is not None:
        os.kill(found.pid, signal.SIGTERM)
    return found is not None


async def _end(found: Address) -> None:
    os.kill(found.pid, signal.SIGTERM)
    for _ in range(int(END_SECONDS / 0.05)):
        if not _alive(found):
            return
        await asyncio.sleep(0.05)
    os.kill(found.pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def _alive(found: Address) -> bool:
    """Whether the engine's process runs: its id alone may have gone to another program since."""
    import psutil

    try:
        process = psutil.Process(found.pid)
        command = " ".join(process.cmdline())
        return process.status() != psutil.STATUS_ZOMBIE and ("lsp_server" in command or "codellama-ls" in command)
    except psutil.Error:
        return False


def _start(settings: Settings, log: Path) -> subprocess.Popen[bytes]:
    """Start an engine that outlives this process: it serves other windows, and the next one."""
    command = [
        *(sys.executable, "-m", "lsp_server.engine", "--model", settings.model),
        *("--context-length", str(settings.context_length), "--idle-minutes", str(settings.idle_minutes)),
        *("--threads", str(settings.threads), "--log-level", settings.log_level),
        *("--infilling", settings.infilling, "--chat-format", settings.chat_format),
    ]
    fresh = not log.exists() or log.stat().st_size > LOG_BYTES
    with open(log, "wb" if fresh else "ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"
