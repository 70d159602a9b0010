"""Fixtures for the tests of code actions over the wire."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from acting_editor import acting_editor
from stand_in import StandIn, stand_in


@pytest.fixture
async def engine() -> Any:
    async with stand_in() as running:
        yield running


@pytest.fixture
def options(engine: StandIn, tokenizer_folder: Callable[..., Path]) -> dict[str, Any]:
    engine.tokenizer = tokenizer_folder("7b")
    return {"engineUrl": engine.url, "tokenizer": str(engine.tokenizer), "chatFormat": "inst"}


@pytest.fixture
async def editor(options: dict[str, Any], tmp_path: Path) -> Any:
    async with acting_editor(options, tmp_path) as window:
        yield window
