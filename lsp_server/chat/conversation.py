"""A turn of chat: from messages to the answer, as it is generated."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from lsp_server.model.access import Reached
from lsp_server.model.client import PRIORITY_CHAT


class TooLong(ValueError):
    """The messages do not fit the model's context; the message has both numbers."""


@dataclasses.dataclass(frozen=True)
class Delta:
    """A part of an answer. The last one has `finish_reason` and what the answer cost."""

    text: str = ""
    finish_reason: str = ""
    cost: dict[str, Any] = dataclasses.field(default_factory=dict)


async def answer(
    model: Reached,
    messages: Sequence[dict[str, str]],
    *,
    max_tokens: int = 1024,
    temperature: float = 0.2,
    seed: int | None = None,
) -> AsyncGenerator[Delta, None]:
    """The model's answer to a dialog, whose last message is the user's.

    Raises DialogError for a dialog that cannot be right, TooLong, EngineLost, EngineRefused. Close it to stop.
    """
    tokenizer = model.tokenizer
    ids = tokenizer.dialog_ids(list(messages))
    room = model.context_length - len(ids)
    if room < 1:
        raise TooLong(
            f"The conversation is {len(ids)} tokens long, but {model.model} has room for {model.context_length}."
        )
    started, first, count = time.perf_counter(), 0.0, 0
    decoder = tokenizer.decoder()
    pieces = model.client.complete(
        ids,
        max_tokens=min(max_tokens, room),
        stop_ids=tokenizer.dialog_stop_ids,
        temperature=temperature,
        top_p=0.95,
        seed=seed,
        priority=PRIORITY_CHAT,
    )
    begun = False
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            first = first or time.perf_counter()
            count += len(piece.ids)
            text = decoder.push(piece.ids) if piece.ids else piece.text
            text += decoder.flush() if piece.finish_reason else ""
            if not begun:  # the space that a first word brings along is not part of the answer
                text = text.lstrip()
                begun = bool(text)
            cost: dict[str, Any] = {}
            if piece.finish_reason:
                seconds = time.perf_counter() - first
                cost = {
                    "promptTokens": len(ids),
                    "reusedTokens": (piece.usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0),
                    "generatedTokens": count,
                    "firstTokenMs": round(1000 * (first - started), 1),
                    "tokensPerSecond": round(max(0, count - 1) / seconds, 1) if seconds > 0 else None,
                }
            if text or cost:
                yield Delta(text, piece.finish_reason, cost)
