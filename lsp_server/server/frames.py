"""Messages in a stream of bytes: `Content-Length: N`, an empty line, and N bytes of JSON. Pure: bytes in, bodies out.

A frame that is wrong cannot be mended. Where the next one begins may be found again, but the lost message may have been
a change of a document, and from then on every suggestion would be made for a text that the user does not see. So it is
told (`BrokenFrame`), and the session is ended for the editor to begin anew.
"""

from __future__ import annotations

import re

from lsp_server.errors import UserError

# Headers are a line or two; a document of 20 MB, the largest that editors open, has less than 64 MiB as JSON.
MOST_HEADER_BYTES = 8192
MOST_BODY_BYTES = 256 * 2**20

_HEADER_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"(?i)content-length[ \t]*:[ \t]*([0-9]{1,12})[ \t]*")
_HEADER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*:[^\r\n]*")
_HEADER_BEGINS = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]*(?:[ \t]*|[ \t]*:[^\r\n]*)\r?")
# JSON has no line endings inside its texts, so this inside a body is the next message: the length was too large.
_NEXT = re.compile(rb"Content-Length: ?[0-9]+\r\n")


class BrokenFrame(UserError):
    """The stream of messages cannot be followed any further; the message says what was found."""


class Frames:
    """What has come of a stream. Feed it, and take the bodies that are complete."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._length: int | None = None  # of the body that is awaited; None while its header is
        self._searched = 0

    @property
    def is_half_way(self) -> bool:
        """Whether a part of a message has come, and the rest has not."""
        return self._length is not None or bool(self._data)

    def body_so_far(self) -> bytes:
        """What has come of the body that is awaited."""
        return bytes(self._data) if self._length is not None else b""

    def feed(self, data: bytes) -> None:
        """Take in what was read."""
        self._data += data

    def next(self) -> bytes | None:
        """The next body, None where more must come. Raises BrokenFrame."""
        if self._length is None and not self._read_header():
            return None
        assert self._length is not None
        if len(self._data) < self._length:
            if _NEXT.search(self._data, max(0, self._searched - 64)):
                raise BrokenFrame(f"a message is shorter than the {self._length} bytes that its header says")
            self._searched = len(self._data)
            return None
        body = bytes(self._data[: self._length])
        del self._data[: self._length]
        self._length, self._searched = None, 0
        return body

    def _read_header(self) -> bool:
        """Whether a header is complete, and taken in."""
        end = _HEADER_END.search(self._data, 0, MOST_HEADER_BYTES)
        if end is None:
            if len(self._data) >= MOST_HEADER_BYTES:
                raise BrokenFrame("the header of a message does not end")
            first, ended, _ = bytes(self._data).partition(b"\n")
            if not (_HEADER.fullmatch(first.rstrip(b"\r")) if ended else _HEADER_BEGINS.fullmatch(first)):
                raise BrokenFrame("something else stands where the header of a message belongs")
            return False
        lengths = set()
        for line in bytes(self._data[: end.start()]).split(b"\n"):
            line = line.rstrip(b"\r")
            if found := _LENGTH.fullmatch(line):
                lengths.add(int(found[1]))
            elif not _HEADER.fullmatch(line) or line[:15].lower() == b"content-length:":
                raise BrokenFrame("something else stands where the header of a message belongs")
        if len(lengths) > 1:
            raise BrokenFrame("the header of a message says twice how long it is, each time something else")
        self._length = lengths.pop() if lengths else 0  # without a body it is no message, and refused as such
        if self._length > MOST_BODY_BYTES:
            raise BrokenFrame(f"a message of {self._length} bytes is larger than any that is taken")
        del self._data[: end.end()]
        return True
