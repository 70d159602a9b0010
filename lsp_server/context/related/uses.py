"""How often other files write each member behind a name and a dot: what is called on it mostly is called here, too."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from lsp_server.context.in_time import TooSlow
from lsp_server.context.related.contents import family_of
from lsp_server.context.related.view import View
from lsp_server.context.workspace import OutOfReach, Workspace

# Chunks that have the name, and files in which they are read.
MOST_CHUNKS, MOST_FILES = 64, 16
# Shorter names mean something else in each file.
SHORTEST = 3


def behind(name: str, text: str) -> list[str]:
    """What a text has behind a name and a dot; nothing where there is no name."""
    return [] if not name else re.findall(rf"\b{re.escape(name)}(?:\([^()\n]*\))?[?!]?\s*(?:\.|->|::)(\w+)", text)


def uses(view: View, workspace: Workspace, name: str, language_id: str, own: str) -> Mapping[str, Counter[str]]:
    """By file, which may have been hidden since: how often each member. `own`: the file that is not looked at. Blocks;
    raises sqlite3.Error."""
    if len(name) < SHORTEST:
        return {}
    return view.once(
        ("uses", name, family_of(language_id), own), lambda: _counted(view, workspace, name, language_id, own)
    )


def _counted(view: View, workspace: Workspace, name: str, language_id: str, own: str) -> Mapping[str, Counter[str]]:
    rows: dict[str, list[tuple[int, int]]] = {}
    for match in view.search([name], language_id, MOST_CHUNKS):
        if match.path != own and name in match.words and (match.path in rows or len(rows) < MOST_FILES):
            rows.setdefault(match.path, []).append((match.first, match.last))
    counts: dict[str, Counter[str]] = {}
    for path, spans in rows.items():
        try:
            lines = view.lines(path, workspace)
        except (OutOfReach, TooSlow):
            continue
        counts[path] = Counter(behind(name, "\n".join("".join(lines[first : last + 1]) for first, last in spans)))
    return counts
