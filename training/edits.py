"""Whether the code actions still get edits: the product asked for some, of the plain model and of the taught one."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from lsp_server.actions.run import run
from lsp_server.commands.terminal import reached
from lsp_server.settings import Settings
from training import data
from training.functions import function_row, task_at

SEED = 7
FUNCTIONS = 24
ACTIONS = ("simplify",)


async def measure(state: Path) -> str:
    """A Markdown table: of so many held-out functions, for how many an edit came that an editor would apply unseen."""
    functions = _functions(state)
    plain = await _count(Settings(model=str(state / "plain"), infilling="off"), functions)
    taught = await _count(Settings(model="starter"), functions)
    rows = [f"| {action} | {len(functions)} | {plain[action]} | {taught[action]} |" for action in ACTIONS]
    head = ["| code action | functions | edits by the plain model | by the taught one |", "|---" * 4 + "|"]
    return "\n".join([*head, *rows]) + "\n"


def _functions(state: Path) -> list[tuple[str, int]]:
    """(text of a file, row in which a function begins), chosen at random, at most one of a file."""
    files = [file for file in data.corpus(state, held_out=True) if file.language == "python"]
    rng, found = random.Random(SEED), list[tuple[str, int]]()
    for file in rng.sample(files, len(files)):
        row = function_row(file, rng)
        if row is not None:
            found.append((file.text, row))
    return found[:FUNCTIONS]


async def _count(settings: Settings, functions: list[tuple[str, int]]) -> Counter[str]:
    """How many edits came, by action."""
    good = Counter[str]()
    async with reached(settings) as model:
        for text, row in functions:
            for name in ACTIONS:
                task = task_at(text, row, name)
                assert task is not None
                outcome = await run(model, task)
                good[name] += bool(outcome.edits) and not outcome.problem
    return good
