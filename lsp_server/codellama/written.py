"""Infilling prompts that a program wrote as text, since its API has no place for a suffix.

Sent as text they would lose their control tokens, or have them made of what the user wrote. So they are taken apart,
and the prompt is made anew from ids.
"""

from __future__ import annotations

from .errors import InfillingUnsupported

_FORMS = (
    ("<PRE> ", " <SUF>", " <MID>"),  # Code Llama as Meta's card and Ollama write it: Zed, Continue, twinny
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # what programs take for the form where they
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # do not know the model's name
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
)


def written_infill(text: str) -> tuple[str, str] | None:
    """(prefix, suffix) of a text that is an infilling prompt of one of these forms, from its first character to its
    last; None where it is none. Raises InfillingUnsupported where it cannot be told where the suffix begins."""
    for begin, between, end in _FORMS:
        if not text.startswith(begin) or not text.endswith(end):
            continue
        prefix, found, suffix = text[len(begin) : -len(end)].partition(between)
        if not found:
            return None
        if between in suffix:
            raise InfillingUnsupported(
                f"The prompt holds {between.strip()} more than once, so it cannot be told where the suffix begins: "
                "send the suffix as a field of its own."
            )
        return prefix, suffix
    return None
