"""The files of a release, tried as a user does who has nothing: a home of their own, and the commands of the page.

What is run are the blocks of docs/getting-started.md that are marked `run by release/trial.py`: pip, pipx, uv, clone,
neovim.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from release.building import SUMS

PAGE = Path("docs/getting-started.md")
# What is written at the first use: a function without its end.
EXAMPLE = 'def mean(numbers):\n    """The mean of some numbers."""\n    return '
FIRST_USE = (
    "codellama-ls --version",
    "codellama-ls setup --yes",
    "codellama-ls doctor",
    "codellama-ls models",
    "codellama-ls complete mean.py:3:12",
    'codellama-ls chat "What does mean do?" --file mean.py',
)


@dataclass
class Home:
    """A home folder with nothing in it, and what was run there: each command with its seconds."""

    folder: Path
    tools: Path
    timings: list[tuple[str, float]] = field(default_factory=list)

    def run(self, command: str, where: Path) -> str:
        """What a command says. Raises CalledProcessError."""
        local = self.folder / ".local" / "bin"
        kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "SSL_", "LANG"))}
        path = os.pathsep.join([str(local), str(self.tools), str(Path(sys.base_prefix) / "bin"), "/usr/bin", "/bin"])
        env = {**kept, "HOME": str(self.folder), "PATH": path, "CODELLAMA_LS_RUNTIME": str(self.folder / "run")}
        (self.folder / "run").mkdir(mode=0o700, exist_ok=True)
        started = time.monotonic()
        done = subprocess.run(["bash", "-euc", command], cwd=where, env=env, capture_output=True, text=True)
        self.timings.append((command, time.monotonic() - started))
        if done.returncode:
            raise RuntimeError(f"`{command}` failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def end(self) -> None:
        """End the engine that was started from here."""
        for process in psutil.process_iter(["environ"]):
            if (process.info["environ"] or {}).get("CODELLAMA_LS_RUNTIME") == str(self.folder / "run"):
                process.terminate()


def commands(page: str, name: str) -> list[str]:
    """The commands of the block that is marked with a name."""
    found = re.search(rf"<!-- run by release/trial\.py: {name} -->\n *```console\n(.*?)```", page, re.DOTALL)
    assert found is not None, name
    return re.findall(r"^ *\$ (.+)$", found[1], re.MULTILINE)


def with_tools(folder: Path) -> Path:
    """A folder with pipx and uv, which users have already."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin" / "pip", "install", "--quiet", "pipx", "uv"], check=True)
    links = folder / "links"
    links.mkdir()
    for name in ("pipx", "uv"):
        (links / name).symlink_to(folder / "bin" / name)
    return links


def first_use(out: Path, source: Path, home: Home) -> Path:
    """Install the wheel with the engine as the page says for pip, and go the first steps; returns its interpreter."""
    home.run(f"sha256sum --check --quiet {SUMS}", out)
    page = (source / PAGE).read_text(encoding="utf-8")
    for command in commands(page, "pip"):
        home.run(command, out)
    project = home.folder / "project"
    project.mkdir()
    (project / "mean.py").write_text(EXAMPLE, encoding="utf-8")
    for command in FIRST_USE:
        assert home.run(command, project).strip(), f"{command} says nothing"
    return home.folder / ".local/share/codellama-ls/venv/bin/python"


def other_ways(out: Path, source: Path, folder: Path, tools: Path) -> list[Home]:
    """Install as the page says for pipx, for uv and from a clone, each in a home of its own; without the engine, whose
    packages are the same in each."""
    page, homes = (source / PAGE).read_text(encoding="utf-8"), []
    for way in ("pipx", "uv", "clone"):
        home = Home(folder / way, tools)
        home.folder.mkdir(parents=True)
        for command in commands(page, way):
            home.run(command.replace("[engine]", ""), source if way == "clone" else out)
        said = home.run("{ codellama-ls doctor; codellama-ls models; codellama-ls engine; } 2>&1 || true", home.folder)
        assert "install --force" in said, said  # it knows by what it was installed
        assert "Traceback" not in said, said
        homes.append(home)
    return homes


def clients(out: Path, source: Path, home: Home) -> None:
    """The extension and the plugin carry the wheel; where there is a Neovim, the plugin says so in it."""
    (vsix,), (wheel,) = out.glob("*.vsix"), out.glob("*.whl")
    with zipfile.ZipFile(vsix) as files:
        assert files.read(f"extension/dist/server/{wheel.name}") == wheel.read_bytes()
    for command in commands((source / PAGE).read_text(encoding="utf-8"), "neovim"):
        home.run(command, out)
    nvim = shutil.which("nvim", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if nvim:
        lua = "io.write(require('codellama.server').install(), '\\n', require('codellama.server').find()[1])"
        said = home.run(f'"{nvim}" --headless -c "lua {lua}" -c quit 2>&1', home.folder)
        assert wheel.name in said, said
        assert ".local/bin/codellama-ls" in said, said
