"""A copy of a real module, with the end of one line not typed yet."""

from __future__ import annotations

import textwrap
from pathlib import Path

from lsprotocol import types

LINE = "    w = TextWrapper(width=width, **kwargs)"
TYPED = "    w = TextWrapper("


def written(folder: Path) -> Path:
    text = Path(textwrap.__file__).read_text(encoding="utf-8")
    path = folder / "copy_of_textwrap.py"
    path.write_text(text.replace(LINE, TYPED, 1), encoding="utf-8")
    return path


def row_of(path: Path) -> int:
    """The line that waits to be finished."""
    return path.read_text().split("\n").index(TYPED)


def line_range(row: int, start: int, end: int) -> types.Range:
    return types.Range(types.Position(row, start), types.Position(row, end))
