"""What is shown of a text that is generated: from where it is new to where it is to end, however it is cut into pieces.

It ends at a stop text, or before a line that is indented less than was asked for (llama.cpp's `n_indent`).
"""

from __future__ import annotations

from collections.abc import Sequence

from lsp_server.engine.serving.stop_texts import StopTexts


class Shown:
    """Passes text through. `pending`: what it begins with and who asked has already; `least_indent`: the fewest
    characters of white space before each line after the first, lines of white space alone excepted."""

    def __init__(self, pending: str, stops: Sequence[str], least_indent: int = 0) -> None:
        self._pending = pending
        self._stops = StopTexts(stops)
        self._lines = _Lines(least_indent)
        self.has_line = False  # a whole one has come

    @property
    def stop_text(self) -> str | None:
        """The stop text that ended it."""
        return self._stops.found

    @property
    def ended(self) -> bool:
        return self._stops.found is not None or self._lines.ended

    def push(self, text: str) -> str:
        """The text that is certain to be shown after `text` has come."""
        text = self._new(text)
        self.has_line = self.has_line or "\n" in text
        shown = self._lines.push(self._stops.push(text))
        return shown + self._lines.flush() if self._stops.found is not None else shown

    def flush(self) -> str:
        """What was held back, at the end of the text."""
        return self._lines.push(self._stops.flush()) + self._lines.flush()

    def _new(self, text: str) -> str:
        """`text` without what is pending at its beginning. What does not begin so is all new."""
        if not self._pending:
            return text
        common = min(len(text), len(self._pending))
        if text[:common] != self._pending[:common]:
            self._pending = ""
            return text
        self._pending = self._pending[common:]
        return text[common:]


class _Lines:
    """Passes text through up to the first line that is indented too little."""

    def __init__(self, least: int) -> None:
        self._least = least
        self._indent: str | None = None  # the white space that a line begins with; None behind that
        self.ended = False

    def push(self, text: str) -> str:
        if not self._least:
            return text
        shown = ""
        for char in text:
            if self.ended:
                break
            if char == "\n":
                shown, self._indent = shown + (self._indent or "") + char, ""
            elif self._indent is None:
                shown += char
            elif char in " \t":
                self._indent += char
            elif len(self._indent) < self._least:
                self.ended = True
            else:
                shown, self._indent = shown + self._indent + char, None
        return shown

    def flush(self) -> str:
        held, self._indent = (self._indent or "") if not self.ended else "", None
        return held
