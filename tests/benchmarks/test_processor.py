"""The benchmark of large models on a processor, with a tiny one: that it measures what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import engine, processor, results, shapes
from benchmarks.engine import OURS


async def test_both_numbers_of_bits_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODELLAMA_LS_CACHE", str(tmp_path))
    monkeypatch.setattr(engine, "DECODED", 100)  # so many do not arrive all at once, however busy the machine is
    for name, value in (("CHUNK", 48), ("WINDOW", 64), ("PROBE_BYTES", 2**20), ("PROBE_SIDE", 512), ("PROBES", 1)):
        monkeypatch.setattr(processor, name, value)
    small = ["--model", "7b", "--layers", "1", "--hidden", "256", "--rounds", "1", "--without", "llama.cpp"]
    assert await processor.main(small) == 0

    kind = (results.instructions() or ["other"])[-1]
    found = json.loads((tmp_path / "benchmarks" / "results" / f"processor_{kind}.json").read_text())
    rows = {(row["bits"], row["what"]) for row in found["figures"] if row["system"] == OURS}
    for bits in ("8", "4"):
        assert {(bits, f"{what} at 64") for what in ("first token of a new prompt", "forward pass of decoding",
                                                       "decode of a token", "prefill of a token")} <= rows  # fmt: skip
    assert [each["bits"] for each in found["bounds"]] == ["8", "4"]
    (share,) = (row for row in found["targets"] if row["name"].endswith("of the time in 8 bits"))
    assert " against " in share["note"], "both in the same rounds"
    assert all(value > 0 for each in found["bounds"] for name, value in each.items() if "/s" in name)
    assert found["peaks"]["float32"] > 0
    named = {row["name"].partition(": ")[2] for row in found["targets"]}
    assert await processor.main([*small, "--bits", "8"]) == 0
    again = json.loads((tmp_path / "benchmarks" / "results" / f"processor_{kind}.json").read_text())
    assert {row["bits"] for row in again["figures"]} == {"8", "4"}, "what is not measured anew stays"
    assert len(again["targets"]) == len(found["targets"])
    assert named == {
        "a token, times as long as the memory needs for what it reads",
        "a token, of the time in 8 bits",
        "memory held, of that planned",
    }


def test_what_a_token_reads_and_computes() -> None:
    """Of 7B by the shapes in its paper: 32 layers of 4 matrices of 4,096 x 4,096 and 3 of 4,096 x 11,008, the head, and
    keys and values of 1,000 tokens in 16 bits."""
    config = shapes.config("7b")
    layer = 4 * 4096**2 + 3 * 4096 * 11008
    assert processor.operations(config) == 2 * 32 * layer
    head, keys_values = 4096 * 32016, 2 * 32 * 4096 * 1000 * 2
    assert processor.read(config, 8, 1000) == pytest.approx(32 * layer + head + keys_values, rel=0.001)
    # In 4 bits half a byte for each, and 20 bytes for 512 of them.
    assert processor.read(config, 4, 1000) == pytest.approx(
        32 * layer * (1 / 2 + 20 / 512) + head + keys_values, rel=0.001
    )


def test_targets_are_ratios_of_what_was_measured() -> None:
    def one(bits: str, token: float, theirs: float) -> processor.Measured:
        made = processor.Measured("7b", bits, True, 1000, read=6 * 10**9, operations=10**9, planned=100, held=90)
        made.memory = [30e9, 10e9, 20e9]
        for what, ours, other in (
            ("forward pass of decoding", token, 0),
            ("decode of a token", token, theirs),
            ("first token of a new prompt", 1000, 1400),
            ("prefill of a token", 2, 4),
        ):
            made.samples[f"{what} at 1000"] = {OURS: [ours]} | ({made.llama: [other]} if other else {})
        return made

    found = {row["name"]: row for row in processor.targets([one("8", 330, 300), one("4", 165, 200)])}
    assert found["7b in 8 bits: a token, times as long as the memory needs for what it reads"]["measured"] == 1.1
    assert found["7b in 4 bits: a token, of the time in 8 bits"]["measured"] == 0.5
    new = found["7b in 8 bits: first token of a new prompt: times faster than llama.cpp Q8_0"]
    assert (new["measured"], new["met"]) == (1.4, False)
    token = found["7b in 4 bits: decode of a token: times faster than llama.cpp Q4_0"]
    assert token["met"]
    assert token["measured"] == pytest.approx(200 / 165, abs=0.001)
    assert found["7b in 8 bits: memory held, of that planned"]["measured"] == 0.9
