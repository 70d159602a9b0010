"""The command line: exit statuses, one line for what went wrong, and what needs no model."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from forking import program

from lsp_server.codellama import ModelShape
from lsp_server.commands import usage
from lsp_server.engine.loading import starter as loading_starter

NAMED_WELL = ("json", "yes", "shell", "place", "words")

pytestmark = pytest.mark.usefixtures("engines")


def run(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = program("-m", "lsp_server", *words)
    return subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=cwd)


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


def test_a_mistyped_command_is_told_what_it_may_mean() -> None:
    for words, said in (
        (["compelte", "a.py:1:1"], "there is no command 'compelte'; did you mean `codellama-ls complete`?"),
        (["models", "pul", "x"], "there is no command 'pul'; did you mean `codellama-ls models pull`?"),
        (["xyzzy"], "there is no command 'xyzzy'; `codellama-ls --help` lists those there are."),
    ):
        done = run(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.splitlines()[-1].endswith(said)


@pytest.mark.parametrize(
    ("words", "usage", "said"),
    [
        (["chat", "--modle", "x", "hi"], "codellama-ls chat [-h]", "there is no option --modle; did you mean --model?"),
        (["complete", "a:1:1", "--jsn=1"], "codellama-ls complete", "there is no option --jsn; did you mean --json?"),
        (["--versoin"], "codellama-ls [-h]", "there is no option --versoin; did you mean --version?"),
        (
            ["models", "pull", "x", "--xyzzy"],
            "codellama-ls models pull",
            "`codellama-ls models pull --help` lists those",
        ),
        (
            ["config", "get", "model"],
            "codellama-ls config [-h]",
            "'get' is one word too many; `codellama-ls config --h",
        ),
    ],
)
def test_a_mistyped_option_is_told_of_its_command_and_what_it_may_mean(words: list[str], usage: str, said: str) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"usage: {usage}")
    assert said in done.stderr.splitlines()[-1]


def test_every_option_says_what_it_is_for() -> None:
    """But for those whose name says it."""
    parsers = [usage.parser()]
    for parser in parsers:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                parsers += action.choices.values()
            else:
                assert action.help or action.dest in NAMED_WELL, f"{parser.prog}: {action.dest}"
    assert len(parsers) > 15


def test_a_question_needs_no_quotes() -> None:
    words = ["chat", "What", "is", "this", "--file", "a.py"]
    assert usage.parser().parse_args(words).question == "What is this"
    assert not usage.parser().parse_args(["chat"]).question


@pytest.mark.skipif(os.name == "nt", reason="a shell's closing of streams")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_stream_that_is_closed_is_no_fault(closed: str) -> None:
    for words in (["config"], ["chat"]):
        command = f"{shlex.join([sys.executable, '-m', 'lsp_server', *words, '--model', 'no-such'])} {closed}"
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=200)
        assert (done.returncode, "Traceback" in done.stderr) == (int(words == ["chat"]), False), done


@pytest.mark.parametrize("words", [[], ["complete"], ["models", "pull"], ["engine"]])
def test_help_is_a_command_too(words: list[str]) -> None:
    asked = run("help", *words)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert asked.stdout == run(*words, "--help").stdout
    assert asked.stdout.startswith(f"usage: {' '.join(['codellama-ls', *words])} [-h]")


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


def test_files_that_cannot_be_read(tokenizer_folder: Callable[..., Path], tmp_path: Path) -> None:
    file = tmp_path / "latin.py"
    file.write_bytes(b"x = '\xe9'\n")
    assert failed("prompt", f"{file}:1:1") == (
        f"{file} is not UTF-8 (byte 5); convert it first, e.g. with `iconv -f LATIN1 -t UTF-8`."
    )
    assert "is not UTF-8 (byte 5)" in failed("prompt", "--messages", str(file), "--model", str(tokenizer_folder("7b")))
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
        answer = json.loads(asked.stdout)
        assert answer["ids"] == example[f"{layout}_ids"]
        assert answer["tokens"] == {"prompt": len(answer["ids"]), "related": 0}
        assert (answer["related"], answer["leftOut"]) == ([], [])
    shown = run("prompt", place, "--model", folder, "--layout", "psm").stdout
    assert shown.startswith("<s><PRE> def remove_non_ascii")
    assert shown.endswith("<SUF>\n    return result\n<MID>\n")


def test_prompt_tells_which_names_are_preferred(
    tokenizer_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = "".join(f"    def find_{letter}(self): ...\n" for letter in "abcdefghij")
    (tmp_path / ".git").mkdir()
    (tmp_path / "store.py").write_text(f"class Store:\n{members}")
    (tmp_path / "main.py").write_text("from store import Store\nstore = Store()\nstore.find_\n")
    asked = ["prompt", "main.py:3:12", "--model", str(tokenizer_folder("7b"))]
    monkeypatch.setenv("CODELLAMA_LS_INDEX", str(tmp_path / "index"))
    assert json.loads(run(*asked, "--json", cwd=tmp_path).stdout)["names"] == dict.fromkeys("abcdefghij", 12.0)
    assert "Preferred at the cursor: a, b, c, d, e, f, g, h and 2 more." in run(*asked, cwd=tmp_path).stderr
    other = run(*asked, "--json", "--engine-url", "http://127.0.0.1:9", cwd=tmp_path)
    assert json.loads(other.stdout)["names"] == {}


def test_secret_files_have_no_suggestions(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TOKEN=\n")
    answer = json.loads(run("complete", ".env:1:7", "--json", cwd=tmp_path).stdout)
    assert answer["suggestion"] == ""
    assert "secrets" in answer["reason"]


def test_no_prompt_is_shown_of_what_no_model_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("TOKEN=\n")
    monkeypatch.chdir(tmp_path)
    said = ".env looks like a file of secrets; such files are never shown to the model."
    assert failed("prompt", ".env:1:7") == said
    assert failed("prompt", ".env:1:7", "--action", "explain") == said


@pytest.mark.parametrize(
    ("words", "option", "other"),
    [
        (["a.py:1:1", "--file", "a.py"], "--file", "--chat"),
        (["--chat", "x", "--action", "fix"], "--action", "FILE:LINE:COL"),
        (["--messages", "a.json", "--action", "fix"], "--action", "FILE:LINE:COL"),
        (["a.py:1:1", "--target", "Rust"], "--target", "--action translate"),
        (["a.py:1:1", "--action", "document", "--message", "x"], "--message", "--action fix"),
    ],
)
def test_an_option_that_changes_nothing_is_refused(words: list[str], option: str, other: str) -> None:
    assert failed("prompt", *words) == f"{option} goes with {other}; leave it out, or give that too."


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["complete", "a:1:1", "--max-tokens", "0"], "--max-tokens: must be a whole number from 1 to 1024, not '0'"),
        (["chat", "x", "--max-tokens", "many"], "--max-tokens: must be a whole number from 1 to 131072, not 'many'"),
        (["chat", "x", "--temperature", "nan"], "--temperature: must be a number from 0 to 2, not 'nan'"),
        (["stats", "--days", "0"], "--days: must be a whole number from 1 to 400, not '0'"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_started(words: list[str], said: str) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert "Starting" not in done.stderr


def test_models_names_the_starter_and_all_twelve(starter: Path) -> None:
    rows = json.loads(run("models", "--json").stdout)
    assert len([row for row in rows if row["model"].startswith("codellama/")]) == 12
    assert rows[0]["model"] == "starter"
    # 134,515,008 weights of two bytes; by hand: 106 MB in 8 bits, 28.3 million of 16, keys and values of 94 MB.
    assert rows[0]["disk"] == pytest.approx(134_515_008 * 2 / 2**30, abs=0.06)
    sizes = {row["model"]: row["quantizations"]["8"]["gib"] for row in rows if row["quantizations"]}
    assert sizes["starter"] == pytest.approx((106e6 + 2 * 28.3e6 + 94e6) / 2**30, abs=0.06)
    # By hand: 6.52 GiB of weights, a little for their scales, and 4,096 tokens of 512 KiB.
    assert sizes["codellama/CodeLlama-7b-hf"] == pytest.approx(6.52 + 2.0, abs=0.05)
    assert sizes["codellama/CodeLlama-70b-Instruct-hf"] == pytest.approx(64.73 + 1.25, abs=0.1)
    shape = ModelShape.from_config(starter)
    assert dataclasses.replace(shape, model_type="llama") == loading_starter.SHAPE


def test_models_in_a_pipe() -> None:
    lines = run("models").stdout.splitlines()
    assert any("codellama/CodeLlama-70b-Instruct-hf" in line for line in lines)
    words = [line.replace("*", "").split() for line in lines]
    assert any(each[:5] == ["Code", "Llama", "70B", "8", "66.0"] for each in words)


@pytest.mark.parametrize("name", ["/dev/zero", "pipe.py"])
def test_what_is_no_file_is_refused_at_once(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.py")
    assert "is no regular file" in failed("complete", f"{name}:1:1")
    assert "is no regular file" in failed("prompt", "--chat", "What is this?", "--file", name)
