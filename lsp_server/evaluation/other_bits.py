"""An engine with the same weights in other bits, to hold the one that is used against."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from lsp_server import processes
from lsp_server.errors import UserError
from lsp_server.model import local
from lsp_server.settings import Settings

SECONDS = 60.0
RUNTIME = "CODELLAMA_LS_RUNTIME"


@contextlib.contextmanager
def engine(settings: Settings, bits: str) -> Iterator[None]:
    """As long as the context lasts, an engine of this process's own serves `settings.model` in so many `bits`, and this
    process reaches that one. It ends with the context. `bits`: a value of the setting `quantization`.

    The engine that others use goes on beside it: both must fit the machine. Raises UserError.
    """
    before = os.environ.get(RUNTIME)
    folder = Path(tempfile.mkdtemp(prefix="cl-"))  # short, as a socket's path must be
    os.environ[RUNTIME] = str(folder)
    command = processes.python("lsp_server.engine", "--model", settings.model, "--quantization", bits)
    command += ["--infilling", settings.infilling, "--idle-minutes", "0", "--threads", str(settings.threads)]
    log = local.log_file(settings.model)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            env=processes.environment(),
            start_new_session=True,
        )
    try:
        _wait_for(process, settings.model, log, bits)
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(local.END_SECONDS)
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
        if before is None:
            del os.environ[RUNTIME]
        else:
            os.environ[RUNTIME] = before


def _wait_for(process: subprocess.Popen[bytes], model: str, log: Path, bits: str) -> None:
    deadline = time.monotonic() + SECONDS
    while local.running(model) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
            raise UserError(f"The engine in {bits} bits did not start: {lines[-1] if lines else 'it said nothing'}")
        time.sleep(0.05)
