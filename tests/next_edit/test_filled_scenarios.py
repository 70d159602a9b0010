"""What the starter fills in the scenarios of `benchmarks/next_edit/scenarios/filled`: no worse than it did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.next_edit.figures import measured
from benchmarks.next_edit.filled import all_played
from benchmarks.next_edit.scenario import FOLDER, scenarios
from lsp_server.settings import Settings

BASELINE = json.loads((FOLDER.parent / "baseline.json").read_text("utf-8"))["filled"]


@pytest.mark.usefixtures("engines", "copied_engines", "starter")
async def test_what_the_model_fills_is_right_and_it_is_quiet_where_nothing_is() -> None:
    outcomes = await all_played(Settings())
    found = measured(outcomes)
    wrong = [each.scenario.title for each in outcomes if each.offer is not None and not each.right]
    assert found.precision >= max(0.6, BASELINE["precision"]), wrong
    assert found.quiet >= max(0.97, BASELINE["quiet"]), wrong
    assert found.recall >= BASELINE["recall"], wrong
    assert all(each.offer is None or each.offer.kind == "filled" for each in outcomes), "the others are derived"


def test_there_are_enough_of_them_and_a_third_wants_nothing() -> None:
    them = scenarios(Path(FOLDER, "filled"))
    assert len(them) >= 60
    assert sum(not each.wanted for each in them) >= len(them) / 3
    assert len({each.language for each in them}) >= 6
