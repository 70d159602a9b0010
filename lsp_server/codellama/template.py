"""A checkpoint's own chat template, for models outside the Code Llama family: from its text to ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from .dialog import Message
from .vocabulary import Vocabulary

Render = Callable[[str, list[dict[str, str]], Mapping[str, str]], str]
"""(template, messages, special tokens) -> text; see `rendering.rendered`."""

_PRIVATE_USE = range(0xF0000, 0xFFFFE)


def template_ids(
    turns: Sequence[Message], template: str, special: Mapping[str, str], vocabulary: Vocabulary, render: Render
) -> list[int]:
    """Ids of the rendered template, its control tokens as control tokens, those in the messages as plain text.

    What a message holds of control tokens is replaced by private characters while the template is rendered, and put
    back once the control tokens of the template itself have been found. Raises what `render` raises.
    """
    found = sorted({token for turn in turns for _, token in _found(turn.content, vocabulary)})
    everything = {char for turn in turns for char in turn.content} if found else set()
    free = (chr(code) for code in _PRIVATE_USE if chr(code) not in everything)
    stand_in = dict(zip(found, free, strict=False))
    messages = [{"role": turn.role, "content": _replaced(turn.content, vocabulary, stand_in)} for turn in turns]
    restore = str.maketrans({char: token for token, char in stand_in.items()})

    text = render(template, messages, special)
    ids: list[int] = []
    at, strip_next = 0, False
    for place, name in [*_found(text, vocabulary), (len(text), "")]:
        segment = text[at:place]
        token = vocabulary.control.get(name)
        if strip_next:
            segment = segment.lstrip()
        if token and token.lstrip:
            segment = segment.rstrip()
        leading = vocabulary.prefixing == "always" or (vocabulary.prefixing == "first" and at == 0)
        ids += vocabulary.encode(segment.translate(restore), leading_space=leading)
        if token:
            ids.append(token.id)
            at, strip_next = place + len(name), token.rstrip
    return ids


def _found(text: str, vocabulary: Vocabulary) -> Iterator[tuple[int, str]]:
    """(place, token) of the control tokens in a text, from left to right, the longest where several begin."""
    lengths, end = vocabulary.control_lengths, 0
    for match in vocabulary.control_starts.finditer(text):
        at = match.start()
        if at < end:
            continue
        for length in lengths[text[at]]:
            if (token := text[at : at + length]) in vocabulary.control:
                yield at, token
                end = at + length
                break


def _replaced(text: str, vocabulary: Vocabulary, stand_in: Mapping[str, str]) -> str:
    parts, at = [], 0
    for place, token in _found(text, vocabulary):
        parts += [text[at:place], stand_in[token]]
        at = place + len(token)
    return "".join([*parts, text[at:]])
