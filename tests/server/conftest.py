"""The engine that the language server is shown: a stand-in that always says the same."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from actions.stand_in import StandIn, stand_in


@pytest.fixture
async def engine() -> AsyncIterator[StandIn]:
    async with stand_in() as made:
        made.answers = ["answer"]
        yield made


@pytest.fixture
def options(engine: StandIn, tokenizer_folder: Callable[..., Path]) -> dict[str, object]:
    return {"engineUrl": engine.url, "tokenizer": str(tokenizer_folder("7b")), "debounceMs": 0}
