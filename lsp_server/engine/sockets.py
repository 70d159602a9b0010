"""Where an engine listens: its own socket with the files by which it is found, and a port for other programs.

The folder of the files may be one that something tidies up. What is missing of them is made again, so that the engine
stays within reach as long as it runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import logging
import os
import secrets
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import filelock

from lsp_server import __version__, places, processes
from lsp_server.engine import address
from lsp_server.engine.address import Address, EngineFiles
from lsp_server.errors import UserError, reason

log = logging.getLogger(__name__)

TOKEN_VARIABLE = "CODELLAMA_LS_ENGINE_TOKEN"
_MOST_WAITING = 128
_MOST_TOKEN_BYTES = 4096
# Smaller changes of what is still to be taken are not worth a file.
_RESERVED_STEP = 64 * 2**20


class Taken(UserError):
    """Another engine has taken the lock of this one, whose file was removed."""


class Found:
    """The lock, the socket and the address by which an engine of this user is found."""

    def __init__(self, files: EngineFiles, lock: filelock.BaseFileLock, model: str, port: int | None) -> None:
        """The caller holds the lock, so socket files that are there are dead engines'."""
        self.files, self._locks = files, [lock]
        self._locked = _inode(files.lock)
        self.token = ""
        if port is None and hasattr(socket, "AF_UNIX") and sys.platform != "win32":
            for left in files.sockets():
                left.unlink(missing_ok=True)
            self.listener = _unix(files.socket(os.getpid()))
        else:
            self.token = secrets.token_urlsafe(32)
            self.listener = socket.socket(socket.AF_INET)
            self.listener.bind(("127.0.0.1", port or 0))
            self.listener.listen(_MOST_WAITING)
        self._address = Address(
            pid=os.getpid(),
            version=__version__,
            model=model,
            root=processes.ROOT,
            socket="" if self.token else str(files.socket(os.getpid())),
            port=self.listener.getsockname()[1] if self.token else 0,
            token=self.token,
        )
        address.write(files.address, self._address)

    def mend(self) -> socket.socket | None:
        """Make again what is missing of the files: a new socket, where it is that. Raises Taken, OSError, UserError."""
        path = Path(self._address.socket) if self._address.socket else None
        if _inode(self.files.lock) != self._locked:
            self._lock_anew()
        if not self.files.address.exists():
            log.warning("the engine's address was removed; it is written again")
            address.write(self.files.address, self._address)
        if path is None or path.exists():
            return None
        log.warning("the engine's socket was removed; it listens on a new one")
        self.listener = _unix(path)
        return self.listener

    def reserve(self, sizes: Mapping[str, int]) -> None:
        """Let other engines know how much memory of each device this one will still take. Raises OSError."""
        before = self._address.reserved
        if any(abs(size - before.get(device, 0)) > _RESERVED_STEP for device, size in sizes.items()):
            self._address = dataclasses.replace(self._address, reserved=dict(sizes))
            address.write(self.files.address, self._address)

    def _lock_anew(self) -> None:
        os.chdir(places.runtime_folder())  # it may be another folder of the same name
        lock = filelock.FileLock(self.files.lock, mode=0o600)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise Taken("The engine's lock was removed, and another engine has taken it.") from error
        log.warning("the engine's lock was removed; it is taken again")
        self._locks.append(lock)
        self._locked = _inode(self.files.lock)

    def close(self) -> None:
        """Remove the files, but for the lock's, which is let go of. What another engine has written stays."""
        found = address.read(self.files.address)
        if found is not None and found.pid == self._address.pid:
            self.files.address.unlink(missing_ok=True)
        self.listener.close()
        if self._address.socket:
            Path(self._address.socket).unlink(missing_ok=True)
        for lock in self._locks:
            lock.release()


def _unix(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)  # the socket is never, not even for a moment, open to others
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(_MOST_WAITING)
    return listener


def _inode(path: Path) -> tuple[int, int] | None:
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None


@dataclasses.dataclass(frozen=True)
class Place:
    """Where other programs reach the engine: `host` as it was typed, without brackets."""

    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclasses.dataclass(frozen=True)
class Door:
    """A port for other programs. `loopback`: only those of this machine reach it. `token`: None where none is asked."""

    at: Place
    listener: socket.socket
    loopback: bool
    token: str | None = dataclasses.field(repr=False)


def place(text: str) -> Place:
    """`HOST:PORT`, or `[HOST]:PORT` for IPv6. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("an IPv6 address stands in brackets")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError("it is HOST:PORT, such as 127.0.0.1:8012")
    return Place(host, int(port))


def token_of(file: str | None) -> str | None:
    """The token that programs must carry: that in `file`, else that of the environment, else none. Raises UserError,
    OSError."""
    if file is None:
        where, token = f"The token in {TOKEN_VARIABLE}", os.environ.get(TOKEN_VARIABLE, "").strip()
        if not token:
            return None
    else:
        where, token = f"The token in {file}", _private_text(Path(file))
    if not token or any(not "!" <= each <= "~" for each in token):
        raise UserError(f"{where} must be one word of visible ASCII characters, such as `openssl rand -hex 32` gives.")
    return token


def _private_text(path: Path) -> str:
    """What a file says that nobody else can read. Raises UserError, OSError."""
    with open(path, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if hasattr(os, "getuid") and mode & 0o077:
            raise UserError(f"Others may read {path}, which holds a token: run `chmod 600 {path}`.")
        return file.read(_MOST_TOKEN_BYTES).decode("ascii", "replace").strip()


@contextlib.contextmanager
def door(at: Place, token: str | None) -> Iterator[Door]:
    """Listen for other programs. Raises UserError where that cannot be, or a token is missing."""
    try:
        found = socket.getaddrinfo(at.host, at.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise UserError(f"{at.host} is no address of this machine ({reason(error)}): use 127.0.0.1.") from error
    family, _, _, _, where = min(found, key=lambda each: each[0] != socket.AF_INET)  # localhost is both
    loopback = all(ipaddress.ip_address(str(each[4][0]).partition("%")[0]).is_loopback for each in found)
    if not loopback and token is None:
        raise UserError(
            f"{at.host} can be reached from other machines, so a token is needed: set {TOKEN_VARIABLE}, name a file "
            "that only you can read with --token-file, or listen on 127.0.0.1."
        )
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there it would let others take the port over
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(_MOST_WAITING)
    except OSError as error:
        listener.close()
        raise UserError(
            f"{at.host}:{at.port} cannot be listened on ({reason(error)}): name another, or end what listens there."
        ) from error
    try:
        yield Door(dataclasses.replace(at, port=listener.getsockname()[1]), listener, loopback, token)
    finally:
        listener.close()
