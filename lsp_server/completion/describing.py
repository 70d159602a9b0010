"""A prompt as people and programs are shown it: what the model sees, where each part comes from, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lsp_server.completion.prompt import Prompt
from lsp_server.context.related.choice import LeftOut
from lsp_server.context.related.piece import Piece

if TYPE_CHECKING:
    from lsp_server.codellama import CodeLlamaTokenizer

# Of those that a summary has.
MOST_NAMES = 8


def as_json(made: Prompt, tokenizer: CodeLlamaTokenizer, found: Sequence[LeftOut] = ()) -> dict[str, Any]:
    """`found`: what was left out before there was a prompt."""
    return {
        "kind": made.kind,
        "ids": made.ids,
        "text": tokenizer.shown(made.ids),
        "stopIds": list(made.stop_ids),
        "heal": made.heal,
        "tokens": {"prompt": len(made.ids), "related": sum(each.tokens for each in made.related)},
        "related": [{**_piece(each.piece), "tokens": each.tokens, "text": each.piece.text} for each in made.related],
        "names": {name: round(nats, 1) for name, nats in made.names.items()},
        "leftOut": [{**_piece(each.piece), "reason": each.why} for each in (*made.left_out, *found)],
    }


def summary(made: Prompt, found: Sequence[LeftOut] = ()) -> list[str]:
    """A line for all of it, for each piece of other work in the prompt, for the names that may go on at the cursor, and
    for each piece that was left out."""
    related = sum(each.tokens for each in made.related)
    lines = [f"{len(made.ids)} tokens, of which {related} are of your other work."]
    lines += [f"{_named(each.piece)}: {each.tokens} tokens." for each in made.related]
    if made.names:
        named = sorted(made.names, key=lambda name: -made.names[name])
        more = f" and {len(made.names) - MOST_NAMES} more" if len(made.names) > MOST_NAMES else ""
        lines.append(f"Preferred at the cursor: {', '.join(named[:MOST_NAMES])}{more}.")
    return lines + [f"{_named(each.piece)}: left out, since {each.why}." for each in (*made.left_out, *found)]


def report(made: Prompt, tokenizer: CodeLlamaTokenizer, found: Sequence[LeftOut] = ()) -> str:
    """All that there is to read, for an editor to show."""
    return "\n".join([*summary(made, found), "", tokenizer.shown(made.ids), ""])


def _piece(piece: Piece) -> dict[str, Any]:
    line = None if piece.line is None else piece.line + 1
    return {"source": piece.source, "path": piece.path, "line": line, "why": piece.why}


def _named(piece: Piece) -> str:
    place = piece.path or "a text"
    place += "" if piece.line is None else f":{piece.line + 1}"
    return f"{place} ({piece.source}{', ' if piece.why else ''}{piece.why})"
