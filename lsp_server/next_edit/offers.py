"""The offers of one session: what was offered, and what the user made of it."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import itertools
import sqlite3
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lsp_server.context.buffer import Buffer, split_lines, units_of
from lsp_server.context.in_time import Threads
from lsp_server.context.languages import language
from lsp_server.context.uris import file_of
from lsp_server.context.workspace import OutOfReach, Workspace, decoded
from lsp_server.next_edit.binding import remembering
from lsp_server.next_edit.documents import Document, Situation, Trees
from lsp_server.next_edit.filling import Filling
from lsp_server.next_edit.gaps import is_fit
from lsp_server.next_edit.offering import holes, is_sound, offered
from lsp_server.next_edit.proposal import Hole, Kind, Proposal
from lsp_server.next_edit.rewriting import Rewriting

if TYPE_CHECKING:
    from lsp_server.context.related.index import Index

# Offers that the editor may still tell about.
MOST_OFFERS = 50
# After so many rejections of a kind there are none of it any more, and of what was ignored so often, either.
MOST_REJECTED, MOST_IGNORED = 2, 2
# Files that are not open and looked into for one name, and bytes of each.
MOST_FILES, MOST_BYTES = 12, 400_000

Outcome = Literal["accepted", "rejected", "ignored"]


@dataclasses.dataclass(frozen=True)
class Offer:
    """`start` and `end`: the columns of the proposal, in the editor's units."""

    id: str
    proposal: Proposal
    start: int
    end: int


@dataclasses.dataclass(frozen=True)
class _Found:
    """What can be derived, or else the places for a model to fill; and the documents that were looked into."""

    here: Situation
    read: dict[str, Document]
    proposal: Proposal | None
    holes: list[Hole]


class Offers:
    """Use from the event loop of the session. `workspace` and `index` give those of now; `filling` and `rewriting` have
    the models."""

    def __init__(
        self,
        workspace: Callable[[], Workspace],
        index: Callable[[], Index | None],
        filling: Filling | None = None,
        rewriting: Rewriting | None = None,
    ) -> None:
        self._workspace = workspace
        self._index = index
        self._filling, self._rewriting = filling, rewriting
        self._written: asyncio.Task[Proposal | None] | None = None
        self._threads = Threads(1)  # one after the other: they share the trees
        self._trees = Trees()
        self._ids = itertools.count(1)
        self._offers: OrderedDict[str, Proposal] = OrderedDict()
        self._rejected: Counter[Kind] = Counter()
        self._unwanted: set[tuple[str, str]] = set()
        self._ignored: Counter[tuple[str, str]] = Counter()

    async def at(self, buffer: Buffer, row: int, column: int = 0) -> Offer | None:
        """What to offer a user who is at a place of a document, in characters, after what was done last; None for
        nothing."""
        workspace = self._workspace()
        steps = workspace.journal.steps.recent()
        if not steps:
            return None
        index, opened = self._index(), workspace.buffers()
        last = Situation({}, steps, buffer.uri, row, taken_back=workspace.journal.steps.taken_back())
        self.changed()  # a newer request takes the place of one that waits
        work = self._threads.begin(lambda: self._found(workspace, index, opened, last))
        found = await asyncio.wrap_future(work)
        proposal = found.proposal
        if proposal is None:
            proposal = await self._by_model(found, column)
        if proposal is None or workspace.journal.steps.recent()[-1:] != steps[-1:]:
            return None  # the text has moved on
        lines = found.read[proposal.uri].source
        ends = (proposal.row, proposal.column), (proposal.end_row, proposal.end_column)
        start, end = (units_of(lines[row], column, buffer.encoding) for row, column in ends)
        offer = Offer(str(next(self._ids)), proposal, start, end)
        self._offers[offer.id] = proposal
        if len(self._offers) > MOST_OFFERS:
            self._offers.popitem(last=False)
        return offer

    def changed(self) -> None:
        """The text changed: what a model writes for an earlier one is not wanted any more."""
        if self._written is not None:
            self._written.cancel()
            self._written = None

    def tell(self, id: str, outcome: Outcome) -> None:
        """What the user made of an offer."""
        proposal = self._offers.pop(id, None)
        if proposal is None:
            return
        if outcome == "rejected":
            self._rejected[proposal.kind] += 1
            self._unwanted.add(proposal.cause)
        elif outcome == "ignored":
            self._ignored[proposal.cause] += 1
            if self._ignored[proposal.cause] >= MOST_IGNORED:
                self._unwanted.add(proposal.cause)
        else:
            self._ignored.pop(proposal.cause, None)

    async def _by_model(self, found: _Found, column: int) -> Proposal | None:
        """What a model makes of it: one for next edits, where there is one within reach, or else that of the
        suggestions of the holes. None also where the text changes meanwhile."""

        async def checked(check: Callable[[], bool]) -> bool:
            return await asyncio.wrap_future(self._threads.begin(check))

        async def rewritten(rewriting: Rewriting) -> Proposal | None:
            made = await rewriting.at(found.here, column)
            if made is None or not self._is_wanted(made):
                return None
            return made if await checked(lambda: is_sound(found.here, made)) else None

        async def fits(hole: Hole, text: str) -> bool:
            document, made = found.read[hole.known.uri], hole.filled(text)
            return await checked(lambda: is_fit(text, hole, document) and is_sound(found.here, made))

        if self._rewriting is not None and self._rewriting.is_reached():
            work = rewritten(self._rewriting)
        elif self._filling is not None and found.holes:
            work = self._filling.first(found.holes, found.read, fits)
        else:
            return None
        writing = self._written = asyncio.ensure_future(work)
        try:
            await asyncio.wait([writing])
        finally:
            writing.cancel()
        return None if writing.cancelled() else writing.result()

    def _is_wanted(self, proposal: Proposal) -> bool:
        return self._rejected[proposal.kind] < MOST_REJECTED and proposal.cause not in self._unwanted

    @remembering()
    def _found(self, workspace: Workspace, index: Index | None, opened: list[Buffer], last: Situation) -> _Found:
        """What to offer, or where a model may know what. `last`: what was done, still without the documents."""
        documents = {
            each.uri: Document(each.uri, _language(each), each.lines, each.version, self._trees) for each in opened
        }
        here, read = dataclasses.replace(last, documents=documents), dict(documents)
        found = offered(here, self._is_wanted)
        everywhere = here
        if found is None and index is not None:

            @functools.cache  # several rules ask for the same
            def holding(word: str, language_id: str) -> list[Document]:
                found = list(_holding(workspace, index, word, language_id, self._trees))
                return [read.setdefault(each.uri, each) for each in found]

            everywhere = dataclasses.replace(here, holding=holding)
            found = offered(everywhere, self._is_wanted)
        wants = found is None and self._filling is not None
        return _Found(here, read, found, holes(everywhere, self._is_wanted) if wants else [])


def _language(buffer: Buffer) -> str:
    path = file_of(buffer.uri)
    return language(buffer.language_id, path.name if path is not None else "").id


def _holding(workspace: Workspace, index: Index, word: str, language_id: str, trees: Trees) -> Iterator[Document]:
    """The files in the index, and not open, that hold a word. Those that are as they were keep their trees."""
    try:
        found = index.view().search([word], language_id, MOST_FILES)
    except sqlite3.Error as error:
        index.met(error)
        return
    paths = dict.fromkeys(Path(each.path) for each in found)
    for path, data in workspace.read_all(paths, MOST_BYTES):
        if word.encode() in data:
            try:
                lines = split_lines(decoded(data, path.name))
            except OutOfReach:
                continue
            yield Document(path.as_uri(), language("", path.name).id, lines, trees=trees)
