"""How long the server lives: as long as its editor, and two seconds more at most, whatever still runs then."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from lsp_server import processes

if TYPE_CHECKING:
    import psutil

log = logging.getLogger(__name__)

# From the moment when nobody listens any more to the end: enough to keep the last words of an answer.
LAST_SECONDS = 1.2
# How often it is looked whether the editor still runs. Its closed pipes tell sooner, where nothing else holds them.
WATCH_SECONDS = 0.5


def end_soon(status: int) -> None:
    """End the process within LAST_SECONDS, also where a thread hangs in a file system that does not answer."""

    def end() -> None:
        time.sleep(LAST_SECONDS)
        os._exit(status)

    threading.Thread(target=end, name="end", daemon=True).start()


def watch(editor: int | None, on_gone: Callable[[], object]) -> None:
    """Call `on_gone`, from a thread, once the process `editor` has ended, and end soon after.

    One that never was here, as from inside a container, is not watched: it would seem to have ended.
    """
    if editor is None or ((found := _running(editor)) is None and not _was_here(editor)):
        return

    def look() -> None:
        while found is not None and _running(editor) == found:
            time.sleep(WATCH_SECONDS)
        _gone(f"The editor (process {editor}) has ended.", on_gone)

    threading.Thread(target=look, name="editor", daemon=True).start()


def watch_start(has_begun: Callable[[], bool], on_gone: Callable[[], object]) -> None:
    """The same until the session has begun, and the editor said which process it is: for who started this one. It is
    looked twice, for a program that starts this one and hands its pipes on may end as the session begins."""

    def look() -> None:
        orphaned = 0
        while not has_begun():
            orphaned = orphaned + 1 if os.getppid() != processes.PARENT else 0
            if orphaned > 1:
                return _gone("Who started this program has ended before the session began.", on_gone)
            time.sleep(WATCH_SECONDS)

    threading.Thread(target=look, name="start", daemon=True).start()


def _gone(sentence: str, on_gone: Callable[[], object]) -> None:
    log.info("%s", sentence)
    end_soon(1)
    on_gone()


def _was_here(editor: int) -> bool:
    """Whether a process that does not run here has ended, and is none of another machine or container.

    It has where it waits to be taken note of, where it started this one, and where who did has ended since. Else it had
    a number that was given before this one's, as every editor's is, unless this process may be reached from outside.
    """
    import psutil

    if editor <= 0 or (editor >= os.getpid() and editor != processes.PARENT):
        return False
    if psutil.pid_exists(editor):
        return _is_zombie(editor)  # else it is hidden from this user
    outside = os.getppid() == 0 or any(name in os.environ for name in ("SSH_CONNECTION", "WSL_INTEROP"))
    return editor == processes.PARENT or os.getppid() != processes.PARENT or not outside


def _is_zombie(process: int) -> bool:
    import psutil

    try:
        return bool(psutil.Process(process).status() == psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return True  # it was there a moment ago


def _running(process: int) -> psutil.Process | None:
    """A process, which is not equal to a later one of the same number, and is to itself though the clock was set; None
    where there is none."""
    import psutil

    try:
        found = psutil.Process(process)
        return None if found.status() == psutil.STATUS_ZOMBIE else found
    except (psutil.Error, ValueError, OverflowError, TypeError):
        return None
