"""The index: what the files of a workspace define and import, and their pieces, kept on disk and in step with them.

It is brought up to date in slices, in a thread, and holds others up no longer than one file takes. What the workspace
hides is not in it: each pass over the folders takes out what was hidden or removed since. What is open in the editor
counts with the text that it has there, of which nothing is kept on disk.

All but `close` block: they are for threads.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from lsp_server.context.buffer import Buffer
from lsp_server.context.in_time import TooSlow, in_time
from lsp_server.context.languages import language
from lsp_server.context.related.contents import MOST_BYTES, Source, is_source, language_of, read, read_tree
from lsp_server.context.related.statements import PROJECT_FILES
from lsp_server.context.related.store import Store, forget_old, is_damage
from lsp_server.context.related.view import Opened, View
from lsp_server.context.trees import parse
from lsp_server.context.uris import file_of
from lsp_server.context.workspace import OutOfReach, Workspace, decoded

T = TypeVar("T")

# Of the database; what is beyond is not held.
MOST_ON_DISK = 140_000_000
# Files that are looked at, and those that are read and written in one go.
MOST_FILES = 20_000
BATCH = 32
# A pass over the folders takes this long at most.
WALK_SECONDS = 30.0
# The others' turn: after each file, and for every so many names while walking.
PAUSE_SECONDS, PAUSE_NAMES = 0.0005, 5
# Open documents whose trees are kept.
MOST_OPEN = 50

Stamp = tuple[int, int]
"""Size in bytes and time of change in nanoseconds."""


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far the index is. `files`: those that it holds. `left`: those that are still to be read in this pass.
    `complete`: the pass is over, or none is possible now. `bytes`: of the database. `why`: why not all is held, as one
    sentence, or ""."""

    files: int = 0
    left: int = 0
    complete: bool = False
    bytes: int = 0
    why: str = ""


class Index:
    """The index of the folders of a workspace, kept in `folder`; in memory where no folder is open.

    `opened`: snapshots of the open documents, which the event loop may set before each question; without them they are
    asked of the workspace. `changes`: how often something was taken in or out.
    """

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        self._workspace = workspace
        self._folder = folder
        self._roots = tuple(workspace.roots)
        self._refreshing = threading.Lock()
        self._looking = threading.Lock()
        self._opening = threading.Lock()
        self._closed = False
        self._left: list[tuple[Path, Stamp]] | None = None
        self._why = ""
        self._damaged = False
        self._kept: dict[str, Opened] = {}
        self._answers: tuple[Any, dict[Any, Any]] = ((), {})
        self._store: Store | None = None
        self.opened: Sequence[Buffer] | None = None
        self.changes = 0

    @property
    def path(self) -> Path | None:
        """The database; its name tells the folders of the workspace apart, and nothing about them."""
        if not self._roots:
            return None
        named = "\0".join(sorted(str(root) for root in self._roots))
        return self._folder / f"{hashlib.sha256(os.fsencode(named)).hexdigest()[:32]}.db"

    def refresh(self, seconds: float) -> Progress:
        """Work for so many seconds, longer only where a pass begins, which looks through all folders. Once a pass is
        complete, the next call begins another. A second call meanwhile does nothing."""
        if not self._refreshing.acquire(blocking=False):
            return Progress(why="It is being refreshed.")
        try:
            done = self._guarded(lambda store: self._work(store, time.monotonic() + seconds), None)
            return done or Progress(complete=True, why=self._why)
        finally:
            self._refreshing.release()

    def reread(self, paths: Iterable[Path]) -> None:
        """Take in what a few files, which were saved or removed, hold now."""
        with self._refreshing:
            self._guarded(lambda store: self._reread(store, list(paths)), None)

    def view(self, own: str = "", instead: Opened | None = None) -> View:
        """What the index says now, with what is open. `own`: the file that is asked for, which holds what is said
        `instead` of what it does."""
        store = self._guarded(lambda store: store, None)
        state = self._guarded(lambda store: store.state(), None)
        buffers = self._workspace.buffers() if self.opened is None else self.opened
        opened = self._open_sources(buffers)
        if self._answers[0] != (state, *sorted(opened)):
            self._answers = ((state, *sorted(opened)), {})
        if instead is not None and own in opened:
            opened[own] = instead
        return View(store, tuple(map(str, self._roots)), opened, self._answers[1], own)

    def source_of(self, buffer: Buffer) -> Opened:
        """What a document that is open holds; parsed from its last text."""
        with self._looking:
            kept = self._kept.pop(buffer.uri, None)
            snapshot = buffer.snapshot()
            if kept is None or kept.buffer is not snapshot:
                kept = _opened(snapshot, kept)
            self._kept[buffer.uri] = kept
            while len(self._kept) > MOST_OPEN:
                self._kept.pop(next(iter(self._kept)))
            return kept

    def met(self, error: sqlite3.Error) -> None:
        """That a question to a view failed: what is damaged is made anew at the next refresh."""
        self._damaged = self._damaged or is_damage(error)

    def close(self) -> None:
        """The end: every question from now on has no answer."""
        self._closed = True
        if self._store is not None:
            self._store.close()

    def _open_sources(self, buffers: Iterable[Buffer]) -> dict[str, Opened]:
        found = {}
        for buffer in buffers:
            path = file_of(buffer.uri)
            if path is not None and is_source(path.name):
                found[path.as_posix()] = self.source_of(buffer)
        return found

    # The database

    def _guarded(self, work: Callable[[Store], T], otherwise: T) -> T:
        """What `work` returns with the database, which is made anew where it is damaged; `otherwise` where there can
        be none."""
        for _ in range(2):
            if self._closed:
                break
            try:
                with self._opening:
                    self._store = self._store or self._opened_store()
                return work(self._store)
            except (sqlite3.Error, OSError) as error:
                self._why = f"The index of the workspace cannot be kept: {error}; look at the disk of {self._folder}."
                if isinstance(error, OSError) or not is_damage(error):
                    break  # in use for long, or the disk is full: the next time, perhaps
                self._left = None
                if self._store is not None:
                    with contextlib.suppress(sqlite3.Error, OSError):
                        self._store.rebuild()
        return otherwise

    def _opened_store(self) -> Store:
        path = self.path
        if path is not None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder.chmod(0o700)
            with contextlib.suppress(OSError):  # another window may do the same
                forget_old(self._folder)
        return Store(path)

    # Passes

    def _work(self, store: Store, deadline: float) -> Progress:
        if self._damaged:
            self._damaged, self._left = False, None
            store.rebuild()
        if not store.is_current():
            store.reopen()
            self._left = None
        if self._left is None:
            self._left = self._begin(store)
        while self._left:
            if store.size() > MOST_ON_DISK:
                self._why = f"The index holds {MOST_ON_DISK // 1_000_000} MB, and no further files."
                self._left = []
                break
            batch, self._left = self._left[:BATCH], self._left[BATCH:]
            self._read(store, batch)
            if time.monotonic() > deadline:
                break
        left = len(self._left)
        if not left:
            self._left = None
        return Progress(store.count(), left, not left, store.size(), self._why)

    def _begin(self, store: Store) -> list[tuple[Path, Stamp]]:
        """Look through the folders: what is gone or hidden now is taken out, what is new or changed returned."""
        self._why = ""
        if not self._roots:
            return []
        walk = self._workspace.walk(_gently(is_source), most=MOST_FILES, seconds=WALK_SECONDS)
        if not walk.complete:
            self._why = f"The workspace is too large to be looked through: the index holds {len(walk.files)} files."
        held = store.stamps()
        now = self._stamps([path for path in walk.files if _is_text(str(path))])
        there = {path.as_posix() for path in walk.files}
        gone = [path for path in held if path not in there]
        if not walk.complete:
            gone = [path for path in gone if not os.path.isfile(path) or self._workspace.why_hidden(Path(path))]
        self._remove(store, gone)
        return [(path, stamp) for path, stamp in now if held.get(path.as_posix()) != stamp]

    def _stamps(self, paths: Sequence[Path]) -> list[tuple[Path, Stamp]]:
        found: list[tuple[Path, Stamp]] = []
        for start in range(0, len(paths), 500):
            some = paths[start : start + 500]
            with contextlib.suppress(TooSlow):
                found += in_time(functools.partial(_stamped, some), "The workspace")
        return found

    def _read(self, store: Store, batch: Sequence[tuple[Path, Stamp]]) -> None:
        held = store.stamps_of([path.as_posix() for path, _ in batch])  # another window may have been faster
        batch = [(path, stamp) for path, stamp in batch if held.get(path.as_posix()) != stamp]
        wanted = [path for path, stamp in batch if stamp[0] <= MOST_BYTES]
        texts = dict(self._workspace.read_all(wanted, MOST_BYTES))
        made = []
        for path, (size, changed) in batch:
            source = Source()  # of what is too large only its name is known
            if path in texts:
                try:
                    source = read(path.name, decoded(texts.pop(path), path.name), gently=True)
                except OutOfReach:  # no text
                    source = Source()
            elif size <= MOST_BYTES:
                continue
            made.append((path.as_posix(), size, changed, source))
            time.sleep(PAUSE_SECONDS)
        if made:
            store.write(made)
            self.changes += 1

    def _reread(self, store: Store, paths: Sequence[Path]) -> None:
        inside = [path for path in paths if is_source(path.name) and self._workspace.within(path) is not None]
        shown = [path for path in inside if not self._workspace.why_hidden(path)]
        stamped = self._stamps(shown)
        there = {path for path, _ in stamped}
        self._remove(store, [path.as_posix() for path in inside if path not in there])
        self._read(store, stamped)

    def _remove(self, store: Store, paths: Sequence[str]) -> None:
        if paths:
            store.remove(paths)
            self.changes += 1


def _opened(snapshot: Buffer, last: Opened | None) -> Opened:
    text = snapshot.source
    path = file_of(snapshot.uri)
    spoken = language(snapshot.language_id, path.name if path is not None else "")
    if spoken.id == "c" and path is not None:
        spoken = language_of(path.name, text)
    tree = parse(text, spoken.id, last.tree if last is not None else None, gently=True)
    if path is not None and path.name in PROJECT_FILES:
        return Opened(snapshot, spoken, None, functools.partial(read, path.name, text, gently=True))
    same = last is not None and len(last.buffer.lines) == len(snapshot.lines)
    earlier = last.found if last is not None and same else None
    return Opened(snapshot, spoken, tree, functools.partial(read_tree, text, spoken.id, tree, gently=True), earlier)


def _is_text(name: str) -> bool:
    """Whether a name is one that the database can hold: some systems have names that are no text."""
    return name.isascii() or name.encode("utf-8", "replace") == os.fsencode(name)


def _stamped(paths: Sequence[Path]) -> list[tuple[Path, Stamp]]:
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            status = os.stat(path)
            found.append((path, (status.st_size, status.st_mtime_ns)))
    return found


def _gently(wanted: Callable[[str], bool]) -> Callable[[str], bool]:
    """The same question, which gives others their turn now and then."""
    asked = 0

    def ask(name: str) -> bool:
        nonlocal asked
        asked += 1
        if asked % PAUSE_NAMES == 0:
            time.sleep(PAUSE_SECONDS)
        return wanted(name)

    return ask
