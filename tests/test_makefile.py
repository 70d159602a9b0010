"""The one command that sets everything up, where it cannot."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OLD = """#!{python}
import sys
sys.version_info = (3, 9, 18)
exec(sys.argv[2])
"""


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
def test_a_python_that_is_too_old_is_named_and_nothing_is_made_of_it(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(OLD.format(python=sys.executable))
    python.chmod(0o755)
    command = ["make", "demo", f"VENV={tmp_path / 'venv'}", f"PYTHON={python}"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert made.returncode
    assert "Python 3.9 is too old, 3.10 and later serve: give another" in made.stderr
    assert not (tmp_path / "venv").exists()
