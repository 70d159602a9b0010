"""All parts, one after the other, and the tables of docs/reliability.md.

    python -m benchmarks.reliability [--quick] [--only faults,editors,soak,files] [--to FOLDER]

Takes 75 minutes. With `--to`, the results are written there and the page stays as it is.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from benchmarks.reliability import page

PARTS = ("faults", "editors", "soak", "files")


def main() -> int:
    """Run the parts, each in a process of its own; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a minute or two: some kinds of fault, little load")
    parser.add_argument("--only", default=",".join(PARTS), help="the parts to run, by name")
    parser.add_argument("--to", metavar="FOLDER", help="where the results are written")
    options = parser.parse_args()
    words = [*(["--quick"] if options.quick else []), *(["--to", options.to] if options.to else [])]
    failed = []
    for part in options.only.split(","):
        print(f"== {part}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.reliability.{part}", *words], check=False).returncode:
            failed.append(part)
    if options.to is None and not options.quick:
        page.write()
    if failed:
        print(f"missed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
