"""Server-sent events that are JSON objects, read from the bytes as they arrive, whatever else comes along.

Source: the section "Server-sent events" of the HTML standard, https://html.spec.whatwg.org/multipage/; and what servers
send beside it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

Event = dict[str, Any]
DONE: Event = {}
"""Stands for `[DONE]`, the end of a stream in OpenAI's form."""

# Lines end at these alone: U+2028 may stand in JSON as it is.
_LINE_END = re.compile(rb"\r\n|\n|\r")
_UNREAD = object()
_BYTE_ORDER_MARK = "\ufeff".encode()
# So much is kept of what is no event, to tell of it.
STRAY_CHARACTERS = 200
# Of one event; a whole answer that is not streamed, with the probability of each token, has about one million.
EVENT_BYTES = 4_000_000


class EventTooLong(Exception):
    """There is no end to an event within EVENT_BYTES."""


class Events:
    """One stream. `stray`: the beginning of the first text in it that is no event.

    Who sends an error says so in one of several ways; here it is always an event that has `error`.
    """

    def __init__(self) -> None:
        self.stray = ""
        self._line: list[bytes] = []  # the beginning of one that has not ended yet
        self._bytes = 0  # of the event so far
        self._begins = True
        self._after_cr = False
        self._data: list[bytes] = []
        self._kind = b""
        self._bare = False

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events that these bytes complete. Raises EventTooLong."""
        if self._after_cr and chunk:  # the line has ended already
            chunk, self._after_cr = chunk.removeprefix(b"\n"), False
        self._after_cr = chunk.endswith(b"\r")
        *ended, begun = _LINE_END.split(chunk)
        for end in ended:
            line, self._line = b"".join((*self._line, end)), []
            self._count(len(end) + 1)
            yield from self._take(line)
            if not self._data:
                self._bytes = 0
        self._count(len(begun))
        if begun:
            self._line.append(begun)

    def end(self) -> Iterator[Event]:
        """The event that the end of the stream completes."""
        line, self._line = b"".join(self._line), []
        yield from self._take(line)
        yield from self._dispatch()

    def _count(self, more: int) -> None:
        self._bytes += more
        if self._bytes > EVENT_BYTES:
            raise EventTooLong

    def _take(self, line: bytes) -> Iterator[Event]:
        if self._begins:
            line, self._begins = line.removeprefix(_BYTE_ORDER_MARK), False
        if not line:
            yield from self._dispatch()
            return
        name, _, value = line.partition(b":")
        if self._bare or line.lstrip().startswith(b"{"):  # JSON without a frame around it
            self._bare, name, value = True, b"data", line
        match name:
            case b"data" if not self._data and not self._kind:
                # Nearly always one line is one event, and some servers leave out the empty line after it.
                yield from self._whole(value)
            case b"data":
                self._data.append(value.removeprefix(b" "))
            case b"event":
                self._kind = value.strip()
            case b"error":  # of llama.cpp
                self._kind, self._data = b"error", [value]
                yield from self._dispatch()
            case b"" | b"id" | b"retry":
                pass  # a comment, and what is for those who connect again
            case _:
                self._note(line)

    def _whole(self, value: bytes) -> Iterator[Event]:
        value = value.strip()
        if value == b"[DONE]":
            yield DONE
        elif (found := _read(value)) is _UNREAD:
            self._data.append(value)
            return
        elif isinstance(found, dict):
            yield found
        self._bare = False

    def _dispatch(self) -> Iterator[Event]:
        kind, data = self._kind, self._data
        self._kind, self._data, self._bare = b"", [], False
        if not data:
            return
        joined = b"\n".join(data)
        found = _read(joined)
        if kind == b"error":
            said = joined.decode(errors="replace").strip() if found is _UNREAD else found
            yield said if isinstance(said, dict) and said.get("error") else {"error": said}
            return
        for each in [joined] if found is not _UNREAD else data:
            if each.strip() == b"[DONE]":
                yield DONE
            elif isinstance(found := _read(each), dict):
                yield found
            elif found is _UNREAD:
                self._note(each)

    def _note(self, line: bytes) -> None:
        self.stray = self.stray or line.decode(errors="replace").strip()[:STRAY_CHARACTERS]


def _read(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return _UNREAD
