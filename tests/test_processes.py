"""Processes that this program starts."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

PARENT = """
import sys
from pathlib import Path
from lsp_server import processes
from lsp_server.engine.loading import making, starter

sys.path.insert(0, {folder!r})
processes.trusted_path = lambda: [{folder!r}, *sys.path]
making.run(processes.python("sleeper", attended=True), {{}}, Path({folder!r}), lambda: None, starter._pip_problem)
"""


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_a_download_or_conversion_ends_with_the_engine_that_is_killed(tmp_path: Path, how: str) -> None:
    (tmp_path / "sleeper.py").write_text("import time\nprint('there', flush=True)\ntime.sleep(600)\n")
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(folder=str(tmp_path))])
    output = tmp_path / "output.txt"
    end = time.monotonic() + 60
    while not output.exists() or "there" not in output.read_text():
        assert time.monotonic() < end, "it never began"
        time.sleep(0.05)
    [child] = psutil.Process(parent.pid).children()
    getattr(parent, how)()
    parent.wait(60)
    child.wait(60)


def test_what_is_attended_goes_on_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "quick.py").write_text("print('done')\n")
    parent = PARENT.replace("sleeper", "quick").format(folder=str(tmp_path))
    subprocess.run([sys.executable, "-c", parent], check=True, timeout=200)
    assert (tmp_path / "output.txt").read_text() == "done\n"
