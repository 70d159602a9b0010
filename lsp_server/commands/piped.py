"""What is piped into a command, or comes by `<` from a file."""

from __future__ import annotations

import os
import stat
import sys

from lsp_server.commands import Failed
from lsp_server.context.workspace import MAX_BYTES


def is_there() -> bool:
    """Whether standard input is a pipe or a file. What starts a command from a program of its own gives it others."""
    mode = os.fstat(sys.stdin.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def text() -> str:
    """All of standard input. Raises Failed where it is too much, or no text."""
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise Failed(f"The text on standard input is larger than {MAX_BYTES} bytes: send its end alone.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Failed(f"The text on standard input is not UTF-8 (byte {error.start}); convert it first.") from error
