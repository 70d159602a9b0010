"""What goes wrong, for real, while somebody works; and much of what goes right, for long.

    make reliability

The parts are `faults`, `editors`, `soak` and `files`; each runs alone, and writes results/reliability_PART.json. The
tables of docs/reliability.md are made of those.
"""

import sys
from pathlib import Path

_TESTS = Path(__file__).parents[2] / "tests"
sys.path[:0] = [str(_TESTS), str(_TESTS / "actions")]  # whose editors are borrowed
