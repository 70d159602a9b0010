"""The file of the conversations: opened, created, and set aside where it is damaged."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path

from lsp_server import places
from lsp_server.errors import UserError

VERSION = 1
BUSY_SECONDS = 5.0

_SCHEMA = """
CREATE TABLE conversations (
    id TEXT PRIMARY KEY, title TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL, settings TEXT NOT NULL
);
CREATE TABLE turns (
    conversation TEXT NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    role TEXT NOT NULL,
    content TEXT NOT NULL,
    asked TEXT NOT NULL DEFAULT '',
    attachments TEXT NOT NULL DEFAULT '[]',
    usage TEXT NOT NULL DEFAULT '{}',
    finished TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (conversation, position)
);
"""


class StoreError(UserError):
    """The conversations cannot be read or kept; the message says why."""


def connected(file: Path) -> sqlite3.Connection:
    """The database in `file`, created if need be, for this user alone.

    Raises OSError, StoreError for one of a newer version, sqlite3.OperationalError where it is in use for too long, and
    sqlite3.DatabaseError where it is damaged.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(places.private(str(file), os.O_RDWR | os.O_CREAT))  # SQLite gives the files beside it the same mode
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return _prepared(sqlite3.connect(file, timeout=BUSY_SECONDS, check_same_thread=False))
        except sqlite3.OperationalError as error:
            # Two servers that make the file at once: going over to the write-ahead log does not wait by itself.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def in_memory() -> sqlite3.Connection:
    """A database that is gone with the process."""
    return _prepared(sqlite3.connect(":memory:", check_same_thread=False))


def set_aside(file: Path) -> Path:
    """Move a damaged database away, so that what can be saved of it is not lost; returns where it is now."""
    aside = file.with_name(f"{file.stem}-damaged-{time.strftime('%Y%m%d-%H%M%S')}{file.suffix}")
    for ending in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.replace(f"{file}{ending}", f"{aside}{ending}")
    return aside


def _prepared(sql: sqlite3.Connection) -> sqlite3.Connection:
    """Set up a connection, and the tables where there are none. Raises StoreError, sqlite3.Error."""
    sql.row_factory = sqlite3.Row
    sql.isolation_level = None  # transactions are written out
    try:
        sql.execute("PRAGMA journal_mode = WAL")
        sql.execute("PRAGMA synchronous = NORMAL")
        sql.execute("PRAGMA foreign_keys = ON")
        sql.execute("PRAGMA secure_delete = ON")  # what the user deletes is not to be found in the file
        found = sql.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(found.splitlines()[0])
        sql.execute("BEGIN IMMEDIATE")
        version = sql.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise StoreError("The conversations were written by a newer codellama-ls; update this one to read them.")
        if version == 0:
            for statement in _SCHEMA.split(";"):
                sql.execute(statement)
            sql.execute(f"PRAGMA user_version = {VERSION}")
        sql.commit()
    except BaseException:
        sql.close()
        raise
    return sql
