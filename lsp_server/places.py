"""The folders of this user that the language server and the engine share.

`CODELLAMA_LS_CACHE` moves the checkpoints, `CODELLAMA_LS_RUNTIME` the sockets, locks and logs of running engines.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path

import platformdirs

NAME = "codellama-ls"
# A Unix socket's path must fit in about 100 bytes (sun_path); macOS has the least room, 104.
MAX_SOCKET_FOLDER = 80


def cache_folder() -> Path:
    """Where checkpoints that this program made or fetched are kept."""
    return Path(os.environ.get("CODELLAMA_LS_CACHE") or platformdirs.user_cache_path(NAME)).expanduser()


def log_folder() -> Path:
    """Where the engine writes its log; created if need be."""
    folder = Path(os.environ.get("CODELLAMA_LS_RUNTIME") or platformdirs.user_log_path(NAME))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def runtime_folder() -> Path:
    """Where sockets and locks of running engines lie: of this user alone (0700), created if need be.

    Raises PermissionError where the folder belongs to somebody else.
    """
    with warnings.catch_warnings():  # where there is no login session it takes a folder in /tmp, and says so
        warnings.simplefilter("ignore")
        folder = Path(os.environ.get("CODELLAMA_LS_RUNTIME") or platformdirs.user_runtime_path(NAME))
    if not hasattr(os, "getuid"):  # Windows: the folder lies in the user's own profile
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    if len(str(folder)) > MAX_SOCKET_FOLDER:
        folder = Path(tempfile.gettempdir()) / f"{NAME}-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user; set CODELLAMA_LS_RUNTIME to a folder of your own.")
    folder.chmod(0o700)
    return folder
