"""Places and answers as the tests write them.

`¦` marks the cursor; in an answer `⟂` marks what is kept of it, and all of it is where there is none.
"""

from __future__ import annotations

from lsp_server.completion.filters import tidy
from lsp_server.completion.stopping import Place, end_of, place_at


def at(buffer: str, language: str = "python") -> Place:
    prefix, _, suffix = buffer.partition("¦")
    return place_at(prefix, suffix, "auto", language_id=language)


def split(answer: str) -> tuple[str, str]:
    """(what is kept, the whole)"""
    kept, _, rest = answer.partition("⟂")
    return kept, kept + rest


def is_never_stopped_too_early(language: str, buffer: str, answer: str) -> bool:
    """Whether nothing that is kept is missing where the answer is stopped as soon as that can be."""
    kept, written = split(answer)
    here = at(buffer, language)
    found = (end for stop in range(len(written) + 1) if (end := end_of(written[:stop], here)) is not None)
    end = next(found, None)
    return end is None or tidy(written[:end], here, finished=True)[0] == kept
