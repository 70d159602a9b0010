"""The offers of one session: what was offered, and what the user made of it."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import sqlite3
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lsp_server.context.buffer import Buffer, split_lines, units_of
from lsp_server.context.in_time import Threads
from lsp_server.context.languages import language
from lsp_server.context.steps import Step
from lsp_server.context.uris import file_of
from lsp_server.context.workspace import OutOfReach, Workspace, decoded
from lsp_server.next_edit.documents import Document, Situation, Trees
from lsp_server.next_edit.offering import offered
from lsp_server.next_edit.proposal import Kind, Proposal

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


class Offers:
    """Use from the event loop of the session. `workspace` and `index` give those of now."""

    def __init__(self, workspace: Callable[[], Workspace], index: Callable[[], Index | None] = lambda: None) -> None:
        self._workspace = workspace
        self._index = index
        self._threads = Threads(1)  # one after the other: they share the trees
        self._trees = Trees()
        self._ids = itertools.count(1)
        self._offers: OrderedDict[str, Proposal] = OrderedDict()
        self._rejected: Counter[Kind] = Counter()
        self._unwanted: set[tuple[str, str]] = set()
        self._ignored: Counter[tuple[str, str]] = Counter()

    async def at(self, buffer: Buffer, row: int) -> Offer | None:
        """What to offer a user who is on a row of a document, after what was done last; None for nothing."""
        workspace = self._workspace()
        steps = workspace.journal.steps.recent()
        if not steps:
            return None
        index, opened = self._index(), workspace.buffers()
        work = self._threads.begin(lambda: self._found(workspace, index, opened, buffer, row, steps))
        proposal, lines = await asyncio.wrap_future(work)
        if proposal is None or workspace.journal.steps.recent()[-1:] != steps[-1:]:
            return None  # the text has moved on
        ends = (proposal.row, proposal.column), (proposal.end_row, proposal.end_column)
        start, end = (units_of(lines[row], column, buffer.encoding) for row, column in ends)
        offer = Offer(str(next(self._ids)), proposal, start, end)
        self._offers[offer.id] = proposal
        if len(self._offers) > MOST_OFFERS:
            self._offers.popitem(last=False)
        return offer

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

    def _is_wanted(self, proposal: Proposal) -> bool:
        return self._rejected[proposal.kind] < MOST_REJECTED and proposal.cause not in self._unwanted

    def _found(
        self,
        workspace: Workspace,
        index: Index | None,
        opened: list[Buffer],
        buffer: Buffer,
        row: int,
        steps: tuple[Step, ...],
    ) -> tuple[Proposal | None, Sequence[str]]:
        """What to offer, and the lines of its document."""
        documents = {
            each.uri: Document(each.uri, _language(each), each.lines, each.version, self._trees) for each in opened
        }
        here, read = Situation(documents, steps, buffer.uri, row), dict(documents)
        found = offered(here, self._is_wanted)
        if found is None and index is not None:

            def holding(word: str, language_id: str) -> Iterator[Document]:
                for each in _holding(workspace, index, word, language_id):
                    read[each.uri] = each
                    yield each

            found = offered(dataclasses.replace(here, holding=holding), self._is_wanted)
        return found, (read[found.uri].source if found is not None else ())


def _language(buffer: Buffer) -> str:
    path = file_of(buffer.uri)
    return language(buffer.language_id, path.name if path is not None else "").id


def _holding(workspace: Workspace, index: Index, word: str, language_id: str) -> Iterator[Document]:
    """The files in the index, and not open, that hold a word."""
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
            yield Document(path.as_uri(), language("", path.name).id, lines)
