"""How tokens are chosen, and what the model is told of its role: as options of the command line and of `send`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from forking import program

from lsp_server.codellama import CodeLlamaTokenizer

from .wire import Engine

TEMPLATE = "[INST] <<SYS>>"


@pytest.fixture
def engine(load: Callable[[str], CodeLlamaTokenizer]) -> Engine:
    return Engine(load("inst"))


@pytest.fixture
def told(
    engine: Engine, tmp_path: Path, tokenizer_folder: Callable[..., Path]
) -> Iterator[Callable[..., subprocess.CompletedProcess[bytes]]]:
    """Runs `codellama-ls` with a server that remembers what it is sent; `typed` is its standard input."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(tokenizer_folder("7b"), folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    environment = {**os.environ, "CODELLAMA_LS_DATA": str(tmp_path / "data")}
    with engine.running() as url:

        def run(*words: str, typed: bytes = b"") -> subprocess.CompletedProcess[bytes]:
            command = program("-m", "lsp_server", *words, "--engine-url", url, "--tokenizer", str(folder))
            return subprocess.run(command, input=typed, capture_output=True, timeout=200, env=environment)

        yield run


def chosen(body: dict[str, Any]) -> tuple[Any, ...]:
    return body["temperature"], body["top_p"], body.get("seed"), body["max_tokens"]


def test_a_text_is_gone_on_with_as_it_is(engine: Engine, told: Callable[..., Any]) -> None:
    """Exactly what was typed is sent, and exactly what was written comes out: no newline at its end, nothing tidied."""
    engine.answer = "b\r\n\tc  é "
    text = "# é\r\na =  "
    done = told("complete", "-", "--max-tokens", "9", typed=text.encode())
    assert (done.returncode, done.stdout) == (0, (" " + engine.answer).encode()), done.stderr
    assert engine.prompts == [engine.tokenizer.completion_ids(text)]
    assert chosen(engine.bodies[0]) == (0, 1, None, 9)
    assert set(engine.bodies[0]["stop_token_ids"]) == set(engine.tokenizer.completion_stop_ids)


def test_several_ways_to_go_on_with_a_text(engine: Engine, told: Callable[..., Any]) -> None:
    options = ("--count", "2", "--temperature", "0.8", "--top-p", "0.9", "--seed", "7")
    done = told("complete", "-", *options, "--json", typed=b"a =")
    assert [each["text"] for each in json.loads(done.stdout)] == [" Yes.", " Yes."]
    assert [chosen(body) for body in engine.bodies] == [(0.8, 0.9, 7, 64), (0.8, 0.9, 8, 64)]
    done = told("complete", "-", "--json", typed=b"a =")
    assert json.loads(done.stdout)["finishReason"] == "stop"


@pytest.mark.parametrize(
    ("typed", "words"),
    [(b"", "nothing on standard input"), (b"\xff\xfe", "not UTF-8"), (b"word " * 5000, "send its end")],
)
def test_a_text_that_cannot_be_gone_on_with(told: Callable[..., Any], typed: bytes, words: str) -> None:
    done = told("complete", "-", typed=typed)
    assert (done.returncode, done.stdout) == (1, b"")
    assert words in done.stderr.decode().splitlines()[-1]


def test_how_the_tokens_of_a_suggestion_are_chosen(engine: Engine, told: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("a = \n")
    place = f"{tmp_path / 'a.py'}:1:5"
    assert told("complete", place).returncode == 0
    options = ("--temperature", "0.5", "--top-p", "0.7", "--seed", "3", "--count", "2", "--max-tokens", "11")
    assert told("complete", place, *options).returncode == 0
    assert [chosen(body) for body in engine.bodies] == [(0, 1, None, 64), (0.5, 0.7, 3, 11), (0.5, 0.7, 4, 11)]


def test_how_the_tokens_of_an_answer_are_chosen(engine: Engine, told: Callable[..., Any]) -> None:
    assert told("chat", "What?").returncode == 0
    options = ("--temperature", "0.5", "--top-p", "0.7", "--seed", "3", "--count", "2", "--max-tokens", "11")
    done = told("chat", "What?", *options)
    assert done.stdout == b"Yes.\nYes.\n"
    assert [chosen(body) for body in engine.bodies] == [(0.2, 0.95, None, 1024), (0.5, 0.7, 3, 11), (0.5, 0.7, 4, 11)]
    assert engine.prompts[1] == engine.prompts[2], "the same question"


def test_what_the_model_is_told_of_its_role(engine: Engine, told: Callable[..., Any]) -> None:
    told("chat", "What?", "--system", "You are a poet.")
    typed = b"one\n/new\n/system You are a pirate.\ntwo\nthree\n/system You are a judge.\nfour\n/new\nfive\n"
    assert told("chat", "--system", "You are a cook.", typed=typed).returncode == 0
    shown = [engine.tokenizer.decode(prompt) for prompt in engine.prompts]
    roles = ["poet", "cook", "pirate", "pirate", "judge", "judge"]
    for prompt, role in zip(shown, roles, strict=True):
        assert f"<<SYS>>\nYou are a {role}.\n<</SYS>>" in prompt
