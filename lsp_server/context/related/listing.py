"""The modules whose names may be being written at a cursor: in the list of an import, or behind a path."""

from __future__ import annotations

import re

from lsp_server.context.related.statements import SCRIPTS, Import

# Characters before and behind the cursor that are looked at.
FARTHEST = 600
_PYTHON = re.compile(r"^[ \t]*from[ \t]+([\w.]+)[ \t]+import\b(?:[^(\n]*|[ \t]*\([^)]*)\Z", re.MULTILINE)
_PYTHON_PATH = re.compile(r"(?<![\w.)\]])((?:[a-z_]\w*\.){2,})\w*\Z")
_SCRIPT = re.compile(r"^[ \t]*(?:import|export)\b[^;{}\"'`]*\{[^}]*\Z", re.MULTILINE)
_SCRIPT_FROM = re.compile(r"\A[^{};=()]*\}\s*from\s*([\"'])([^\"'\n]{1,200})\1")
_RUST_LIST = re.compile(r"\buse[ \t]+((?:\w+::)+)\{[^{};]*\Z")
_RUST_PATH = re.compile(r"(?<![\w:])((?:[a-z_]\w*::)+)\w*\Z")


def modules_at(language_id: str, before: str, behind: str) -> list[Import]:
    """The modules as the language writes them, by the text before the cursor and behind it; none for most places."""
    before = before[-FARTHEST:]
    if language_id == "python":
        found = _PYTHON.search(before)
        if found is None and (path := _PYTHON_PATH.search(before)) is not None:
            return [Import(path[1].removesuffix("."))]
    elif language_id in SCRIPTS:
        found = _SCRIPT_FROM.match(behind[:FARTHEST]) if _SCRIPT.search(before) else None
    elif language_id == "rust":
        found = _RUST_LIST.search(before) or _RUST_PATH.search(before)
    else:
        return []
    if found is None:
        return []
    return [Import(found[found.lastindex or 1].removesuffix("::"))]
