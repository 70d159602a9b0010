"""Fixtures: a Neovim of each version, and an engine that says what it is told."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import nvim as neovim
from stand_in_engine import SUGGESTION_TOKENS, Engine

TEXT = "def add(a, b):\n    \n"


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
    """start(version, text=..., name=..., inline=..., setup=..., env=...): a Neovim in a project with one open file."""
    started: list[neovim.Neovim] = []

    def make(
        version: str,
        *,
        text: str = TEXT,
        name: str = "main.py",
        setup: str = "",
        lua: str = "",
        settings: dict[str, Any] | None = None,
        env: dict[str, str] | None = None,
        installed: bool = True,
        ready: bool = True,
    ) -> neovim.Neovim:
        project = tmp_path / "project"
        (project / ".git").mkdir(parents=True, exist_ok=True)
        file = project / name
        file.write_text(text)
        command = neovim.server_command(tmp_path / "bin")
        given = {
            "engineUrl": engine.url,
            "tokenizer": str(tokenizer_folder()),
            "maxTokens": SUGGESTION_TOKENS,
            "chatFormat": "inst",  # a tokenizer alone does not say that its model can chat
            **(settings or {}),
        }
        options = f"{lua}\nrequire('codellama').setup({{ settings = {neovim.lua_value(given)}, {setup} }})\n"
        values = neovim.environment(tmp_path, env, path=command.parent if installed else None)
        started.append(neovim.Neovim(version, tmp_path, file, options, values))
        if ready and installed:
            started[-1].attached()
        return started[-1]

    yield make
    for each in started:
        each.close()
