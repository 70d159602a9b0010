"""The script for a machine with a card, tried on what is here: that each step finds what it says, not how fast."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import card, card_products
from lsp_server.engine.passes import cards, kernels
from lsp_server.engine.passes.card_weights import EightBits


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CODELLAMA_LS_CACHE", str(tmp_path))
    return tmp_path / "benchmarks" / "results" / "card.json"


def test_what_is_right_and_how_products_are_cut(folder: Path) -> None:
    assert card.main(["--small", "--only", "environment,correctness,sweep"]) == 0
    found = json.loads(folder.read_text())
    assert found["environment"]["copy_gb_per_second"] > 0

    right = found["correctness"]
    assert right["right"]
    assert {row["bits"] for row in right["products"]} == {8, 4}
    assert right["passes"].keys() == {card.OURS, card.OURS_FOUR}
    for each in right["passes"].values():
        assert all(each["equal"].values())
        assert each["from_float32"] < 0.02  # of which the head that is rounded is most
        assert each["from_float32"] != each["from_float32, a layer in memory"] < 0.02
    assert {row["product"] for row in right["products"]} == {
        "queries, keys, values", "output", "gate and up", "down", "head",
    }  # fmt: skip

    assert {name: {*cuts} for name, cuts in found["sweep"]["table"].items()} == {
        "eight": {"few", "gated"}, "four": {"few", "gated"},
    }  # fmt: skip
    assert all(row["microseconds"] > 0 for row in found["sweep"]["7b in 4 bits"])
    assert {*found["sweep"]["7b in 8 bits, prompts"][0]["microseconds"]} == {"kernel", "16 bits", "converted"}


@torch.inference_mode()
def test_how_fast_each_kind_is_and_how_far_from_float32() -> None:
    task = card.Task(card.SMALL, torch.device("cpu"), "7b", small=True)
    # bitsandbytes would compile kernels for the CPU: many seconds, and none on a card.
    with torch._dynamo.config.patch(disable=True):
        found = card.speed(task, "7b", (card.OURS_FOUR, card.EIGHT_PLAIN, card.FOUR, card.EIGHT + card.OUTLIERS))
        agreed = card.agreement(task)
    assert len(found) == 4
    for row in found.values():
        assert row["pass at 17, ms"] > 0
        assert row["prompt of 17, ms"] > 0
        assert row["of tokens at once, ms"].keys() == {"1", "4", "16"}
    every = (card.OURS, card.EIGHT, card.SIXTEEN, card.OURS_FOUR, card.FOUR)
    assert all(0 <= agreed[kind]["divergence"] < 0.05 for kind in every)
    for kind in (card.OURS, card.OURS_FOUR):
        assert agreed[f"{kind}: guesses leave it"]
        assert agreed[kind]["same first choice"] > 0.8


def test_nothing_is_measured_where_it_is_wrong(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(card.STEPS, "correctness", (1, lambda task: {"right": False}))
    assert card.main(["--small", "--only", "correctness,environment"]) == 1
    assert json.loads(folder.read_text()).keys() == {"correctness"}


def test_a_wrong_product_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    product = card_products.Product("output", 32, 64)
    settings, cpu = cards.DEFAULT, torch.device("cpu")
    assert card_products.error(product, 3, settings, cpu) < card.MOST_ERROR
    launch = EightBits.launch

    def wrong(given: EightBits, x: torch.Tensor, out: torch.Tensor, *rest: Any, **named: Any) -> None:
        launch(given, x, out, *rest, **named)
        out[..., 5] = 0

    monkeypatch.setattr(EightBits, "launch", wrong)
    assert card_products.error(product, 3, settings, cpu) > card.MOST_ERROR


def test_more_ways_are_tried_on_a_card() -> None:
    for bits, cuts in ((8, 5 * 3), (4, 5 * 2)):
        ways = list(card_products.candidates(cards.DEFAULT, bits, all_of_them=True))
        assert len(ways) == len({(tile, parts) for tile, parts in ways}) == cuts * 3 * 4
        assert all(tile.tokens == kernels.FEW and tile.rows >= 16 for tile, _ in ways)
        # Rows are dealt out to warps, or blocks are.
        assert all((tile.rows // 16 if bits == 8 else tile.depth // 64) >= tile.warps for tile, _ in ways)
