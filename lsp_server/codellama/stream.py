"""From generated ids to text, all at once or as they arrive."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable

_EACH_BYTE = "codellama-ls-replace-each-byte"


def _replace_each_byte(error: UnicodeError) -> tuple[str, int]:
    """SentencePiece writes U+FFFD once for *each* byte that is not part of a character; Python once for a run."""
    assert isinstance(error, UnicodeDecodeError)
    return "\ufffd" * (error.end - error.start), error.end


codecs.register_error(_EACH_BYTE, _replace_each_byte)


class StreamDecoder:
    """Text of ids that arrive in pieces: a character that spans tokens is held back until it is whole.

    What `push` and `flush` return, joined, is the text of all the ids at once, whatever the chunks were.
    """

    def __init__(self, bytes_of: Callable[[int], bytes], each_byte: bool) -> None:
        """`bytes_of`: the bytes of one id. `each_byte`: one U+FFFD for each bad byte, as SentencePiece does."""
        self._bytes_of = bytes_of
        self._decoder = codecs.getincrementaldecoder("utf-8")(_EACH_BYTE if each_byte else "replace")

    def push(self, ids: Iterable[int]) -> str:
        """The text that these ids complete."""
        return self._decoder.decode(b"".join(map(self._bytes_of, ids)))

    def flush(self) -> str:
        """What was held back, with U+FFFD for bytes that never became a character. The decoder is as new afterwards."""
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return rest
