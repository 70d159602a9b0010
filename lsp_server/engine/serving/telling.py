"""What an answer of the engine says besides its text, in the words of OpenAI's API and in our own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lsp_server.engine.generating.pace import Pace
from lsp_server.engine.generating.request import Candidate, Counts, Token


def usage(counts: Counts, completion_tokens: int) -> dict[str, Any]:
    """What was used. `completion_tokens` are those up to the end of the answer."""
    return {
        "prompt_tokens": counts.prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": counts.prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": counts.cached_tokens},
    }


def timings(counts: Counts, pace: Pace) -> dict[str, Any]:
    """What it cost: an addition of ours. Times are in milliseconds from the request's arrival, waiting included.
    `pace`: at which prompts are computed of late."""
    return {
        "prefilled_tokens": counts.prefilled_tokens,
        "cached_tokens": counts.cached_tokens,
        "generated_tokens": counts.generated_tokens,
        "forward_passes": counts.forward_passes,
        "guessed_tokens": counts.guessed_tokens,
        "right_guesses": counts.right_guesses,
        "time_to_first_token_ms": _milliseconds(counts.first_token_seconds),
        "ms_per_token": _milliseconds(counts.seconds_per_token),
        **pace.told(),
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def logprobs(tokens: Sequence[Token], *, chat: bool) -> dict[str, Any]:
    """The log-probabilities of `tokens`, each named `token_id:N` (as by vLLM's return_tokens_as_token_ids): several ids
    can have the same text, and some have none of their own."""
    if chat:
        return {"content": [_chat_logprob(token) for token in tokens]}
    return {
        "tokens": [f"token_id:{token.id}" for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [{f"token_id:{i}": value for i, value in token.top} for token in tokens],
    }


def candidate(text: str, candidate: Candidate) -> dict[str, Any]:
    """A candidate for the first line of an answer, an addition of ours: its ids, their log-probabilities, and that of
    what follows."""
    return {
        "text": text,
        "token_ids": [token.id for token in candidate.tokens],
        "token_logprobs": [token.logprob for token in candidate.tokens],
        "follows": candidate.follows,
    }


def _chat_logprob(token: Token) -> dict[str, Any]:
    top = [{"token": f"token_id:{i}", "logprob": value, "bytes": None} for i, value in token.top]
    return {"token": f"token_id:{token.id}", "logprob": token.logprob, "bytes": None, "top_logprobs": top}
