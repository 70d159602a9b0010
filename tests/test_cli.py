"""The command line: exit statuses, one line for what went wrong, and what needs no model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lsp_server.commands import models

pytestmark = pytest.mark.usefixtures("engines")


def run(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lsp_server", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=cwd)


def failed(*words: str) -> str:
    """The one line on standard error of a command that fails."""
    done = run(*words)
    assert done.returncode == 1, done
    assert done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    return line.removeprefix("codellama-ls: ")


@pytest.mark.parametrize("words", [["nonsense"], ["complete"], ["--nonsense"], ["complete", "a:1:1", "--layout", "x"]])
def test_wrong_usage(words: list[str]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert "usage: codellama-ls" in done.stderr


def test_what_was_loaded_is_not_searched_for_garbage() -> None:
    """Which would hold up a key for as long as the library is large: it makes some 50,000 objects."""
    code = "import gc; from lsp_server import cli; cli._loaded('server.app:main'); "
    code += "print(gc.isenabled(), gc.get_freeze_count() > 30_000, len(gc.get_objects()) < 3000)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "True"]


@pytest.mark.parametrize("place", ["a.py", "a.py:1", "a.py:x:1", "a.py:0:1", "a.py:1:0", ":1:1", "a.py:-1:1"])
def test_a_place_that_is_none(place: str) -> None:
    assert failed("prompt", place) == f"{place} is not FILE:LINE:COL, with line and column counted from 1."


def test_places_outside_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("one\ntwo\n")
    assert failed("prompt", f"{file}:4:1") == f"{file} has 3 lines; there is no line 4."
    said = failed("complete", f"{file}:1:5")
    assert said == f"Line 1 of {file} has 3 characters; its last column is 4, not 5."


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "latin.py"
    file.write_bytes(b"x = '\xe9'\n")
    assert failed("prompt", f"{file}:1:1") == (
        f"{file} is not UTF-8 (byte 5); convert it first, e.g. with `iconv -t UTF-8`."
    )
    assert "no-such-file.py" in failed("prompt", f"{tmp_path}/no-such-file.py:1:1")


def test_prompt_is_exact_and_shows_its_control_tokens(tokenizer_folder: Callable[..., Path], tmp_path: Path) -> None:
    # Meta's first example prompt, with the ids of their reference code (vectors/infill.json, meta_example_0).
    vectors = json.loads((Path(__file__).parent / "vectors" / "infill.json").read_text(encoding="utf-8"))["vectors"]
    example = next(vector for vector in vectors if vector["id"] == "meta_example_0")
    file = tmp_path / "a.py"
    file.write_text(example["prefix"] + example["suffix"])
    lines = example["prefix"].split("\n")
    place = f"{file}:{len(lines)}:{len(lines[-1]) + 1}"
    folder = str(tokenizer_folder("7b"))
    for layout in ("psm", "spm"):
        asked = run("prompt", place, "--model", folder, "--layout", layout, "--json")
        assert json.loads(asked.stdout)["ids"] == example[f"{layout}_ids"]
    shown = run("prompt", place, "--model", folder, "--layout", "psm").stdout
    assert shown.startswith("<s><PRE> def remove_non_ascii")
    assert shown.endswith("<SUF>\n    return result\n<MID>\n")


def test_secret_files_have_no_suggestions(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TOKEN=\n")
    answer = json.loads(run("complete", ".env:1:7", "--json", cwd=tmp_path).stdout)
    assert answer["suggestion"] == ""
    assert "secrets" in answer["reason"]


def test_models_names_all_twelve() -> None:
    rows = json.loads(run("models", "--json").stdout)
    assert len(rows) == 12
    sizes = {row["model"]: row["gib"] for row in rows}
    # By hand: 6.52 GiB of weights, a little for their scales, and 4,096 tokens of 512 KiB.
    assert sizes["codellama/CodeLlama-7b-hf"] == pytest.approx(6.52 + 2.0, abs=0.05)
    assert sizes["codellama/CodeLlama-70b-Instruct-hf"] == pytest.approx(64.73 + 1.25, abs=0.1)


@pytest.mark.parametrize(
    ("needed", "gpus", "ram", "where"),
    [
        (8, [24], 64, "on one GPU"),
        (30, [24, 24], 64, "over 2 GPUs"),
        (60, [24], 64, "GPU and CPU, slow"),
        (8, [], 64, "on the CPU, slow"),
        (66, [24], 32, "no"),
        (23, [24], 0, "no"),
    ],
)
def test_where_a_model_fits(needed: int, gpus: list[int], ram: int, where: str) -> None:
    assert models.fits(needed, gpus, ram) == where


def test_doctor_says_what_is_here_and_what_mends_the_rest(tmp_path: Path) -> None:
    done = run("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert checks["engine packages"]["ok"]
    assert checks["engine"]["found"].startswith("not running")
    done = run("doctor", "--engine-url", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "-> check the URL" in done.stdout
    done = run("doctor", "--model", str(tmp_path), "--json")
    assert done.returncode == 1
    model = next(check for check in json.loads(done.stdout) if check["name"] == "model")
    assert "config.json" in model["found"]
