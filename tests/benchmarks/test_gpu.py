"""The benchmark for a CUDA card, on whatever is here: that it measures what it says, not how fast that is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import gpu, shapes, stock, systems
from lsp_server.engine.loading import checkpoint, plan
from lsp_server.engine.loading.devices import Device

GIB = 2**30


def card(size: float) -> Device:
    return Device("a card", "cuda", 0, int(size * GIB), int(size * GIB))


async def test_all_systems_are_asked_the_same_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODELLAMA_LS_CACHE", str(tmp_path))
    asked: dict[str, list[tuple[list[int], int]]] = {}

    def noted(system: type) -> None:
        stream = system.stream

        async def note(self: Any, ids: Sequence[int], tokens: int, **rest: Any) -> AsyncIterator[Any]:
            asked.setdefault(self.name, []).append((list(ids), tokens))
            async for piece in stream(self, ids, tokens, **rest):
                yield piece

        monkeypatch.setattr(system, "stream", note)

    monkeypatch.setattr(gpu, "LONG", 400)
    monkeypatch.setattr(gpu, "WINDOW", 200)
    noted(systems.Engine)
    noted(stock.Generate)
    # bitsandbytes would compile kernels for the CPU: many seconds, and none on a card. What torch's configuration was
    # can only be put back by itself: pytest's monkeypatch would leave it without this entry.
    with torch._dynamo.config.patch(disable=True):
        assert await gpu.main(["--model", "7b", "--layers", "1", "--hidden", "256", "--rounds", "1"]) == 0

    names = {*gpu.ENGINES, *gpu.BITS}
    assert asked.keys() == names
    first = asked["codellama-ls"]
    assert all(asked[name] == first for name in names)
    # To warm up; two prompts, each again with a token more; bursts of decoding; a suggestion for each key.
    lengths = [400, 400, 401, 200, 201, *[200] * 4, 201, 202, 203, 204]
    assert [(len(ids), tokens) for ids, tokens in first] == list(
        zip(lengths, [24, 1, 1, 1, 1, *[17] * 4, *[24] * 4], strict=True)
    )

    result = json.loads((tmp_path / "benchmarks" / "results" / "gpu.json").read_text())
    assert {"gpu", "versions"} <= result["machine"].keys()
    by_prompt = [
        f"first token {what} at {size}" for size in (400, 200) for what in ("of a new prompt", "after one more token")
    ]
    decoding = ["decode of a token at 200", "forward pass of decoding at 200"]
    suggestion = "suggestion of 24 tokens after a key at 200"
    measured = {(row["what"], row["system"]): row for row in result["figures"]}
    assert measured.keys() == {(what, name) for what in [*by_prompt, *decoding, suggestion] for name in names}
    assert all(row["shape"] == "7b" and row["paired"] and row["median_ms"] > 0 for row in result["figures"])
    values = {(what, rounds) for (what, _), rounds in ((key, row["rounds"]) for key, row in measured.items())}
    assert values == {*((what, 1) for what in by_prompt), *((what, 4) for what in [*decoding, suggestion])}

    for name in names:
        counts = result["counts"]["7b"][name]
        for what, prompt, generated in (
            ("first token of a new prompt at 400", 400, 1),
            ("decode of a token at 200", 200, 17),
            (suggestion, 204, 24),
        ):
            assert counts[what]["prefilled"] + counts[what]["reused"] == prompt
            assert counts[what]["generated"] == generated
        assert counts["first token of a new prompt at 400"]["reused"] == 0, "it had never been asked"
        assert counts["decode of a token at 200"]["reused"] == (168 if name in gpu.ENGINES else 0)
    assert [row["name"].partition(": ")[0] for row in result["targets"]] == ["7b"] * 5


def test_without_a_card_it_says_so() -> None:
    command = [sys.executable, "-m", "benchmarks.gpu"]
    ended = subprocess.run(
        command, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr == ("There is no CUDA card here; `--layers 2 --hidden 256` checks the script without one.\n")


def test_what_a_card_holds_together(capsys: pytest.CaptureFixture[str]) -> None:
    # By hand, in GiB: 7B is 6.5 in 8 bits, 3.9 in 4 and 12.6 in 16; 34B is 31.9, 18.3 and 62.9. Keys and values of
    # 4,096 tokens are 2 and 0.8, of which the engine keeps up to four times.
    seven, thirty_four = shapes.config("7b"), shapes.config("34b")
    names = [gpu.OURS, gpu.OURS_FOUR, gpu.EIGHT, gpu.FOUR, gpu.SIXTEEN]
    assert gpu.fitting(seven, card(90)) == [names]
    assert gpu.fitting(seven, card(24)) == [[name] for name in names]
    assert gpu.fitting(thirty_four, card(80)) == [[name] for name in names]
    assert gpu.fitting(thirty_four, card(220)) == [names]
    assert capsys.readouterr().out == ""
    assert gpu.fitting(thirty_four, card(48)) == [[name] for name in names[:-1]]
    assert "bfloat16, generate is left out: it needs 6" in capsys.readouterr().out
    assert gpu.fitting(thirty_four, card(24)) == [[gpu.OURS_FOUR], [gpu.FOUR]]
    assert "codellama-ls is left out" in capsys.readouterr().out
    with pytest.raises(plan.DoesNotFit):
        gpu.fitting(thirty_four, card(16))


def test_a_checkpoint_is_whole_and_the_same_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = []
    for number in range(2):
        monkeypatch.setenv("CODELLAMA_LS_CACHE", str(tmp_path / str(number)))
        values = shapes.config("34b", layers=3, hidden=256)
        assert (values["num_attention_heads"], values["num_key_value_heads"], values["intermediate_size"]) == (
            2,
            1,
            640,  # the proportion would be 688
        )
        made = checkpoint.validate(shapes.make("34b", values))
        assert len(made.shards) == 4  # one for each layer, one for what is around them
        shards.append({shard.path.name: shard.path.read_bytes() for shard in made.shards})
    assert shards[0] == shards[1]


def test_targets_on_a_worked_case() -> None:
    samples = {
        "forward pass of decoding at 1000": {
            "codellama-ls": [10.0, 20.0, 10.0],
            gpu.EIGHT: [39.0, 100.0, 42.0],  # 3.9, 5 and 4.2 times; of the medians 4.2
            gpu.SIXTEEN: [11.0, 18.0, 10.0],  # 1.1, 0.9 and 1 times; of the medians 1.1
            gpu.OURS_FOUR: [8.0, 8.0, 8.0],
            gpu.FOUR: [12.0, 12.0, 12.0],
        },
        "first token of a new prompt at 2000": {"codellama-ls": [149.0, 150.0, 151.0]},
        "suggestion of 24 tokens after a key at 1000": {"codellama-ls": [199.0, 300.0, 199.0]},
    }

    def rows(shape: str, paired: bool) -> list[tuple[float, bool]]:
        return [(row["measured"], row["met"]) for row in gpu._targets(shape, samples, paired)]

    assert rows("7b", paired=True) == [(4.2, True), (1.5, True), (1.0, False), (150.0, False), (199.0, True)]
    assert rows("34b", paired=False) == [(4.2, True), (1.5, True), (1.1, True), (199.0, True)]
