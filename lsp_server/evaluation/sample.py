"""Which holes are asked for: a fixed sample of a project, the same for the same files and seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from lsp_server.context.languages import language
from lsp_server.context.workspace import Walk, Workspace
from lsp_server.errors import UserError
from lsp_server.evaluation.across import KIND as ACROSS
from lsp_server.evaluation.across import across_holes, defined
from lsp_server.evaluation.asking import Place
from lsp_server.evaluation.holes import File, Hole, hole

SEED = 20
KINDS = ("rest", "line", "piece", "block", "body", ACROSS)
NAMES = {
    "rest": "end of line",
    "line": "whole line",
    "piece": "middle of a line",
    "block": "block",
    "body": "body",
    ACROSS: "across files",
}
# As in training: smaller files have no context, larger ones and those with longer lines are mostly data.
BYTES, LONGEST_LINE = (400, 100_000), 200
WHOLE = 10**9  # characters of context: all there are
MOST_FILES = 2_000
# Tries for each hole: some places have none of a kind, and some files.
TRIES = 400
SECONDS = 10.0


class NothingToAsk(UserError):
    """A folder has no code to make holes in; the message says what was looked for."""


def files_of(root: Path) -> tuple[list[File], Walk]:
    """The source files of a project that the model may see, and how the folder was walked. Raises NothingToAsk."""
    workspace = Workspace((root,))
    walk = workspace.walk(lambda name: _has_grammar(name), most=MOST_FILES, seconds=SECONDS)
    found = []
    for path, data in workspace.read_all(walk.files, BYTES[1]):
        try:
            text = data.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError:
            continue
        if len(data) >= BYTES[0] and "\r" not in text and max(map(len, text.split("\n"))) <= LONGEST_LINE:
            found.append(File(path.relative_to(root).as_posix(), language("", path.name).id, text))
    if not found:
        raise NothingToAsk(
            f"{root} has no source file of {BYTES[0]} to {BYTES[1]:,} bytes that the model may see, in a language that "
            "is read here; name another folder."
        )
    return found, walk


def places(root: Path, files: Sequence[File], count: int, seed: int = SEED) -> list[Place]:
    """`count` holes of all kinds in turn, fewer where the files have no more; at most one a kind and line."""
    names = defined(files)
    rng = random.Random(seed)
    across = [each for file in files for each in across_holes(file, names, random.Random(f"{seed} {file.name}"))]
    rng.shuffle(across)
    found: list[Place] = []
    taken: set[tuple[str, str, int]] = set()
    kinds = list(KINDS)
    while kinds and len(found) < count:
        for kind in list(kinds):
            made = _next(files, kind, rng, taken) if kind != ACROSS else across.pop() if across else None
            if made is None:
                kinds.remove(kind)
            elif len(found) < count:
                found.append(Place(root, made))
    return found


def _next(files: Sequence[File], kind: str, rng: random.Random, taken: set[tuple[str, str, int]]) -> Hole | None:
    for _ in range(TRIES):
        made = hole(rng.choice(files), rng, kind, WHOLE, WHOLE)
        if made is not None and (spot := (kind, made.name, made.prefix.count("\n"))) not in taken:
            taken.add(spot)
            return made
    return None


def _has_grammar(name: str) -> bool:
    return language("", name).grammar is not None
