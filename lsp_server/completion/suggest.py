"""From a cursor to a suggestion worth showing, or to the reason why there is none."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from typing import Any

from lsp_server.completion import prompt as prompts
from lsp_server.completion.filters import tidy
from lsp_server.completion.stopping import Place, end_of, place
from lsp_server.context.buffer import Buffer
from lsp_server.model.access import Reached
from lsp_server.settings import Settings


@dataclasses.dataclass(frozen=True)
class Suggestion:
    """`text` goes in at (`row`, `column`), in characters. Where it is empty, `reason` says why in one sentence.

    `timings`: prompt tokens, tokens generated, and milliseconds for the prompt, to the first token, and altogether.
    """

    row: int
    column: int
    text: str = ""
    reason: str = ""
    prompt: prompts.Prompt | None = None
    timings: dict[str, Any] = dataclasses.field(default_factory=dict)


async def suggest(model: Reached, buffer: Buffer, row: int, column: int, settings: Settings) -> Suggestion:
    """The suggestion at (`row`, `column`), a position inside the buffer.

    Raises EngineLost, EngineRefused. Cancelling ends the work in the engine as well.
    """
    started = time.perf_counter()
    prompt = prompts.build(buffer, row, column, settings, model.tokenizer, model.context_length)
    built = time.perf_counter()
    none = Suggestion(row, column, prompt=prompt)
    view = prompt.window
    here = place(view.prefix, view.suffix, settings.multiline, cut_after=view.cut_after)
    if here is None:
        return dataclasses.replace(none, reason="There is code to the right of the cursor.")
    if not prompt.ids or (prompt.kind == "completion" and not view.prefix.strip()):
        return dataclasses.replace(none, reason="There is nothing before the cursor to go on.")
    answer = await _generate(model, prompt, here, settings)
    if answer.text is None:
        text, reason = "", "The model would go on with other white space than there is before the cursor."
    else:
        text, reason = tidy(answer.text, here, finished=answer.finished)
    timings = {
        "promptTokens": len(prompt.ids),
        "tokens": answer.tokens,
        "promptMs": _ms(started, built),
        "firstTokenMs": _ms(built, answer.first) if answer.first else None,
        "totalMs": _ms(started, time.perf_counter()),
        **({"usage": answer.usage} if answer.usage else {}),
    }
    return dataclasses.replace(none, text=text, reason=reason, timings=timings)


@dataclasses.dataclass
class _Answer:
    """What the model wrote: `text` None where it went against the white space before the cursor."""

    text: str | None = ""
    finished: bool = False
    tokens: int = 0
    first: float = 0.0
    usage: dict[str, Any] = dataclasses.field(default_factory=dict)


async def _generate(model: Reached, prompt: prompts.Prompt, here: Place, settings: Settings) -> _Answer:
    answer = _Answer()
    decoder = model.tokenizer.decoder()
    written, pending = "", prompt.pending
    pieces = model.client.complete(prompt.ids, max_tokens=settings.max_tokens, stop_ids=prompt.stop_ids)
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
            if (end := end_of(answer.text, here)) is not None:
                answer.text, answer.finished = answer.text[:end], True
                break
    return answer


def _ms(start: float, end: float) -> float:
    return round(1000 * (end - start), 2)
