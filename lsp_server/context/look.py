"""One look at the disk, which remembers what it saw and so can tell whether that still holds.

What follows from files, such as whether one is hidden, is kept as long as nothing that it was found from has changed;
to ask that costs a few system calls for each, and no reading.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any, TypeVar

from lsp_server.context.in_time import TooSlow
from lsp_server.context.uris import one_root
from lsp_server.errors import UserError
from lsp_server.files import FileRefused, read_bytes

T = TypeVar("T")

# As many as Linux follows. A name needs none of the others.
MOST_LINKS = 40
# More than a file system has; the rules of so many folders would take too long.
MOST_PARTS = 200

Stamp = tuple[int, ...]
"""What of a file's state changes with its content: kind, time of change, size, place. () where there is none."""


class Lost(UserError):
    """A name leads nowhere: its links go in a circle, or it is too long."""


class Look:
    """What was seen on disk since it was made. Each thing is looked at once. For one thread."""

    def __init__(self, seconds: float = 60.0) -> None:
        self._deadline = time.monotonic() + seconds
        self._seen: dict[tuple[Callable[[str], Any], str], Any] = {}

    def still_holds(self) -> bool:
        """Whether all that was seen would be seen now."""
        return all(question(path) == answer for (question, path), answer in self._seen.items())

    def asked(self, question: Callable[[str], T], path: str) -> T:
        """What a question about a path is answered. Raises TooSlow where there have been too many for the time."""
        key = question, path
        if key not in self._seen:
            if time.monotonic() > self._deadline:
                raise TooSlow("The rules for what is ignored take too long to follow; shorten them.")
            self._seen[key] = question(path)
        answer: T = self._seen[key]
        return answer

    def stamp(self, path: str) -> Stamp:
        return self.asked(stamp_of, path)

    def is_file(self, path: str) -> bool:
        stamp = self.stamp(path)
        return bool(stamp) and stat.S_ISREG(stamp[0])

    def is_folder(self, path: str) -> bool:
        stamp = self.stamp(path)
        return bool(stamp) and stat.S_ISDIR(stamp[0])

    def link(self, path: str) -> str | None:
        """What a link says it stands for; None for what is no link."""
        return self.asked(link_of, path)

    def data(self, path: str, most: int) -> bytes:
        """What is in a small file; b"" where it is none, or cannot be read, or is larger."""
        if not self.is_file(path):
            return b""
        try:
            return read_bytes(Path(path), most)
        except (OSError, FileRefused):
            return b""

    def way(self, path: Path) -> tuple[Path, ...]:
        """An absolute name, the one that it stands for after each link on the way, and at last the real one. Raises
        Lost.

        What another name of the same content on disk (a hard link) is called cannot be known.
        """
        if len(path.parts) > MOST_PARTS:
            raise Lost(f"{path.name} lies in more than {MOST_PARTS} folders.")
        path = Path(one_root(str(path)))
        names = [os.path.abspath(path)]
        if not path.is_absolute():
            path = Path.cwd() / path
        done, left = path.anchor, list(reversed(path.parts[1:]))
        links = 0
        while left:
            part = left.pop()
            here = os.path.dirname(done) if part == ".." else os.path.join(done, part)
            target = None if part == ".." else self.link(here)
            if target is None:
                done = here
                continue
            links += 1
            if links > MOST_LINKS or len(left) > MOST_PARTS:
                raise Lost(f"{path.name} is a link that leads nowhere.")
            aim = PurePath(one_root(target))
            if aim.is_absolute():
                done = aim.anchor
            left += reversed(aim.parts[1:] if aim.is_absolute() else aim.parts)
            names.append(os.path.normpath(os.path.join(done, *reversed(left))))
        if os.name == "nt":  # short names, junctions and mapped drives, which are no links there
            done = os.path.realpath(done)
        return tuple(map(Path, dict.fromkeys((*names, done))))


def stamp_of(path: str) -> Stamp:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return ()
    if stat.S_ISDIR(found.st_mode):  # changes with what is in it
        return (found.st_mode,)
    return found.st_mode, found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def link_of(path: str) -> str | None:
    """What a link says it stands for; None for what is no link."""
    try:
        return os.readlink(path)
    except (OSError, ValueError):
        return None
