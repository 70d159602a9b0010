"""Over the wire: what the model is not sure of is not shown unasked, and is where one asks for it."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from actions.stand_in import StandIn
from editor import editor
from forking import program

pytestmark = pytest.mark.usefixtures("engines")


def sure(engine: StandIn, monkeypatch: pytest.MonkeyPatch, probability: float) -> None:
    """Have the engine find `foo` so probable, and what follows certain, where it is asked that."""

    async def complete(asked: dict[str, Any], reader: Any, writer: Any) -> None:
        engine.asked.append(asked)
        choices: list[dict[str, Any]] = [{"text": "foo"}, {"text": "(1)", "finish_reason": "stop"}]
        if "logprobs" in asked:
            for choice, logprob in zip(choices, (math.log(probability), 0.0), strict=True):
                choice["logprobs"] = {"token_logprobs": [logprob]}
        body = "".join(f"data: {json.dumps({'choices': [choice]})}\n\n" for choice in choices) + "data: [DONE]\n\n"
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n{body}".encode())
        await writer.drain()

    monkeypatch.setattr(engine, "_complete", complete)


@pytest.mark.parametrize(("probability", "shown"), [(0.29, []), (0.31, ["foo(1)"])])
async def test_an_improbable_suggestion_is_shown_by_hand_alone(
    options: dict[str, object], engine: StandIn, monkeypatch: pytest.MonkeyPatch, probability: float, shown: list[str]
) -> None:
    sure(engine, monkeypatch, probability)
    async with editor({**options, "minProbability": 0.3}) as window:
        uri = window.open("untitled:a", "x = \n")
        await window.ready()
        assert [item.insert_text for item in await window.suggest(uri, 0, 4, typed=True)] == shown
        if not shown:
            assert "codellama.minProbability" in window.reason
        assert (await window.suggest(uri, 0, 4))[0].insert_text == "foo(1)"
        window.insert(uri, 0, 4, "f")  # what was shown stays
        assert [item.insert_text for item in await window.suggest(uri, 0, 5, typed=True)] == ["foo(1)"]


async def test_what_is_typed_along_is_certain(
    options: dict[str, object], engine: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is not asked again for what was hidden, and that is shown once its doubtful word is typed."""
    sure(engine, monkeypatch, 0.1)
    async with editor({**options, "minProbability": 0.3}) as window:
        uri = window.open("untitled:a", "x = \n")
        await window.ready()
        assert await window.suggest(uri, 0, 4, typed=True) == []
        for column, char in enumerate("fo", start=4):
            window.insert(uri, 0, column, char)
            assert await window.suggest(uri, 0, column + 1, typed=True) == []
        window.insert(uri, 0, 6, "o")
        assert [item.insert_text for item in await window.suggest(uri, 0, 7, typed=True)] == ["foo(1)"]
        assert len(engine.asked) == 1


async def test_without_a_threshold_nothing_is_hidden_or_asked(
    options: dict[str, object], engine: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    sure(engine, monkeypatch, 0.01)
    async with editor(options) as window:
        uri = window.open("untitled:a", "x = \n")
        await window.ready()
        assert [item.insert_text for item in await window.suggest(uri, 0, 4, typed=True)] == ["foo(1)"]
        assert "logprobs" not in engine.asked[-1]


async def test_a_checkpoint_names_its_own_threshold(
    options: dict[str, object],
    engine: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    tokenizer_folder: Callable[..., Path],
    tmp_path: Path,
) -> None:
    sure(engine, monkeypatch, 0.29)
    folder = shutil.copytree(tokenizer_folder("7b"), tmp_path / "own")
    own = {"prefix": "▁<PRE>", "suffix": "▁<SUF>", "middle": "▁<MID>", "end": "▁<EOT>", "min_probability": 0.3}
    (folder / "infilling.json").write_text(json.dumps(own), encoding="utf-8")
    async with editor({**options, "tokenizer": str(folder)}) as window:
        uri = window.open("untitled:a", "x = \n")
        await window.ready()
        assert await window.suggest(uri, 0, 4, typed=True) == []
    async with editor({**options, "tokenizer": str(folder), "minProbability": 0}) as window:
        uri = window.open("untitled:a", "x = \n")
        await window.ready()
        assert [item.insert_text for item in await window.suggest(uri, 0, 4, typed=True)] == ["foo(1)"]


@pytest.mark.parametrize(
    ("settings", "place", "why"),
    [
        ({"minProbability": 0.3}, "1:5", "The model finds it 29% probable; below 30% no suggestion comes of itself"),
        ({"minProbability": 0.2}, "1:5", ""),
        ({"enabled": False}, "1:5", "Suggestions are turned off (codellama.enabled)."),
        ({"disabledLanguages": ["python"]}, "1:5", "(codellama.disabledLanguages)."),
        ({"inComments": False}, "2:4", "In comments no suggestion comes of itself (codellama.inComments)."),
        ({}, "2:4", ""),
    ],
)
async def test_the_command_says_what_an_editor_would_hide(
    options: dict[str, object],
    engine: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    settings: dict[str, object],
    place: str,
    why: str,
) -> None:
    sure(engine, monkeypatch, 0.29)
    (tmp_path / "a.py").write_text("x = \n # \n")
    file = tmp_path / "config.toml"
    file.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in {**options, **settings}.items()))
    monkeypatch.setenv("CODELLAMA_LS_CONFIG", str(file))
    command = program("-m", "lsp_server", "complete", f"{tmp_path}/a.py:{place}")
    shown = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
    assert (shown.returncode, shown.stdout) == (0, "foo(1)\n"), shown.stderr
    assert ("An editor does not show this of itself: " in shown.stderr, why in shown.stderr) == (bool(why), True)
    described = await asyncio.to_thread(
        subprocess.run, [*command, "--json"], capture_output=True, text=True, timeout=60
    )
    assert bool(json.loads(described.stdout)["hidden"]) == bool(why)
