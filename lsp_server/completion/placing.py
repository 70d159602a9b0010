"""Pieces of other files in front of the window: as comments with their path, for a number of tokens.

They are part of the prefix, the most useful nearest to the cursor. What stands there is the same from key to key as
long as the pieces are, so that what was computed of it is kept.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Sequence

from lsp_server.context.languages import LANGUAGES, Language
from lsp_server.context.related.choice import LeftOut
from lsp_server.context.related.piece import Piece
from lsp_server.context.window import TokenCounter, Window, normalized

# A piece is not counted in full if it is longer than any budget.
MOST_CHARACTERS = 20_000
# What must stay at the very beginning of a file; of the encoding, as PEP 263 has it.
_HEAD = re.compile(
    r"\A\ufeff?(?:#!(?!\[).*\n)?"
    r"(?:[^\S\n]*#.*?coding[:=].*\n|#\s*(?:syntax|escape)\s*=.*\n|#\s*frozen_string_literal.*\n"
    r"|<\?(?:php|xml)\b.*\n|<!doctype\b.*\n)*",
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True)
class Taken:
    """A piece that is in the prompt, and the tokens that it costs there."""

    piece: Piece
    tokens: int


@dataclasses.dataclass(frozen=True)
class Placed:
    """What stands in front of the window: `text` is "" or ends a line. `taken`: the most useful first."""

    text: str = ""
    tokens: int = 0
    taken: tuple[Taken, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


def fit(related: Sequence[Piece], spoken: Language, budget: int, counter: TokenCounter) -> Placed:
    """As many of the pieces, the most useful of which is the first, as fit in a budget of tokens."""
    taken: list[Taken] = []
    texts: list[str] = []
    left_out: list[LeftOut] = []
    left = budget
    for piece in related:
        text = rendered(piece, spoken)
        if not text:
            left_out.append(LeftOut(piece, f"it is not known how {spoken.name} is commented"))
            continue
        tokens = _counted(counter.encode_raw, text) if len(text) <= MOST_CHARACTERS else MOST_CHARACTERS
        if tokens > left:
            left_out.append(LeftOut(piece, f"it takes {tokens} tokens, and {left} of {budget} are left"))
            continue
        taken.append(Taken(piece, tokens))
        texts.append(text)
        left -= tokens
    return Placed("".join(reversed(texts)), budget - left, tuple(taken), tuple(left_out))


def rendered(piece: Piece, spoken: Language) -> str:
    """A piece as the model sees it: a comment that begins with the path, and an empty line; "" where the language has
    no comments. Cells of a notebook are what comes before in the same program, so they are no comment."""
    lines = normalized(piece.text).rstrip("\n").split("\n")
    if piece.source == "cells":
        return "\n".join(lines) + "\n\n"
    if spoken.id not in LANGUAGES:
        return ""
    head = [f"Path: {normalized(piece.path)}"] if piece.path else []
    if mark := spoken.line_comment:
        return "".join(f"{mark} {line}".rstrip() + "\n" for line in (*head, *lines)) + "\n"
    if spoken.block_comment is None:
        return ""
    begin, end = spoken.block_comment
    inside = "\n".join((*head, *lines)).replace(end, " ".join(end))
    return f"{begin} {inside}\n{end}\n\n"


def before(placed: Placed, view: Window) -> str:
    """The prefix of the window with what was placed in front of it, behind the lines that must stay first."""
    if not placed.text:
        return view.prefix
    head = "" if view.cut_before else _HEAD.match(view.prefix)[0]  # type: ignore[index]
    return head + placed.text + view.prefix[len(head) :]


def is_in_head(view: Window) -> bool:
    """Whether the cursor is in the first line of a file, which may have to stay the first."""
    return not view.cut_before and "\n" not in view.prefix and view.prefix[:1] in ("#", "<", "\ufeff")


@functools.lru_cache(maxsize=256)
def _counted(encode: Callable[[str], list[int]], text: str) -> int:
    """Tokens of a piece, remembered: the same pieces are taken for many keys."""
    return len(encode(text))
