"""The real code that holes are made in: packages that the starter never saw, in versions that do not change.

They are those that `training/sources.csv` holds out whole: no file of theirs was trained on. Each is fetched once, by
its registry's own client (pip, npm, apt-get of Debian 12); nothing of it is run.
"""

from __future__ import annotations

import dataclasses
import random
import subprocess
import sys
from pathlib import Path

from lsp_server.evaluation.asking import Place
from lsp_server.evaluation.holes import File
from lsp_server.evaluation.sample import KINDS, places
from lsp_server.places import cache_folder
from training import data

SEED = 20
LANGUAGES = ("python", "typescript", "javascript", "rust", "go", "java", "c")


def held_out(language: str) -> list[tuple[Path, list[File]]]:
    """(folder, source files) of each package in a language that can be had here; of the others it is said why not."""
    found = []
    for source in data.sources():
        if source.use != "hold out" or source.language != language:
            continue
        folder = cache_folder() / "benchmarks" / "packages" / f"{source.package}-{source.version}".replace("/", "_")
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                data.fetch(source, folder)
            except (OSError, subprocess.CalledProcessError) as error:
                print(f"{source.package} {source.version} is left out: {error}", file=sys.stderr)
                continue
        named = f"{source.manager} {source.package} {source.version} "
        files = data.source_files(source, folder)
        found.append((folder, [dataclasses.replace(file, name=file.name.removeprefix(named)) for file in files]))
    return found


def sample(count: int) -> list[Place]:
    """`count` places: as many of each language, and in it of each kind and package, as there are; in an order in which
    each beginning is a fair sample."""
    found: list[Place] = []
    for language in LANGUAGES:
        packages = held_out(language)
        each = -(-count // len(LANGUAGES) // len(KINDS)) * len(KINDS)
        for number, (folder, files) in enumerate(packages):
            share = each * (number + 1) // len(packages) - each * number // len(packages)
            found += places(folder, files, share)
    random.Random(SEED).shuffle(found)
    return found[:count]
