"""What a conversation is made of: turns, and what was attached to them."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Literal

Kind = Literal["selection", "file", "function", "symbol", "diagnostics", "around"]


@dataclasses.dataclass(frozen=True)
class Attachment:
    """A part of the user's work that goes with a question. Lines count from 1, ranges include both ends."""

    kind: Kind
    name: str
    """What the user calls it: the path in the workspace, or the symbol and the path."""
    uri: str
    language: str
    text: str
    """The lines at hand, from `first` on, ending in `\\n` or nothing; only these can be shown."""
    first: int = 1
    total: int = 0
    """Lines of the whole file."""
    named: tuple[int, int] | None = None
    """The lines that the user named: the last to go when there is no room."""
    kept: tuple[int, int] | None = None
    """The lines that are sent; None for all of them."""

    @property
    def last(self) -> int:
        return self.first + len(self.lines()) - 1

    def lines(self) -> list[str]:
        """The lines at hand, without endings."""
        lines = self.text.split("\n")
        return lines[:-1] if len(lines) > 1 and not lines[-1] else lines

    def shown(self) -> tuple[int, int]:
        """First and last line that are sent; the last is before the first where none is."""
        return self.kept or (self.first, self.last)

    def rendered(self) -> str:
        """As the model sees it: where it is from, and the lines in a fence that nothing inside can close. "" for none.

        The same attachment is always rendered the same, byte for byte: turns already computed stay valid.
        """
        first, last = self.shown()
        if last < first:
            return ""
        text = "\n".join(self.lines()[first - self.first : last - self.first + 1])
        longest = max((len(run) for run in re.findall("`+", text)), default=0)
        fence = "`" * max(3, longest + 1)
        language = re.sub(r"[^\w+#.-]", "", self.language)
        return f"{self._headline(first, last)}\n{fence}{language}\n{text}\n{fence}"

    def _headline(self, first: int, last: int) -> str:
        name = " ".join(self.name.replace("`", "'").split())
        lines = f"line {first}" if first == last else f"lines {first}-{last}"
        if self.kind == "diagnostics":
            return f"Problems reported in `{name}`:"
        if self.kind == "file" and (first, last) == (1, self.total):
            return f"File `{name}`:"
        if self.kind == "file":
            return f"File `{name}`, {lines} of {self.total}:"
        if self.kind == "around":
            return f"The cursor is in `{name}`, {lines} of {self.total}:"
        if self.kind == "selection":
            return f"Selected in `{name}`, {lines}:"
        return f"{'Function' if self.kind == 'function' else 'Symbol'} `{name}`, {lines}:"

    def clipped(self) -> Attachment:
        """With the lines that are sent alone at hand: what is stored with a turn."""
        if self.kept is None:
            return self
        first, last = self.kept
        lines = self.lines()[first - self.first : last - self.first + 1]
        text = "".join(line + "\n" for line in lines)
        return dataclasses.replace(self, text=text, first=first, kept=None if lines else self.kept)


@dataclasses.dataclass(frozen=True)
class Turn:
    """One message of a conversation, as it is kept.

    `finished` of an answer: "stop" or "length" as the model ended it, "repeats" where it went in circles, "stopped" by
    the user, "failed", "" while it is being written; of a question: "" or "unanswered". `usage`: what an answer cost,
    see `conversation.Cost`.
    """

    position: int
    role: Literal["user", "assistant"]
    content: str
    """As it was typed, or as it was streamed."""
    asked: str = ""
    """The question as the model is asked it, where that differs: a slash command written out."""
    attachments: tuple[Attachment, ...] = ()
    usage: dict[str, Any] = dataclasses.field(default_factory=dict)
    finished: str = ""


@dataclasses.dataclass(frozen=True)
class Summary:
    """A conversation in a list. Times in seconds since 1970; `turns` counts messages of both sides."""

    id: str
    title: str
    created: float
    updated: float
    turns: int
    excerpt: str = ""
    """Where a search found it, the text around."""


@dataclasses.dataclass(frozen=True)
class Conversation:
    """A conversation with all its turns. `settings`: see `chats.Chats`."""

    id: str
    title: str
    created: float
    updated: float
    settings: dict[str, Any]
    turns: tuple[Turn, ...] = ()


def question_text(asked: str, attachments: tuple[Attachment, ...]) -> str:
    """What is attached, whole files first, then the question: what is computed of a file serves the next question about
    it too, whatever else goes along with that."""
    ordered = sorted(attachments, key=lambda one: one.kind != "file")
    blocks = [text for attachment in ordered if (text := attachment.rendered())]
    return "\n\n".join([*blocks, asked])
