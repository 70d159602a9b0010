"""From a cursor to a suggestion worth showing, or to the reason why there is none."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable
from typing import Any

from lsp_server.completion import prompt as prompts
from lsp_server.completion.filters import tidy
from lsp_server.completion.stopping import Place, end_of, fits_before, place
from lsp_server.context.buffer import Buffer
from lsp_server.model.access import Reached
from lsp_server.model.client import PRIORITY_COMPLETION
from lsp_server.settings import Settings

TEMPERATURE = 0.7  # of suggestions other than the most likely one


@dataclasses.dataclass(frozen=True)
class Suggestion:
    """`text` goes in at (`row`, `column`), in characters. Where it is empty, `reason` says why in one sentence.

    `timings`: prompt tokens, tokens generated, and milliseconds for the prompt, to the first token, and altogether; or
    `known`, where the model was not asked.
    """

    row: int
    column: int
    text: str = ""
    reason: str = ""
    prompt: prompts.Prompt | None = None
    timings: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Asked:
    """What the model is to be asked for a suggestion at (`row`, `column`), ready to be sent."""

    row: int
    column: int
    prompt: prompts.Prompt
    here: Place
    prompt_ms: float


async def suggest(model: Reached, buffer: Buffer, row: int, column: int, settings: Settings) -> Suggestion:
    """The suggestion at (`row`, `column`), a position inside the buffer.

    Raises EngineLost, EngineRefused. Cancelling ends the work in the engine as well.
    """
    asked = prepare(model, buffer, row, column, settings)
    return asked if isinstance(asked, Suggestion) else await generate(model, asked, settings)


def prepare(model: Reached, buffer: Buffer, row: int, column: int, settings: Settings) -> Asked | Suggestion:
    """What to ask the model, or the empty suggestion where it need not be asked. What happens to the buffer later is of
    no consequence."""
    started = time.perf_counter()
    none = Suggestion(row, column)
    if not fits_before(buffer.lines[row][column:]):
        return dataclasses.replace(none, reason="There is code to the right of the cursor.")
    prompt = prompts.build(buffer, row, column, settings, model.tokenizer, model.context_length, healing=model.heals)
    view = prompt.window
    if not prompt.ids or (prompt.kind == "completion" and not view.prefix.strip()):
        return dataclasses.replace(none, prompt=prompt, reason="There is nothing before the cursor to go on.")
    here = place(view.prefix, view.suffix, settings.multiline, cut_after=view.cut_after)
    return Asked(row, column, prompt, here, _ms(started, time.perf_counter()))


async def generate(
    model: Reached,
    asked: Asked,
    settings: Settings,
    *,
    priority: int = PRIORITY_COMPLETION,
    seed: int | None = None,
    on_text: Callable[[str], None] = lambda text: None,
) -> Suggestion:
    """The model's answer as a suggestion: the most likely one, or, with a `seed`, another that it might write.
    `on_text` is told what it has written so far, each time there is more.

    Raises EngineLost, EngineRefused. Cancelling ends the work in the engine as well.
    """
    started = time.perf_counter()
    answer = await _answer(model, asked, settings, priority, seed, on_text)
    if answer.text is None:
        text, reason = "", "The model would go on with other text than there is before the cursor."
    else:
        text, reason = tidy(answer.text, asked.here, finished=answer.finished)
    timings = {
        "promptTokens": len(asked.prompt.ids),
        "tokens": answer.tokens,
        "promptMs": asked.prompt_ms,
        "firstTokenMs": _ms(started, answer.first) if answer.first else None,
        "totalMs": round(asked.prompt_ms + _ms(started, time.perf_counter()), 2),
        **({"usage": answer.usage} if answer.usage else {}),
    }
    return Suggestion(asked.row, asked.column, text, reason, asked.prompt, timings)


@dataclasses.dataclass
class _Answer:
    """What the model wrote: `text` None where it went against the white space before the cursor."""

    text: str | None = ""
    finished: bool = False
    tokens: int = 0
    first: float = 0.0
    usage: dict[str, Any] = dataclasses.field(default_factory=dict)


async def _answer(
    model: Reached,
    asked: Asked,
    settings: Settings,
    priority: int,
    seed: int | None,
    on_text: Callable[[str], None],
) -> _Answer:
    answer, prompt = _Answer(), asked.prompt
    decoder = model.tokenizer.decoder()
    written, pending = "", prompt.pending
    until = time.perf_counter() + settings.time_budget_ms / 1000
    one_line = prompt.kind != "completion" and not asked.here.multiline
    pieces = model.client.complete(
        prompt.ids,
        max_tokens=settings.max_tokens,
        stop_ids=prompt.stop_ids,
        heal=prompt.heal,
        temperature=0.0 if seed is None else TEMPERATURE,
        seed=seed,
        priority=priority,
        logit_bias=model.tokenizer.infill_bias(one_line=one_line),
    )
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            answer.first = answer.first or time.perf_counter()
            answer.tokens += len(piece.ids)
            if piece.finish_reason:
                written += decoder.flush()
                answer.finished = piece.finish_reason == "stop"
                answer.usage = piece.usage
            else:
                written += decoder.push(piece.ids) if piece.ids else piece.text
            if not (written.startswith(pending) or pending.startswith(written)):
                answer.text = None
                break
            answer.text = written[len(pending) :]
            if (end := end_of(answer.text, asked.here)) is not None:
                answer.text, answer.finished = answer.text[:end], True
                break
            on_text(answer.text)
            if settings.time_budget_ms and "\n" in answer.text.strip() and time.perf_counter() > until:
                break  # its whole lines are shown; the half one is cut off
    return answer


def _ms(start: float, end: float) -> float:
    return round(1000 * (end - start), 2)
