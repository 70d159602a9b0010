"""The counts of each day, kept in `statistics.sqlite3` in the data folder, readable by this user alone.

By day, language and editor there are numbers and nothing else. They are added up in memory and written now and then, so
that typing never waits for a disk. Several language servers add to the same file.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lsp_server import places

if TYPE_CHECKING:  # for a thread: it takes a while to load
    import sqlite3

log = logging.getLogger(__name__)

FILE = "statistics.sqlite3"
BUSY_SECONDS = 2.0
# Names come from editors.
NAME_CHARACTERS = 40
# What is older is forgotten.
DAYS = 400

_SCHEMA = """CREATE TABLE IF NOT EXISTS counts (
    day TEXT NOT NULL, language TEXT NOT NULL, editor TEXT NOT NULL, what TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (day, language, editor, what)
)"""
_ADD = """INSERT INTO counts VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (day, language, editor, what) DO UPDATE SET count = count + excluded.count"""


@dataclass(frozen=True)
class Row:
    """So often did something happen on a day."""

    day: str
    language: str
    editor: str
    what: str
    count: int


class Record:
    """Where counts are added and read. `folder` makes it where need be. Methods may be called from any thread; all but
    `add` block for a moment."""

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str, str, str]] = Counter()

    @property
    def file(self) -> Path:
        """Raises OSError."""
        return self._folder() / FILE

    def add(self, language: str, editor: str, what: str, count: int = 1) -> None:
        """Count something of today."""
        if count:
            day = datetime.date.today().isoformat()
            with self._lock:
                self._counts[day, language[:NAME_CHARACTERS], editor[:NAME_CHARACTERS], what] += count

    def write(self) -> None:
        """Add what was counted to the file. What cannot be written is let go: it is not worth a word to the user."""
        import sqlite3

        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        oldest = (datetime.date.today() - datetime.timedelta(days=DAYS)).isoformat()
        try:
            with self._open() as sql, sql:
                sql.executemany(_ADD, [(*key, count) for key, count in counts.items()])
                sql.execute("DELETE FROM counts WHERE day < ?", (oldest,))
        except (OSError, sqlite3.Error) as error:
            log.warning("The statistics were not written: %s.", error)

    def rows(self, since: str = "") -> list[Row]:
        """What was counted from a day on. Raises OSError, sqlite3.Error."""
        if not self.file.exists():
            return []
        with self._open() as sql:
            return [Row(*each) for each in sql.execute("SELECT * FROM counts WHERE day >= ? ORDER BY day", (since,))]

    def forget(self) -> None:
        """Delete all of it. Raises OSError."""
        self.file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        import sqlite3

        file = self.file
        os.close(places.private(str(file), os.O_RDWR | os.O_CREAT))  # SQLite gives the files beside it the same mode
        sql = sqlite3.connect(file, timeout=BUSY_SECONDS)
        try:
            sql.execute(_SCHEMA)
            yield sql
        finally:
            sql.close()
