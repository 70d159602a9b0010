"""How many threads compute a forward pass on the CPU, and when they pause."""

from __future__ import annotations

import os
import time

import psutil
import torch

from lsp_server.engine import priority

# Between two looks at what else runs. The operating system counts in hundredths of a second.
_SECONDS = 0.25
# A look back says something only where this process has computed for that share of the time, and not waited.
_SHARE = 0.5
# While all cores compute, a program that is woken waits for the system's next tick, 4 ms on many: the language server
# for a key, the editor for the answer. So a pass pauses between two layers, after so many seconds for the shortest
# time that there is, on Linux some 60 microseconds.
_BETWEEN_PAUSES, _PAUSE = 0.001, 0.000001


def processors() -> list[int]:
    """The numbers of the (logical) processors on which this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def cores() -> int:
    """The cores which this process may use."""
    allowed = len(processors())
    return min(psutil.cpu_count(logical=False) or allowed, allowed)


class SharedThreads:
    """One thread for each core while the machine is quiet, fewer while other programs run, half of them at least. Or a
    fixed number of them.

    The threads wait for each other several hundred times a pass. Where one of them has to wait for a processor too, all
    do. The results are the same.
    """

    def __init__(self, fixed: int = 0) -> None:
        self._most, self._fixed = torch.get_num_threads(), fixed
        self._looked, self._busy, self._own = time.monotonic(), _busy_seconds(), time.process_time()

    def fix(self, number: int) -> None:
        """Compute with so many threads from now on; 0: with those that there are cores for. In the thread that does."""
        self._fixed, self._most = number, number or cores()
        torch.set_num_threads(self._most)

    def adapt(self) -> None:
        """Set the number for the calling thread's passes; from time to time look how much others compute."""
        if self._fixed:
            return
        now = time.monotonic()
        elapsed = now - self._looked
        if elapsed < _SECONDS:
            return
        busy, own = _busy_seconds(), time.process_time()
        used = (own - self._own) / elapsed
        others = (busy - self._busy) / elapsed - used
        self._looked, self._busy, self._own = now, busy, own
        if used >= _SHARE:
            torch.set_num_threads(min(self._most, max(round(len(processors()) - others), (self._most + 1) // 2)))


class Pauses:
    """The pauses of one pass."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _BETWEEN_PAUSES

    def take(self) -> None:
        """Pause, if it is time; and as long as another engine is to compute first."""
        if time.monotonic() >= self._next:
            time.sleep(_PAUSE)
            priority.stand()
            self._next = time.monotonic() + _BETWEEN_PAUSES


def _busy_seconds() -> float:
    """Seconds for which the processors of this process were not idle, since the machine started, nor busy with what
    gives way to it."""
    each = psutil.cpu_times(percpu=True)
    times = [each[number] for number in processors() if number < len(each)]
    left_out = ["idle", "iowait", "guest", "guest_nice", *([] if priority.gives_way() else ["nice"])]
    busy: float = sum(sum(one) - sum(getattr(one, name, 0.0) for name in left_out) for one in times)
    return busy
