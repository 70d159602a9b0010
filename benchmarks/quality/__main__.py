"""How good suggestions are: the parts one after the other, and the tables of it.

    python -m benchmarks.quality [--quick] [--only exactness,holes] [--humaneval FOLDER [--model M]]

`--humaneval` names the folder with the files of HumanEval infilling, which are not part of this repository; with
`--model` that part alone is run, for a model of your own, whose row is added to the table.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from benchmarks.quality import report

PARTS = ("exactness", "holes", "named")
QUICK_TASKS = 10


def main() -> int:
    """Run the parts, each in a process of its own; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a fraction of the places and tasks")
    parser.add_argument("--only", default=",".join(PARTS), help="the parts to run, by name")
    parser.add_argument("--humaneval", metavar="FOLDER", help="run that part, too")
    parser.add_argument("--model", help="with --humaneval: a hub id or a checkpoint folder")
    options = parser.parse_args()
    if options.model and not options.humaneval:
        parser.error("--model goes with --humaneval; the other parts are about the starter, whose code is held out")
    quick = ["--quick"] if options.quick else []
    commands = [] if options.model else [[part, *quick] for part in options.only.split(",")]
    if options.humaneval:
        tasks = ["--tasks", str(QUICK_TASKS)] if options.quick else []
        model = ["--model", options.model] if options.model else []
        commands.append(["humaneval", options.humaneval, *tasks, *model])
    ran = [
        subprocess.run([sys.executable, "-m", f"benchmarks.quality.{part}", *words], check=False).returncode
        for part, *words in commands
    ]
    report.write()
    return max(ran)


if __name__ == "__main__":
    sys.exit(main())
