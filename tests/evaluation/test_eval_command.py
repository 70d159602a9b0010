"""`codellama-ls eval` on a folder, with a model that always says the same."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import checkpoints
import pytest
from actions.stand_in import stand_in

from lsp_server.completion import filters
from lsp_server.evaluation import variants
from lsp_server.evaluation.asking import Desk, Place
from lsp_server.evaluation.holes import Hole
from lsp_server.model import local
from lsp_server.settings import Settings

pytestmark = pytest.mark.usefixtures("engines")

CODE = "".join(f"def number_{at}(a, b):\n    c = a + b * {at}\n    return c\n\n\n" for at in range(40))
ALONE = [sys.executable, "-m", "lsp_server"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "numbers_of.py").write_text(CODE)
    return folder


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1200):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("waited in vain")


async def run(*words: str, stop: Callable[[], bool] | None = None) -> tuple[int | None, str, str]:
    """(exit status, standard output, standard error); interrupted once `stop` says so."""
    process = await asyncio.create_subprocess_exec(
        *ALONE, "eval", *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "COLUMNS": "100"}
    )
    ended = asyncio.ensure_future(process.communicate())
    if stop is not None:
        await until(stop)
    while stop is not None and not ended.done():  # who sees nothing come of it presses Ctrl+C once more
        process.send_signal(signal.SIGINT)
        await asyncio.wait([ended], timeout=120)
    out, err = await ended
    return process.returncode, out.decode(), err.decode()


async def test_a_table_and_a_json(project: Path, tokenizer_folder: Callable[..., Path], tmp_path: Path) -> None:
    async with stand_in() as engine:
        engine.answers = ["return c"]
        where = ("--engine-url", engine.url, "--tokenizer", str(tokenizer_folder("7b")))
        file = tmp_path / "found.json"
        status, out, err = await run(
            str(project), *where, "--holes", "12", "--with", "windowTokens=64", "--json", str(file)
        )
        assert status == 0, err
    assert "end of line" in out
    assert "as it is, against with windowTokens=64" in out
    found = json.loads(file.read_text())
    assert (found["complete"], found["model"], list(found["ways"])) == (
        True,
        "stand-in",
        ["as it is", "with windowTokens=64"],
    )
    places = [way["places"] for way in found["ways"].values()]
    assert [len(each) for each in places] == [12, 12]
    assert [(one["row"], one["wanted"]) for one in places[0]] == [(one["row"], one["wanted"]) for one in places[1]]
    whole = [each for each in places[0] if each["wanted"] == "return c" and each["text"]]
    assert whole
    assert all(each["scores"]["exact"] for each in whole)


async def test_what_was_measured_is_kept_when_it_is_interrupted(
    project: Path, tokenizer_folder: Callable[..., Path], tmp_path: Path
) -> None:
    async with stand_in() as engine:
        engine.answers = ["return c"]
        file = tmp_path / "found.json"
        where = ("--engine-url", engine.url, "--tokenizer", str(tokenizer_folder("7b")))
        words = (str(project), *where, "--holes", "400", "--json", str(file))

        def asked_enough() -> bool:
            if len(engine.asked) >= 8:
                engine.hold.clear()  # this answer does not come, or the next
            return not engine.hold.is_set()

        status, out, err = await run(*words, stop=asked_enough)
    assert status == 130, err
    assert "Traceback" not in err
    found = json.loads(file.read_text())
    assert not found["complete"]
    assert 0 < len(found["ways"]["as it is"]["places"]) < 400
    assert "of 400 places" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere is not a folder; name one that has your code."),
        (["{empty}"], "has no source file of 400 to 100,000 bytes"),
        (["{project}", "--against", "4bit", "--engine-url", "http://localhost:1"], "--against 4bit loads the weights"),
        (["{project}", "--against", "bf16", "--engine-url", "http://localhost:1"], "loads the weights on this machine"),
        (["{project}", "--without", "nothing"], "There is nothing called nothing to ask without"),
        (["{project}", "--with", "windowTokns=9"], "did you mean `codellama.windowTokens`?"),
        (["{project}", "--with", "windowTokens=99999"], "must be from 0 to 16384, not 99999"),
        (["{project}", "--json", "{empty}/no/where.json"], "There is no "),
        (["{project}", "--model", "./no-such-checkpoint"], "no-such-checkpoint"),
    ],
)
async def test_what_is_wrong_is_one_sentence(project: Path, tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "empty").mkdir()
    status, out, err = await run(*(word.format(empty=tmp_path / "empty", project=project) for word in words))
    assert status == 1
    assert out == ""
    assert said in err.splitlines()[-1]
    assert "Traceback" not in err


async def test_the_same_weights_in_4_bits(project: Path, tmp_path: Path) -> None:
    model = str(checkpoints.random_checkpoint(tmp_path / "tiny", layers=1, hidden=64))
    file = tmp_path / "found.json"
    words = ("--model", model, "--holes", "2", "--against", "4bit", "--json", str(file))
    status, out, err = await run(str(project), *words)
    await local.end(model)
    assert status == 0, err
    assert "in 4bit" in out
    ways = json.loads(file.read_text())["ways"]
    assert [len(way["places"]) for way in ways.values()] == [2, 2]


async def test_asking_is_what_an_editor_sees(tokenizer_folder: Callable[..., Path], tmp_path: Path) -> None:
    """Shown or not, and why, as the product says it; the text of the hole is in no prompt."""
    async with stand_in() as engine:
        engine.answers = ["lost_words)\n"]
        engine.tokenizer = tokenizer_folder("7b")
        desk = Desk(Settings(engine_url=engine.url, tokenizer=str(tokenizer_folder("7b"))))
        shown = Place(tmp_path, Hole("rest", "", "python", "a.py", "x = f(", "hidden_words)", "\ny = 1\n"))
        found = await desk.at(shown)
        assert (found.text, found.reason, found.shown) == ("lost_words)", "", True)
        assert (found.row, found.column, found.tokens > 0, found.prompt_tokens > 0) == (0, 6, True, True)
        assert "hidden_words" not in engine.prompt
        engine.answers = [""]
        nothing = await desk.at(shown)
        assert (nothing.text, nothing.shown) == ("", False)
        assert nothing.reason == "The model had nothing to add here."
        assert len(engine.asked) == 2
        desk.close()


async def test_inside_a_word_it_is_asked_for_by_hand(tokenizer_folder: Callable[..., Path], tmp_path: Path) -> None:
    async with stand_in() as engine:
        engine.answers = ["nt"]
        engine.tokenizer = tokenizer_folder("7b")
        desk = Desk(Settings(engine_url=engine.url, tokenizer=str(tokenizer_folder("7b"))))
        found = await desk.at(Place(tmp_path, Hole("piece", "", "python", "a.py", "pri", "nt", "_all(x)\n")))
        assert (found.text, found.reason) == ("nt", "")
        desk.close()


def test_variants_are_found_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclasses.dataclass(frozen=True)
    class Filter:
        apply: Callable[[str], str]

    def upper(text: str) -> str:
        return text

    def lower(text: str) -> str:
        return text

    monkeypatch.setattr(filters, "FILTERS", (Filter(upper), Filter(lower), Filter(upper)), raising=False)
    assert variants.filter_names() == ["upper", "lower"]
    way = variants.changed(Settings(), "upper", on=False)
    with way.chosen() as settings:
        assert settings == Settings()
        assert variants.filter_names() == ["lower"]
    assert variants.filter_names() == ["upper", "lower"]
    assert variants.changed(Settings(), "windowTokens=128", on=True).settings.window_tokens == 128
    with pytest.raises(variants.NoSwitch, match="did you mean lower"):
        variants.changed(Settings(), "lowr", on=False)
