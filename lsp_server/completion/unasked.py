"""Where no suggestion comes of itself, though the user gets one who asks for it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from lsp_server.completion.cache import Spot, typed_since
from lsp_server.completion.marks import marks_of
from lsp_server.completion.scanner import in_word, text_scope
from lsp_server.completion.stopping import Place
from lsp_server.context.buffer import Buffer
from lsp_server.settings import Settings

# A suggestion that was on the screen for so long has been read. After so many that were passed over on a line, so much
# more has to be typed there before the next one comes.
SECONDS_READ, PASSED_OVER, CHARACTERS_MORE = 1.0, 2, 8


def why_none(here: Place, settings: Settings) -> str:
    """Why no suggestion comes of itself at a place, as one sentence, or "".

    Inside a word, that is with a letter, a digit or an underscore on either side of the cursor, and where a setting
    says so in comments and in strings. Code in a string, such as in an f-string, is code.
    """
    if inside_word(here.line_before, here.line_after):
        return "The cursor is inside a word; ask for a suggestion by hand."
    if settings.in_comments and settings.in_strings:
        return ""
    scope = text_scope(here.open, marks_of(here.language_id))
    if scope is None or scope not in here.open:  # a document that is all prose is no comment
        return ""
    if scope.kind == "comment" and not settings.in_comments:
        return "In comments no suggestion comes of itself (codellama.inComments)."
    if scope.kind == "string" and not settings.in_strings:
        return "In strings no suggestion comes of itself (codellama.inStrings)."
    return ""


def why_off(buffer: Buffer | None, settings: Settings) -> str:
    """Why there are no suggestions in a document, whatever is in it, as one sentence, or ""."""
    if not settings.enabled:
        return "Suggestions are turned off (codellama.enabled)."
    if buffer is None:
        return "This document is not open in the editor."
    if buffer.language_id in settings.disabled_languages:
        return f"Suggestions are turned off for {buffer.language_id} (codellama.disabledLanguages)."
    return ""


def inside_word(before: str, after: str) -> bool:
    """Whether the cursor between two texts has a letter, a digit or an underscore on either side."""
    return in_word(before[-1:]) and in_word(after[:1])


@dataclasses.dataclass(frozen=True)
class _Shown:
    spot: Spot
    text: str
    line: str
    since: float


class PassedOver:
    """The suggestions of one document that the user has read and not taken.

    No editor tells of that, so it is found out from the requests: a suggestion is passed over where it was shown for
    SECONDS_READ, and then its line was changed to something else than it would have written. What is taken, in part or
    whole, a request by hand, and another line begin the count anew.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._shown: _Shown | None = None
        self._row, self._times, self._length = -1, 0, 0

    def shown(self, buffer: Buffer, now: Spot, text: str) -> None:
        """A suggestion was shown with the cursor at `now` of `buffer`."""
        self._shown = _Shown(now, text, buffer.lines[now.row], self._clock())

    def why_none(self, buffer: Buffer, now: Spot, *, by_hand: bool) -> str:
        """Why no suggestion comes of itself at `now` of `buffer`, where one is asked for, or ""."""
        row = now.row
        last, line = self._shown, buffer.lines[row]
        self._shown = None
        if by_hand or row != self._row:
            self._row, self._times = row, 0
        if last is not None and last.spot.row == row and last.line != line and not by_hand:
            since = typed_since(last.spot, buffer, now)
            if since is not None and (last.text.startswith(since[0]) or since[0].startswith(last.text)):
                self._times = 0
            elif self._clock() - last.since >= SECONDS_READ:
                self._times, self._length = self._times + 1, len(line)
        if self._times >= PASSED_OVER and len(line) - self._length < CHARACTERS_MORE:
            return "You passed over what was suggested on this line; type on, or ask for a suggestion by hand."
        return ""
