"""From a cursor in a buffer to the token ids that the model sees."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from lsp_server.completion import placing
from lsp_server.completion.placing import Taken
from lsp_server.completion.scanner import in_word
from lsp_server.context import masking, window
from lsp_server.context.buffer import Buffer
from lsp_server.context.languages import language
from lsp_server.context.related.choice import LeftOut
from lsp_server.context.related.piece import NOTHING_ADDED, Added, Piece
from lsp_server.settings import Settings

if TYPE_CHECKING:
    from lsp_server.codellama import CodeLlamaTokenizer

_masked = functools.lru_cache(maxsize=256)(masking.masked)

# Kept free of the context length: control ids, and what tokens of joined pieces may add to their sum.
SLACK_TOKENS = 16


# The end of a prompt that may belong to a token with what comes next: a word, signs, a space, or a line's end.
_TAIL = re.compile(r"(?:\w+|[^\w\s]+|[^\S\n]+|\n)\Z")
# Of a long word only the end: its first tokens are those that the whole word has, too.
MOST_HEALED = 4


@dataclasses.dataclass(frozen=True)
class Prompt:
    """What the model is asked. `kind`: the infilling layout, or `completion` where the text after the cursor is unused.

    `heal`: how many of the last ids count only as text, since the cursor may stand inside a token. `pending` is what
    the answer begins with that is in the buffer already: the text of those ids. `related` are the pieces of other files
    in front of the window, and `left_out` those for which there was no room. `names`: how the name at the cursor may go
    on, with what the engine is to add for each; the model does not see them.
    """

    kind: Literal["psm", "spm", "completion"]
    ids: list[int]
    stop_ids: tuple[int, ...]
    window: window.Window
    heal: int = 0
    pending: str = ""
    related: tuple[Taken, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    names: Mapping[str, float] = dataclasses.field(default_factory=dict)


def most_related(settings: Settings, tokenizer: CodeLlamaTokenizer) -> int:
    """Most tokens of other files in a prompt: as the settings have it, or else the checkpoint."""
    return settings.related_tokens if settings.related_tokens >= 0 else tokenizer.related_tokens


def build(
    buffer: Buffer,
    row: int,
    column: int,
    settings: Settings,
    tokenizer: CodeLlamaTokenizer,
    context_length: int,
    *,
    healing: bool,
    related: Added = NOTHING_ADDED,
) -> Prompt:
    """The prompt for a suggestion at (`row`, `column`), of at most `settings.window_tokens` tokens of the buffer, and
    `settings.related_tokens` of the `related` pieces of other files.

    `healing`: whether the engine can choose the last tokens anew. Where the settings name another machine, values that
    look like keys or passwords are masked.
    """
    infilling = tokenizer.abilities.infilling
    pieces: Sequence[Piece] = related.pieces
    if settings.engine_url:
        pieces = [dataclasses.replace(each, text=_masked(each.text)) for each in pieces]
    room = context_length - settings.max_tokens - SLACK_TOKENS
    wanted = settings.window_tokens or window.automatic(None, remote=bool(settings.engine_url))
    budget = max(16, min(wanted, room))
    share = min(most_related(settings, tokenizer), budget // 2)
    placed = placing.fit(pieces, language(buffer.language_id, buffer.uri), share, tokenizer)
    budget = max(16, min(budget, room - placed.tokens))
    part = window.fit(buffer.lines, row, column, budget, tokenizer, with_suffix=infilling)
    if settings.engine_url:
        prefix, suffix = masking.around(part.prefix, part.suffix)
        part = dataclasses.replace(part, prefix=prefix, suffix=suffix)
    if placing.is_in_head(part):
        placed = placing.Placed(left_out=tuple(LeftOut(each, "the first line must stay the first") for each in pieces))
    before = placing.before(placed, part)
    if not infilling:
        part = dataclasses.replace(part, suffix=_glance(buffer, row, column))
    made = _made(before, part, settings, tokenizer, healing=healing)
    return dataclasses.replace(made, related=placed.taken, left_out=placed.left_out, names=related.names)


def _made(
    before: str, part: window.Window, settings: Settings, tokenizer: CodeLlamaTokenizer, *, healing: bool
) -> Prompt:
    """The prompt with `before` as the text before the cursor, which ends with what the window has there."""
    if not tokenizer.abilities.infilling:
        stop_ids = tokenizer.completion_stop_ids
        if healing:
            ids = tokenizer.completion_ids(before)
            return Prompt("completion", ids, stop_ids, part, *tail(tokenizer, ids, part.prefix))
        # A tokenizer joins a space to the word that follows, so the model writes the white space itself.
        text = before.rstrip(" \t")
        return Prompt("completion", tokenizer.completion_ids(text), stop_ids, part, 0, before[len(text) :])
    layout = settings.layout if settings.layout != "auto" else _layout(part.prefix, healing)
    if layout not in tokenizer.abilities.layouts:
        layout = "psm"
    ids = tokenizer.infill_ids(before, part.suffix, layout)
    healed = tail(tokenizer, ids, part.prefix) if healing and layout == "spm" else (0, "")
    return Prompt(layout, ids, tokenizer.infill_stop_ids, part, *healed)


def _layout(prefix: str, healing: bool) -> Literal["psm", "spm"]:
    """Suffix first, which scores better on lines and keeps what was computed while one types. It was trained on text
    whose tokens are whole, so in the middle of a word only with healing (Code Llama paper, section 2.3, appendix E).
    """
    return "psm" if in_word(prefix[-1:]) and not healing else "spm"


def tail(tokenizer: CodeLlamaTokenizer, ids: list[int], prefix: str) -> tuple[int, str]:
    """(how many of the last ids hold the end of the prefix that may be inside a token, their text)"""
    found = _TAIL.search(prefix[-64:])
    wanted = len(found.group().encode()) if found else 0
    end = prefix[-256:].encode()
    spelled, count = b"", 0
    while count < MOST_HEALED and len(spelled) < wanted and count + 1 < len(ids):
        piece = tokenizer.vocabulary.bytes_of(ids[-count - 1])
        if not piece or not end.endswith(piece + spelled):  # a control token, or the implicit first space
            break
        spelled, count = piece + spelled, count + 1
    try:
        return count, spelled.decode()
    except UnicodeDecodeError:  # only a part of a character's bytes
        return 0, ""


def _glance(buffer: Buffer, row: int, column: int) -> str:
    """The next lines after the cursor: not for the model, but to know what a suggestion must not repeat."""
    lines = [buffer.lines[row][column : column + 1000], *(line[:1000] for line in buffer.lines[row + 1 : row + 40])]
    return window.normalized("".join(lines))
