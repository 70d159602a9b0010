"""How an engine gives way to all else that computes on its machine: that of chat does, beside that of suggestions.

The system gives it fewer processors; but two threads that share a core slow each other down whatever their priority is,
and so do two models that read the same memory. So who computes a suggestion also holds a lock that the user's engines
share, which the system frees however they end, and who gives way stands still meanwhile, between two layers.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# Beside a program of usual priority it gets a tenth of a processor. With the least, it would stand still while the user
# compiles.
NICE = 10
# Linux has a priority for each thread; and where it shares the processors out between sessions first, of which an
# engine is one, one for each session.
_THREADS, _SESSION = Path("/proc/self/task"), Path("/proc/self/autogroup")
# In the runtime folder; who computes a suggestion has it locked.
FILE = "suggesting.lock"
# Who stands still looks so often, and after so long computes for so long, whatever others do: a tenth of the time.
LOOK_SECONDS, STAND_SECONDS, GO_SECONDS = 0.001, 0.2, 0.022


class _Turns:
    """Of this process. `file`: which is locked, None where there is none."""

    file: int | None = None
    stands = False  # for others
    stood = 0.0  # seconds since it last went
    goes_until = 0.0


def meet(folder: Path) -> None:
    """Take turns with the user's other engines from now on, which meet in the same folder."""
    if fcntl is not None:
        with contextlib.suppress(OSError):  # then they share the processors as all others do
            _Turns.file = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def go_first() -> None:
    """Have the engines that give way stand still until `let_go`, if this one is not among them."""
    if _Turns.file is not None and not _Turns.stands:
        with contextlib.suppress(OSError):
            fcntl.flock(_Turns.file, fcntl.LOCK_SH)


def let_go() -> None:
    """Let them go on."""
    if _Turns.file is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(_Turns.file, fcntl.LOCK_UN)


def stand() -> None:
    """Stand still while another engine is first, if this one gives way."""
    if not _Turns.stands or time.monotonic() < _Turns.goes_until:
        return
    began = time.monotonic()
    while _somebody_is_first():
        if _Turns.stood + time.monotonic() - began > STAND_SECONDS:
            _Turns.stood, _Turns.goes_until = 0.0, time.monotonic() + GO_SECONDS
            return
        time.sleep(LOOK_SECONDS)
    _Turns.stood += time.monotonic() - began


def _somebody_is_first() -> bool:
    if _Turns.file is None:
        return False
    try:
        fcntl.flock(_Turns.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    let_go()
    return False


def give_way() -> None:
    """Compute from now on with what others leave of the processors, in all threads that there are and will be."""
    import psutil

    _Turns.stands = True
    if sys.platform == "win32":
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        return
    with contextlib.suppress(OSError):  # it has a lower one already
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    if sys.platform == "linux":
        for thread in _THREADS.iterdir():
            with contextlib.suppress(OSError):  # it has ended, or a lower one
                os.setpriority(os.PRIO_PROCESS, int(thread.name), NICE)
        if os.getsid(0) == os.getpid():  # else it is that of a terminal, and of all that runs there
            with contextlib.suppress(OSError):  # there are no such sessions here
                _SESSION.write_text(str(NICE))


def gives_way() -> bool:
    """Whether this process does, as far as others would count its work as such."""
    return hasattr(os, "nice") and os.nice(0) > 0
