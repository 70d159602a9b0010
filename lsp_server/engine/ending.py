"""The order of ends: an engine that is asked to end does so in any phase, within seconds, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from lsp_server import printing

log = logging.getLogger(__name__)

# After that the process ends whatever it still does: a library that is being loaded cannot be interrupted.
SECONDS = 5.0
_SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK")


class Ending:
    """Whether this process was asked to end. One for a process, made in its main thread.

    The handler of the signals only notes it, since an exception out of nowhere would leave files behind, and takes no
    lock, which the code that it interrupts may hold.
    """

    def __init__(self) -> None:
        self.asked = False
        self.files: list[Path] = []  # what a forced end removes
        self.on_asked: Callable[[], None] = lambda: None
        self._wakes, self._waker = os.pipe()
        for name in _SIGNALS:
            if (number := getattr(signal, name, None)) is not None:
                signal.signal(number, self._on_signal)
        threading.Thread(target=self._force, name="ending", daemon=True).start()

    def leave(self, status: int) -> int:
        """The exit status of this process, or the end of it at once: where another thread is still in a library, the
        interpreter's own end can wait for it or crash."""
        busy = [each for each in threading.enumerate() if each is not threading.main_thread() and each.name != "ending"]
        if busy:
            logging.shutdown()
            with contextlib.suppress(OSError):  # a full disk
                printing.flush()
            os._exit(status)
        return status

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self.asked:
            self.asked = True
            os.write(self._waker, b"x")
            self.on_asked()

    def _force(self) -> None:
        os.read(self._wakes, 1)
        time.sleep(SECONDS)
        log.warning("ending by force after %.0f s", SECONDS)
        for path in self.files:
            path.unlink(missing_ok=True)
        os._exit(0)
