"""Every kernel compiled for cards that are not here: what the interpreter lets pass may not compile, and how fast it is
shows in the machine code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# A100; RTX 30; RTX 40 and L4; H100 and H200.
CAPABILITIES = (80, 86, 89, 90)
KERNELS = 16
# Bytes of shared memory that a program may have: CUDA C++ Programming Guide, table of technical specifications.
SHARED = {80: 163 * 1024, 86: 99 * 1024, 89: 99 * 1024, 90: 227 * 1024}
# A card issues some 30 T lane-instructions a second and reads 3 to 5 T weights: this is half of what could keep up.
MOST_PER_WEIGHT = 4.5


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    root = Path(__file__).parents[2]
    environment["PYTHONPATH"] = os.pathsep.join((str(root), *environment.get("PYTHONPATH", "").split(os.pathsep)))
    command = [sys.executable, str(Path(__file__).with_name("machine_code.py")), *map(str, CAPABILITIES)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_all_kernels_compile_for_all_cards(rows: list[dict[str, Any]]) -> None:
    assert {(row["kernel"], row["capability"]) for row in rows}
    assert [row["capability"] for row in rows] == [each for each in CAPABILITIES for _ in range(KERNELS)]
    for row in rows:
        assert row["spills"] == 0, row
        assert row["shared"] <= SHARED[row["capability"]], row


def test_few_instructions_are_spent_on_a_weight(rows: list[dict[str, Any]]) -> None:
    products = [row for row in rows if row["kernel"].startswith(("product", "gated,"))]
    assert len(products) == 2 * 2 * len(CAPABILITIES)
    for row in products:
        assert 1 < row["per_weight"] <= MOST_PER_WEIGHT, row
        # Not `wgmma`, which takes weights from shared memory two bytes at a time.
        assert row["instructions"] == ["HMMA"], row


def test_keys_and_values_are_read_in_wide_pieces(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if row["kernel"].startswith("attend") or row["kernel"] == "gather":
            assert row["narrow"] == 0, row
