"""Holes whose first name only another file of the project defines: nothing else in the file tells it."""

from __future__ import annotations

import collections
import random
import re
from collections.abc import Mapping, Sequence

from lsp_server.context import trees
from lsp_server.context.syntax import symbols
from lsp_server.evaluation.holes import File, Hole, cursor_of

KIND = "across"
# Shorter names are everywhere, and what is defined in many files need not be the one that is meant.
SHORTEST_NAME, MOST_DEFINING = 4, 3
# Characters from the name to the end of its line.
LONGEST = 120
# Words of the languages and their libraries, whoever defines one of that name.
_IDIOMS = {"constructor", "equals", "exports", "hashCode", "length", "prototype", "toString", "valueOf"}
_NAME = re.compile(r"(?<!\w)[A-Za-z_]\w+")
# Where names are made known rather than used.
_MAKES_KNOWN = re.compile(r"\s*(from|import|use|using|#include|package|export|require|mod|extern)\b|.*\brequire\(")


def defined(files: Sequence[File]) -> Mapping[str, set[str]]:
    """In which files each function, class or method is defined, by its last name."""
    found: dict[str, set[str]] = collections.defaultdict(set)
    for file in files:
        for block in symbols(file.text, file.language):
            found[re.split(r"\W+", block.name)[-1]].add(file.name)
    return {name: where for name, where in found.items() if len(name) >= SHORTEST_NAME and name not in _IDIOMS}


def across_holes(file: File, names: Mapping[str, set[str]], rng: random.Random) -> list[Hole]:
    """All such holes of a file, each from the start of the name, or some letters later, to the end of its line.

    `names`: of the project, as `defined` gives them.
    """
    tree = trees.parse(file.text, file.language)
    if tree is None:
        return []
    counts = collections.Counter(match[0] for match in _NAME.finditer(file.text))
    found = []
    for match in _NAME.finditer(file.text):
        name, start = match[0], match.start()
        where = names.get(name, set())
        if counts[name] != 1 or not where or file.name in where or len(where) > MOST_DEFINING:
            continue
        line = file.text.rfind("\n", 0, start) + 1
        end = file.text.find("\n", start)
        if (
            end < 0
            or end - start > LONGEST
            or _MAKES_KNOWN.match(file.text[line:end])
            or not _is_code(tree, start, file)
        ):
            continue
        cursor = start if rng.random() < 0.5 else min(start + rng.randint(1, 3), match.end() - 1)
        prefix, middle = file.text[:cursor], file.text[cursor:end]
        if prefix[line:].strip():
            found.append(
                Hole(KIND, cursor_of(prefix, middle), file.language, file.name, prefix, middle, file.text[end:])
            )
    return found


def _is_code(tree: trees.Tree, start: int, file: File) -> bool:
    """Whether a name stands in code: not in a comment or a string."""
    at = len(file.text[:start].encode())
    node = tree.root.named_descendant_for_byte_range(at, at + 1)
    return node is not None and "identifier" in node.type
