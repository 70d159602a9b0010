"""What one answer may be at most, whatever the server was asked for: it may never end, or be of any size."""

from __future__ import annotations

from lsp_server.model.events import EVENT_BYTES
from lsp_server.model.exchange import EngineRefused

# Generous: the probabilities of other tokens take room, and so do signs of life.
BYTES, BYTES_PER_TOKEN = 4_000_000, 8_000
EVENTS, EVENTS_PER_TOKEN = 10_000, 8
# The longest tokens are of 128 blanks.
CHARACTERS_PER_TOKEN = 128


class Bounds:
    """What is left of them for an answer of `tokens` of a server that is called `name`."""

    def __init__(self, name: str, tokens: int) -> None:
        self._name, self._tokens = name, tokens
        self._bytes = BYTES + BYTES_PER_TOKEN * tokens
        self._events = EVENTS + EVENTS_PER_TOKEN * tokens
        self._ids, self._characters = tokens, CHARACTERS_PER_TOKEN * tokens

    def chunk(self, size: int) -> None:
        """So many bytes came. Raises EngineRefused."""
        self._bytes -= size
        if self._bytes < 0:
            raise EngineRefused(
                f"{self._name} sent more bytes than an answer of {self._tokens} tokens has; the rest was left there."
            )

    def event(self) -> None:
        """One came. Raises EngineRefused."""
        self._events -= 1
        if self._events < 0:
            raise EngineRefused(
                f"{self._name} sent more events than an answer of {self._tokens} tokens has; the rest was left there."
            )

    def too_long(self) -> EngineRefused:
        """The sentence on an event that does not end."""
        return EngineRefused(
            f"{self._name} sent an event of more than {EVENT_BYTES // 1_000_000} MB, which no answer needs; it was "
            "left there."
        )

    def within(self, ids: tuple[int, ...], text: str) -> tuple[tuple[int, ...], str]:
        """What was generated, or its text where there are no ids, up to as much as was asked for."""
        if ids:
            ids = ids[: self._ids]
            self._ids -= len(ids)
            return ids, text
        text = text[: self._characters]
        self._characters -= len(text)
        return ids, text
