"""From the logits of one position to the next token."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import torch

from lsp_server.engine.generating.healing import Preferred
from lsp_server.engine.generating.request import Sampling, Token


class Sampler:
    """Chooses the tokens of one request; holds its random numbers."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._random = random.Random(sampling.seed)
        self._biased = torch.tensor([each for each, _ in sampling.logit_bias], dtype=torch.long)
        self._bias = torch.tensor([value for _, value in sampling.logit_bias])

    def choose(
        self, logits: torch.Tensor, allowed: Sequence[int] | None = None, preferred: Preferred | None = None
    ) -> Token:
        """The next token for `logits`, [vocabulary], on any device and in any float type; the rest as in `weighed`."""
        logits = self.weighed(logits, allowed, preferred)
        greedy = int(logits.argmax())
        chosen = greedy if self._sampling.temperature == 0 else self._draw(logits)
        if self._sampling.logprobs is None:
            return Token(chosen)
        logprobs = torch.log_softmax(logits, dim=-1)
        values, ids = logprobs.topk(min(self._sampling.logprobs, len(logprobs)))
        return Token(chosen, float(logprobs[chosen]), tuple(zip(ids.tolist(), values.tolist(), strict=True)))

    def weighed(
        self, logits: torch.Tensor, allowed: Sequence[int] | None = None, preferred: Preferred | None = None
    ) -> torch.Tensor:
        """`logits`, [vocabulary], in float32 with the request's biases and those of `preferred` tokens, and minus
        infinity for all but `allowed` if given.

        Raises ArithmeticError if the model has produced NaN, which no choice can mend.
        """
        logits = logits.float()
        if self._sampling.logit_bias:
            logits = logits.index_add(0, self._biased.to(logits.device), self._bias.to(logits.device))
        if preferred is not None:
            ids, nats = (each.to(logits.device) for each in preferred)
            logits = logits.index_add(0, ids, nats)
        if allowed:
            others = torch.ones_like(logits, dtype=torch.bool)
            others[list(allowed)] = False
            logits = logits.masked_fill(others, -torch.inf)
        if math.isnan(float(logits.max())):  # finds a NaN if there is one
            raise ArithmeticError("the model produced NaN")
        return logits

    def _draw(self, logits: torch.Tensor) -> int:
        """A token drawn by inverting the cumulative distribution: one random number a token, the same on any device."""
        logits, order = logits.sort(descending=True, stable=True)
        if self._sampling.top_k:
            logits = logits[: self._sampling.top_k]
        # The greatest is subtracted first, so that a tiny temperature gives 0 and -inf, not inf - inf.
        probabilities = torch.softmax((logits - logits[0]) / self._sampling.temperature, dim=-1)
        cumulative = probabilities.cumsum(dim=-1)
        # A token stays while the more likely ones do not reach top_p yet: the first always does.
        kept = max(1, int(((cumulative - probabilities) < self._sampling.top_p).sum()))
        point = self._random.random() * float(cumulative[kept - 1])
        index = int((cumulative[:kept] <= point).sum())
        return int(order[min(index, kept - 1)])
