"""The part of a next edit that cannot be derived, infilled by the model of the suggestions where it is sure enough."""

from __future__ import annotations

import dataclasses
import re

from lsp_server.completion.suggest import Asked, generate, prepare
from lsp_server.context.buffer import Buffer, split_lines
from lsp_server.context.related.piece import Added, Piece
from lsp_server.model.access import Reached
from lsp_server.model.client import PRIORITY_ACTION
from lsp_server.next_edit.documents import Document
from lsp_server.next_edit.names import WITH_SELF, hits, is_visible
from lsp_server.next_edit.proposal import GAP, Hole, applied
from lsp_server.next_edit.tokens import tokens
from lsp_server.settings import Settings

# What the model finds less probable is not offered: nobody asked for it.
LEAST_PROBABILITY = 0.3
# Seconds that reading the place may take, tokens around it, of the change, and of a line of the answer.
READ_SECONDS, FEWEST_TOKENS, WINDOW_TOKENS, CHANGE_TOKENS, MOST_TOKENS = 0.2, 128, 384, 64, 32
_OPEN, _CLOSE = ("(", "[", "{"), (")", "]", "}")
# Words that need not stand anywhere in the text to be written.
_KNOWN = re.compile(
    r"None|True|False|null|nil|undefined|true|false|return|self|this|new|await|not|and|or|in|is|if|else|for|break|"
    r"continue|pass|raise|throw|yield|const|let|var|str|int|float|bool|len|list|dict|set|tuple|range|max|min|print|"
    r"console|log|String|format|panic|fmt|std"
)


async def text_for(model: Reached, hole: Hole, document: Document, settings: Settings) -> str:
    """What the model writes in a hole of a document; "" where it cannot, or is not sure.

    Raises EngineLost, EngineRefused, ModelUnavailable. Cancelling ends the work in the engine as well."""
    asked = asked_for(model, hole, document, settings)
    if asked is None:
        return ""
    made = await generate(model, asked, _settings(model, settings, hole), priority=PRIORITY_ACTION)
    sure = bool(made.line) and made.probability >= LEAST_PROBABILITY
    return made.text.rstrip() if sure else ""


def asked_for(model: Reached, hole: Hole, document: Document, settings: Settings) -> Asked | None:
    """What the model is asked; None where it cannot infill, or where the hole does not fit the text."""
    if not model.tokenizer.abilities.infilling:
        return None
    made = applied(document.lines, hole.known)
    if made is None:
        return None
    before, _, after = made.partition(GAP)
    buffer = Buffer(hole.known.uri, before + after, language_id=document.language_id)
    row, column = before.count("\n"), len(before) - before.rfind("\n") - 1
    # Also where the model sees it from the place: it is right more often then.
    related = Added((Piece("edits", "", hole.shown),) if hole.shown.strip() else ())
    asked = prepare(model, buffer, row, column, _settings(model, settings, hole), related)
    return asked if isinstance(asked, Asked) else None


def _settings(model: Reached, settings: Settings, hole: Hole) -> Settings:
    speed = model.client.prefill_tokens_per_second or model.prefill_tokens_per_second or 0.0
    in_time = int(speed * READ_SECONDS) - CHANGE_TOKENS if speed else WINDOW_TOKENS
    return dataclasses.replace(
        settings,
        max_tokens=MOST_TOKENS * hole.lines,
        window_tokens=max(FEWEST_TOKENS, min(WINDOW_TOKENS, in_time)),
        related_tokens=CHANGE_TOKENS,
        multiline="always" if hole.lines > 1 else "never",
        temperature=0.0,
        min_probability=LEAST_PROBABILITY,  # so that the model says how sure it is
        time_budget_ms=0,
    )


def is_fit(text: str, hole: Hole, document: Document) -> bool:
    """Whether what the model wrote can stand in a hole: no more than what is missing, and of names that are known."""
    if GAP in text or len(split_lines(text)) > hole.lines or not text.strip():
        return False
    if hole.is_item and text.strip() == hole.known.new.replace(GAP, "").strip(", ()"):
        return False  # it says the one beside it again
    if in_quotes(hole):
        return not set("\"'`\n") & set(text)
    depth, ahead = 0, ""
    for token in tokens(text):
        depth += (token.text in _OPEN) - (token.text in _CLOSE)
        if depth < 0 or (hole.is_item and depth == 0 and token.text in (",", ";", "=")):
            return False
        if token.is_word and ahead not in (".", "->", "::") and not _KNOWN.fullmatch(token.text):
            if hole.is_item and not _is_visible(token.text, hole, document):
                return False
            if not re.search(rf"\b{re.escape(token.text)}\b", "".join(document.source)):
                return False
        ahead = token.text
    return depth == 0


def _is_visible(name: str, hole: Hole, document: Document) -> bool:
    """Whether a name means something at a place, as a variable or as a member that needs no `self`."""
    tree = document.tree
    if tree is None:
        return False
    row, column = hole.known.row, len(document.lines[hole.known.row][: hole.known.column].encode())
    node = tree.root.descendant_for_point_range((row, column), (row, column))
    free = tree.language.id not in WITH_SELF and any(hit.role == "member" and hit.binds for hit in hits(tree, name))
    return node is not None and (free or is_visible(tree, name, node))


def in_quotes(hole: Hole) -> bool:
    """Whether what goes in a hole is the text of a string."""
    ahead = hole.known.new.partition(GAP)[0].rpartition("\n")[2]
    return any(ahead.count(quote) % 2 for quote in "\"'`")
