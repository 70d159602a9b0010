"""What becomes of suggestions: shown, taken in part or whole, and still there a minute later.

Two things an editor tells: that a suggestion is on the screen, and that all of it was taken. The rest is seen in the
changes of the text, so that it is the same in every editor. Of a suggestion nothing stays but counts.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from lsp_server.context.buffer import Buffer

KEPT_SECONDS = 60.0
# Offers that an editor may still speak of.
MOST_OFFERS = 64
# Fewer characters at a time are typed; or closed by the editor, as brackets are.
FEWEST_AT_ONCE = 3


class Count(Protocol):
    """Counts something in a language."""

    def __call__(self, language: str, what: str, count: int = 1) -> None: ...


@dataclasses.dataclass(eq=False)
class Offer:
    """A suggestion in a document: what is left of its text, and where that goes, as the editor counts. `taken`: what of
    it was taken by more than typing."""

    uri: str
    language: str
    rest: str
    line: int
    character: int
    taken: str = ""
    was_taken: bool = False
    was_shown: bool = False
    is_whole: bool = False

    def follows(self, other: Offer) -> bool:
        """Whether it is what is left of another, which was typed along or taken in part."""
        return self.uri == other.uri and other.rest.endswith(self.rest) and not other.is_whole


@dataclasses.dataclass(frozen=True)
class Change:
    """Text put in place of a range of a document, as the editor counts."""

    start: tuple[int, int]
    end: tuple[int, int]
    text: str


Later = Callable[[float, Callable[[], object]], object]
"""Puts a call off for some seconds."""


def _later(seconds: float, call: Callable[[], object]) -> object:
    return asyncio.get_running_loop().call_later(seconds, call)


class Outcomes:
    """Use from one event loop. `buffer_of`: an open document."""

    def __init__(self, count: Count, buffer_of: Callable[[str], Buffer | None], later: Later = _later) -> None:
        self._count, self._buffer_of, self._later = count, buffer_of, later
        self._offers: dict[int, Offer] = {}
        self._latest: dict[str, Offer] = {}
        self._number = 0

    def offered(self, offer: Offer, *, first: bool = True) -> int:
        """The number by which an editor speaks of a suggestion. `first`: it is the one to show, not another choice."""
        before = self._latest.get(offer.uri)
        if first:
            if before is not None and offer.follows(before):
                before.rest, before.line, before.character = offer.rest, offer.line, offer.character
                offer = before
            elif before is not None:
                self._over(before)
            self._latest[offer.uri] = offer
        self._number += 1
        self._offers[self._number] = offer
        if len(self._offers) > MOST_OFFERS:
            del self._offers[next(iter(self._offers))]
        return self._number

    def shown(self, number: int) -> None:
        """A suggestion is on the screen."""
        offer = self._offers.get(number)
        if offer is not None and not offer.was_shown:
            offer.was_shown = True
            self._count(offer.language, "shown")

    def accepted(self, number: int) -> None:
        """All of a suggestion was taken."""
        offer = self._offers.get(number)
        if offer is not None:
            self._latest[offer.uri] = offer
            self._take(offer, offer.rest)

    def changed(self, uri: str, changes: Sequence[Change]) -> None:
        """The text of a document changed."""
        offer = self._latest.get(uri)
        if offer is None:
            return
        for change in changes:
            text = change.text.replace("\r\n", "\n")
            if change.end != (offer.line, offer.character) or change.start[0] != offer.line or not text:
                return self._leave(offer)
            # Editors put the typed word in again with the whole.
            whole = offer.rest if text.endswith(offer.rest) and len(text) >= FEWEST_AT_ONCE else ""
            piece = whole or (text if change.start == change.end and offer.rest.startswith(text) else "")
            if not piece:
                return self._leave(offer)
            if len(piece) >= FEWEST_AT_ONCE or whole:
                self._take(offer, piece)
            else:
                offer.rest = offer.rest[len(piece) :]
            lines = piece.split("\n")
            offer.character = len(lines[-1]) + (offer.character if len(lines) == 1 else 0)
            offer.line += len(lines) - 1
            if not offer.rest:
                return self._leave(offer)
        return None

    def closed(self, uri: str) -> None:
        """A document was closed."""
        if (offer := self._latest.get(uri)) is not None:
            self._leave(offer)

    def answered(self, language: str, timings: dict[str, Any], milliseconds: float) -> None:
        """A request was answered with a suggestion, after so long."""
        self._count(language, "asked" if "tokens" in timings else "known")
        self._count(language, f"ms {bucket(milliseconds)}")
        usage = timings.get("usage") or {}
        details = usage.get("prompt_tokens_details")
        reused = details.get("cached_tokens") if isinstance(details, dict) else 0
        for what, count in (
            ("tokens", timings.get("tokens")),
            ("prompt tokens", timings.get("promptTokens")),
            ("reused tokens", reused),
        ):
            self._count(language, what, int(count or 0))

    def _take(self, offer: Offer, piece: str) -> None:
        if offer.is_whole:
            return
        if not offer.was_taken:
            offer.was_taken = True
            self._later(KEPT_SECONDS, lambda: self._look_again(offer))
        offer.taken += piece
        offer.rest = offer.rest[len(piece) :]
        self._count(offer.language, "characters", len(piece))
        if not offer.rest:
            offer.is_whole = True
            self._count(offer.language, "whole")

    def _leave(self, offer: Offer) -> None:
        self._over(offer)
        if self._latest.get(offer.uri) is offer:
            del self._latest[offer.uri]

    def _over(self, offer: Offer) -> None:
        """Nothing more becomes of it."""
        if offer.was_taken and not offer.is_whole:
            offer.is_whole = True
            self._count(offer.language, "part")

    def _look_again(self, offer: Offer) -> None:
        """Whether what was taken is still there as it was, but for white space; not where the document is closed."""
        buffer, taken = self._buffer_of(offer.uri), "".join(offer.taken.split())
        offer.taken = ""
        if buffer is not None:
            self._count(offer.language, "kept" if taken in "".join(buffer.source.split()) else "changed")


BUCKETS = (50, 100, 150, 200, 300, 400, 600, 800, 1200, 1600, 2400, 3600, 6000, 10000)
"""Upper ends of the classes of times, in milliseconds; what is longer is in a last one."""


def bucket(milliseconds: float) -> int:
    """The upper end of the class of a time, the last one being twice the longest."""
    return next((each for each in BUCKETS if milliseconds <= each), 2 * BUCKETS[-1])
