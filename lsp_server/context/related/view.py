"""What the index says at one moment: of each file the text that counts, the editor's where it is open."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from lsp_server.context.buffer import Buffer, split_lines
from lsp_server.context.languages import Language
from lsp_server.context.related.contents import MOST_BYTES, Chunk, Source, family_of
from lsp_server.context.related.outlines import Definition
from lsp_server.context.related.statements import Import, imports_of
from lsp_server.context.related.store import Match, Store
from lsp_server.context.trees import Tree
from lsp_server.context.window import normalized
from lsp_server.context.workspace import OutOfReach, Workspace

T = TypeVar("T")

# Answers kept.
MOST_KEPT = 5_000
# Files of one name, places of one name.
MOST_NAMED = 100


class Opened:
    """What an open document holds, found out when it is asked for."""

    def __init__(
        self,
        buffer: Buffer,
        spoken: Language,
        tree: Tree | None,
        read: Callable[[], Source],
        earlier: Source | None = None,
    ) -> None:
        self.buffer = buffer
        self.language = spoken
        self.tree = tree
        self.found = earlier
        self._read = read

    @functools.cached_property
    def source(self) -> Source:
        self.found = self._read()
        return self.found

    @property
    def recent(self) -> Source:
        """`source`, or what it was before the last keys, as long as no line came or went: found out sooner."""
        return self.found or self.source

    @functools.cached_property
    def imports(self) -> Sequence[Import]:
        """Of `source` what can be had sooner."""
        return imports_of(self.tree) if self.tree is not None else self.source.imports


class View:
    """The files of a workspace, by absolute paths with forward slashes. `store`: those on disk, None for none.
    `kept`: answers of the database, for as long as it stays as it is. `own`: the file that is asked for, which is read
    anew for each key only as far as need be. Raises sqlite3.Error where the database cannot be read."""

    def __init__(
        self,
        store: Store | None,
        roots: Sequence[str],
        opened: Mapping[str, Opened],
        kept: dict[Any, Any],
        own: str = "",
    ) -> None:
        self._own = own
        self._store = store
        self._roots = [root.replace("\\", "/") for root in roots]
        self._kept = kept
        self.opened = opened

    def once(self, question: Any, answer: Callable[[], T]) -> T:
        """The answer to a question about what is on disk, which is asked once."""
        if question not in self._kept:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[question] = answer()
        kept: T = self._kept[question]
        return kept

    def is_inside(self, folder: str) -> bool:
        return any(folder == root or folder.startswith(f"{root.rstrip('/')}/") for root in self._roots)

    def holds(self, path: str) -> bool:
        return path in self.opened or (self._store is not None and self._store.holds(path))

    def named(self, name: str) -> Sequence[str]:
        opened = [path for path in self.opened if path.rpartition("/")[2] == name]
        return list(dict.fromkeys([*opened, *(self._store.named(name, MOST_NAMED) if self._store else ())]))

    def in_folder(self, folder: str) -> Sequence[str]:
        opened = [path for path in self.opened if path.rpartition("/")[0] == folder]
        return list(dict.fromkeys([*opened, *(self._store.in_folder(folder) if self._store else ())]))

    def imports(self, path: str) -> Sequence[Import]:
        if path in self.opened:
            return self._source(path).imports
        if (store := self._store) is None:
            return ()
        return self.once(("imports", path), lambda: store.imports(path))

    def definitions(self, path: str) -> Sequence[Definition]:
        """What a file defines, each class with its members behind it."""
        if path in self.opened:
            return self._source(path).definitions
        if (store := self._store) is None:
            return ()
        return self.once(("definitions", path), lambda: store.definitions(path))

    def anywhere(self, name: str, language_id: str) -> list[tuple[str, Definition]]:
        """Where a name is defined, in any file of the same family of languages."""
        family = family_of(language_id)
        found = [
            (path, each) for path, source in self._opened_in(family) for each in source.definitions if each.name == name
        ]
        kept: Sequence[tuple[str, Definition]] = ()
        if (store := self._store) is not None:
            kept = self.once(("anywhere", name, family), lambda: store.anywhere(name, family, MOST_NAMED))
        return found + [(path, each) for path, each in kept if path not in self.opened]

    def _opened_in(self, family: str) -> Iterator[tuple[str, Source]]:
        for path, each in self.opened.items():
            if family_of(each.language.id) == family:
                yield path, self._source(path)

    def _source(self, path: str) -> Source:
        opened = self.opened[path]
        return opened.recent if path == self._own else opened.source

    def chunks(self, path: str) -> Sequence[Chunk]:
        """The chunks of one file."""
        if path in self.opened:
            return self.opened[path].source.chunks
        return self._store.chunks(path) if self._store is not None else ()

    def lines(self, path: str, workspace: Workspace) -> list[str]:
        """The lines of a file as its chunks count them. Raises OutOfReach where it is hidden or gone, and TooSlow.
        Blocks."""
        if path not in self.opened:
            return split_lines(normalized(workspace.text(Path(path), MOST_BYTES)))
        if why := workspace.why_hidden(Path(path)):
            raise OutOfReach(why)
        return split_lines(normalized(self.opened[path].buffer.source))

    def rarity(self, word: str) -> tuple[int, int]:
        """(how many chunks on disk hold a word, how many there are)"""
        if (store := self._store) is None:
            return 0, 0
        total = self.once("chunks", store.chunk_count)
        return self.once(("rarity", word), lambda: store.in_chunks(word)), total

    def search(self, words: Sequence[str], language_id: str, most: int) -> list[Match]:
        """The chunks that hold most of some words, best first, and after them all those of the open documents."""
        family = family_of(language_id)
        found: Sequence[Match] = ()
        if (store := self._store) is not None:
            found = self.once(("search", tuple(words), family, most), lambda: store.search(words, family, most))
        opened = [
            Match(path, chunk.first, chunk.last, chunk.words)
            for path, source in self._opened_in(family)
            for chunk in source.chunks
        ]
        return [each for each in found if each.path not in self.opened] + opened
