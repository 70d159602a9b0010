"""Reading files that others made: never more than is asked for, and never anything that is not a file.

A checkpoint or a workspace may hold, by whatever name, a pipe that nobody writes to or a device without an end. What is
opened here is looked at through its descriptor, so nothing can take its place in between. Links are followed: who may
follow what is decided by the caller.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from lsp_server.errors import UserError

_CHUNK_BYTES = 2**20
# Without O_NONBLOCK, opening a pipe waits for its writer.
_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"))


class FileRefused(UserError, OSError):
    """What is there is not read: it is no regular file, or too large; the message says so in one sentence."""


def open_regular(path: Path) -> BinaryIO:
    """The file `path`, opened for reading, without a buffer.

    Raises FileRefused where it is no regular file, and OSError where it cannot be opened.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except ValueError as error:  # a zero byte in the name
        raise FileRefused(f"{str(path)!r} is no name of a file; name one that is there.") from error
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.EOPNOTSUPP):  # a socket
            raise _irregular(path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _irregular(path)
    return open(descriptor, "rb", buffering=0)


def read_bytes(path: Path, limit: int) -> bytes:
    """What is in the file `path`, of at most `limit` bytes.

    Raises FileRefused, and OSError where it cannot be read.
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > limit:
            raise _large(path, limit)
        parts: list[bytes] = []
        left = limit + 1  # it may grow meanwhile, and some files of the system say that they are empty
        while left and (part := file.read(min(left, _CHUNK_BYTES))):
            parts.append(part)
            left -= len(part)
    if not left:
        raise _large(path, limit)
    return b"".join(parts)


def _irregular(path: Path) -> FileRefused:
    return FileRefused(f"{path} is no regular file, so it is not read; put an ordinary file there.")


def _large(path: Path, limit: int) -> FileRefused:
    size = f"{limit / 2**20:.0f} MB" if limit >= 2**20 else f"{limit} bytes"
    return FileRefused(f"{path} is larger than {size}, so it is not read.")
