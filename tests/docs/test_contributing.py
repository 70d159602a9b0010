"""The worked examples for contributors work: their changes apply, and the tests that they bring pass."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NEW_TEST = re.compile(r"^\+\+\+ b/(tests/\S+)", re.MULTILINE)


def test_each_example_applies_and_its_test_passes(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
    changes = re.findall(r"```diff\n(.*?)```", page, re.DOTALL)
    tests = [path for change in changes for path in NEW_TEST.findall(change)]
    assert len(changes) == len(tests) == 4
    ignored = shutil.ignore_patterns("__pycache__", "node_modules", "screenshots", "dist")
    for name in ("lsp_server", "tests", "editors"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for change in changes:
        command = ["git", "apply", "--unidiff-zero", "-"]
        subprocess.run(command, input=change, text=True, cwd=tmp_path, check=True, env={"GIT_CEILING_DIRECTORIES": "/"})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(tests)} passed" in done.stdout
