"""An answer on a terminal as rendered Markdown while it is written; as plain text where output is not a terminal."""

from __future__ import annotations

import re
from typing import Any

from markdown_it import MarkdownIt
from rich.live import Live
from rich.markdown import Markdown
from rich.text import Text

from lsp_server.commands.console import Terminal, output
from lsp_server.printing import visible

_FENCE = re.compile(r"^\s{0,3}(`{3,}|~{3,})", re.MULTILINE)
# As rich's own, which leaves out HTML.
_PARSER = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])


class Shown:
    """Shows an answer part by part; use as a context. Blocks that are complete are printed for good: only the one that
    is being written is drawn anew, so that long answers scroll as all output does."""

    def __init__(self, terminal: Terminal = output) -> None:
        self._terminal = terminal
        self._live: Live | None = None
        self._held = ""  # the first half of what may be a newline of Windows
        self._begun = False
        self._rest = ""

    def __enter__(self) -> Shown:
        if self._terminal.is_terminal:
            self._live = self._terminal.live()
            self._live.start()
        return self

    def __exit__(self, *error: Any) -> None:
        held, self._held = visible(self._held), ""
        if self._live is None:
            self._terminal.add(f"{held}\n" if self._begun else held)
            return
        self._live.stop()
        if (self._rest + held).strip():
            self._terminal.print(_rendered(self._rest + held))

    def read(self, message: str) -> None:
        """Say how far the model has read the question, until its answer begins."""
        if self._live is not None and not self._begun:
            self._live.update(Text(message, style="dim"))

    def add(self, text: str) -> None:
        self._begun = self._begun or text != ""
        text = self._held + text
        self._held = "\r" if text.endswith("\r") else ""
        text = visible(text.removesuffix("\r"))
        if self._live is None:
            self._terminal.add(text)
            return
        done, self._rest = complete_blocks(self._rest + text)
        # Drawn before what is done is printed above it: what is done would be there twice for a moment.
        self._live.update(_rendered(self._rest), refresh=done.strip() != "")
        if done.strip():
            self._terminal.print(_rendered(done))


def _rendered(text: str) -> Markdown:
    """What is written is all seen: where a link leads, and what looks like HTML, such as `Vec<T>`."""
    markdown = Markdown("", hyperlinks=False)
    markdown.parsed = _PARSER.parse(text)
    return markdown


def complete_blocks(text: str) -> tuple[str, str]:
    """(blocks that end in a blank line, the rest); a fenced block is one block, and so is a list with its items."""
    at = len(text)
    while (at := text.rfind("\n\n", 0, at)) >= 0:
        head, rest = text[: at + 2], text[at + 2 :]
        # What follows must have begun, and not belong to the list above.
        if len(_FENCE.findall(head)) % 2 == 0 and re.match(r"[^\s\-*+\d]", rest):
            return head, rest
    return "", text
