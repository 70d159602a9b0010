"""From a commit to the files that are handed out. Each is built from an export of the commit, so from nothing else."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

from release import licences
from release import version as versions

SUMS = "SHA256SUMS"


class NotReleasable(Exception):
    """The commit cannot be released as it is; the message says what to mend."""


def version_of(commit: str, repository: Path = versions.ROOT) -> str:
    """The version of a commit: that in its source where a tag `v...` names it, else one of a development version, by
    the number of commits. Raises NotReleasable where tag, source and changelog do not agree."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=repository, check=True, capture_output=True, text=True
        ).stdout.strip()

    source = re.search(r'__version__ = "(.+)"', git("show", f"{commit}:{versions.SOURCE}"))
    assert source is not None
    tags = [tag for tag in git("tag", "--points-at", commit).split() if re.fullmatch(r"v\d+\.\d+\.\d+", tag)]
    if not tags:
        return f"{source[1]}.dev{git('rev-list', '--count', commit)}"
    if tags != [f"v{source[1]}"]:
        raise NotReleasable(f"The tag is {', '.join(tags)}, and {versions.SOURCE} says {source[1]}.")
    changes = git("show", f"{commit}:CHANGELOG.md")
    if not re.search(rf"^## \[{re.escape(source[1])}\] - \d{{4}}-\d\d-\d\d$", changes, re.MULTILINE):
        raise NotReleasable(f"CHANGELOG.md has no `## [{source[1]}] - DATE`.")
    return source[1]


def export(commit: str, version: str, folder: Path, repository: Path = versions.ROOT) -> None:
    """The files of a commit, with their version, in a new folder."""
    archive = subprocess.run(["git", "archive", commit], cwd=repository, check=True, capture_output=True).stdout
    folder.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    versions.write(folder, version)


def wheel_and_sdist(source: Path, out: Path) -> Path:
    """The Python package, the wheel from the sdist; returns the wheel."""
    _quietly([sys.executable, "-m", "build", "--outdir", str(out), "."], source, dict(os.environ))
    (wheel,) = out.glob("*.whl")
    return wheel


def vsix(source: Path, wheel: Path, version: str, out: Path) -> Path:
    """The extension for VS Code, with the wheel in it, and the licences of what it bundles."""
    folder = source / "editors" / "vscode"
    env = {**os.environ, "WHEEL": str(wheel)}
    _quietly(["npm", "install", "--ignore-scripts", "--no-audit"], folder, env)
    bundled = licences.of_extension(folder)
    (folder / "THIRD-PARTY.txt").write_text(licences.notices(folder, bundled), encoding="utf-8")
    _quietly(["npm", "run", "package"], folder, env)
    return Path(shutil.copy(folder / "dist" / "codellama.vsix", out / f"codellama-{version}.vsix"))


def _quietly(command: list[str], folder: Path, env: dict[str, str]) -> None:
    """Run a command; what it says is shown where it fails."""
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def neovim(source: Path, wheel: Path, version: str, out: Path, time: int) -> Path:
    """The plugin for Neovim as a package for `pack/*/start`, with the wheel in it."""
    plugin = source / "editors" / "neovim"
    files = {f"codellama/{path.relative_to(plugin).as_posix()}": path for path in plugin.rglob("*") if path.is_file()}
    files["codellama/LICENSE"] = source / "LICENSE"
    files[f"codellama/server/{wheel.name}"] = wheel
    made = out / f"codellama-nvim-{version}.tar.gz"
    made.write_bytes(archive(sorted(files.items()), time))
    return made


def archive(files: Iterable[tuple[str, Path]], time: int) -> bytes:
    """A tar.gz that is the same, byte for byte, whenever and wherever it is made of the same files."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as made:
        for name, path in files:
            content = path.read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(content), time, 0o644
            made.addfile(entry, io.BytesIO(content))
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=time) as stream:
        stream.write(raw.getvalue())
    return packed.getvalue()


def write_sums(out: Path) -> None:
    """The SHA-256 of each file, as `sha256sum --check` reads it."""
    files = sorted(path for path in out.iterdir() if path.name != SUMS)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (out / SUMS).write_text("".join(lines), encoding="utf-8")
