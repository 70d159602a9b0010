"""A turn of chat: from messages to the answer, as it is generated."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

from lsp_server.engine.generating.request import Prefill
from lsp_server.errors import UserError
from lsp_server.model.access import Reached
from lsp_server.model.answering import Answer, Question
from lsp_server.model.client import PRIORITY_CHAT, Choice
from lsp_server.settings import Settings


class TooLong(UserError):
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
    """What an answer costs, as `Delta` describes it, also of one that was stopped."""

    def __init__(self, prompt_tokens: int) -> None:
        self.answer: Answer | None = None  # once the model is asked
        self._prompt_tokens = prompt_tokens
        self._started = time.perf_counter()

    def total(self) -> dict[str, Any]:
        answer = self.answer
        generated = answer.tokens if answer else 0
        first = answer.first if answer else 0.0
        seconds = time.perf_counter() - first
        details = answer.usage.get("prompt_tokens_details") if answer else None
        return {
            "promptTokens": self._prompt_tokens,
            "reusedTokens": details.get("cached_tokens") or 0 if isinstance(details, dict) else 0,
            "generatedTokens": generated,
            "firstTokenMs": round(1000 * (first - self._started), 1) if first else None,
            "tokensPerSecond": round(max(0, generated - 1) / seconds, 1) if first and seconds > 0 else None,
        }


async def answer(
    model: Reached,
    messages: Sequence[dict[str, str]],
    *,
    max_tokens: int,
    temperature: float,
) -> AsyncGenerator[Delta, None]:
    """The model's answer to a dialog, whose last message is the user's.

    Raises DialogError for a dialog that cannot be right, and as `continuation`. Close the iterator to stop.
    """
    ids = model.tokenizer.dialog_ids(list(messages))
    choice = Choice(temperature, top_p=Settings.chat_top_p)
    deltas = continuation(model, ids, max_tokens=max_tokens, choice=choice, messages=messages)
    async with contextlib.aclosing(deltas):
        async for delta in deltas:
            yield delta


async def continuation(
    model: Reached,
    ids: Sequence[int],
    *,
    max_tokens: int,
    choice: Choice,
    cost: Cost | None = None,
    messages: Sequence[Mapping[str, Any]] = (),
    on_prefill: Callable[[Prefill], None] | None = None,
) -> AsyncGenerator[Delta, None]:
    """The answer to a dialog that is token ids already, at most as long as the context has room.

    `messages`: those of the ids, for a server that takes no ids. `cost` counts along, for callers that may stop.
    `on_prefill` is told how far the prompt is read. Raises TooLong, EngineLost, EngineRefused, ModelUnavailable. Close
    the iterator to stop.
    """
    tokenizer = model.tokenizer
    room = model.context_length - len(ids)
    if room < 1:
        raise TooLong(
            f"The conversation is {len(ids)} tokens long, but {model.model} has room for {model.context_length}."
        )
    cost = cost or Cost(len(ids))
    answer = cost.answer = Answer(
        model,
        Question(
            ids,
            tokenizer.dialog_stop_ids,
            min(max_tokens, room),
            choice=dataclasses.replace(choice, logit_bias=tokenizer.dialog_bias),
            priority=PRIORITY_CHAT,
            ends_circles=True,
            messages=messages,
            on_prefill=on_prefill,
        ),
    )
    begun = False
    async with contextlib.aclosing(answer.parts()) as parts:
        async for part in parts:
            for number, text in enumerate(part, 1):
                if not begun:  # the space that a first word brings along is not part of the answer
                    text = text.lstrip()
                    begun = bool(text)
                last = bool(answer.finish_reason) and number == len(part)
                yield Delta(text, answer.finish_reason, cost.total()) if last else Delta(text)
