"""HumanEval infilling: is what goes into the hole right? The task's own tests say so.

    python -m benchmarks.quality.humaneval FOLDER [--model M] [--tasks N] [--ways NAME,...] [--kept FILE]

FOLDER has OpenAI's files `HumanEval-SingleLineInfilling.jsonl.gz` and the like, which are not part of this repository
(https://github.com/openai/human-eval-infilling, MIT). Asked are the product, as an editor asks it, and the model
alone, prefix first (`psm`) and suffix first (`spm`), with token healing and without; the most likely token each time.
Programs are run in `sandbox`. What is not measured anew stays in the results: other models, other ways. With `--kept`
answers are added to a file, and those that are in it are not asked for again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import gzip
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast

from benchmarks import systems
from benchmarks.quality import sandbox
from benchmarks.results import FOLDER, keep, target
from lsp_server.completion import prompt
from lsp_server.errors import UserError
from lsp_server.evaluation.asking import Desk, Place
from lsp_server.evaluation.holes import Hole, cursor_of
from lsp_server.model.access import Reached
from lsp_server.model.answering import Answer, Question
from lsp_server.settings import Settings

SEED, TASKS = 20, 1_000
RESULTS = FOLDER / "humaneval.json"
SUITES = {
    "single line": "HumanEval-SingleLineInfilling",
    "multi-line": "HumanEval-MultiLineInfilling",
    "random span": "HumanEval-RandomSpanInfillingLight",
}
PRODUCT = "product"
RAW = {
    "psm": ("psm", False),
    "psm, healed": ("psm", True),
    "spm": ("spm", False),
    "spm, healed": ("spm", True),
}
MOST_TOKENS = 160  # of the model alone, some 500 characters: 19 of 20 holes of several lines have fewer than 416
# Nothing is hidden, and what is written does not depend on how busy the machine is.
SETTINGS = Settings(min_probability=0, time_budget_ms=0)


@dataclasses.dataclass(frozen=True)
class Task:
    """One hole in the solution of a problem, between `prompt` and `suffix`; `test` defines `check`."""

    suite: str
    task_id: str
    entry_point: str
    prompt: str
    suffix: str
    canonical_solution: str
    test: str

    def passes(self, text: str) -> bool:
        """Whether the solution with `text` in its hole passes the problem's tests."""
        return sandbox.passes(f"{self.prompt}{text}{self.suffix}\n{self.test}\ncheck({self.entry_point})\n")


def tasks(folder: Path, suite: str, count: int) -> list[Task]:
    """A fixed sample of a suite, all of it where it has no more. Raises UserError where its file is not there."""
    file = folder / f"{SUITES[suite]}.jsonl.gz"
    if not file.is_file():
        raise UserError(f"{file} is not there; fetch it from https://github.com/openai/human-eval-infilling.")
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        found = [Task(suite, **json.loads(line)) for line in lines if line.strip()]
    return found if len(found) <= count else random.Random(SEED).sample(found, count)


def hole(task: Task) -> tuple[Hole, str]:
    """(the place at which an editor is asked, what stands between an answer there and the rest of the solution)

    Where whole lines are missing, the cursor stands on a line of its own, as it does when one writes there.
    """
    own_line = task.canonical_solution.endswith("\n") and (not task.prompt or task.prompt.endswith("\n"))
    middle = task.canonical_solution.removesuffix("\n") if own_line else task.canonical_solution
    after = "\n" if own_line else ""
    made = Hole(
        "rest", cursor_of(task.prompt, middle), "python", "solution.py", task.prompt, middle, after + task.suffix
    )
    return made, after


async def raw(model: Reached, task: Task, layout: Literal["psm", "spm"], *, healed: bool) -> str:
    """What the model writes into the hole up to its end, without any of the product's rules; of a single line the first
    line. Where whole lines are missing, the end of the last one is added if the model left it out."""
    tokenizer = model.tokenizer
    ids = tokenizer.infill_ids(task.prompt, task.suffix, layout)
    heal, pending = 0, ""
    if healed:
        whole = ids if layout == "spm" else tokenizer.infill_ids(task.prompt, task.suffix, "spm")
        heal, pending = prompt.tail(tokenizer, whole, task.prompt)
        if layout == "psm" and heal:  # the end of the prefix goes behind the suffix, and is chosen anew there
            kept = task.prompt[: len(task.prompt) - len(pending)]
            ids = [*tokenizer.infill_ids(kept, task.suffix, "psm"), *whole[-heal:]]
    answer = Answer(model, Question(ids, tokenizer.infill_stop_ids, MOST_TOKENS, heal=heal, pending=pending))
    text = ""
    async with contextlib.aclosing(answer.parts()) as parts:
        async for part in parts:
            text += "".join(part)
            if task.suite == "single line" and "\n" in text.lstrip("\n"):
                break
    if task.suite == "single line":
        blank = text[: len(text) - len(text.lstrip("\n"))]
        text = blank + text.lstrip("\n").partition("\n")[0]
    return text if task.suite == "random span" or text.endswith("\n") else text + "\n"


async def answer_of(desk: Desk, root: Path, task: Task, way: str) -> tuple[str, str]:
    """(what goes into the hole, why the product shows nothing)"""
    if way != PRODUCT:
        layout, healed = RAW[way]
        reached = await desk.session.reach()
        return await raw(reached, task, cast("Literal['psm', 'spm']", layout), healed=healed), ""
    place, after = hole(task)
    # A random span may begin and end anywhere, as a cursor does where one asks by hand.
    outcome = await desk.at(Place(root, place), by_hand=task.suite == "random span")
    return outcome.text + after, "" if outcome.shown else outcome.reason or "nothing"


async def measure(folder: Path, model: str, count: int, ways: Sequence[str], kept: Path | None) -> list[dict[str, Any]]:
    """A row for each suite and way: how many tasks, at how many something is shown, how many pass. Raises UserError."""
    known = {} if kept is None or not kept.exists() else dict(map(_read, kept.read_text("utf-8").splitlines()))
    suites = {suite: tasks(folder, suite, count) for suite in SUITES}
    desk = Desk(dataclasses.replace(SETTINGS, model=model))
    rows: dict[tuple[str, str], dict[str, Any]] = {
        (suite, way): {"suite": suite, "asked": way, "tasks": 0, "shown": 0, "passed": 0}
        for suite in suites
        for way in ways
    }
    with systems.runtime() as root:
        for number in range(max(map(len, suites.values()))):
            for suite, way in rows:
                if number >= len(suites[suite]):
                    continue
                task = suites[suite][number]
                key = f"{way} | {task.task_id}"
                if key not in known:
                    text, reason = await answer_of(desk, root, task, way)
                    passed = not reason and await asyncio.to_thread(task.passes, text)
                    known[key] = {"text": text, "reason": reason, "passed": passed}
                    if kept is not None:
                        with kept.open("a", encoding="utf-8") as out:
                            out.write(json.dumps({"key": key, **known[key]}) + "\n")
                row = rows[suite, way]
                row["tasks"] += 1
                row["shown"] += not known[key]["reason"]
                row["passed"] += known[key]["passed"]
            if sys.stderr.isatty():
                print(f"\r{number + 1} of each suite", end="", file=sys.stderr, flush=True)
    desk.close()
    return [{**row, "pass@1": round(row["passed"] / row["tasks"], 4)} for row in rows.values() if row["tasks"]]


def targets(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is to be reached, as far as it was measured."""
    share = {(row["suite"], row["asked"]): row["passed"] / row["tasks"] for row in rows}
    shown = {(row["suite"], row["asked"]): row["shown"] / row["tasks"] for row in rows}
    of = {(row["suite"], row["asked"]): f"{row['passed']} of {row['tasks']} tasks" for row in rows}
    found = []
    for suite, least in (("single line", 0.4), ("multi-line", 0.1)):
        if (way := (suite, PRODUCT)) in share:
            found.append(
                target(f"HumanEval {suite}, product", f"at least {least}", share[way], share[way] >= least, of[way])
            )
    span = ("random span", PRODUCT)
    if span in share:
        found.append(target("HumanEval random span, shown", "at least 0.95", shown[span], shown[span] >= 0.95))
    alone = [way for name in RAW if (way := ("random span", name)) in share]
    if span in share and alone:
        best = max(alone, key=lambda way: share[way])
        name, wanted = "HumanEval random span, product", f"at least that of the model alone, {share[best]:.3f}"
        note = f"{of[span]}, against {of[best]}"
        found.append(target(name, wanted, share[span], share[span] >= share[best], note))
    healed, plain = ("random span", "spm, healed"), ("random span", "spm")
    if healed in share and plain in share:
        name = "HumanEval random span, the model alone, suffix first with healing"
        wanted = f"more than without, {share[plain]:.3f}"
        found.append(target(name, wanted, share[healed], share[healed] > share[plain], of[healed]))
    return found


async def main(argv: list[str] | None = None) -> None:
    """Ask, run, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default=SETTINGS.model)
    parser.add_argument("--tasks", type=int, default=TASKS, help="of each suite at most")
    ways = (PRODUCT, *RAW)
    parser.add_argument("--ways", nargs="+", default=ways, choices=ways)
    parser.add_argument("--kept", type=Path, metavar="FILE")
    options = parser.parse_args(argv)
    try:
        rows = await measure(options.folder, options.model, options.tasks, options.ways, options.kept)
    except UserError as error:
        sys.exit(str(error))
    before = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {"targets": [], "tasks": []}
    tasks = merged([{"model": options.model, **row} for row in rows], before["tasks"])
    reached = targets([row for row in tasks if row["model"] == SETTINGS.model])
    keep("humaneval", reached, tasks=tasks)


def merged(rows: Sequence[dict[str, Any]], before: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, and those of before that were not measured anew: of other models, and other ways to ask."""
    anew = {(row["model"], row["suite"], row["asked"]) for row in rows}
    return [*rows, *(row for row in before if (row["model"], row["suite"], row["asked"]) not in anew)]


def _read(line: str) -> tuple[str, dict[str, Any]]:
    found = json.loads(line)
    return found.pop("key"), found


if __name__ == "__main__":
    asyncio.run(main())
