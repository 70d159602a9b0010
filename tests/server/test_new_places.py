"""Over the wire: what a slow model is asked at a place that it has not seen, and what it computes meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from editor import Editor, editor
from own_engine import engine, rest

pytestmark = pytest.mark.usefixtures("engines")

TEXT = "".join(f"value_{number} = compute({number}, scale={number % 7})\n" for number in range(600))


@pytest.fixture
def tokenizer(tokenizer_folder: Callable[..., Path]) -> Path:
    return tokenizer_folder("7b")


async def key(window: Editor, uri: str, row: int, column: int) -> None:
    """A key that no suggestion said."""
    window.insert(uri, row, column, "q")
    await window.suggest(uri, row, column + 1, typed=True)


async def test_half_a_second_at_a_new_place_and_the_whole_window_once_it_is_computed(tokenizer: Path) -> None:
    async with engine(tokenizer, 300.0) as made, editor() as window:
        made.idle.clear()
        uri = window.open("untitled:a.py", TEXT)
        await window.ready()
        window.insert(uri, 300, 0, "\n")
        await key(window, uri, 300, 0)
        await key(window, uri, 300, 1)
        assert len(made.at_keys) == 2
        assert all(78 <= tokens <= 144 for tokens in made.at_keys), made.at_keys
        await window.until(lambda: made.ahead and "value_299" in made.end_of(made.ahead[-1]))
        long = made.ahead[-1]["prompt"]
        assert 620 <= len(long) <= 1040
        made.idle.set()
        await window.until(lambda: any(each["prompt"] == long for each in made.done))
        await asyncio.sleep(0.1)
        await key(window, uri, 300, 2)
        assert len(made.at_keys) == 3
        assert made.at_keys[-1] >= len(long), "with all that was computed"
        whole = [each for each in made.asked if each["priority"] == 0][-1]["prompt"]
        assert whole[: len(long) - 8] == long[: len(long) - 8], "of which nothing is computed again"
        window.insert(uri, 100, 0, "\n")
        await key(window, uri, 100, 0)
        assert made.at_keys[-1] <= 144, "another place"


@pytest.mark.parametrize(
    ("speed", "options", "least"),
    [
        (10_000.0, {}, 2500),  # a GPU has time for four times as much
        (10_000.0, {"windowTokens": 600}, 360),
        (None, {}, 620),  # not known
        (300.0, {"prefetch": False}, 620),  # nothing is computed later
    ],
)
async def test_the_whole_window_at_once(
    speed: float | None, options: dict[str, Any], least: int, tokenizer: Path
) -> None:
    async with engine(tokenizer, speed) as made, editor(options) as window:
        uri = window.open("untitled:a.py", TEXT)
        await window.ready()
        window.insert(uri, 300, 0, "\n")
        await key(window, uri, 300, 0)
        assert made.at_keys[0] >= least
        assert made.at_keys[0] <= (options.get("windowTokens") or 4096) + 16


async def test_a_file_that_is_opened_is_computed_from_the_start(tokenizer: Path) -> None:
    async with engine(tokenizer, 300.0) as made, editor() as window:
        window.open("untitled:a.py", TEXT)
        await window.until(lambda: made.ahead)
        assert len(made.ahead[0]["prompt"]) >= 620
        assert not made.at_keys


async def test_what_is_asked_at_a_key_goes_before_the_cursor_that_rests(tokenizer: Path) -> None:
    """A window that is still being computed is not computed from its beginning for each key typed at its place."""
    async with engine(tokenizer, 300.0) as made, editor() as window:
        made.idle.clear()
        uri = window.open("untitled:a.py", TEXT)
        await window.ready()
        line = "value_400 = compute(400, scale=1)"
        await rest(window, uri, 400, len(line))
        await window.until(lambda: made.ahead and "compute(400" in made.end_of(made.ahead[-1]))
        before = len(made.ahead)
        for column in range(8):
            await key(window, uri, 400, len(line) + column)
        assert len(made.at_keys) == 8
        assert len(made.ahead) == before
