"""What is known of a workspace's files, on disk: a database of SQLite, for this user alone.

Several windows may have it open at once: each reads while another writes, and waits its turn to write. A database that
is damaged, or of another version of this program, is made anew.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import posixpath
import sqlite3
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lsp_server.context.related.contents import Chunk, Source
from lsp_server.context.related.outlines import Definition
from lsp_server.context.related.statements import Import
from lsp_server.places import private

# Another number where what is kept changes: then it is all read again.
VERSION = 5
# How long to wait for another window that writes.
BUSY_SECONDS = 5.0
# Databases of other workspaces that are kept, the last used ones.
MOST_KEPT = 20
_TABLES = """
CREATE TABLE files(id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, name TEXT NOT NULL, folder TEXT NOT NULL,
  size INTEGER NOT NULL, changed INTEGER NOT NULL, family TEXT NOT NULL, imports TEXT NOT NULL);
CREATE INDEX files_by_name ON files(name);
CREATE INDEX files_by_folder ON files(folder);
CREATE TABLE definitions(file INTEGER NOT NULL, name TEXT NOT NULL, container TEXT NOT NULL, kind TEXT NOT NULL,
  text TEXT NOT NULL, tail TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, attached INTEGER NOT NULL);
CREATE INDEX definitions_by_file ON definitions(file);
CREATE INDEX definitions_by_name ON definitions(name);
CREATE TABLE chunks(id INTEGER PRIMARY KEY, file INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL);
CREATE INDEX chunks_by_file ON chunks(file);
"""
# Non-ASCII letters are all parts of words to it, so that an identifier is always one word.
_SEARCH = """
CREATE VIRTUAL TABLE found USING fts5(words, detail=none, tokenize="ascii tokenchars '_'");
CREATE VIRTUAL TABLE vocabulary USING fts5vocab(found, row);
"""
_DEFINITION = "name, container, kind, text, tail, first, last, attached"


@dataclasses.dataclass(frozen=True)
class Match:
    """A chunk of a file that holds words which were searched."""

    path: str
    first: int
    last: int
    words: tuple[str, ...]


class Store:
    """The database at `path`, or one in memory where it is None. Methods block, and raise sqlite3.Error. For any
    thread."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._writing = threading.RLock()
        self._reading = threading.RLock() if path is not None else self._writing
        self._writes = 0
        self._open()

    def _open(self) -> None:
        try:
            self._connect()
        except sqlite3.Error as error:
            if self._path is None or not is_damage(error):
                raise
            self._remove()
            self._connect()

    def _connect(self) -> None:
        if self._path is not None:
            os.close(private(str(self._path), os.O_RDWR | os.O_CREAT))
            os.utime(self._path)
        self._writer = self._connection()
        try:
            self._prepare()
            self._reader = self._connection() if self._path is not None else self._writer
        except BaseException:
            self._writer.close()
            raise
        self._file = self._path.stat().st_ino if self._path is not None else 0

    def _connection(self) -> sqlite3.Connection:
        name = str(self._path) if self._path is not None else ":memory:"
        made = sqlite3.connect(name, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            made.text_factory = lambda data: data.decode("utf-8", "replace")  # damage shows elsewhere
            made.execute("PRAGMA journal_mode = WAL")
            made.execute("PRAGMA synchronous = NORMAL")
            made.execute("PRAGMA cache_size = -4000")  # KiB
            made.execute("PRAGMA journal_size_limit = 4000000")
        except BaseException:
            made.close()
            raise
        return made

    def _prepare(self) -> None:
        """Make the tables, where they are not there yet. Raises sqlite3.DatabaseError where they are others."""
        self._writer.execute("BEGIN IMMEDIATE")
        with _transaction(self._writer):
            version = self._writer.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, VERSION):
                raise sqlite3.DatabaseError("of another version")
            if not version:
                for statement in _TABLES.split(";\n"):
                    self._writer.execute(statement)
                with contextlib.suppress(sqlite3.OperationalError):  # a SQLite without FTS5
                    for statement in _SEARCH.strip().split(";\n"):
                        self._writer.execute(statement)
                self._writer.execute(f"PRAGMA user_version = {VERSION}")
            named = self._writer.execute("SELECT name FROM sqlite_master WHERE name IN ('files', 'vocabulary')")
            there = {name for (name,) in named}
            if "files" not in there:
                raise sqlite3.DatabaseError("no tables")
            self.searches = "vocabulary" in there
            if self.searches:
                self._writer.execute("SELECT count(*) FROM vocabulary WHERE term = 'a'").fetchone()

    def _remove(self) -> None:
        for ending in ("", "-wal", "-shm"):
            Path(f"{self._path}{ending}").unlink(missing_ok=True)

    def close(self) -> None:
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()

    def rebuild(self) -> None:
        """Begin anew, with nothing: what there is cannot be read."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()
            if self._path is not None:
                self._remove()
            self._connect()

    def is_current(self) -> bool:
        """Whether the file is still the one that was opened: another window may have made it anew."""
        try:
            return self._path is None or self._path.stat().st_ino == self._file
        except OSError:
            return False

    def reopen(self) -> None:
        """Go over to the file that is there now."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()
            self._open()

    # Writing

    def write(self, files: Iterable[tuple[str, int, int, Source]]) -> None:
        """Take in (path, size, time of change in ns, what it holds) of files, in one go."""
        with self._writing, self._begun():
            for path, size, changed, source in files:
                self._forget(path)
                imports = json.dumps([(each.module, each.names, each.alias, each.kind) for each in source.imports])
                folder, name = posixpath.split(path)
                row = (path, name, folder, size, changed, source.family, imports)
                file = self._writer.execute(
                    "INSERT INTO files(path, name, folder, size, changed, family, imports) VALUES(?,?,?,?,?,?,?)", row
                ).lastrowid
                self._writer.executemany(
                    f"INSERT INTO definitions(file, {_DEFINITION}) VALUES(?,?,?,?,?,?,?,?,?)",
                    ((file, *_row(each)) for each in source.definitions),
                )
                if self.searches:
                    last = self._writer.execute("SELECT ifnull(max(id), 0) FROM chunks").fetchone()[0]
                    numbered = list(enumerate(source.chunks, last + 1))
                    self._writer.executemany(
                        "INSERT INTO chunks(id, file, first, last) VALUES(?,?,?,?)",
                        [(number, file, chunk.first, chunk.last) for number, chunk in numbered],
                    )
                    self._writer.executemany(
                        "INSERT INTO found(rowid, words) VALUES(?,?)",
                        [(number, " ".join(chunk.words)) for number, chunk in numbered],
                    )

    def remove(self, paths: Iterable[str]) -> None:
        with self._writing, self._begun():
            for path in paths:
                self._forget(path)

    @contextlib.contextmanager
    def _begun(self) -> Iterator[None]:
        self._writer.execute("BEGIN IMMEDIATE")
        with _transaction(self._writer):
            yield
        self._writes += 1

    def _forget(self, path: str) -> None:
        row = self._writer.execute("SELECT id FROM files WHERE path = ?", (path,)).fetchone()
        if row is None:
            return
        if self.searches:
            self._writer.execute("DELETE FROM found WHERE rowid IN (SELECT id FROM chunks WHERE file = ?)", row)
        for table, column in (("chunks", "file"), ("definitions", "file"), ("files", "id")):
            self._writer.execute(f"DELETE FROM {table} WHERE {column} = ?", row)

    # Reading

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._reading:
            try:
                return self._reader.execute(query, values).fetchall()
            except UnicodeEncodeError:  # a name of a file that is no text; such files are not held
                return []

    def state(self) -> tuple[int, int]:
        """Another value where something was written meanwhile, by any window."""
        return int(self._rows("PRAGMA data_version")[0][0]), self._writes

    def size(self) -> int:
        """Bytes on disk."""
        pages, page, free = (
            self._rows(f"PRAGMA {each}")[0][0] for each in ("page_count", "page_size", "freelist_count")
        )
        return int((pages - free) * page)

    def stamps(self) -> dict[str, tuple[int, int]]:
        """(size, time of change in ns) of every file that is held."""
        return {path: (size, changed) for path, size, changed in self._rows("SELECT path, size, changed FROM files")}

    def stamps_of(self, paths: Sequence[str]) -> dict[str, tuple[int, int]]:
        """`stamps` of a few files."""
        marks = ",".join("?" * len(paths))
        rows = self._rows(f"SELECT path, size, changed FROM files WHERE path IN ({marks})", paths)
        return {path: (size, changed) for path, size, changed in rows}

    def count(self) -> int:
        return int(self._rows("SELECT count(*) FROM files")[0][0])

    def holds(self, path: str) -> bool:
        return bool(self._rows("SELECT 1 FROM files WHERE path = ?", (path,)))

    def named(self, name: str, most: int) -> list[str]:
        return [path for (path,) in self._rows("SELECT path FROM files WHERE name = ? LIMIT ?", (name, most))]

    def in_folder(self, folder: str) -> list[str]:
        return [path for (path,) in self._rows("SELECT path FROM files WHERE folder = ?", (folder,))]

    def imports(self, path: str) -> tuple[Import, ...]:
        rows = self._rows("SELECT imports FROM files WHERE path = ?", (path,))
        try:
            listed = json.loads(rows[0][0]) if rows else []
        except ValueError as error:
            raise sqlite3.DatabaseError("damaged") from error
        return tuple(
            Import(module, tuple((there, here) for there, here in names), alias, kind)
            for module, names, alias, kind in listed
        )

    def definitions(self, path: str) -> list[Definition]:
        """What a file defines, in its order."""
        query = (
            f"SELECT {_DEFINITION} FROM definitions WHERE file = (SELECT id FROM files WHERE path = ?) ORDER BY rowid"
        )
        return [_definition(row) for row in self._rows(query, (path,))]

    def anywhere(self, name: str, family: str, most: int) -> list[tuple[str, Definition]]:
        """Where a name is defined, in any file of a family of languages."""
        query = f"""SELECT path, {_DEFINITION.replace("name", "definitions.name", 1)} FROM definitions
            JOIN files ON files.id = file WHERE definitions.name = ? AND family = ? LIMIT ?"""
        return [(path, _definition(row)) for path, *row in self._rows(query, (name, family, most))]

    def chunk_count(self) -> int:
        return int(self._rows("SELECT count(*) FROM chunks")[0][0])

    def in_chunks(self, word: str) -> int:
        """How many chunks hold a word, in capitals or not."""
        rows = self._rows("SELECT doc FROM vocabulary WHERE term = ?", (_folded(word),)) if self.searches else []
        return int(rows[0][0]) if rows else 0

    def chunks(self, path: str) -> list[Chunk]:
        """The chunks of one file, in its order."""
        query = """SELECT first, last, words FROM chunks JOIN found ON found.rowid = chunks.id
            WHERE file = (SELECT id FROM files WHERE path = ?) ORDER BY first"""
        rows = self._rows(query, (path,)) if self.searches else []
        return [Chunk(first, last, tuple(held.split(" "))) for first, last, held in rows]

    def search(self, words: Collection[str], family: str, most: int) -> list[Match]:
        """Of the `most` chunks that are best for some words, by Okapi BM25, those in a family of languages."""
        if not words or not self.searches:
            return []
        wanted = " OR ".join(f'"{word}"' for word in words)
        # `rank` is bm25(found). The best are chosen first, whatever their language: joining all of them takes long.
        query = """SELECT path, chunks.first, chunks.last, best.words
            FROM (SELECT rowid AS id, words, rank AS place FROM found WHERE found MATCH ? ORDER BY rank LIMIT ?) AS best
            JOIN chunks ON chunks.id = best.id JOIN files ON files.id = chunks.file
            WHERE family = ? ORDER BY best.place"""
        rows = self._rows(query, (wanted, most, family))
        return [Match(path, first, last, tuple(held.split(" "))) for path, first, last, held in rows]


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the database must be made anew, and is not just in use, or the disk full."""
    said = str(error)
    return not any(other in said for other in ("locked", "busy", "full", "readonly", "unable to open", "closed"))


def _row(one: Definition) -> tuple[Any, ...]:
    return one.name, one.container, one.kind, one.text, one.tail, one.first, one.last, one.attached


def _definition(row: Sequence[Any]) -> Definition:
    name, container, kind, text, tail, first, last, attached = row
    return Definition(name, container, kind, text, tail, first, last, bool(attached))


def _folded(word: str) -> str:
    """As the search has it: capitals of ASCII made small."""
    return "".join(char.lower() if char.isascii() else char for char in word)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """The end of a transaction that has begun: kept, or undone where it failed."""
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def forget_old(folder: Path, most: int = MOST_KEPT) -> None:
    """Remove the databases of workspaces that were not opened for long."""
    found = sorted(folder.glob("*.db"), key=lambda each: each.stat().st_mtime, reverse=True)
    for each in found[most:]:
        if time.time() - each.stat().st_mtime > 86_400:  # one that is in use was opened today
            for ending in ("", "-wal", "-shm"):
                Path(f"{each}{ending}").unlink(missing_ok=True)
