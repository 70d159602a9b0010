"""From a cursor to a suggestion worth showing, or to the reason why there is none."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal

from lsp_server.completion import prompt as prompts
from lsp_server.completion.filters import tidy
from lsp_server.completion.scanner import Stack, open_far_above
from lsp_server.completion.stopping import Place, end_of, place_at
from lsp_server.context.buffer import Buffer
from lsp_server.context.languages import language
from lsp_server.context.related.piece import NOTHING_ADDED, Added
from lsp_server.context.window import automatic
from lsp_server.model.access import Reached
from lsp_server.model.answering import Answer, Line, Question
from lsp_server.model.client import PRIORITY_COMPLETION, Choice
from lsp_server.settings import Settings

# Among so many the first line is chosen where there is time for it, by the next characters behind the cursor: more
# than the engine looks at of their tokens.
CANDIDATES, FOLLOWING = 4, 64
TEMPERATURE = 0.7  # of suggestions other than the most likely one
# So many others are tried where nothing of the most likely one can be shown: in front of the rest of a line, by hand.
TRIES_IN_LINE, TRIES_BY_HAND = 2, 4


@dataclasses.dataclass(frozen=True)
class Suggestion:
    """`text` goes in at (`row`, `column`), in characters. Where it is empty, `reason` says why in one sentence.

    `timings`: prompt tokens, tokens generated, and milliseconds for the prompt, to the first token, and altogether; or
    `known`, where the model was not asked. `line`: the text and the log-probability of each token of its first line,
    where it is known. `chosen`: among several; `evidence`: what is added to these, as what stands behind it follows on
    it better or worse than on the others. `others`: what else could be suggested there, the best first.
    """

    row: int
    column: int
    text: str = ""
    reason: str = ""
    prompt: prompts.Prompt | None = None
    timings: dict[str, Any] = dataclasses.field(default_factory=dict)
    line: tuple[tuple[str, float], ...] = ()
    chosen: bool = False
    evidence: float = 0.0
    others: tuple[Suggestion, ...] = ()

    @property
    def probability(self) -> float:
        """How probable the model finds its first line; 1 where it does not say."""
        return math.exp(min(0.0, self.evidence + sum(logprob for _, logprob in self.line))) if self.line else 1.0

    def typed(self, count: int) -> tuple[tuple[str, float], ...]:
        """What is left of `line` once the first `count` characters of `text` are typed, and so certain."""
        length = 0
        if not count:
            return self.line
        for at, (text, _) in enumerate(self.line):
            length += len(text)
            if length > count:
                return self.line[at:]
        return ()


@dataclasses.dataclass(frozen=True)
class Asked:
    """What the model is to be asked for a suggestion at (`row`, `column`), ready to be sent."""

    row: int
    column: int
    prompt: prompts.Prompt
    here: Place
    prompt_ms: float


@dataclasses.dataclass(frozen=True)
class Sampled:
    """How the tokens of a suggestion are chosen; temperature 0: the most likely ones."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None


async def suggest(
    model: Reached,
    buffer: Buffer,
    row: int,
    column: int,
    settings: Settings,
    related: Added = NOTHING_ADDED,
    *,
    sampling: Sampled | None = None,
) -> Suggestion:
    """The suggestion at (`row`, `column`), a position inside the buffer, for a user who asks for it. `related`: what
    other files have to add.

    Raises EngineLost, EngineRefused, ModelUnavailable. Cancelling ends the work in the engine as well.
    """
    asked = prepare(model, buffer, row, column, settings, related)
    if isinstance(asked, Suggestion):
        return asked
    if sampling is not None and sampling != Sampled():  # they were asked for so, and no other way
        return await generate(model, asked, settings, sampling=sampling)
    other = in_other_layout(model, asked, buffer, settings, related)
    return await find(model, asked, settings, by_hand=True, other=other)


def prepare(
    model: Reached,
    buffer: Buffer,
    row: int,
    column: int,
    settings: Settings,
    related: Added = NOTHING_ADDED,
    *,
    window_tokens: int = 0,
) -> Asked | Suggestion:
    """What to ask the model, or the empty suggestion where it need not be asked. What happens to the buffer later is of
    no consequence. `window_tokens`: of a window smaller than the settings say."""
    started = time.perf_counter()
    none = Suggestion(row, column)
    wanted = window_tokens or settings.window_tokens
    wanted = wanted or automatic(model.prefill_tokens_per_second, remote=bool(settings.engine_url))
    prompt = prompts.build(
        buffer,
        row,
        column,
        dataclasses.replace(settings, window_tokens=wanted),
        model.tokenizer,
        model.context_length,
        healing=model.heals,
        related=related,
    )
    view = prompt.window
    if not prompt.ids or (prompt.kind == "completion" and not view.prefix.strip()):
        return dataclasses.replace(none, prompt=prompt, reason="There is nothing before the cursor to go on.")
    language_id = language(buffer.language_id, buffer.uri).id
    within: Stack = ()
    if view.cut_before:
        within = open_far_above("".join(buffer.lines[: row - view.prefix.count("\n")]), language_id)
    here = place_at(
        view.prefix,
        view.suffix,
        settings.multiline,
        cut_after=view.cut_after,
        language_id=language_id,
        within=within,
    )
    if prompt.kind == "completion" and here.in_line:
        reason = "There is code to the right of the cursor, which this model cannot see; use one that can infill."
        return dataclasses.replace(none, prompt=prompt, reason=reason)
    return Asked(row, column, prompt, here, _ms(started, time.perf_counter()))


def in_other_layout(
    model: Reached, asked: Asked, buffer: Buffer, settings: Settings, related: Added = NOTHING_ADDED
) -> Asked | None:
    """The same question in the other infilling layout; None where the model has but one, or the settings name it."""
    layout: Literal["psm", "spm"] = "psm" if asked.prompt.kind == "spm" else "spm"
    layouts = model.tokenizer.abilities.layouts
    if asked.prompt.kind == "completion" or settings.layout != "auto" or layout not in layouts:
        return None
    changed = dataclasses.replace(settings, layout=layout)
    made = prepare(model, buffer, asked.row, asked.column, changed, related)
    return made if isinstance(made, Asked) else None


async def find(
    model: Reached,
    asked: Asked,
    settings: Settings,
    *,
    by_hand: bool,
    other: Asked | None = None,
    priority: int = PRIORITY_COMPLETION,
    on_text: Callable[[str], None] = lambda text: None,
) -> Suggestion:
    """The model's most likely answer as a suggestion, or, for who asks by hand, what it chooses among several; where
    nothing of that can be shown, another that it might write, and at last its answer to the `other` question.

    Where the cursor's line ends, and nobody asked, there may be nothing to add. Raises as `generate` does.
    """
    first = await generate(model, asked, settings, priority=priority, chooses=by_hand, on_text=on_text)
    tries = TRIES_BY_HAND if by_hand else TRIES_IN_LINE if asked.here.line_after.strip() else 0
    if tries and not first.text and not by_hand and model.chooses:
        first = await generate(model, asked, settings, priority=priority, chooses=True, on_text=on_text)
        tries -= 1
    for seed in range(0 if first.text else tries):
        another = await generate(model, asked, settings, priority=priority, seed=seed, on_text=on_text)
        if another.text:
            return another
    if other is not None and not first.text:
        last = await generate(model, other, settings, priority=priority, on_text=on_text)
        return last if last.text else first
    return first


def _sampled(settings: Settings, seed: int | None) -> Sampled:
    if seed is not None:
        return Sampled(TEMPERATURE, seed=seed)
    return Sampled(settings.temperature, settings.top_p, settings.fixed_seed)


async def generate(
    model: Reached,
    asked: Asked,
    settings: Settings,
    *,
    priority: int = PRIORITY_COMPLETION,
    seed: int | None = None,
    sampling: Sampled | None = None,
    chooses: bool = False,
    on_text: Callable[[str], None] = lambda text: None,
) -> Suggestion:
    """The model's answer as a suggestion: as the settings choose, or, with a `seed`, another that it might write, or as
    `sampling` has it. `chooses`: its first line is the best of several, as far as the settings and the engine have
    that. `on_text` is told what it has written so far, each time there is more.

    Raises EngineLost, EngineRefused, ModelUnavailable. Cancelling ends the work in the engine as well.
    """
    started = time.perf_counter()
    prompt, here = asked.prompt, asked.here
    sampled = sampling or _sampled(settings, seed)
    chooses = chooses and sampled.temperature == 0
    # A first answer in front of the rest of a line that did not fit may have ended too early.
    one_line = prompt.kind != "completion" and not here.multiline and (seed is None or not here.line_after.strip())
    answer = Answer(
        model,
        Question(
            prompt.ids,
            prompt.stop_ids,
            settings.max_tokens,
            heal=prompt.heal,
            pending=prompt.pending,
            choice=Choice(
                temperature=sampled.temperature,
                top_p=sampled.top_p,
                seed=sampled.seed,
                logit_bias=model.tokenizer.infill_bias(one_line=one_line),
                logprobs=model.chooses or least_probability(model, settings) > 0,
                candidates=CANDIDATES if chooses else 1,
                follow=tuple(model.tokenizer.encode_raw(here.suffix[:FOLLOWING])) if chooses else (),
                names=prompt.names,
            ),
            priority=priority,
        ),
    )
    text, finished = await _written(answer, asked, settings, on_text)
    control = model.tokenizer.vocabulary.control
    if answer.against:
        text, reason = "", "The model would go on with other text than there is before the cursor."
    else:
        text, reason = await asyncio.to_thread(tidy, text, here, finished=finished, control=control)
    timings = {
        "promptTokens": len(asked.prompt.ids),
        "tokens": answer.tokens,
        "promptMs": asked.prompt_ms,
        "firstTokenMs": _ms(started, answer.first) if answer.first else None,
        "totalMs": round(asked.prompt_ms + _ms(started, time.perf_counter()), 2),
        **({"usage": answer.usage} if answer.usage else {}),
    }
    first = Suggestion(
        asked.row, asked.column, text, reason, asked.prompt, timings, tuple(answer.line), bool(answer.lines)
    )
    if not first.chosen:
        return first
    evidence, *more = _evidence(answer.lines)
    first = dataclasses.replace(first, evidence=evidence)
    others = await asyncio.to_thread(_others, first, list(zip(answer.lines[1:], more, strict=True)), here, control)
    if others and not text:
        return dataclasses.replace(others[0], others=others[1:])
    return dataclasses.replace(first, others=others)


def _others(
    first: Suggestion, lines: Sequence[tuple[Line, float]], here: Place, control: Collection[str]
) -> tuple[Suggestion, ...]:
    """What can be shown of the other lines among which that of the `first` suggestion was chosen, each with its
    evidence; each text once."""
    found = {first.text: first}
    for line, evidence in lines:
        text, reason = tidy(line.text[: end_of(line.text, here)], here, finished=True, control=control)
        if text:
            other = dataclasses.replace(first, text=text, reason=reason, line=line.tokens, evidence=evidence)
            found.setdefault(text, other)
    return tuple(found.values())[1:]


def _evidence(lines: Sequence[Line]) -> list[float]:
    """What is added to the log-probability of each line, of which there is one at least, as one knows what follows.

    Bayes' rule, with what follows taken to be as probable on average behind all that is not among the lines.
    """
    before = _sum_of([line.logprob for line in lines])
    after = _sum_of([line.logprob + line.follows for line in lines])
    return [line.follows + before - after for line in lines]


def _sum_of(logprobs: Sequence[float]) -> float:
    """The logarithm of the sum of probabilities, which may be tiny."""
    most = max(logprobs)
    return most + math.log(sum(math.exp(each - most) for each in logprobs))


def least_probability(model: Reached, settings: Settings) -> float:
    """What is less probable is not shown unasked; 0: everything is."""
    return settings.min_probability if settings.min_probability >= 0 else model.tokenizer.min_probability


def is_doubtful(model: Reached, settings: Settings, made: Suggestion, least: float) -> bool:
    """Whether a second thought is worth its time, where the engine has that: less probable than `least`, or nothing of
    what the model wrote can be shown."""
    if made.chosen or settings.temperature or not model.chooses:
        return False
    return made.probability < least if made.text else any(text.strip() for text, _ in made.line)


async def _written(
    answer: Answer, asked: Asked, settings: Settings, on_text: Callable[[str], None]
) -> tuple[str, bool]:
    """(what the model writes, whether that is whole)"""
    text, budget = "", settings.time_budget_ms / 1000
    reading = asyncio.ensure_future(asyncio.to_thread(asked.here.read_around))  # while the prompt is computed
    async with contextlib.aclosing(answer.parts()) as parts:
        async for part in parts:
            await reading
            text += "".join(part)
            if (end := end_of(text, asked.here)) is not None:
                return text[:end], True
            on_text(text)
            if budget and "\n" in text.strip() and time.perf_counter() > answer.asked + budget:
                break  # its whole lines are shown; the half one is cut off
    return text, answer.finish_reason not in ("", "length")  # servers have other names for an end


def _ms(start: float, end: float) -> float:
    return round(1000 * (end - start), 2)
