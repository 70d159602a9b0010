"""Everything that is measured, one after the other, and the report of it.

    python -m benchmarks [--quick] [--only engine,typing]

Writes results/*.json, and from all that is there RESULTS.md and results/speed.svg. Takes 75 minutes on two
cores, and is worth little on a machine that has other work to do. With a CUDA card `gpu` is a part too.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

import torch

from benchmarks import report

PARTS = [
    *("start", "menu", "neovim", "vscode"),
    *("engine", "typing", "new_places", "two_models", "scale", "index", "quality"),
]
if torch.cuda.is_available():
    PARTS.append("gpu")
WITH_QUICK = ("engine", "typing", "new_places", "two_models", "scale", "index", "quality", "gpu")


def main() -> int:
    """Run the parts, each in a process of its own; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a fraction of the rounds, files and prompts")
    parser.add_argument("--only", default=",".join(PARTS), help="the parts to run, by name")
    options = parser.parse_args()
    failed = []
    for part in options.only.split(","):
        quick = ["--quick"] if options.quick and part in WITH_QUICK else []
        print(f"== {part}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{part}", *quick], check=False).returncode:
            failed.append(part)
    report.write()
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
