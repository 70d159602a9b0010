"""From a cursor in a buffer to the token ids that the model sees."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from lsp_server.context import window
from lsp_server.context.buffer import Buffer
from lsp_server.settings import Settings

if TYPE_CHECKING:
    from lsp_server.codellama import CodeLlamaTokenizer

# Kept free of the context length: control ids, and what tokens of joined pieces may add to their sum.
SLACK_TOKENS = 16


@dataclasses.dataclass(frozen=True)
class Prompt:
    """What the model is asked. `kind`: the infilling layout, or `completion` where the text after the cursor is unused.

    `pending` is white space before the cursor that the prompt leaves out and the model writes itself: a tokenizer joins
    a space to the word that follows, so a model that must go on behind a lone space sees what it never saw in training.
    """

    kind: Literal["psm", "spm", "completion"]
    ids: list[int]
    stop_ids: tuple[int, ...]
    window: window.Window
    pending: str = ""


def build(
    buffer: Buffer,
    row: int,
    column: int,
    settings: Settings,
    tokenizer: CodeLlamaTokenizer,
    context_length: int,
) -> Prompt:
    """The prompt for a suggestion at (`row`, `column`), of at most `settings.window_tokens` tokens of the buffer."""
    infilling = tokenizer.abilities.infilling
    budget = max(16, min(settings.window_tokens, context_length - settings.max_tokens - SLACK_TOKENS))
    part = window.fit(buffer.lines, row, column, budget, tokenizer, with_suffix=infilling)
    if not infilling:
        text = part.prefix.rstrip(" \t")
        return Prompt(
            "completion",
            tokenizer.completion_ids(text),
            tokenizer.completion_stop_ids,
            dataclasses.replace(part, suffix=_glance(buffer, row, column)),
            part.prefix[len(text) :],
        )
    layout = settings.layout if settings.layout != "auto" else _layout(part.prefix)
    if layout not in tokenizer.abilities.layouts:
        layout = "psm"
    ids = tokenizer.infill_ids(part.prefix, part.suffix, layout)
    return Prompt(layout, ids, tokenizer.infill_stop_ids, part)


def _layout(prefix: str) -> Literal["psm", "spm"]:
    """Suffix first, which scores better on lines and keeps what was computed while one types; but it was trained on
    text whose tokens are whole, so not in the middle of a word (Code Llama paper, section 2.3 and appendix E).
    """
    return "psm" if prefix[-1:].isalnum() or prefix.endswith("_") else "spm"


def _glance(buffer: Buffer, row: int, column: int) -> str:
    """The next lines after the cursor: not for the model, but to know what a suggestion must not repeat."""
    lines = [buffer.lines[row][column : column + 1000], *(line[:1000] for line in buffer.lines[row + 1 : row + 40])]
    return window.normalized("".join(lines))
