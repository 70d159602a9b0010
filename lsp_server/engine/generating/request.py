"""What is asked of the engine and what it says back, in token ids. Imports no torch, so that the HTTP server can answer
while that loads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal

from lsp_server.errors import UserError

FinishReason = Literal["stop", "length", "cancelled", "error"]
# From what comes within a key to what somebody gives up on.
FIRST_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class QueueFull(UserError):
    """As many requests are waiting as the engine accepts."""


class PromptTooLong(UserError):
    """The prompt leaves no room for a token in the model's context."""


class SchedulerClosed(UserError):
    """The engine is shutting down."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    temperature 0 is greedy; top_k 0 and top_p 1 leave every token in. The order is that of vLLM and transformers:
    temperature, then the top_k most likely, then the fewest of those whose probabilities reach top_p. With a seed the
    same prompt gives the same tokens whatever else runs. `logit_bias`, (id, what is added to its logit), comes before
    all that; -100 rules a token out. `logprobs` is None for none, else how many of the most likely tokens are named
    besides the chosen one.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    logprobs: int | None = None
    logit_bias: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Token:
    """A generated token. `logprob` and `top` ((id, logprob), most likely first) are natural logarithms of the model's
    own probabilities, before temperature and cuts; they are there only if asked for."""

    id: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A line with which an answer can begin. `follows`: the natural logarithm of the probability that the text behind
    the answer follows it."""

    tokens: tuple[Token, ...]
    follows: float


@dataclass(frozen=True)
class Prefill:
    """How far a prompt of `total` tokens is computed: `tokens` of it, of which `cached` were there already. `others`:
    requests that have not ended either, and of which somebody reads the answer."""

    total: int
    tokens: int = 0
    cached: int = 0
    others: int = 0

    def told(self) -> dict[str, dict[str, int]]:
        """As JSON, in llama.cpp's form but for the `others`."""
        counts = {"total": self.total, "cache": self.cached, "processed": self.tokens, "others": self.others}
        return {"prompt_progress": counts}


@dataclass(frozen=True)
class Request:
    """What is asked of the engine: to continue `ids` by at most `max_tokens` tokens, up to and including one of
    `stop_ids`. A lower `priority` is served earlier. The last `heal` of `ids` count only as text: the answer begins
    with tokens that spell it, which may be others. `names`: with one of them it probably goes on, with what is added
    for it, in nats (see `names`). `name`: under which it is logged. `tells_prefill`: who asked wants to know how far
    the prompt is computed.

    With several `candidates` the answer's first line is the best of so many (see `beam`), all of which are told of;
    `follow` is what comes behind the answer.
    """

    ids: Sequence[int]
    max_tokens: int
    stop_ids: frozenset[int] = frozenset()
    sampling: Sampling = field(default_factory=Sampling)
    priority: int = 0
    heal: int = 0
    name: str = ""
    candidates: int = 1
    follow: Sequence[int] = ()
    names: Mapping[str, float] = field(default_factory=dict)
    tells_prefill: bool = False


@dataclass
class Work:
    """What was computed.

    `cached_tokens` of the prompt were there already. `prefilled_tokens` were run without being generated just before:
    the rest of the prompt, and what had to be computed again after a pause in which memory was short. Every other
    forward pass ran the one token generated last. `guessed_tokens` were run beside those, on the chance that they come
    next; `right_guesses` of them did.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    prefilled_tokens: int = 0
    generated_tokens: int = 0
    forward_passes: int = 0
    guessed_tokens: int = 0
    right_guesses: int = 0


@dataclass
class Counts(Work):
    """What one request has cost so far. Times are in seconds since it was made; None before there is a token."""

    first_token_seconds: float | None = None
    last_token_seconds: float | None = None

    @property
    def seconds_per_token(self) -> float | None:
        """Mean time from one token to the next; None before there are two."""
        if self.first_token_seconds is None or self.last_token_seconds is None or self.generated_tokens < 2:
            return None
        return (self.last_token_seconds - self.first_token_seconds) / (self.generated_tokens - 1)


@dataclass(frozen=True)
class Result:
    """How a request ended; `message` says why if the reason is `error`."""

    finish_reason: FinishReason
    counts: Counts
    message: str = ""

    def __str__(self) -> str:
        counts, first = self.counts, self.counts.first_token_seconds
        return (
            f"{self.finish_reason}, {counts.prompt_tokens} tokens of a prompt, {counts.cached_tokens} of them kept, "
            f"{counts.generated_tokens} generated"
            + (f", the first after {first * 1000:.0f} ms" if first is not None else "")
            + (f", the last after {counts.last_token_seconds * 1000:.0f} ms" if counts.last_token_seconds else "")
            + (f": {self.message}" if self.message else "")
        )


@dataclass
class Totals(Work):
    """Sums over all requests that have ended. `requests`: how many, by how they ended. `first_within`: how many had a
    first token within each of FIRST_SECONDS."""

    requests: Counter[str] = field(default_factory=Counter)
    first_tokens: int = 0
    first_token_seconds: float = 0.0
    first_within: Counter[float] = field(default_factory=Counter)

    def add(self, result: Result) -> None:
        counts = result.counts
        self.requests[result.finish_reason] += 1
        for each in fields(Work):
            setattr(self, each.name, getattr(self, each.name) + getattr(counts, each.name))
        if counts.first_token_seconds is not None:
            self.first_tokens += 1
            self.first_token_seconds += counts.first_token_seconds
            self.first_within.update(each for each in FIRST_SECONDS if counts.first_token_seconds <= each)
