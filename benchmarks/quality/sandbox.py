"""Python that a model wrote, run where it can do no harm: a child process with nothing to read, write, reach or keep.

Three walls, each of which would do for a program that means no harm: the system's limits on time, memory, files and
processes; an audit hook of the interpreter, which refuses all that leads out of it; and, where the system can do that
for this user, a network of its own that leads nowhere (`unshare`). A program that attacks the interpreter itself is
not kept in: run no model's answers here that you would not run with `python`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile

# Exit status of a program that came to its end: one that ends early, however, has not passed.
PASSED = 91
SECONDS, MEMORY_BYTES = 5.0, 512 * 2**20

# Runs what is on standard input. Arguments: the limits on seconds and bytes, and the status of success.
_CHILD = """
import os, sys
import resource
import typing, math, re, collections, itertools, functools, hashlib, random, string, heapq, copy, datetime, bisect

seconds, size, passed = map(int, sys.argv[1:])
program = sys.stdin.read()
libraries = tuple(os.path.realpath(each) + os.sep for each in sys.path if each)
for what, limit in (
    ("CPU", seconds), ("AS", size), ("DATA", size), ("FSIZE", 0), ("CORE", 0), ("NPROC", 0), ("NOFILE", 32),
):
    if hasattr(resource, "RLIMIT_" + what):
        try:
            resource.setrlimit(getattr(resource, "RLIMIT_" + what), (limit, limit))
        except (ValueError, OSError):  # lower already, or not for this system
            pass
outside = (
    "_thread.", "ctypes.", "fcntl.", "ftplib.", "mmap.", "os.ch", "os.exec", "os.fork", "os.kill", "os.link", "os.lock",
    "os.mk", "os.posix_spawn", "os.putenv", "os.remove", "os.rename", "os.rmdir", "os.setxattr", "os.spawn",
    "os.startfile", "os.symlink", "os.system", "os.truncate", "os.utime", "pty.", "resource.", "shutil.", "smtplib.",
    "socket.", "sqlite3.", "subprocess.", "syslog.", "tempfile.", "urllib.", "webbrowser.", "winreg.", "_winapi.",
)

def refuse(event, arguments, real=os.path.realpath):
    if event == "open":
        name, _, flags = arguments
        mine = isinstance(name, (str, bytes)) and real(os.fsdecode(name)).startswith(libraries)
        if not mine or (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
            raise PermissionError("no files")
    elif event.startswith(outside) or (event == "import" and arguments[0] in ("ctypes", "_ctypes", "_posixsubprocess")):
        raise PermissionError(event)

sys.addaudithook(refuse)
sys.setrecursionlimit(2000)
exec(compile(program, "<program>", "exec"), {"__name__": "__main__"})
os._exit(passed)
"""


def passes(program: str, *, seconds: float = SECONDS, memory_bytes: int = MEMORY_BYTES) -> bool:
    """Whether a program comes to its end without an error, within the limits."""
    limits = (str(max(1, round(seconds))), str(memory_bytes), str(PASSED))
    with tempfile.TemporaryDirectory(prefix="sandbox-") as folder:
        process = subprocess.Popen(
            [*_no_network(), sys.executable, "-I", "-S", "-c", _CHILD, *limits],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={},
            start_new_session=True,
        )
        try:
            process.communicate(program.encode("utf-8", "replace"), timeout=seconds + 2)
        except subprocess.TimeoutExpired:
            return False
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return process.returncode == PASSED


@functools.cache
def _no_network() -> tuple[str, ...]:
    """What starts a program in a network of its own; nothing where this user or system cannot."""
    program = shutil.which("unshare")
    for options in (["-n"], ["-rn"]) if program else ():
        command = (str(program), *options)
        if subprocess.run([*command, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return command
    return ()
