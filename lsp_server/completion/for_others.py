"""Prompts for programs that are not ours: made as for our own suggestions, of what they send."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lsp_server.codellama import CodeLlamaTokenizer, InfillingUnsupported
from lsp_server.completion import prompt
from lsp_server.context.buffer import Buffer, split_lines
from lsp_server.context.languages import LANGUAGES, language
from lsp_server.context.related.piece import Added, Piece
from lsp_server.context.window import CHARACTERS_PER_TOKEN, normalized
from lsp_server.engine.serving.state import Extra, InfillPrompt
from lsp_server.settings import Settings


def infill(
    tokenizer: CodeLlamaTokenizer,
    prefix: str,
    suffix: str,
    extra: Sequence[Extra],
    *,
    context_length: int,
    max_tokens: int,
) -> InfillPrompt:
    """The prompt for the text between `prefix` and `suffix`, with `extra`, the most useful last, as comments in front.

    Of what does not fit, the window around the place is kept, and of `extra` what has room beside it. Raises
    InfillingUnsupported where the model does not infill.
    """
    if not tokenizer.abilities.infilling:
        raise InfillingUnsupported(tokenizer.abilities.infilling_reason)
    prefix, suffix = normalized(prefix), normalized(suffix)
    lines = split_lines(prefix)
    answer = min(max_tokens, context_length // 2)
    room = context_length - answer - prompt.SLACK_TOKENS
    related = max(0, room - _tokens(tokenizer, room, prefix, suffix))
    settings = Settings(max_tokens=answer, window_tokens=context_length, related_tokens=related)
    buffer = Buffer("", prefix + suffix, language_id=_language(extra))
    others = [Piece("open", each.filename, each.text) for each in reversed(extra) if each.text.strip()]
    made = prompt.build(
        buffer,
        len(lines) - 1,
        len(lines[-1]),
        settings,
        tokenizer,
        context_length,
        healing=True,
        related=Added(tuple(others)),
    )
    cut = made.window.cut_before or made.window.cut_after or bool(made.left_out)
    return InfillPrompt(made.ids, made.stop_ids, made.heal, made.pending, cut)


def _tokens(tokenizer: CodeLlamaTokenizer, room: int, *texts: str) -> int:
    """Tokens of the texts; `room` where they have no room anyway."""
    if sum(map(len, texts)) > room * CHARACTERS_PER_TOKEN:
        return room
    return sum(len(tokenizer.encode_raw(text)) for text in texts)


def _language(extra: Sequence[Extra]) -> str:
    """The language that most of the other files are in: these programs do not say which the buffer's is."""
    found = Counter(language("", each.filename).id for each in extra)
    known = [(count, each) for each, count in found.items() if each in LANGUAGES]
    return max(known)[1] if known else ""
