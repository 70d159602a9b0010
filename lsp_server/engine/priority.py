"""How an engine gives way to all else that computes on its machine: that of chat does, beside that of suggestions."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

# Beside a program of usual priority it gets a tenth of a processor. With the least, it would stand still while the user
# compiles.
NICE = 10
# Linux has a priority for each thread; and where it shares the processors out between sessions first, of which an
# engine is one, one for each session.
_THREADS, _SESSION = Path("/proc/self/task"), Path("/proc/self/autogroup")


def give_way() -> None:
    """Compute from now on with what others leave of the processors, in all threads that there are and will be."""
    import psutil

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
