"""Whether an editor would show of itself what `complete` shows, which is asked for by hand."""

from __future__ import annotations

from lsp_server.completion.suggest import Asked, Suggestion, least_probability, prepare
from lsp_server.completion.unasked import why_none, why_off
from lsp_server.context.buffer import Buffer
from lsp_server.context.related.piece import NOTHING_ADDED, Added
from lsp_server.model.access import Reached
from lsp_server.settings import Settings


def why_hidden(
    model: Reached, buffer: Buffer, suggestion: Suggestion, settings: Settings, related: Added = NOTHING_ADDED
) -> str:
    """Why an editor would not show a suggestion, or not unless it is asked for one, as one sentence, or ""."""
    if not suggestion.text:
        return ""
    if off := why_off(buffer, settings):
        return off
    asked = prepare(model, buffer, suggestion.row, suggestion.column, settings, related)
    if isinstance(asked, Asked) and (reason := why_none(asked.here, settings)):
        return reason
    least = least_probability(model, settings)
    if suggestion.probability >= least:
        return ""
    return (
        f"The model finds it {100 * suggestion.probability:.0f}% probable; below {100 * least:.0f}% no suggestion "
        "comes of itself (codellama.minProbability)."
    )
