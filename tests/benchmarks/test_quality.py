"""The measure of quality, without a model: which tasks, where an editor is asked, what is held out."""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from actions.stand_in import stand_in

from benchmarks.quality import holes, humaneval, packages, report
from benchmarks.quality.published import PUBLISHED
from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.errors import UserError
from lsp_server.evaluation.asking import Desk, Outcome, Place
from lsp_server.evaluation.holes import Hole
from lsp_server.evaluation.scores import Scores
from lsp_server.evaluation.threshold import Step
from lsp_server.evaluation.variants import Variant
from lsp_server.settings import Settings
from training import data

PROMPT = "def double(x):\n"
TASK = humaneval.Task(
    "single line", "Single/0/L0", "double", PROMPT, "", "    return 2 * x\n", "def check(f):\n    assert f(2) == 4\n"
)
SPAN = dataclasses.replace(
    TASK, suite="random span", prompt=PROMPT + "    return 2", suffix=" x\n", canonical_solution=" *"
)


def test_a_task_passes_by_its_own_tests() -> None:
    assert TASK.passes("    return 2 * x\n")
    assert TASK.passes("    return x + x\n")
    assert not TASK.passes("    return 3 * x\n")
    assert SPAN.passes(" *")
    assert not SPAN.passes(" -")


@pytest.mark.parametrize("task", [TASK, SPAN, dataclasses.replace(TASK, prompt=PROMPT, suffix="\n\nx = 1\n")])
def test_an_editor_is_asked_where_the_hole_is(task: humaneval.Task) -> None:
    place, after = humaneval.hole(task)
    solved = task.prompt + task.canonical_solution + task.suffix
    assert place.prefix + place.middle + place.suffix == solved
    assert place.middle + after == task.canonical_solution
    on_own_line = not place.suffix.partition("\n")[0]
    assert on_own_line == (task is not SPAN)


def test_the_same_tasks_each_time(tmp_path: Path) -> None:
    lines = [{**dataclasses.asdict(TASK), "task_id": str(at)} for at in range(50)]
    with gzip.open(tmp_path / "HumanEval-SingleLineInfilling.jsonl.gz", "wt") as out:
        for line in lines:
            out.write(json.dumps({key: value for key, value in line.items() if key != "suite"}) + "\n")
    one, other = (humaneval.tasks(tmp_path, "single line", 10) for _ in range(2))
    assert one == other
    assert len({each.task_id for each in one}) == 10
    assert len(humaneval.tasks(tmp_path, "single line", 100)) == 50
    with pytest.raises(UserError, match=r"HumanEval-MultiLineInfilling.jsonl.gz is not there; fetch it"):
        humaneval.tasks(tmp_path, "multi-line", 10)


@pytest.mark.parametrize(("layout", "healed"), humaneval.RAW.values())
async def test_the_model_alone_is_asked_in_both_orders(
    layout: str, healed: bool, tokenizer_folder: Callable[..., Path]
) -> None:
    """Prefix first: prefix, suffix, middle. What is healed stands last, and the answer is to begin with its text."""
    async with stand_in() as engine:
        engine.tokenizer = tokenizer_folder("7b")
        engine.answers = [" return 2 * x\n    return 3" if healed else " 2 * x\nmore"]
        desk = Desk(Settings(engine_url=engine.url, tokenizer=str(engine.tokenizer)))
        task = dataclasses.replace(TASK, prompt=PROMPT + "    return", suffix="\n# end\n")
        text = await humaneval.raw(await desk.session.reach(), task, layout, healed=healed)  # type: ignore[arg-type]
        desk.close()
        ids = engine.asked[0]["prompt"]
        tokenizer = CodeLlamaTokenizer.from_pretrained(engine.tokenizer)
    assert text == " 2 * x\n"
    shown = tokenizer.shown(ids)
    assert shown.index("<PRE>") < shown.index("<SUF>") < shown.index("<MID>")
    assert shown.endswith("return") == (layout == "spm" or healed)
    assert "# end" in shown.partition("<MID>")[0]
    assert shown.count("return") == 1
    if not healed:
        assert ids == tokenizer.infill_ids(task.prompt, task.suffix, layout)  # type: ignore[arg-type]


def test_published_figures_are_those_of_the_paper() -> None:
    """Table 14 of the Code Llama paper, as shares."""
    found = {(row["model"].partition(" ")[0], row["suite"], row["asked"]): row["pass@1"] for row in PUBLISHED}
    assert found["CodeLlama-7b", "single line", "spm"] == 0.833
    assert found["CodeLlama-7b", "random span", "spm"] == 0.39
    assert found["CodeLlama-13b", "multi-line", "psm"] == 0.51
    assert len(found) == 12


def test_what_is_to_be_reached_on_humaneval() -> None:
    def row(suite: str, asked: str, shown: int, passed: int) -> dict[str, object]:
        return {"suite": suite, "asked": asked, "tasks": 100, "shown": shown, "passed": passed}

    rows = [row("single line", "product", 99, 41), row("random span", "product", 94, 20)]
    rows += [row("random span", "spm, healed", 100, 25), row("random span", "spm", 100, 10)]
    met = {each["name"]: each["met"] for each in humaneval.targets(rows)}
    assert met == {
        "HumanEval single line, product": True,
        "HumanEval random span, shown": False,
        "HumanEval random span, product": False,
        "HumanEval random span, the model alone, suffix first with healing": True,
    }


def test_holes_are_made_in_what_was_never_trained_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CODELLAMA_LS_CACHE", str(tmp_path))
    code = "".join(f"def number_{at}(a, b):\n    c = a + b * {at}\n    return c\n\n\n" for at in range(40))
    fetched = []

    def fetch(source: data.Source, folder: Path) -> None:
        fetched.append(source)
        ending = data.ENDINGS[source.language][0]
        (folder / "inside").mkdir(parents=True)
        (folder / "inside" / f"code{ending}").write_text(f"# {source.package}\n{code}")

    monkeypatch.setattr(data, "fetch", fetch)
    places = packages.sample(84)
    assert {source.use for source in fetched} == {"hold out"}
    names = set(data.HELD_OUT.read_text().splitlines())
    for source in fetched:
        assert any(name.startswith(f"{source.manager} {source.package} {source.version} ") for name in names)
    assert len(places) <= 84
    assert {each.hole.language for each in places} == set(packages.LANGUAGES)
    assert places == packages.sample(84), "and the same each time, with nothing fetched anew"
    assert len(fetched) == len({each.package for each in fetched})


async def test_what_was_asked_is_kept(tokenizer_folder: Callable[..., Path], tmp_path: Path) -> None:
    places = [Place(tmp_path, Hole("rest", "", "python", f"{at}.py", "x = f(", "1)", "\ny = 1\n")) for at in range(3)]
    async with stand_in() as engine:
        engine.answers = ["1)"]
        ways = [Variant("as it is", Settings(engine_url=engine.url, tokenizer=str(tokenizer_folder("7b"))))]
        kept = tmp_path / "kept.jsonl"
        first = await holes.ask(places[:2], ways, kept)
        again = await holes.ask(places, ways, kept)
        assert len(engine.asked) == 3
    assert again["as it is"][:2] == first["as it is"]
    assert [each.scores.exact for each in again["as it is"]] == [True] * 3


def test_the_page_has_the_published_figures_beside_ours() -> None:
    machine = {"processor": "one", "processors": 2, "load": [9.0]}
    tasks = [{"model": "ours", "suite": "single line", "asked": "product", "tasks": 4, "passed": 1, "pass@1": 0.25}]
    text = report.page({"humaneval": {"machine": machine, "tasks": tasks}})
    assert "| ours | single line | product | 4 | 1 | 25.0% |" in text
    assert "| CodeLlama-7b (Code Llama paper, table 14) | single line | spm |  |  | 83.3% |" in text
    assert "load 9.0" in text


def test_targets_of_holes() -> None:
    def outcome(kind: str, text: str, *, parses: bool = True, repeats: bool = False) -> Outcome:
        scored = Scores(True, 1.0, parses, repeats, False)
        return Outcome(kind, "python", "a", 0, 0, text, "x", "", 1.0, 1, 1, (), scored)

    outcomes = [outcome("rest", "x")] * 19 + [outcome("rest", "x", parses=False), outcome("piece", "x", repeats=True)]
    outcomes.append(outcome("piece", ""))
    rows = holes.targets(outcomes, [Step(0.5, 0.3, 0.05, 0.6, 1.4, 0.06, 1.35)])
    assert [row["met"] for row in rows] == [False, False, False, True, True]
    assert [row["measured"] for row in rows] == [1, 0.952, 0.5, 0.05, 1.4]


def test_what_is_not_measured_anew_stays() -> None:
    """Other models' rows, and those of other ways to ask."""

    def row(model: str, asked: str, passed: int) -> dict[str, object]:
        return {"model": model, "suite": "single line", "asked": asked, "passed": passed}

    before = [row("starter", "product", 1), row("starter", "spm", 2), row("7b", "product", 3)]
    assert humaneval.merged([row("starter", "product", 9)], before) == [row("starter", "product", 9), *before[1:]]
