"""What other work of the user's goes with each document: gathered in threads, and kept from key to key.

The pieces are in front of all else in a prompt, so the engine computes everything anew when they change. They are
chosen for a place, and stay while the cursor is about there and the user types; they are chosen anew when it has moved
away, and, where something was edited, opened or copied elsewhere, once the user has paused.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lsp_server.context.buffer import Buffer
from lsp_server.context.in_time import Threads
from lsp_server.context.related.choice import Choice, choose
from lsp_server.context.related.piece import NOTHING_ADDED, Added, Piece
from lsp_server.context.related.receivers import receiver_at, text_before
from lsp_server.context.related.sources import MOST_SIGNATURES, SOURCES, Copied, Seen, Source
from lsp_server.context.uris import file_of
from lsp_server.context.workspace import Workspace
from lsp_server.errors import UserError
from lsp_server.settings import Settings

if TYPE_CHECKING:
    from lsp_server.context.related.index import Index

T = TypeVar("T")

log = logging.getLogger(__name__)

# Rows within which the cursor is about where it was.
NEAR_ROWS = 16
# How long a request waits for what it cannot have yet, and one that nobody waits for.
WAIT_SECONDS, REST_SECONDS = 0.03, 3.0
# Without a key for so long, the user has paused.
PAUSE_SECONDS = 1.0
# Documents that were closed and are remembered; texts that were copied, how long, and how much of each.
MOST_FILES, MOST_COPIED, COPIED_SECONDS, COPIED_CHARACTERS = 8, 2, 300.0, 2000
# Of code.
MEAN_CHARACTERS_PER_TOKEN = 3
# Threads of all gatherings: a source that hangs must not take those that others need.
MOST_THREADS = 2


Found = tuple[int, tuple[int, ...], str, Choice]


@dataclasses.dataclass
class _Document:
    """`choice` was made for `row`, at `stamp`, behind `receiver`, and `pieces` are those of it that may be shown.
    `asked`: when it was last asked for. `found` is a newer choice, for another row, stamp and receiver, that is not
    used yet. `names` are those of `named`: the text's version, row and column."""

    row: int = -(10**9)
    stamp: tuple[int, ...] = ()
    receiver: str = ""
    choice: Choice = dataclasses.field(default_factory=Choice)
    pieces: tuple[Piece, ...] = ()
    asked: float = float("-inf")
    found: Found | None = None
    gathering: asyncio.Future[None] | None = None
    named: tuple[int | None, int, int] | None = None
    names: Mapping[str, float] = dataclasses.field(default_factory=dict)


class Related:
    """The pieces for the documents of one session. Use from its event loop.

    `settings`, `workspace` and `index` give those of now, `indexed` another number once the index has changed;
    `sources` are by their name, of which `related_<name>` is the setting.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        workspace: Callable[[], Workspace],
        sources: Mapping[str, Source] = SOURCES,
        clock: Callable[[], float] = time.monotonic,
        index: Callable[[], Index | None] = lambda: None,
        indexed: Callable[[], int] = lambda: 0,
    ) -> None:
        self._settings = settings
        self._workspace = workspace
        self._sources = sources
        self._index = index
        self._indexed = indexed
        self._clock = clock
        self._threads = Threads(MOST_THREADS)
        self._documents: dict[str, _Document] = {}
        self._looked: list[str] = []  # open documents, the one looked at last at the end
        self._files: list[Path] = []  # that were open, the one closed last at the end
        self._copied: list[Copied] = []
        self._events = 0

    def known(self, buffer: Buffer, row: int, column: int) -> Added:
        """What goes with a document now; names only where `at` was asked for the same place of the same text."""
        document = self._documents.get(buffer.uri)
        if document is None or not self._settings().related_tokens:
            return NOTHING_ADDED
        here = document.named == (buffer.version, row, column)
        return Added(document.pieces, document.names if here else {})

    def choice(self, buffer: Buffer) -> Choice:
        """The pieces for a document, with those that were found and not taken."""
        document = self._documents.get(buffer.uri, _Document())
        return dataclasses.replace(document.choice, pieces=document.pieces)

    def is_old(self, uri: str) -> bool:
        """Whether something happened elsewhere since the pieces for a document were chosen, and the user has paused."""
        document = self._documents.get(uri)
        return document is not None and document.stamp != self._stamp(uri) and self._has_paused(document)

    async def at(
        self,
        buffer: Buffer,
        row: int,
        column: int,
        *,
        rests: bool = False,
        quick: bool = False,
        prefers: bool = True,
    ) -> Added:
        """`known`, gathered if need be, for which a request waits a moment at most. `rests`: nobody waits for it.
        `quick`: the model reads a prompt so fast that it may change in the midst of a line, behind another dot.
        `prefers`: the engine can do something with names."""
        settings = self._settings()
        if not settings.related_tokens:
            return NOTHING_ADDED
        document = self._documents.setdefault(buffer.uri, _Document())
        self._look_at(buffer.uri)
        stamp, paused = self._stamp(buffer.uri), rests or self._has_paused(document)
        document.asked = self._clock()
        away = abs(row - document.row) > (NEAR_ROWS // 2 if rests else NEAR_ROWS)
        receiver = _receiver(buffer, row, column)
        came_late = document.found is not None and document.found[2] == receiver
        another = quick and receiver != "" and (receiver != document.receiver or came_late)
        if away or another or (paused and stamp != document.stamp):
            for _ in range(2 if rests else 1):  # what was under way may be of before the last change
                if not _is_for(document.found, row, stamp, receiver if another else ""):
                    seconds = REST_SECONDS if rests else WAIT_SECONDS
                    await self._gathered(document, buffer, row, column, receiver, seconds)
            if document.found is not None:
                self._adopt(document)
            else:
                document.row, document.receiver = row, receiver  # what comes late is used after the next pause
        document.pieces = await self._checked(document)
        document.named, document.names = (buffer.version, row, column), {}
        if prefers:  # after the rest, which is waited for no longer since names are looked for
            document.names = await self._names(buffer, row, column, REST_SECONDS if rests else WAIT_SECONDS)
        return Added(document.pieces, document.names)

    def opened(self, uri: str) -> None:
        """A document was opened."""
        self._events += 1
        path = file_of(uri)
        self._files = [each for each in self._files if each != path]
        self._looked.append(uri)

    def closed(self, uri: str) -> None:
        """A document was closed."""
        self._events += 1
        self._documents.pop(uri, None)
        self._looked = [each for each in self._looked if each != uri]
        if (path := file_of(uri)) is not None:
            self._files = [*(each for each in self._files if each != path), path][-MOST_FILES:]

    def copied(self, text: str, uri: str) -> None:
        """A text was copied inside the editor, from a document, "" where it is not known from which."""
        if len(text.split()) > 1 and len(text) <= COPIED_CHARACTERS:
            self._events += 1
            self._copied = [*self._copied, Copied(text, uri, self._clock())][-MOST_COPIED:]

    def forget(self) -> None:
        """The settings changed: choose anew."""
        self._events += 1
        for document in self._documents.values():
            document.row = _Document.row

    def _look_at(self, uri: str) -> None:
        if uri in self._looked and self._looked[-1] != uri:
            self._looked.remove(uri)
            self._looked.append(uri)

    def _stamp(self, uri: str) -> tuple[int, ...]:
        return self._workspace().journal.elsewhere(uri), self._events, self._indexed()

    def _has_paused(self, document: _Document) -> bool:
        return self._clock() - document.asked >= PAUSE_SECONDS

    async def _gathered(
        self, document: _Document, buffer: Buffer, row: int, column: int, receiver: str, seconds: float
    ) -> None:
        """Gather for a place behind a `receiver`, and wait for it some seconds at most; one that is under way is not
        begun twice."""
        if document.gathering is None or document.gathering.done():
            stamp, seen, settings = self._stamp(buffer.uri), self._seen(buffer), self._settings()

            async def gather() -> None:
                work = self._threads.begin(lambda: gathered(seen, buffer, row, column, settings, self._sources))
                document.found = row, stamp, receiver, await asyncio.wrap_future(work)

            document.gathering = asyncio.ensure_future(gather())
        await asyncio.wait([document.gathering], timeout=seconds)

    def _adopt(self, document: _Document) -> None:
        assert document.found is not None
        document.row, document.stamp, document.receiver, choice = document.found
        document.found = None
        if {(piece.source, piece.path, piece.text) for piece in choice.pieces} != {
            (piece.source, piece.path, piece.text) for piece in document.choice.pieces
        }:  # else the order stays, too
            document.choice = choice

    async def _checked(self, document: _Document) -> tuple[Piece, ...]:
        """The chosen pieces, without those that have become hidden, or whose file is out of reach by now."""
        chosen = document.choice.pieces
        if chosen:
            names = {piece.path for piece in chosen if piece.path}
            showable = await self._workspace().showable(names, REST_SECONDS)
            chosen = tuple(piece for piece in chosen if not piece.path or piece.path in showable)
        return chosen

    async def _names(self, buffer: Buffer, row: int, column: int, seconds: float) -> Mapping[str, float]:
        """How the name at a place may go on, for which it is waited some seconds at most."""
        index, workspace = self._index(), self._workspace()
        if index is None or not self._settings().related_imports:
            return {}
        naming = asyncio.wrap_future(self._threads.begin(lambda: named(index, workspace, buffer, row, column)))
        await asyncio.wait([naming], timeout=seconds)
        found = naming.result() if naming.done() else {}
        naming.cancel()
        return found

    def _seen(self, buffer: Buffer) -> Seen:
        workspace, now = self._workspace(), self._clock()
        order = {uri: place for place, uri in enumerate(self._looked)}
        before, behind = workspace.cells_around(buffer.uri)
        cells = {each.uri for each in (*before, *behind)}
        others = [each for each in workspace.buffers() if each.uri != buffer.uri and each.uri not in cells]
        return Seen(
            workspace,
            tuple(sorted(others, key=lambda each: -order.get(each.uri, -1))),
            tuple(reversed(self._files)),
            tuple(each for each in workspace.journal.changes() if each.uri not in cells),
            tuple(each for each in self._copied if now - each.time <= COPIED_SECONDS),
            tuple(before),
            self._index(),
        )


def _receiver(buffer: Buffer, row: int, column: int) -> str:
    return receiver_at(text_before(buffer.lines, row, column)).name


def _is_for(found: Found | None, row: int, stamp: tuple[int, ...], receiver: str) -> bool:
    """Whether that is what was found for a place, behind a `receiver` if it is asked for one."""
    return found is not None and abs(found[0] - row) <= NEAR_ROWS and found[1] == stamp and receiver in ("", found[2])


def gathered(
    seen: Seen, buffer: Buffer, row: int, column: int, settings: Settings, sources: Mapping[str, Source]
) -> Choice:
    """What the sources that are switched on find for a place, without what the model may not see. Blocks."""
    from lsp_server.codellama.infilling import RELATED_TOKENS  # with the tokenizer, which no start waits for

    tokens = settings.related_tokens if settings.related_tokens >= 0 else RELATED_TOKENS
    seen = dataclasses.replace(seen, characters=min(MOST_SIGNATURES, tokens * MEAN_CHARACTERS_PER_TOKEN))
    found: dict[str, list[Piece]] = {}
    for name, source in sources.items():
        if not getattr(settings, f"related_{name}"):
            continue
        found[name] = _guarded(name, functools.partial(source, seen, buffer, row, column), [])
    names = {piece.path for pieces in found.values() for piece in pieces if piece.path}
    hidden = {name for name in names if not seen.workspace.is_showable(name)}
    found = {name: [piece for piece in pieces if piece.path not in hidden] for name, pieces in found.items()}
    return choose(found, buffer.lines, row)


def named(index: Index, workspace: Workspace, buffer: Buffer, row: int, column: int) -> Mapping[str, float]:
    """How the name at a place may go on, as far as other files tell. Blocks."""
    from lsp_server.context.related.possible import possible  # with the grammars, which no start waits for

    return _guarded("names", lambda: possible(index, workspace, buffer, row, column), {})


def _guarded(what: str, find: Callable[[], T], otherwise: T) -> T:
    """What is found; `otherwise` where that fails: a suggestion without it is better than none."""
    try:
        return find()
    except UserError as error:  # what cannot be read now is not taken
        log.info("nothing was taken of %s: %s", what, type(error).__name__)
    except Exception as error:
        # Without the error's own words, which may hold the user's text.
        frames = "".join(traceback.format_tb(error.__traceback__))
        log.error("A fault in what is taken of %s: %s\n%s", what, type(error).__name__, frames)
    return otherwise
