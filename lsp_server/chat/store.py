"""Conversations in a SQLite database of this user: `chats.sqlite3` in the data folder, readable by nobody else.

Several language servers use it at once (write-ahead log, each change one transaction). What is changed is on its way to
disk when a method returns, so that nothing is lost when the process ends by force. Every method may block for a
moment: call them from a thread. `CODELLAMA_LS_DATA` moves the folder.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lsp_server.chat.database import StoreError, connected, in_memory, set_aside
from lsp_server.chat.turns import Attachment, Conversation, Summary, Turn
from lsp_server.errors import UserError
from lsp_server.places import data_folder

__all__ = ["Conflict", "NoConversation", "Store", "StoreError"]

FILE = "chats.sqlite3"
EXCERPT_CHARACTERS = 80


class NoConversation(UserError):
    """There is no conversation, or no turn, of that name."""


class Conflict(UserError):
    """The conversation was changed from elsewhere in the meantime."""


class Store:
    """The conversations of this user. `problem`: a sentence that the user must be told, or ""."""

    def __init__(self, folder: Path | None = None) -> None:
        self.problem = ""
        self._folder = folder
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def begin(self, title: str, settings: dict[str, Any]) -> Conversation:
        """A new conversation without turns."""
        now = time.time()
        made = Conversation(str(uuid.uuid4()), title, now, now, settings)
        with self._change() as sql:
            values = (made.id, title, now, now, json.dumps(settings))
            sql.execute("INSERT INTO conversations VALUES (?, ?, ?, ?, ?)", values)
        return made

    def get(self, conversation: str) -> Conversation:
        """A conversation with its turns. Raises NoConversation."""
        with self._change(write=False) as sql:
            found = sql.execute("SELECT * FROM conversations WHERE id = ?", (conversation,)).fetchone()
            if found is None:
                raise NoConversation("There is no such conversation; it may have been deleted.")
            rows = sql.execute("SELECT * FROM turns WHERE conversation = ? ORDER BY position", (conversation,))
            turns = tuple(_turn(row) for row in rows)
        settings = json.loads(found["settings"])
        return Conversation(found["id"], found["title"], found["created"], found["updated"], settings, turns)

    def summaries(self, query: str = "") -> list[Summary]:
        """The conversations, the last changed first: all, or those that hold every word of `query` in any case."""
        words = query.casefold().split()
        with self._change(write=False) as sql:
            rows = sql.execute(
                "SELECT c.*, count(t.position) AS turns FROM conversations c LEFT JOIN turns t ON t.conversation = c.id"
                " GROUP BY c.id ORDER BY c.updated DESC, c.rowid DESC"
            ).fetchall()
            texts: dict[str, list[str]] = {}
            if words:
                for row in sql.execute("SELECT conversation, content FROM turns ORDER BY position"):
                    texts.setdefault(row["conversation"], []).append(row["content"])
        found = []
        for row in rows:
            excerpt = ""
            if words:
                text = "\n".join([row["title"], *texts.get(row["id"], [])])
                if not all(word in text.casefold() for word in words):
                    continue
                excerpt = _excerpt(text, words[0])
            summary = Summary(row["id"], row["title"], row["created"], row["updated"], row["turns"], excerpt)
            found.append(summary)
        return found

    def delete(self, conversation: str) -> bool:
        """Delete a conversation for good; whether there was one."""
        with self._change() as sql:
            return bool(sql.execute("DELETE FROM conversations WHERE id = ?", (conversation,)).rowcount)

    def rename(self, conversation: str, title: str) -> None:
        """Raises NoConversation."""
        with self._change() as sql:
            self._touch(sql, conversation)
            sql.execute("UPDATE conversations SET title = ? WHERE id = ?", (title, conversation))

    def configure(self, conversation: str, settings: dict[str, Any]) -> None:
        """Keep these settings with the conversation. Raises NoConversation."""
        with self._change() as sql:
            self._touch(sql, conversation)
            sql.execute("UPDATE conversations SET settings = ? WHERE id = ?", (json.dumps(settings), conversation))

    def put(self, conversation: str, turn: Turn, *, replace: bool = False) -> None:
        """Add a turn at the end; with `replace`, in the place of the one there and all after it.

        Raises NoConversation, and Conflict where the conversation has grown meanwhile.
        """
        with self._change() as sql:
            self._touch(sql, conversation)
            if replace:
                sql.execute("DELETE FROM turns WHERE conversation = ? AND position >= ?", (conversation, turn.position))
            count = "SELECT count(*) FROM turns WHERE conversation = ?"
            if sql.execute(count, (conversation,)).fetchone()[0] != turn.position:
                raise Conflict("This conversation was continued elsewhere; open it again.")
            values = (conversation, turn.position, turn.role, turn.content, turn.asked)
            rest = (_json(turn.attachments), json.dumps(turn.usage), turn.finished)
            sql.execute("INSERT INTO turns VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values + rest)

    def update(
        self,
        conversation: str,
        position: int,
        *,
        content: str | None = None,
        attachments: tuple[Attachment, ...] | None = None,
        usage: dict[str, Any] | None = None,
        finished: str | None = None,
    ) -> None:
        """Change what is given of a turn; nothing happens where the turn is gone."""
        given = {
            "content": content,
            "attachments": None if attachments is None else _json(attachments),
            "usage": None if usage is None else json.dumps(usage),
            "finished": finished,
        }
        changes = {name: value for name, value in given.items() if value is not None}
        columns = ", ".join(f"{name} = ?" for name in changes)
        with self._change() as sql:
            where = (*changes.values(), conversation, position)
            sql.execute(f"UPDATE turns SET {columns} WHERE conversation = ? AND position = ?", where)

    @staticmethod
    def _touch(sql: sqlite3.Connection, conversation: str) -> None:
        changed = sql.execute("UPDATE conversations SET updated = ? WHERE id = ?", (time.time(), conversation))
        if not changed.rowcount:
            raise NoConversation("There is no such conversation; it may have been deleted.")

    @contextlib.contextmanager
    def _change(self, *, write: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction. Raises StoreError where the database cannot be used."""
        with self._lock:
            sql = self._connection or self._open()
            try:
                sql.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                try:
                    yield sql
                except BaseException:
                    sql.rollback()
                    raise
                sql.commit()
            except sqlite3.OperationalError as error:
                raise StoreError(f"The conversations cannot be used now: {error}.") from error
            except sqlite3.DatabaseError as error:
                self.close()
                self._set_aside(str(error))
                raise StoreError(self.problem) from error

    def _open(self) -> sqlite3.Connection:
        try:
            self._connection = connected(self._file)
        except sqlite3.OperationalError as error:
            raise StoreError(f"The conversations cannot be used now: {error}.") from error
        except sqlite3.DatabaseError as error:
            self._set_aside(str(error))
            self._connection = connected(self._file)
        except OSError as error:
            # Chat works on without; but the user must know.
            self.problem = f"Conversations are not kept: {error.strerror or error} ({error.filename})."
            self._connection = in_memory()
        return self._connection

    @property
    def _file(self) -> Path:
        return (self._folder or data_folder()) / FILE

    def _set_aside(self, why: str) -> None:
        aside = set_aside(self._file)
        self.problem = (
            f"The file of your conversations was damaged ({why}). It was set aside as {aside}; a new one begins."
        )


def _json(attachments: tuple[Attachment, ...]) -> str:
    return json.dumps([dataclasses.asdict(attachment) for attachment in attachments])


def _turn(row: sqlite3.Row) -> Turn:
    attachments = tuple(_attachment(one) for one in json.loads(row["attachments"]))
    usage, finished = json.loads(row["usage"]), row["finished"]
    return Turn(row["position"], row["role"], row["content"], row["asked"], attachments, usage, finished)


def _attachment(values: dict[str, Any]) -> Attachment:
    ranges = {key: tuple(values[key]) for key in ("named", "kept") if values[key] is not None}
    return Attachment(**{**values, **ranges})


def _excerpt(text: str, word: str) -> str:
    """The words around the place where `word` stands, from the beginning of one."""
    found = max(0, text.casefold().find(word))
    at = max(0, found - EXCERPT_CHARACTERS // 2)
    if at and not text[at - 1].isspace() and (space := re.search(r"\s", text[at:found])):
        at += space.end()
    return " ".join(text[at : at + EXCERPT_CHARACTERS].split())
