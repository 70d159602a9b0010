"""The folders of this user that the language server and the engine share.

`CODELLAMA_LS_CONFIG` names the user's configuration file. `CODELLAMA_LS_CACHE` moves the checkpoints and the indexes
of workspaces, `CODELLAMA_LS_INDEX` the indexes alone, `CODELLAMA_LS_RUNTIME` the sockets, locks and logs of engines,
`CODELLAMA_LS_DATA` the conversations and statistics.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import warnings
from pathlib import Path

import platformdirs

from lsp_server.errors import UserError

NAME = "codellama-ls"
# A Unix socket's path must fit in about 100 bytes (sun_path); macOS has the least room, 104.
MAX_SOCKET_FOLDER = 75
_OWN = "set CODELLAMA_LS_RUNTIME to a folder of your own"


def named_folder(name: str) -> Path | None:
    """The folder that a model's name means; None where the name is no path.

    It is one only if it is written as one (`/...`, `~/...`, `./...`): `org/name` is a model of the hub, also where the
    working folder, which may be anybody's, has a folder of that name. Raises UserError for a path that is not whole.
    """
    if not _is_path(name):
        return None
    try:
        folder = Path(name).expanduser()
    except RuntimeError:  # `~name` of an unknown user
        folder = Path(name)
    if not folder.is_absolute():
        raise UserError(f"{name} is not a whole path; write the folder of the checkpoint from / or ~ on.")
    return folder


def absolute_name(name: str) -> str:
    """A model's name as it is meant in the working folder of who typed it: a relative path becomes a whole one."""
    return os.path.abspath(os.path.expanduser(name)) if _is_path(name) else name


def _is_path(name: str) -> bool:
    return name in (".", "..") or name.startswith(("/", "~", "./", "../", ".\\", "..\\")) or os.path.isabs(name)


def config_file() -> Path:
    """Where the user's settings for all editors and commands are written, where they are. Raises UserError."""
    named = os.environ.get("CODELLAMA_LS_CONFIG")
    file = Path(named) if named else platformdirs.user_config_path(NAME, appauthor=False) / "config.toml"
    if not file.is_absolute():  # it would be another one in each folder, and a workspace could have one
        said = f"CODELLAMA_LS_CONFIG is {named}" if named else "XDG_CONFIG_HOME"
        raise UserError(f"{said}, which is not a whole path, so no configuration file is read; write it from / on.")
    return file


def data_folder() -> Path:
    """Where conversations and statistics are kept: of this user alone (0700), created if need be."""
    folder = _named("CODELLAMA_LS_DATA", platformdirs.user_data_path(NAME, appauthor=False))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def cache_folder() -> Path:
    """Where checkpoints that this program made or fetched are kept."""
    return _named("CODELLAMA_LS_CACHE", platformdirs.user_cache_path(NAME))


def index_folder() -> Path:
    """Where the indexes of workspaces are kept."""
    return _named("CODELLAMA_LS_INDEX", cache_folder() / "index")


def _named(variable: str, default: Path) -> Path:
    """The folder that a variable names. A path that is not whole begins in the user's home, wherever a process runs:
    it would be another one in each folder, and a workspace could have one."""
    return Path.home() / Path(os.environ.get(variable) or default).expanduser()


def log_folder() -> Path:
    """Where the engine writes its log; created if need be. Raises UserError where that cannot be."""
    return _made(_moved() or platformdirs.user_log_path(NAME))


def runtime_folder() -> Path:
    """Where sockets and locks of running engines lie: of this user alone (0700), created if need be.

    One whose path is too long for a socket has another in its place, which no other folder has. Raises UserError where
    the folder belongs to others too, or cannot be made or written.
    """
    wanted = wanted_runtime_folder()
    if not hasattr(os, "getuid"):  # Windows: the folder lies in the user's own profile
        return _made(wanted)
    folder = _made(_short(wanted))
    # In a folder of all users anybody may have put a link.
    found = folder.stat() if folder == wanted else folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise UserError(f"{folder} is a link, which others may lead elsewhere; {_OWN}.")
    if found.st_uid != os.getuid():
        raise UserError(f"{folder} belongs to another user; {_OWN}.")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UserError(f"Others may write into {folder}; {_OWN}.")
    if found.st_mode & 0o077:
        folder.chmod(0o700)
    return folder


def wanted_runtime_folder() -> Path:
    """The runtime folder that the user or the system names, where a socket's path may be too long. Raises UserError."""
    with warnings.catch_warnings():  # where there is no login session it takes a folder in /tmp, and says so
        warnings.simplefilter("ignore")
        return _moved() or platformdirs.user_runtime_path(NAME)


def _short(folder: Path) -> Path:
    """The folder, or where its path is too long for a socket, the one in its place: among those for temporary files."""
    if len(os.fsencode(folder)) <= MAX_SOCKET_FOLDER:
        return folder
    key = hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]
    name = f"{NAME}-{os.getuid()}-{key}"
    made = Path(tempfile.gettempdir()) / name
    return made if len(os.fsencode(made)) <= MAX_SOCKET_FOLDER else Path("/tmp") / name


def _moved() -> Path | None:
    """The folder that the user names for all that belongs to running engines. Raises UserError."""
    named = os.environ.get("CODELLAMA_LS_RUNTIME")
    if not named:
        return None
    if not os.path.isabs(named):  # it would be another one in each folder
        raise UserError(f"CODELLAMA_LS_RUNTIME is {named}, which is not a whole path; {_OWN}, from / on.")
    return Path(named)


def _made(folder: Path) -> Path:
    """The folder, which can be written into. Raises UserError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be made ({error.strerror}); {_OWN}.") from error
    if not os.access(folder, os.W_OK):
        raise UserError(f"{folder} cannot be written into; {_OWN}.")
    return folder


def private(path: str, flags: int) -> int:
    """An opener for `open`: what it creates, or finds, is for this user alone (0600)."""
    descriptor = os.open(path, flags, 0o600)
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, 0o600)
    return descriptor
