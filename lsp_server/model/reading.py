"""One answer of a server, put together from its events, whatever shape they have."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import AsyncGenerator, Collection, Iterator, Sequence
from typing import Any

from lsp_server.engine.generating.request import Prefill
from lsp_server.engine.serving.stop_texts import StopTexts
from lsp_server.model.bounds import Bounds
from lsp_server.model.endpoint import Endpoint
from lsp_server.model.events import Event, Events, EventTooLong
from lsp_server.model.exchange import EngineLost, EngineRefused, EngineSilent, Exchange
from lsp_server.model.refusal import Refusal

# Some answer any POST as one that made something.
_WELL = (200, 201)
# After the end of the text there may be a word on what was used.
END_SECONDS = 2.0
# What an end is called by servers that say at what it came (TGI), and a limit by others (Mistral, Cohere, Anthropic).
_ENDS = {"eos_token": "stop", "stop_sequence": "stop", "max_tokens": "length", "model_length": "length"}
# With these an answer has not come to its end (vLLM, Mistral, OpenAI, DeepSeek).
_UNFINISHED = frozenset({"abort", "cancelled", "error", "content_filter", "insufficient_system_resource"})
# JSON has numbers of any size, and some that are none.
_LEAST = -sys.float_info.max
# Half of a pair, which JSON lets a server send, is no character.
_LONE = re.compile("[\ud800-\udfff]")


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A line with which an answer can begin, from the project's own engine. `follows`: the natural logarithm of the
    probability that what stands behind the answer follows it."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    follows: float


@dataclasses.dataclass(frozen=True)
class Piece:
    """A part of an answer: token ids where the server gives them, else text. The last one has the rest.

    `logprobs`: the natural logarithms of the probabilities that the model gave its tokens, where they were asked for
    and the server gives them. `candidates` for the answer's first line, where they were asked for, come before it.
    `prefill`: how far the prompt is computed, of a server that tells.
    """

    ids: tuple[int, ...] = ()
    text: str = ""
    logprobs: tuple[float, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    finish_reason: str = ""
    usage: dict[str, Any] = dataclasses.field(default_factory=dict)
    prefill: Prefill | None = None


class Reading:
    """One answer of at most `tokens`, put together from its events. `shown_ends`: what is no text where it comes last.
    `at`: the server that gives it. `begun`: there was one; `cut`: it holds one of the stops that the server does not
    know, or as many tokens as were asked for, and what comes now is behind the end; `refusal`: what the server said
    went wrong; `later`: and when to ask it again.
    """

    def __init__(
        self,
        at: Endpoint,
        tokens: int,
        stop_ids: Sequence[int],
        stop_texts: Sequence[str],
        shown_ends: Collection[str] = (),
    ) -> None:
        self.at = at
        self.bounds = Bounds(at.name, tokens)
        self.texts = StopTexts(stop_texts)
        self.begun = self.cut = self.later = False
        self.refusal: Refusal | None = None
        self.finish_reason = ""
        self.usage: dict[str, Any] = {}
        self._stops = frozenset(stop_ids)
        self._shown_ends = shown_ends

    def pieces(self, event: Event) -> Iterator[Piece]:
        """The pieces that an event brings."""
        self.begun = True
        self.usage = _usage(event) or self.usage
        if self.at.ours and (candidates := _candidates(event)):
            yield Piece(candidates=candidates)
        if (prefill := _prefill(event)) is not None:
            yield Piece(prefill=prefill)
        for ids, beside, text, logprobs, ended in _choices(event):
            self._end(ended)
            if ended and text in self._shown_ends:
                text = ""
            if not self._stops.isdisjoint(ids):
                ids, text, self.cut = ids[: min(ids.index(each) for each in self._stops & set(ids))], "", True
            elif not self._stops.isdisjoint(beside):
                text, self.cut = self.texts.flush() if not ids else "", True
            elif text and not ids:
                text, self.cut = self.texts.push(text), self.texts.found is not None
            if self.cut:
                self.finish_reason, self.refusal = "stop", None
            within = self.bounds.within(ids, text)
            if within != (ids, text) and not self.cut:
                self.cut, self.finish_reason = True, "length"
            if any(within):
                yield Piece(*within, logprobs)
            if self.cut:
                return

    def _end(self, reason: str) -> None:
        """Take in why an answer ended, "" where it has not."""
        self.finish_reason = _ENDS.get(reason.lower(), reason) or self.finish_reason
        if reason.lower() in _UNFINISHED:
            self.refusal = Refusal(f"{self.at.name} did not finish its answer ({reason}).")

    def ended(self, exchange: Exchange) -> bool:
        """Whether no more is wanted. Where the text has ended, what else there is to say is not waited for long."""
        if self.finish_reason:
            exchange.heard(END_SECONDS)
        return self.cut

    def done(self) -> None:
        """The server says that this was all; some say so alone."""
        self.finish_reason = self.finish_reason or ("stop" if self.begun else "")


async def events(exchange: Exchange, reading: Reading) -> AsyncGenerator[Event, None]:
    """What a server answers, as events: also what it says instead of an answer. Raises EngineLost, EngineRefused."""
    if exchange.status not in _WELL:
        yield {"error": read(await exchange.content()) or {"status": exchange.status}}
        return
    found, seen = Events(), False
    try:
        async for chunk in exchange.chunks():
            reading.bounds.chunk(len(chunk))
            for event in found.feed(chunk):
                seen = True
                reading.bounds.event()
                yield event
        for event in found.end():
            seen = True
            yield event
    except EventTooLong:
        raise reading.bounds.too_long() from None
    except (EngineLost, EngineSilent):
        if not reading.finish_reason:  # else the answer is whole
            raise
    if found.stray and not seen:
        said = "".join(each if each.isprintable() else " " for each in found.stray).strip()
        said = "a web page" if said.startswith("<") else said or "what is no text"
        raise EngineRefused(f"The server sent no answer, but: {said}; check codellama.engineUrl.")


def read(content: bytes) -> Any:
    """JSON, or text where it is none."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content.decode(errors="replace")


def error(event: Event) -> Any:
    """What an event says went wrong, or nothing."""
    if "choices" not in event and (event.get("message") or event.get("detail")):
        return event
    return event.get("error")


def _choices(event: Event) -> Iterator[tuple[tuple[int, ...], list[Any], str, tuple[float, ...], str]]:
    """(ids, ids that stand beside the probabilities alone, text, log-probabilities, finish reason) of each choice, as
    far as they are what they should be."""
    choices = event.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and choice.get("index", 0) in (0, None):  # no other was asked for
            ids, ended = choice.get("token_ids"), choice.get("finish_reason")
            if not isinstance(ids, list) or any(type(each) is not int for each in ids):
                ids = []
            yield (
                tuple(ids),
                _beside(choice.get("logprobs")),
                _text(choice),
                _logprobs(choice.get("logprobs")),
                ended if isinstance(ended, str) else "",
            )


def _candidates(event: Event) -> tuple[Candidate, ...]:
    """Those that the project's own engine tells of."""
    choices = event.get("choices") or [{}]
    return tuple(
        Candidate(tuple(each["token_ids"]), tuple(each["token_logprobs"]), each["follows"])
        for each in choices[0].get("candidates", ())
    )


def _prefill(event: Event) -> Prefill | None:
    """How far the prompt is computed, where an event says so and makes sense."""
    said = event.get("prompt_progress")
    counts = _counts(said) if isinstance(said, dict) else {}
    total, tokens, cached = (int(counts.get(name, 0)) for name in ("total", "processed", "cache"))
    if not 0 <= cached <= tokens <= total or not total:
        return None
    return Prefill(total, tokens, cached, int(counts.get("others", 0)))


def _text(choice: dict[str, Any]) -> str:
    """Its text: of a completion, of a part of an answer in a conversation, or of a whole one."""
    for found in (choice, choice.get("delta"), choice.get("message")):
        if isinstance(found, dict):
            text = found.get("text", found.get("content"))
            if isinstance(text, str):
                return _LONE.sub("\ufffd", text)
    return ""


def _beside(found: Any) -> list[Any]:
    """The ids that llama.cpp gives with the probabilities: of all tokens but those that end within a character, so
    that a text cannot be made of them, but an end be seen."""
    tokens = found.get("content") if isinstance(found, dict) else None
    return (
        [each["id"] for each in tokens if isinstance(each, dict) and type(each.get("id")) is int]
        if isinstance(tokens, list)
        else []
    )


def _logprobs(found: Any) -> tuple[float, ...]:
    """Those of the tokens that were chosen; none where one of them is no number."""
    if not isinstance(found, dict):
        return ()
    values, tokens = found.get("token_logprobs"), found.get("content")
    if isinstance(tokens, list):  # as in a conversation
        values = [each.get("logprob") if isinstance(each, dict) else None for each in tokens]
    if not isinstance(values, list) or not all(type(each) in (int, float) and _LEAST <= each <= 0 for each in values):
        return ()
    return tuple(map(float, values))


def _usage(event: Event) -> dict[str, Any]:
    """What an event says was used: its counts, and those of its details."""
    usage = event.get("usage")
    if not isinstance(usage, dict):
        return {}
    details = {name: each for name, each in usage.items() if name.endswith("_details") and isinstance(each, dict)}
    return {**_counts(usage), **{name: _counts(each) for name, each in details.items()}}


def _counts(found: dict[str, Any]) -> dict[str, Any]:
    """The numbers of an object that may count something."""
    return {name: value for name, value in found.items() if type(value) in (int, float) and 0 <= value <= -_LEAST}
