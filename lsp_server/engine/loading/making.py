"""Making a checkpoint out of something else: by one process at a time, in a process of its own that is watched; and
removing one."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import filelock

from lsp_server import processes
from lsp_server.engine.loading.checkpoint import CheckpointProblem, Progress, Report

OUTPUT = "output.txt"
# Bytes; with less a disk is full.
LEAST_FREE = 1_000_000
# How Python, the system and Rust say that there is no room.
NO_SPACE = ("No space left", "Errno 28", "os error 28")


class locked:
    """Hold a file lock; while another process has it, say so once a second. `what`: what that one prepares."""

    def __init__(self, path: Path, report: Report, what: str) -> None:
        self._lock, self._report, self._what = filelock.FileLock(path), report, what

    def __enter__(self) -> None:
        while True:
            try:
                self._lock.acquire(timeout=1)
                return
            except filelock.Timeout:
                self._report(Progress("waiting", 0.0, f"for another process that prepares {self._what}"))

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def run(
    command: list[str],
    environment: dict[str, str],
    work: Path,
    tick: Callable[[], None],
    problem: Callable[[str], CheckpointProblem],
) -> None:
    """Run a command in `work` to its end and call `tick` a few times a second; what it says goes to OUTPUT there, and
    `problem` makes an exception of it.

    The command is ended when `tick` raises, which is how a caller stops the work. Being attended, it also ends with
    this process.
    """
    log = work / OUTPUT
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=processes.environment(**environment),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=work,
        )
        try:
            while process.poll() is None:
                tick()
                time.sleep(0.1)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            assert process.stdin is not None
            process.stdin.close()
    if process.returncode != 0:
        said = log.read_text(encoding="utf-8", errors="replace")
        if not said.strip() and shutil.disk_usage(work).free < LEAST_FREE:  # of that it could not say anything
            said = os.strerror(errno.ENOSPC)
        raise problem(said)


def remove(folder: Path) -> int | None:
    """Remove a folder with all in it; the bytes that are free now, None where there was none. Raises OSError."""
    if not folder.exists():
        return None
    freed = sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    shutil.rmtree(folder)
    return freed


def last_line(output: str) -> str:
    """The last thing that a command said."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:200].rstrip(".") if lines else "it said nothing"


def share(folder: Path, whole: int) -> float:
    """How much of `whole` bytes lies in a folder, at most 0.99: only the end is 1."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # moved away while we looked
            continue
    return min(total / whole, 0.99)
