"""Fixtures: a Neovim of each version, and an engine that says what it is told."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import nvim as neovim
from stand_in_engine import Engine


@pytest.fixture(params=["0.11", "0.12"])
def version(request: pytest.FixtureRequest) -> str:
    """A version of Neovim."""
    return str(request.param)


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.close()


@pytest.fixture
def start(
    tmp_path: Path, engine: Engine, tokenizer_folder: Callable[..., Path]
) -> Iterator[Callable[..., neovim.Neovim]]:
    """start(version, ...): a Neovim in a project with one open file, as `nvim.in_project`; `ready`: with its model."""
    started: list[neovim.Neovim] = []

    def make(
        version: str,
        *,
        text: str = neovim.TEXT,
        name: str = "main.py",
        setup: str = "",
        lua: str = "",
        settings: dict[str, Any] | None = None,
        env: dict[str, str] | None = None,
        installed: bool = True,
        ready: bool = True,
    ) -> neovim.Neovim:
        started.append(
            neovim.in_project(
                version,
                tmp_path,
                neovim.settings(engine, tokenizer_folder()) | (settings or {}),
                text=text,
                name=name,
                setup=setup,
                lua=lua,
                env=env,
                installed=installed,
            )
        )
        if ready and installed:
            started[-1].attached()
        return started[-1]

    yield make
    for each in started:
        each.close()
