"""What the benchmarks compute without a model: percentiles, ratios, the trace of keys, targets, the page."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from benchmarks import engine, figures, keystrokes, report, systems, typing
from benchmarks.keystrokes import Key


def test_percentiles_are_values_that_were_measured() -> None:
    # The worked example of the nearest-rank method in Wikipedia's "Percentile".
    values = [50, 15, 40, 20, 35]
    assert [figures.percentile(values, share) for share in (0.05, 0.3, 0.4, 0.5, 1.0)] == [15, 20, 20, 35, 50]
    assert figures.p95(range(1, 101)) == 95
    with pytest.raises(ValueError, match="no values"):
        figures.p95([])


def test_a_paired_ratio_is_that_of_the_rounds() -> None:
    # The machine was four times slower in the second round, for both; the ratio of medians would be 30 / 4.
    assert figures.paired_ratio([10, 40, 30], [1, 4, 10]) == 10


@pytest.mark.parametrize("module", [textwrap, argparse])
def test_a_trace_brings_the_file_back(module: object) -> None:
    text = Path(module.__file__).read_text(encoding="utf-8")  # type: ignore[attr-defined]
    one = keystrokes.trace("a.py", "python", text, 60, seed=3)
    assert one.text != text
    assert keystrokes.replayed(one) == text


def test_a_trace_is_the_same_each_time_and_another_with_another_seed() -> None:
    text = Path(argparse.__file__).read_text(encoding="utf-8")
    first, again, other = (keystrokes.trace("a.py", "python", text, 60, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first.keys != other.keys


def test_a_trace_has_all_that_hands_do() -> None:
    text = Path(argparse.__file__).read_text(encoding="utf-8")
    keys = [key for seed in range(8) for key in keystrokes.trace("a.py", "python", text, 60, seed=seed).keys]
    assert {key.kind for key in keys} == {"type", "slip", "delete", "accept", "jump"}
    pauses = sorted(key.pause for key in keys)
    assert 0.12 < pauses[len(pauses) // 2] < 0.25  # a fast typist: 50 to 80 words a minute
    assert max(pauses) <= keystrokes.LONGEST_PAUSE
    jumps = [(before, key) for before, key in itertools.pairwise(keys) if key.kind == "jump"]
    assert all(abs(before.cursor - key.at) > 300 for before, key in jumps)


def test_a_key_changes_the_text_at_its_place() -> None:
    key = Key("type", 0.1, 3, 1, "xy")
    assert (key.apply("abcd"), key.cursor) == ("abxyd", 4)


def test_a_file_without_code_is_refused() -> None:
    with pytest.raises(ValueError, match="no lines"):
        keystrokes.trace("a.py", "python", "\n" * 50, 20, seed=1)


def test_the_page_marks_what_was_missed() -> None:
    machine = {"system": "here", "processors": 2, "memory_gib": 8.0, "python": "3.12", "load": None}
    rows = [
        {"name": "one", "target": "under 2", "measured": 1.5, "met": True, "note": "a|b"},
        {"name": "two", "target": "under 2", "measured": 2.5, "met": False, "note": ""},
    ]
    figures_rows = [{"what": "prefill", "median_ms": 1.25}, {"what": "decode", "times_ours": None}]
    text = report.page({"part": {"machine": machine, "targets": rows, "figures": figures_rows}})
    assert "Targets: 1 of 2 met" in text
    assert "| met | part | one | under 2 | 1.5 | a\\|b |" in text
    assert "| **missed** | part | two | under 2 | 2.5 |  |" in text
    assert "| prefill | 1.25 |  |" in text


async def test_an_answer_without_a_piece_took_until_its_end() -> None:
    """A model may end at once, as one that infills does where nothing is missing."""

    class EndsAtOnce:
        name, pid = "one", 0

        async def stream(self, ids: object, tokens: int, *, whole: bool, chat: bool = False) -> AsyncIterator[object]:
            await asyncio.sleep(0.02)
            yield {"generated": 0}

    answer = await systems.run(EndsAtOnce(), [1, 2], 8, whole=False)
    assert (answer.tokens, answer.text, answer.seconds) == (0, "", [])
    assert answer.total_ms >= 20


def test_targets_of_typing_on_a_worked_case() -> None:
    def events(*milliseconds: float) -> list[typing.Event]:
        return [typing.Event("type", value) for value in milliseconds]

    played = {
        "codellama-ls": events(10, 20, 30, 40, 200),
        "llama.cpp Q8_0": events(50, 60, 61, 70, 210),
        "transformers serve, bitsandbytes 8-bit": events(200, 250, 290, 310, 1200),
    }
    played["codellama-ls"][0].known, played["codellama-ls"][0].asked = True, False
    rows = {row["name"]: (row["measured"], row["met"]) for row in typing._targets(played)}
    start = "keystroke to suggestion, "
    assert rows == {
        # medians 30, 61 and 290; at the 95th percentile 200, 210 and 1200
        f"{start}median: times faster than transformers serve, bitsandbytes 8-bit": (9.667, False),
        f"{start}95th percentile: times faster than transformers serve, bitsandbytes 8-bit": (6.0, True),
        f"{start}median: times faster than llama.cpp Q8_0": (2.033, True),
        f"{start}95th percentile: times faster than llama.cpp Q8_0": (1.05, False),
        "suggestion that is already known, ms, 95th percentile, and no forward pass": (10, True),
    }
    played["codellama-ls"][0].asked = True
    assert not typing._targets(played)[-1]["met"]


def test_targets_of_the_engine_on_a_worked_case() -> None:
    decode = {
        "codellama-ls": [10.0, 20.0, 10.0],
        "llama.cpp Q8_0": [11.0, 18.0, 10.0],  # 1.1, 0.9 and 1 times
        "transformers, bitsandbytes 8-bit": [39.0, 100.0, 38.0],  # 3.9, 5 and 3.8 times
    }
    rows = engine._targets({"decode of a token at 1000": decode})
    assert [(row["measured"], row["met"]) for row in rows] == [(3.9, False), (1.0, True)]
