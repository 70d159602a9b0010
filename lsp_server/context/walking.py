"""Going through the folders of a workspace: bounded in number and time, and never out of it."""

from __future__ import annotations

import itertools
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from lsp_server.context.in_time import TooSlow
from lsp_server.context.look import Look
from lsp_server.context.privacy import Privacy

# Where no code of the user's is.
SKIPPED_FOLDERS = frozenset(
    {"node_modules", "__pycache__", "venv", "target", "build", "dist", "out", "vendor", "third_party", "site-packages"}
)
# Names looked at in all, and in one folder: some hold millions.
MOST_NAMES = 200_000
MOST_IN_FOLDER = 20_000


def walking(
    tops: Sequence[Path],
    wanted: Callable[[str], bool],
    roots: tuple[Path, ...],
    is_inside: Callable[[Path], bool],
    found: list[Path],
    *,
    most: int,
    seconds: float,
) -> Callable[[], bool]:
    """Work that puts up to `most` files whose name is `wanted` into `found`, those near the top first, and returns
    whether these are all. What is hidden is left out, and a link that leads to a folder or to where `is_inside` says
    no: what is in the workspace is found by its own name."""

    def work() -> bool:
        deadline = time.monotonic() + seconds
        privacy = Privacy(look := Look(seconds), roots)
        folders = deque(tops)
        done: set[Path] = set()  # one folder of the workspace may hold another
        complete = True
        names = 0
        while folders:
            folder = folders.popleft()
            if folder in done:
                continue
            done.add(folder)
            entries, whole = _entries(folder)
            complete = complete and whole
            for entry in entries:
                names += 1
                if len(found) >= most or names > MOST_NAMES or time.monotonic() > deadline:
                    return False
                path = folder / entry.name
                if entry.is_dir(follow_symlinks=False):
                    if not entry.name.startswith(".") and entry.name not in SKIPPED_FOLDERS:
                        folders += [] if privacy.ignores_folder(path) else [path]
                elif (
                    wanted(entry.name)
                    and os.path.isfile(path)
                    and not privacy.why_hidden(path)
                    and (not entry.is_symlink() or is_inside(look.way(path)[-1]))
                ):
                    found.append(path)
        return complete

    def bounded() -> bool:
        try:
            return work()
        except TooSlow:
            return False

    return bounded


def _entries(folder: Path) -> tuple[list[os.DirEntry[str]], bool]:
    """(what is in a folder in the order of its names, whether that is all); nothing where it cannot be read."""
    try:
        with os.scandir(folder) as listed:
            entries = list(itertools.islice(listed, MOST_IN_FOLDER))
            whole = next(listed, None) is None
    except OSError:
        return [], True
    return sorted(entries, key=lambda entry: entry.name), whole
