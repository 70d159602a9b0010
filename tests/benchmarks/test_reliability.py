"""The measure of reliability: a short run of it all, and what it says of what it saw."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import forking
import pytest

from benchmarks import reliability as _  # noqa: F401  (puts the tests' editors on the path)
from benchmarks.reliability import page
from benchmarks.reliability.fault import Injection, added, general, row
from benchmarks.reliability.faults import FAULTS, QUICK
from benchmarks.reliability.load import growth, quarters


def test_each_fault_has_a_name_of_its_own() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names)
    assert set(QUICK) <= set(names)


def test_sentences_are_counted_without_what_differs_from_run_to_run() -> None:
    said = "No engine answers at http://127.0.0.1:{}; see /tmp/cl-{}/run/engine.log (process {})."
    assert general(said.format(1, "a", 22)) == general(said.format(2, "b", 33))
    done = [Injection(seconds, 5, [said.format(seconds, "x", 1)], []) for seconds in (1, 2, 9)]
    made = row(FAULTS[0], done, 7)
    assert (made["seconds"], made["requests"], made["broken"]) == ([1, 2, 9], 15, [])
    assert made["seen"] == {"No engine answers at http://gpu-box; see FOLDER (process N).": 3}
    both = added(made, row(FAULTS[0], done[:1], 8))
    assert (both["seconds"], both["seeds"], list(both["seen"].values())) == ([1, 2, 9, 1], [7, 8], [4])


def test_growth_is_between_the_first_and_the_last_quarter() -> None:
    samples = [{"MB": 100.0 + each, "handles": 7.0} for each in (0, 0, 5, 90, 5, 5, 10, 10)]
    held = quarters(samples)
    assert held["MB"] == {"first": 100, "last": 110, "most": 190}
    assert growth(held) == {"MB": 10, "handles": 0}


def test_a_table_is_made_where_the_page_has_room_for_it(tmp_path: Path) -> None:
    written = tmp_path / "page.md"
    written.write_text("Before.\n\n<!-- made by make reliability: faults -->\nold\n<!-- until here -->\n\nAfter.\n")
    figures = [row(FAULTS[0], [Injection(2.0, 5, ["It ended."], [])], 7)]
    result = {"machine": {"processor": "P", "processors": 2, "memory_gib": 1, "python": "3", "load": [1.0]}}
    (tmp_path / "reliability_faults.json").write_text(json.dumps({**result, "figures": figures}))
    page.write(written, tmp_path)
    text = written.read_text()
    assert text.startswith("Before.\n")
    assert text.endswith("After.\n")
    assert "old" not in text
    assert f"| {FAULTS[0].name} | 1 | It ended. (1) | nothing | 2.0 / 2.0 |  |" in text
    page.write(written, tmp_path)
    assert written.read_text() == text


@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_short_run_breaks_no_promise(starter: Path, tmp_path: Path) -> None:
    """How long things take is not looked at: other tests run beside this one."""
    said = ""
    for part, own in (("faults", {}), ("soak", {forking.ENGINES: None})):  # which looks at its processes from outside
        around = {name: value for name, value in {**os.environ, **own}.items() if value is not None}
        command = [sys.executable, "-m", "benchmarks.reliability", "--quick", "--only", part, "--to", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, env=around, cwd=Path(__file__).parents[2])
        said += done.stdout + done.stderr
    results = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert set(results) == {"reliability_faults", "reliability_soak"}, said
    rows = results["reliability_faults"]["figures"]
    assert len(rows) >= len(QUICK) - 1, said  # without root there is no small disk
    assert [each["broken"] for each in rows] == [[]] * len(rows)
    counts = {each["name"]: each["measured"] for each in results["reliability_soak"]["targets"]}
    assert counts["errors"] == 0, said
