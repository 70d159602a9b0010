"""The version of everything stands in `lsp_server/__init__.py`; from there it is copied to where tools want to read it.

python -m release.version          # after it was changed there
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = "lsp_server/__init__.py"
_HERE = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)
# Where it is written, and between what. The Neovim plugin names the oldest server it works with: the first of its line.
_COPIES = (
    ("editors/vscode/package.json", re.compile(r'(?<=^  "version": ")[^"]+', re.MULTILINE), "npm"),
    ("editors/neovim/lua/codellama/server.lua", re.compile(r"(?<=^M\.NEEDS = ')[^']+", re.MULTILINE), "line"),
    ("docs/getting-started.md", re.compile(r"(?<=codellama_ls-)[\w.]+(?=-py3)"), "python"),
    ("docs/getting-started.md", re.compile(r"(?<=codellama-nvim-)[\w.]+(?=\.tar)"), "python"),
    ("docs/getting-started.md", re.compile(r"(?<=codellama-)[\d][\w.-]*(?=\.vsix)"), "python"),
    ("README.md", re.compile(r"(?<=codellama_ls-)[\w.]+(?=-py3)"), "python"),
)


def read(folder: Path = ROOT) -> str:
    """The version of the program in a folder, as Python writes it: `1.2.3` or `1.2.3.dev45`."""
    found = _HERE.search((folder / SOURCE).read_text(encoding="utf-8"))
    assert found is not None, f"{SOURCE} has no version"
    return found[1]


def write(folder: Path, version: str) -> None:
    """Give the program in a folder a version, and copy it."""
    source = folder / SOURCE
    source.write_text(_HERE.sub(f'__version__ = "{version}"', source.read_text(encoding="utf-8")), encoding="utf-8")
    for name, text in copied(folder).items():
        (folder / name).write_text(text, encoding="utf-8")


def copied(folder: Path = ROOT) -> dict[str, str]:
    """Each file that has a copy of the version, and its text with the right one."""
    version = read(folder)
    texts: dict[str, str] = {}
    numbers = re.findall(r"\d+", version)
    forms = {"python": version, "npm": version.replace(".dev", "-dev."), "line": f"{numbers[0]}.{numbers[1]}.0"}
    for name, place, form in _COPIES:
        texts[name] = place.sub(forms[form], texts.get(name) or (folder / name).read_text(encoding="utf-8"))
    return texts


if __name__ == "__main__":
    write(ROOT, read())
