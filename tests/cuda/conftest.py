"""These tests run in Triton's interpreter, and so in a process of their own: `make test-cuda`, which `make test` calls.

Anywhere else none of them is collected. There they fail where Triton is missing.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

collect_ignore_glob = [] if os.environ.get("TRITON_INTERPRET") == "1" else ["test_*.py"]

if not collect_ignore_glob:
    import ptx

    ptx.install()
