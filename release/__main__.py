"""Builds the files of a release, tries them in an empty home, and writes what is in them.

    python -m release [--commit COMMIT] [--out FOLDER] [--untried]

A commit with a tag `v1.2.3` is that version, any other one a development version of the next. See docs/releasing.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from release import building, licences, trial
from release.version import ROOT


def main() -> int:
    parser = argparse.ArgumentParser(prog="release")
    parser.add_argument("--commit", default="HEAD")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--untried", action="store_true", help="build the files, and install nothing")
    options = parser.parse_args()
    try:
        version = building.version_of(options.commit)
    except building.NotReleasable as error:
        print(error, file=sys.stderr)
        return 1
    out = options.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="release-") as folder:
        build(options.commit, version, Path(folder), out)
        if not options.untried:
            tried(version, Path(folder), out)
    for path in sorted(out.iterdir()):
        say(f"{path.stat().st_size / 1e6:8.1f} MB  {path.name}")
    return 0


def build(commit: str, version: str, folder: Path, out: Path) -> None:
    """All files but those on what is installed along."""
    source = folder / "source"
    say(f"codellama-ls {version}, of {commit}")
    building.export(commit, version, source)
    wheel = building.wheel_and_sdist(source, out)
    say("the Python package is built")
    when = subprocess.run(
        ["git", "show", "--no-patch", "--format=%ct", commit], cwd=ROOT, capture_output=True, text=True, check=True
    )
    building.neovim(source, wheel, version, out, int(when.stdout))
    building.vsix(source, wheel, version, out)
    shutil.copy(source / "constraints.txt", out)
    say("the clients are built")
    building.write_sums(out)


def tried(version: str, folder: Path, out: Path) -> None:
    """Try the files, and write from what was installed what there is."""
    source, tools = folder / "source", trial.with_tools(folder / "tools")
    home = trial.Home(folder / "home", tools)
    home.folder.mkdir()
    try:
        python = trial.first_use(out, source, home)
        trial.clients(out, source, home)
    finally:
        home.end()
        report(home)
    sbom = licences.write_sbom(python, version, out)
    extension = licences.of_extension(source / "editors" / "vscode")
    text = licences.page(json.loads(sbom.read_text(encoding="utf-8")), extension, version)
    (out / "LICENCES.md").write_text(text, encoding="utf-8")
    building.write_sums(out)
    for other in trial.other_ways(out, source, folder / "homes", tools):
        report(other)


def report(home: trial.Home) -> None:
    for command, seconds in home.timings:
        say(f"{seconds:6.1f} s  $ {command}")


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
