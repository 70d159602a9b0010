"""Fixtures for all tests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that every test can `import checkpoints`

import checkpoints


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """tokenizer_folder(kind="7b", as_="json"): a folder with nothing but that tokenizer, made once."""
    made: dict[tuple[str, str], Path] = {}

    def folder(kind: checkpoints.Kind = "7b", as_: str = "json") -> Path:
        if (kind, as_) not in made:
            path = tmp_path_factory.mktemp(f"tokenizer-{kind}-{as_}")
            made[kind, as_] = checkpoints.code_llama_tokenizer(path, kind, as_)  # type: ignore[arg-type]
        return made[kind, as_]

    return folder
