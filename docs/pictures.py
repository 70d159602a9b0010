"""Draws what the model sees, token by token, with the ids that the program itself makes.

Called by generate.py. The vocabulary is that of the tests.
"""

from __future__ import annotations

import html
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import checkpoints

from lsp_server.codellama import CodeLlamaTokenizer

WIDTH, HEIGHT, GAP, LETTER, MARGIN = 800, 46, 4, 7.6, 14
COLOURS = {
    "mark": ("#3b3f51", "#ffffff"),
    "before the cursor": ("#cfe1fb", "#10243f"),
    "after the cursor": ("#fbdfc4", "#42260a"),
    "the model's": ("#cdeccd", "#0f3312"),
    "format": ("#e4e4ea", "#2a2a33"),
    "system": ("#ead6f5", "#351447"),
    "user": ("#cfe1fb", "#10243f"),
    "assistant": ("#cdeccd", "#0f3312"),
}

BOS, EOS, PRE, SUF = 1, 2, 32007, 32008
PREFIX, SUFFIX, MIDDLE = "def add(a, b):\n    return", "\n\nprint(add(1, 2))\n", " a + b"
SYSTEM, QUESTION, ANSWER, AGAIN = "Answer briefly.", "What is a heap?", "A tree in an array.", "Why?"
DIALOG = (("system", SYSTEM), ("user", QUESTION), ("assistant", ANSWER), ("user", AGAIN))


@dataclass(frozen=True)
class Token:
    """One token: its text, id and part, which is one of COLOURS."""

    text: str
    id: int
    part: str


def infilling(tokenizer: CodeLlamaTokenizer, layout: Literal["psm", "spm"]) -> list[Token]:
    """The prompt for what belongs between PREFIX and SUFFIX, and what the model goes on with."""
    tokens, part = [], "mark"
    for id in tokenizer.infill_ids(PREFIX, SUFFIX, layout=layout):
        is_mark, piece = id in (BOS, PRE, SUF, checkpoints.MID), _piece("7b", id)
        tokens.append(Token(piece.strip(" "), id, "mark") if is_mark else Token(piece, id, part))
        if id == SUF:
            part = "after the cursor"
        elif is_mark:
            part = "before the cursor"
    made = [*tokenizer.encode_raw(MIDDLE), checkpoints.EOT]
    return tokens + [Token(_piece("7b", id).replace(" <EOT>", "<EOT>"), id, "the model's") for id in made]


def chat(tokenizer: CodeLlamaTokenizer, kind: checkpoints.Kind) -> list[Token]:
    """The prompt for DIALOG."""
    ids = tokenizer.dialog_ids([{"role": role, "content": content} for role, content in DIALOG])
    pieces = [_piece(kind, id) for id in ids]
    whole, spans, at = "".join(pieces), [], 0
    for role, content in DIALOG:
        at = whole.index(content, at)
        spans.append((at, at + len(content), role))
        at += len(content)
    tokens, start = [], 0
    for id, piece in zip(ids, pieces, strict=True):
        end = start + len(piece)
        role = next((role for first, last, role in spans if first < end and start < last), "format")
        tokens.append(Token(piece, id, "mark" if id in (BOS, EOS, checkpoints.STEP) else role))
        start = end
    return tokens


def picture(tokens: Sequence[Token], title: str) -> str:
    """An SVG of tokens in lines, each with its id, on a ground of its own so that it reads in a dark page too."""
    boxes, x, y = [], float(MARGIN), MARGIN
    for token, after in itertools.zip_longest(tokens, tokens[1:]):
        shown = token.text.replace(" ", "␣").replace("\n", "↵")
        width = max(len(shown), len(str(token.id))) * LETTER + 12
        if x + width > WIDTH - MARGIN:
            x, y = float(MARGIN), y + HEIGHT + GAP
        fill, ink = COLOURS[token.part]
        middle = x + width / 2
        boxes += [
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{HEIGHT}" rx="5" fill="{fill}"/>',
            f'<text x="{middle:.1f}" y="{y + 19}" fill="{ink}">{html.escape(shown)}</text>',
            f'<text x="{middle:.1f}" y="{y + 37}" fill="{ink}" font-size="11" opacity=".75">{token.id}</text>',
        ]
        x += width + GAP
        if shown == "↵" and after and after.text != "\n":
            x, y = float(MARGIN), y + HEIGHT + GAP
    y += HEIGHT + 12 if x > MARGIN else 8 - GAP
    x = float(MARGIN)
    for part in dict.fromkeys(token.part for token in tokens):
        boxes.append(f'<rect x="{x:.1f}" y="{y}" width="14" height="14" rx="3" fill="{COLOURS[part][0]}"/>')
        boxes.append(f'<text x="{x + 20:.1f}" y="{y + 12}" fill="#333" text-anchor="start">{html.escape(part)}</text>')
        x += 44 + len(part) * LETTER
    height = y + 14 + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"',
            '  font-family="ui-monospace, Menlo, Consolas, monospace" font-size="12.5" text-anchor="middle">',
            f"<title>{html.escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#fcfcfd"/>',
            *boxes,
            "</svg>\n",
        ]
    )


def _piece(kind: checkpoints.Kind, id: int) -> str:
    return checkpoints.pieces(kind)[id].replace("▁", " ").replace("<0x0A>", "\n")
