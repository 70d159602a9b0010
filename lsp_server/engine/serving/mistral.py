"""Mistral's request for the text between two others, `/v1/fim/completions`, which is Codestral's: Continue, minuet, Zed
and others send it. What answers it has the form of a conversation's.

https://docs.mistral.ai/api/endpoint/fim. What names no temperature is completed as an editor of ours would be.
"""

from __future__ import annotations

import dataclasses

from lsp_server.engine.serving import wire
from lsp_server.engine.serving.wire import ApiRequest


def fim(body: bytes, vocab_size: int) -> ApiRequest:
    """The request in the body: the text between `prompt` and `suffix`, of any length where it names none. Raises
    Refusal."""
    fields = {name: value for name, value in wire.read_object(body).items() if value is not None}
    fields = {"max_tokens": -1, "seed": fields.pop("random_seed", None), **fields}
    ask = wire.request(fields, vocab_size, chat=False, lenient=True)
    return dataclasses.replace(ask, suffix=ask.suffix or "")
