"""The process that chat templates are rendered in. In this folder only `checkpoint`, which reads files, and this file
touch the world outside.

A checkpoint's template is somebody else's program: here it has a few seconds, some memory and a limit of output, in a
process that can be ended. That process is started when the first template is rendered (some 0.2 s) and goes on for the
next ones (a few milliseconds each); it ends with this one. It sees nothing of the user's: no site packages, no
environment, and a working folder that is not theirs.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from importlib.machinery import PathFinder
from pathlib import Path

from lsp_server import processes

from . import rendering
from .errors import DialogError

# By the clock, for a machine that is too busy to give the process its time, and for Windows, which does not count that.
SECONDS = 30.0
# In JSON a character may take twelve.
_MOST_BYTES = 12 * rendering.MOST_CHARACTERS + 1000
_PASSED_ON = ("SYSTEMROOT", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


def render(template: str, messages: list[dict[str, str]], special: Mapping[str, str]) -> str:
    """As `rendering.rendered`, somewhere else. Raises DialogError where the template cannot do it within its limits."""
    line = json.dumps([template, messages, dict(special)]).encode() + b"\n"
    with _LOCK:
        answer = _PROCESS.answer(line)
    if "text" not in answer:
        raise DialogError(
            f"The checkpoint's chat template does not take this dialog ({answer['error']}); "
            "if nothing is wrong with the dialog, use another checkpoint."
        )
    return answer["text"]


class _Process:
    """The process, and whether it is there. Not for two threads at once."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    def answer(self, line: bytes) -> dict[str, str]:
        reused = self._child is not None and self._child.poll() is None
        answer = self._ask(line)
        if answer is None and reused:  # it was ended while nobody needed it
            answer = self._ask(line)
        if answer is None:
            raise DialogError("The process for the checkpoint's chat template ended by itself; try again.")
        return answer

    def _ask(self, line: bytes) -> dict[str, str] | None:
        """The answer; None where the process ended, for another reason than its limits."""
        if self._child is None or self._child.poll() is not None:
            self.end()
            self._child = _started()
        child = self._child
        assert child.stdin is not None
        assert child.stdout is not None
        late = threading.Event()

        def end_late() -> None:
            late.set()
            child.kill()

        clock = threading.Timer(SECONDS, end_late)
        clock.daemon = True
        clock.start()
        said = b""
        try:
            child.stdin.write(line)
            child.stdin.flush()
            said = child.stdout.readline(_MOST_BYTES)
        except OSError:  # it is not there any more
            pass
        finally:
            clock.cancel()
        if said.endswith(b"\n"):
            answer: dict[str, str] = json.loads(said)
            return answer
        self.end()
        if late.is_set():
            raise DialogError(
                f"The checkpoint's chat template was not done within {SECONDS:.0f} s: try again when this machine is "
                "less busy, or use another checkpoint."
            )
        if child.returncode == -_CPU_SIGNAL:
            return {"error": f"it takes more than {rendering.CPU_SECONDS} s"}
        return None

    def end(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None


def _started() -> subprocess.Popen[bytes]:
    """Raises DialogError where there is no Python to start."""
    trusted = processes.trusted_path()
    found = [PathFinder.find_spec(name, trusted) for name in ("jinja2", "markupsafe")]
    folders = {str(Path(each.origin).parents[1]) for each in found if each is not None and each.origin}
    try:
        return subprocess.Popen(
            # Isolated, and without the site's packages: what is imported comes from these folders alone.
            [sys.executable, "-I", "-S", rendering.__file__, *sorted(folders)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=os.path.abspath(os.sep),
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            start_new_session=True,  # Ctrl-C in a terminal is not meant for it
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        raise DialogError(
            f"The process for the checkpoint's chat template could not be started ({error.strerror}); try again."
        ) from error


_CPU_SIGNAL = 24  # SIGXCPU
_LOCK = threading.Lock()
_PROCESS = _Process()
atexit.register(_PROCESS.end)
