"""Fixtures of the tests of the whole way."""

from __future__ import annotations

from pathlib import Path

import pytest
from e2e import typed_file


@pytest.fixture
def real_file(tmp_path: Path) -> Path:
    return typed_file.written(tmp_path)
