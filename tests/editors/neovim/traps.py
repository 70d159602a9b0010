"""A project that tries to be run: files which Python, or the shell, would run only because of where they lie."""

from __future__ import annotations

import sys
from pathlib import Path

MODULES = [
    "filelock.py",
    "torch.py",
    "types.py",
    "random.py",
    "pygls/__init__.py",
    "lsp_server/__init__.py",
    "lsp_server/__main__.py",
    "sitecustomize.py",
    "usercustomize.py",
    "encodings/__init__.py",
]
PROGRAMS = ["codellama-ls", "python", "python3", "git", "sh", "env"]


class Traps:
    """The traps of a folder. `sprung` are those that were run."""

    def __init__(self, project: Path, owned: Path) -> None:
        self._owned = owned
        owned.mkdir()
        library = f"lib/python{sys.version_info.major}.{sys.version_info.minor}"
        for name in [*MODULES, *(f"{library}/{each}" for each in ("site.py", "encodings/__init__.py"))]:
            path = project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"open({str(owned / name.replace('/', '-'))!r}, 'w').close()\nclass Owned(Warning): ...\n")
        for folder in (".", "bin", "~/bin"):
            for name in PROGRAMS:
                path = project / folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"#!/bin/sh\n/usr/bin/touch '{owned / name}'\n")
                path.chmod(0o755)

    @property
    def sprung(self) -> list[str]:
        return sorted(path.name for path in self._owned.iterdir())
