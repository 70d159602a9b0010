"""What is documented of an engine's metrics, and drawn of them, is there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lsp_server.engine.generating.scheduler import Scheduler
from lsp_server.engine.serving import metrics
from lsp_server.engine.serving.state import EngineState

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
async def given(make_scheduler: Callable[..., Scheduler]) -> set[str]:
    """The names of an engine's metrics, those of a histogram's parts among them."""
    state = EngineState("a", status="ready", scheduler=make_scheduler())
    return {re.split(r"[{ ]", line)[0] for line in metrics.render(state).splitlines() if not line.startswith("#")}


async def test_the_page_has_them_all(given: set[str]) -> None:
    told = set(re.findall(r"`(engine_\w+)`", (DOCS / "monitoring.md").read_text()))
    assert told == {re.sub(r"_(bucket|sum|count)$", "", name) for name in given}


async def test_all_that_is_drawn_is_there(given: set[str]) -> None:
    dashboard = json.loads((DOCS / "monitoring" / "dashboard.json").read_text())
    drawn = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(drawn) > 5
    assert {name for each in drawn for name in re.findall(r"engine_\w+", each)} <= given
