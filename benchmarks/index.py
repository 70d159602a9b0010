"""What the index of a large workspace costs: seconds, bytes on disk and in memory, and what asking it takes.

    python -m benchmarks.index [--quick]

10,000 files are written in five languages, that import each other. While they are indexed in a thread, as in the
language server, an event loop is woken every 2 ms: how late that is, is how late a key would be.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil

from benchmarks.figures import median, p95
from benchmarks.results import keep, target
from lsp_server.context.buffer import Buffer
from lsp_server.context.related.index import Index, Progress
from lsp_server.context.related.signatures import imported
from lsp_server.context.related.similar import similar
from lsp_server.context.uris import uri_of
from lsp_server.context.workspace import Workspace

FILES = 10_000
SUFFIXES = (".py", ".py", ".ts", ".go", ".java", ".c")
# Places at which is asked, and keys typed at each.
PLACES, KEYS = 40, 5
TICK_SECONDS = 0.002
# Seconds of work between two looks at the clock, as in the language server.
SLICE_SECONDS = 0.5
CHARACTERS = 3000


async def main(argv: list[str] | None = None) -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the files")
    count = FILES // 10 if parser.parse_args(argv).quick else FILES
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "work")
        total = write_files(root, count)
        workspace = Workspace((root,))
        index = Index(workspace, Path(folder, "cache"))
        process = psutil.Process()
        before, cpu_before = process.memory_info().rss, time.process_time()
        quiet = await _lateness(asyncio.sleep(2))
        started = time.perf_counter()
        late = await _lateness(asyncio.to_thread(_whole, index))
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu_before
        memory = (process.memory_info().rss - before) / 1e6
        started = time.perf_counter()
        progress = _whole(index)
        again = time.perf_counter() - started
        on_disk = sum(file.stat().st_size for file in Path(folder, "cache").iterdir()) / 1e6
        signatures, pieces = _questions(index, workspace, root)
        index.close()
    rows = [
        target(
            "indexing 10,000 files, s", "under 60", seconds, seconds < 60, f"{cpu:.0f} s of one core; {count:,} files"
        ),
        target(
            "the index on disk, MB",
            "under 150",
            on_disk,
            on_disk < 150,
            f"of {progress.files:,} files, {total / 1e6:.0f} MB, {progress.why or 'all of them'}",
        ),
        target("memory that indexing took, MB", "under 150", memory, memory < 150),
        target(
            "an event loop's lateness while indexing, ms, 95th percentile",
            "under 5",
            p95(late),
            p95(late) < 5,
            f"median {median(late):.1f}, most {max(late):.0f}; {p95(quiet):.1f} with nothing to index",
        ),
        target(
            "signatures for a key, ms, 95th percentile",
            "under 20",
            p95(signatures),
            p95(signatures) < 20,
            f"median {median(signatures):.1f}; similar pieces {median(pieces):.1f}, 95th percentile {p95(pieces):.1f}",
        ),
    ]
    keep("index", rows, figures={"files": count, "a pass with nothing new, s": round(again, 2)})


def write_files(root: Path, count: int) -> int:
    """Write files in folders of 50; the bytes of them all."""
    chance = random.Random(1)
    total = 0
    for number in range(count):
        suffix = SUFFIXES[number % len(SUFFIXES)]
        folder = root / f"part{number // 50}"
        folder.mkdir(parents=True, exist_ok=True)
        text = _file(chance, number, suffix)
        (folder / f"module_{number}{suffix}").write_text(text)
        total += len(text)
    (root / "go.mod").write_text("module example.com/work\n")
    return total


def _file(chance: random.Random, number: int, suffix: str) -> str:
    """A file of some classes that imports others, around 150 lines of 10 to 60 characters."""
    near = [number // 50 * 50 + chance.randrange(50) for _ in range(6)]
    names = [_word(chance) for _ in range(60)]
    parts = [_HEADS[suffix].format(name=f"module_{each}", number=each, folder=each // 50) for each in near]
    for kind in range(3):
        methods = [
            _METHODS[suffix].format(
                name=f"{chance.choice(names)}_{chance.choice(names)}",
                one=chance.choice(names),
                two=chance.choice(names),
                three=chance.choice(names),
                owner=f"Thing{number}_{kind}",
            )
            for _ in range(6)
        ]
        parts.append(_CLASSES[suffix].format(owner=f"Thing{number}_{kind}", methods="\n".join(methods)))
    return "\n".join(parts)


def _word(chance: random.Random) -> str:
    """One of some thousand names, short ones more often."""
    syllables = ("ta", "re", "mo", "li", "kan", "dor", "ves", "pu", "xi", "sho")
    return "".join(chance.choice(syllables) for _ in range(chance.choice((2, 2, 3, 3, 4))))


_HEADS = {
    ".py": "from .{name} import Thing{number}_0",
    ".ts": 'import {{ Thing{number}_0 }} from "./{name}"',
    ".go": "package part",
    ".java": "import part{folder}.{name};",
    ".c": '#include "{name}.h"',
}
_CLASSES = {
    ".py": 'class {owner}:\n    """Keeps what belongs together."""\n\n{methods}\n',
    ".ts": "/** Keeps what belongs together. */\nexport class {owner} {{\n{methods}\n}}\n",
    ".go": "// {owner} keeps what belongs together.\ntype {owner} struct {{\n\tcount int\n}}\n\n{methods}\n",
    ".java": "/** Keeps what belongs together. */\nclass {owner} {{\n{methods}\n}}\n",
    ".c": "/* Keeps what belongs together. */\nstruct {owner} {{ int count; }};\n\n{methods}\n",
}
_METHODS = {
    ".py": '    def {name}(self, {one}: int, other: str = "") -> int:\n        """Work it out."""\n'
    "        {two} = self.{three}({one}, other)\n        if {two} > {one}:\n            return {two} - 1\n"
    "        return {one}\n",
    ".ts": "  {name}({one}: number, other: string): number {{\n    const {two} = this.{three}({one}, other)\n"
    "    if ({two} > {one}) {{\n      return {two} - 1\n    }}\n    return {one}\n  }}\n",
    ".go": "// {name} works it out.\nfunc (t *{owner}) {name}({one} int, other string) int {{\n"
    "\t{two} := t.{three}({one}, other)\n\tif {two} > {one} {{\n\t\treturn {two} - 1\n\t}}\n\treturn {one}\n}}\n",
    ".java": "  public int {name}(int {one}, String other) {{\n    int {two} = this.{three}({one}, other);\n"
    "    if ({two} > {one}) {{\n      return {two} - 1;\n    }}\n    return {one};\n  }}\n",
    ".c": "static int {owner}_{name}(struct {owner} *t, int {one}) {{\n  int {two} = {three}(t, {one});\n"
    "  if ({two} > {one}) {{\n    return {two} - 1;\n  }}\n  return {one};\n}}\n",
}


def _whole(index: Index) -> Progress:
    """One pass of the index, in slices."""
    while not (progress := index.refresh(SLICE_SECONDS)).complete:
        pass
    return progress


async def _lateness(work: Coroutine[Any, Any, object]) -> list[float]:
    """How many milliseconds late an event loop wakes up while something is done."""
    doing = asyncio.ensure_future(work)
    late: list[float] = []
    while not doing.done():
        started = time.perf_counter()
        await asyncio.sleep(TICK_SECONDS)
        late.append(1000 * (time.perf_counter() - started - TICK_SECONDS))
    await doing
    return late


def _questions(index: Index, workspace: Workspace, root: Path) -> tuple[list[float], list[float]]:
    """Milliseconds for the signatures, and for the similar pieces, at each key of a line typed at some places."""
    signatures, pieces = [], []
    files = sorted(root.rglob("module_*"))
    for number in range(PLACES):
        path = files[number * len(files) // PLACES]
        buffer = Buffer(uri_of(path), path.read_text(), version=0)
        index.opened = [buffer]
        row = len(buffer.lines) // 2
        for key in range(KEYS + 1):
            buffer.lines[row] = "        value = self." + "total"[:key] + "\n"
            buffer.version = key + 1
            place = buffer, row, 21 + key
            one = _milliseconds(imported, index, workspace, *place, CHARACTERS)
            other = _milliseconds(similar, index, workspace, *place, 3)
            if key:  # before the first, the file was just opened
                signatures.append(one)
                pieces.append(other)
    return signatures, pieces


def _milliseconds(ask: Callable[..., object], *arguments: object) -> float:
    started = time.perf_counter()
    ask(*arguments)
    return 1000 * (time.perf_counter() - started)


if __name__ == "__main__":
    asyncio.run(main())
