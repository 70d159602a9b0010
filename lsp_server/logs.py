"""Logs in files: private, and never larger than twice MOST_BYTES.

Nothing is logged of what a buffer, a prompt or an answer says. Several processes append to one file, the servers of a
user's windows, or an engine and what it starts; so a full one is copied aside and emptied in place: who has it open
goes on with it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from pathlib import Path

from lsp_server import places, printing
from lsp_server.errors import UserError

MOST_BYTES = 2_000_000
# A line for each request to a model, under the name that it has in the server and in the engine: `NAMED`, a header.
requests = logging.getLogger("lsp_server.requests")
NAMED = "X-Request-Id"
# Beside a log, what it held before.
_OLDER = ".1"


def server_file() -> Path:
    """The log of the language servers of all windows. Raises UserError where there is no place for one."""
    return places.log_folder() / "server.log"


def to_server_file() -> None:
    """Have the log kept in a file as well, each line with the number of its process; requests are kept there alone."""
    try:
        handler = _Kept(server_file())
    except (OSError, UserError) as error:
        logging.getLogger(__name__).warning("The log is not kept in a file: %s", printing.sentence(error))
        return
    handler.setFormatter(printing.Lines("%(asctime)s %(process)d %(levelname)s %(message)s"))
    handler.addFilter(printing.is_news)
    logging.getLogger().addHandler(handler)
    requests.addHandler(handler)
    requests.propagate = False


def turn_over(path: Path) -> None:
    """Set what a log of more than MOST_BYTES holds aside, and begin it anew. Raises OSError."""
    if not _is_full(path):
        return
    import filelock

    with contextlib.suppress(filelock.Timeout), filelock.FileLock(f"{path}.lock", timeout=0, mode=0o600):
        if _is_full(path):  # else another process did it meanwhile
            with open(path, "rb+") as full, open(f"{path}{_OLDER}", "wb", opener=places.private) as older:
                shutil.copyfileobj(full, older)
                full.truncate(0)


def _is_full(path: Path) -> bool:
    try:
        return path.stat().st_size > MOST_BYTES
    except FileNotFoundError:
        return False


class _Kept(logging.Handler):
    """Appends to a file that others append to as well. Raises OSError."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        turn_over(path)
        self._file = places.private(str(path), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # a full disk takes the log, and nothing else
            os.write(self._file, f"{self.format(record)}\n".encode())
            if os.fstat(self._file).st_size > MOST_BYTES:
                turn_over(self._path)
