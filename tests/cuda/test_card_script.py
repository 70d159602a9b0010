"""The script for a machine with a card, tried on what is here: that each step finds what it says, not how fast."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import card, card_models, card_products
from lsp_server.engine.passes import cards, kernels


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
    assert all(right["equal"].values())
    assert right["from_float32"] < 0.02  # of which the head that is rounded is most
    assert right["from_float32"] != right["from_float32, a layer in memory"] < 0.02
    assert {row["product"] for row in right["products"]} == {
        "queries, keys, values", "output", "gate and up", "down", "head",
    }  # fmt: skip

    assert found["sweep"]["table"].keys() == {"few", "gated"}
    assert all(row["microseconds"] > 0 for row in found["sweep"]["7b"])
    assert {*found["sweep"]["7b, prompts"][0]["microseconds"]} == {"kernel", "16 bits", "converted"}


@torch.inference_mode()
def test_how_fast_each_kind_is_and_how_far_from_float32() -> None:
    task = card.Task(card.SMALL, torch.device("cpu"), "7b", small=True)
    # bitsandbytes would compile kernels for the CPU: many seconds, and none on a card.
    with torch._dynamo.config.patch(disable=True):
        found = card.speed(task, "7b", (card.OURS, card.EIGHT_PLAIN, card_models.FOUR, card.EIGHT + card.OUTLIERS))
        agreed = card.agreement(task)
    assert len(found) == 4
    for row in found.values():
        assert row["pass at 17, ms"] > 0
        assert row["prompt of 17, ms"] > 0
        assert row["of tokens at once, ms"].keys() == {"1", "4", "16"}
    assert agreed["guesses leave it"]
    assert all(0 <= agreed[kind]["divergence"] < 0.05 for kind in (card.OURS, card.EIGHT, card.SIXTEEN))
    assert agreed[card.OURS]["same first choice"] > 0.8


def test_nothing_is_measured_where_it_is_wrong(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(card.STEPS, "correctness", (1, lambda task: {"right": False}))
    assert card.main(["--small", "--only", "correctness,environment"]) == 1
    assert json.loads(folder.read_text()).keys() == {"correctness"}


def test_a_wrong_product_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    product = card_products.Product("output", 32, 64)
    settings, cpu = cards.DEFAULT, torch.device("cpu")
    assert card_products.error(product, 3, settings, cpu) < card.MOST_ERROR
    launch = card_products.launch_product

    def wrong(x: torch.Tensor, given: object, out: torch.Tensor, *rest: object, **named: object) -> None:
        launch(x, given, out, *rest, **named)  # type: ignore[arg-type]
        out[..., 5] = 0

    monkeypatch.setattr(card_products, "launch_product", wrong)
    assert card_products.error(product, 3, settings, cpu) > card.MOST_ERROR


def test_more_ways_are_tried_on_a_card() -> None:
    ways = list(card_products.candidates(cards.DEFAULT, all_of_them=True))
    assert len(ways) == len({(tile, parts) for tile, parts in ways}) == 5 * 3 * 3 * 4
    assert all(tile.tokens == kernels.FEW and tile.rows >= 16 * tile.warps for tile, _ in ways)
