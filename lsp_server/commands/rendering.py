"""An answer on a terminal as rendered Markdown while it is written; as plain text where output is not a terminal."""

from __future__ import annotations

import re
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown

_FENCE = re.compile(r"^\s{0,3}(`{3,}|~{3,})", re.MULTILINE)


class Shown:
    """Shows an answer part by part; use as a context. Blocks that are complete are printed for good: only the one that
    is being written is drawn anew, so that long answers scroll as all output does."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._live: Live | None = None
        self._rest = ""

    def __enter__(self) -> Shown:
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=10, transient=True)
            self._live.start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._live is not None:
            self._live.stop()
            if self._rest.strip():
                self._console.print(Markdown(self._rest))
        else:
            self._console.file.write("\n")
        self._console.file.flush()

    def add(self, text: str) -> None:
        if self._console.is_terminal:
            text = text.replace("\x1b", "␛")  # what a model writes must not steer the terminal
        if self._live is None:
            self._console.file.write(text)
            self._console.file.flush()
            return
        self._rest += text
        done, self._rest = complete_blocks(self._rest)
        if done.strip():
            self._live.console.print(Markdown(done))
        self._live.update(Markdown(self._rest))


def complete_blocks(text: str) -> tuple[str, str]:
    """(blocks that end in a blank line, the rest); a fenced block is one block, and so is a list with its items."""
    at = len(text)
    while (at := text.rfind("\n\n", 0, at)) >= 0:
        head, rest = text[: at + 2], text[at + 2 :]
        # What follows must have begun, and not belong to the list above.
        if len(_FENCE.findall(head)) % 2 == 0 and re.match(r"[^\s\-*+\d]", rest):
            return head, rest
    return "", text
