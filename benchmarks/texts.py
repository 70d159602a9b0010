"""Real files to type in and to prompt with: the running Python's standard library, TypeScript and Rust of packages."""

from __future__ import annotations

import _pydecimal
import argparse
import ast
import dataclasses
import doctest
import inspect
import pickletools
import shutil
import statistics
import subprocess
import tarfile
import tempfile
import textwrap
import typing
import zipfile
from pathlib import Path

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.places import cache_folder

LONG_MODULES = (argparse, typing, _pydecimal, ast, tarfile, inspect, doctest, zipfile, pickletools, statistics)


def standard_library(*modules: typing.Any) -> str:
    """The sources of some modules, one after the other."""
    return "\n".join(Path(module.__file__).read_text(encoding="utf-8") for module in modules)


class Ids:
    """Token ids of real code, each handed out once, so that no system knows a prompt from before."""

    def __init__(self, tokenizer: CodeLlamaTokenizer) -> None:
        self._ids = tokenizer.encode_raw(standard_library(*LONG_MODULES))
        self._at = 0

    def take(self, number: int) -> list[int]:
        """The next `number` ids. Raises IndexError at the end of the text."""
        part = self._ids[self._at : self._at + number]
        if len(part) < number:
            raise IndexError("no text is left")
        self._at += number
        return part


@dataclasses.dataclass(frozen=True)
class Source:
    """A file to type in."""

    name: str
    language: str
    text: str


# Packages that carry their sources, by npm's name and version, and the files taken out of them.
PACKAGES = {
    "rxjs@7.8.2": ("src/internal/Subscriber.ts", "src/internal/operators/buffer.ts"),
    "@nomicfoundation/edr@0.6.5": ("src/cast.rs", "src/trace/vm_tracer.rs"),
}
LANGUAGES = {".py": "python", ".ts": "typescript", ".rs": "rust"}


def sources() -> list[Source]:
    """The files of the typing trace: three in Python, two in TypeScript, two in Rust. Needs npm the first time."""
    found = [
        Source(f"{module.__name__}.py", "python", Path(module.__file__ or "").read_text(encoding="utf-8"))
        for module in (textwrap, argparse, zipfile)
    ]
    for package, files in PACKAGES.items():
        folder = _unpacked(package)
        for file in files:
            path = folder / file
            found.append(Source(path.name, LANGUAGES[path.suffix], path.read_text(encoding="utf-8")))
    return found


def _unpacked(package: str) -> Path:
    """The files of an npm package, fetched once by npm; nothing of it is run."""
    folder = cache_folder() / "benchmarks" / package.replace("/", "-")
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as name:
            subprocess.run(["npm", "pack", "--silent", package], cwd=name, check=True, stdout=subprocess.DEVNULL)
            (archive,) = Path(name).glob("*.tgz")
            with tarfile.open(archive) as file:
                file.extractall(name, filter="data")
            shutil.move(Path(name) / "package", folder)
    return folder
