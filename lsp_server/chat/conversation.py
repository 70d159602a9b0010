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
    """A part of an answer; one for each token, so that some are empty: a character may need several tokens.

    The last one has `finish_reason` and what the answer cost: `promptTokens`, of which `reusedTokens` were computed
    before, `generatedTokens`, `firstTokenMs` from the request to the first token, `tokensPerSecond` after it.
    """

    text: str = ""
    finish_reason: str = ""
    cost: dict[str, Any] = dataclasses.field(default_factory=dict)


class Cost:
    """What an answer costs, as `Delta` describes it. Time runs from when this is made."""

    def __init__(self, prompt_tokens: int) -> None:
        self._prompt_tokens = prompt_tokens
        self._started, self._first, self._generated = time.perf_counter(), 0.0, 0

    def count(self, tokens: int) -> None:
        self._first = self._first or time.perf_counter()
        self._generated += tokens

    def total(self, usage: dict[str, Any]) -> dict[str, Any]:
        """With `usage` as the engine sent it, which counts also where it sends no ids; {} for an answer that was
        stopped."""
        generated = self._generated or int(usage.get("completion_tokens") or 0)
        seconds = time.perf_counter() - self._first
        return {
            "promptTokens": self._prompt_tokens,
            "reusedTokens": (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0,
            "generatedTokens": generated,
            "firstTokenMs": round(1000 * (self._first - self._started), 1) if self._first else None,
            "tokensPerSecond": round(max(0, generated - 1) / seconds, 1) if self._first and seconds > 0 else None,
        }


async def answer(
    model: Reached,
    messages: Sequence[dict[str, str]],
    *,
    max_tokens: int = 1024,
    temperature: float = 0.2,
    seed: int | None = None,
) -> AsyncGenerator[Delta, None]:
    """The model's answer to a dialog, whose last message is the user's.

    Raises DialogError for a dialog that cannot be right, TooLong, EngineLost, EngineRefused. Close the iterator to
    stop.
    """
    ids = model.tokenizer.dialog_ids(list(messages))
    deltas = continuation(model, ids, max_tokens=max_tokens, temperature=temperature, seed=seed)
    async with contextlib.aclosing(deltas):
        async for delta in deltas:
            yield delta


async def continuation(
    model: Reached,
    ids: Sequence[int],
    *,
    max_tokens: int,
    temperature: float,
    seed: int | None = None,
    cost: Cost | None = None,
) -> AsyncGenerator[Delta, None]:
    """The answer to a dialog that is token ids already, at most as long as the context has room.

    `cost` counts along, for callers that may stop. Raises TooLong, EngineLost, EngineRefused. Close the iterator to
    stop.
    """
    tokenizer = model.tokenizer
    room = model.context_length - len(ids)
    if room < 1:
        raise TooLong(
            f"The conversation is {len(ids)} tokens long, but {model.model} has room for {model.context_length}."
        )
    cost = cost or Cost(len(ids))
    decoder = tokenizer.decoder()
    pieces = model.client.complete(
        ids,
        max_tokens=min(max_tokens, room),
        stop_ids=tokenizer.dialog_stop_ids,
        temperature=temperature,
        top_p=0.95,
        seed=seed,
        priority=PRIORITY_CHAT,
        logit_bias=tokenizer.dialog_bias,
    )
    begun = False
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            cost.count(len(piece.ids))
            # One part for each token, also where the engine sends several at once.
            texts = [decoder.push([each]) for each in piece.ids] or ([piece.text] if piece.text else [])
            if piece.finish_reason:
                texts.append(decoder.flush())
            for number, text in enumerate(texts, 1):
                if not begun:  # the space that a first word brings along is not part of the answer
                    text = text.lstrip()
                    begun = bool(text)
                last = bool(piece.finish_reason) and number == len(texts)
                yield Delta(text, piece.finish_reason, cost.total(piece.usage)) if last else Delta(text)
