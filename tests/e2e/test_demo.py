"""The first command of the README, as a newcomer runs it."""

import subprocess
import sys

import pytest

from lsp_server import installing


@pytest.mark.usefixtures("engines")
def test_demo(starter):
    done = subprocess.run([sys.executable, "-m", "lsp_server", "demo"], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    first, second, edit, chat = done.stdout.split(" \u2500\u2500\u2500")[1:]
    assert "w = TextWrapper(width=width, **kwargs)\n" in first
    assert "mid = (lo + hi) // 2\n" in second, "what the lines below it need"
    assert "+    return os.stat(filename).st_size\n" in edit
    assert "function wraps a single paragraph" in chat
    assert chat.endswith(f"by: {installing.command('setup')}\n")
