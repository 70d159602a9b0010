"""One request's way through the model, one forward pass at a time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import torch

from lsp_server.engine.generating.beam import Beam
from lsp_server.engine.generating.healing import Spellings
from lsp_server.engine.generating.names import Names
from lsp_server.engine.generating.request import Candidate, Counts, FinishReason, Request, Token
from lsp_server.engine.generating.sampling import Sampler
from lsp_server.engine.generating.speculation import MOST as MOST_GUESSES
from lsp_server.engine.generating.speculation import Guesses
from lsp_server.engine.passes.model import FEWEST_GUESSES, KeysValues, Model


class Generation:
    """The state of one request: its tokens, and the keys and values of those that have been run.

    `keys_values` may be taken away between two steps (set to None, after a pause for instance). Whoever calls `step`
    then first gives it other ones, of any true prefix of `ids`, and the tokens after that prefix are run again.
    """

    def __init__(
        self,
        request: Request,
        *,
        chunk_tokens: int = 256,
        fewest_guesses: int = FEWEST_GUESSES,
        most_guesses: int = MOST_GUESSES,
        spellings: Spellings | None = None,
    ) -> None:
        self.request = request
        kept = len(request.ids) - request.heal
        self.ids = list(request.ids[:kept])  # the prompt, then what was generated
        self.keys_values: KeysValues | None = None
        self.finish_reason: FinishReason | None = None
        self.counts = Counts(prompt_tokens=len(request.ids))
        self._chunk_tokens = chunk_tokens
        self._fewest_guesses, self._guesses_allowed = fewest_guesses, most_guesses
        self._sampler = Sampler(request.sampling)
        self._guesses = Guesses(())  # made in `begin`, which knows the other sequences
        # The tokens to heal are the first guess at what spells them best.
        self._guess = list(request.ids[kept:])
        self._spellings = spellings
        self._to_spell = b"".join(spellings.bytes_of(i) for i in self._guess) if spellings else b""
        self._names = Names.behind(self._to_spell, request.names if spellings else {})
        self._made = time.monotonic()
        self.candidates: tuple[Candidate, ...] = ()  # for its first line, the one that was chosen first
        self._beam: Beam | None = None  # while that is chosen
        self._chooses = request.candidates > 1

    @property
    def held_tokens(self) -> int:
        """Tokens whose keys and values this request holds."""
        keys_values = self.keys_values  # read once: other threads look here too
        return keys_values.length if keys_values is not None else 0

    @property
    def next_tokens(self) -> int:
        """The most tokens that the next step will run."""
        if self._beam is not None:
            return self._beam.next_tokens
        return min(len(self.ids) - self.held_tokens, self._chunk_tokens) + self._most_guesses

    @property
    def is_reading(self) -> bool:
        """Whether it still runs its prompt."""
        return not self.counts.generated_tokens and self._beam is None

    def release(self) -> KeysValues | None:
        """Give up the keys and values: those of a prefix of `ids`."""
        keys_values, self.keys_values = self.keys_values, None
        if keys_values is not None:
            keys_values.crop(min(keys_values.length, len(self.ids)))  # behind them lies what was not chosen
        return keys_values

    def begin(self, keys_values: KeysValues, others: Iterable[Sequence[int]] = ()) -> None:
        """Go on from `keys_values`, those of a prefix of `ids` that lacks at least the last id. `others`: sequences of
        earlier requests, which this one may repeat."""
        self.keys_values, self._beam = keys_values, None
        self._guesses = Guesses(self.ids, others, self._fewest_guesses)
        if not self.counts.forward_passes:
            self.counts.cached_tokens = keys_values.length

    def step(self, model: Model) -> list[Token]:
        """Do one forward pass: a chunk of the tokens not run yet, or all that are left and a guess at the next ones.

        Returns the tokens that it gave, none if more of the prompt is left. Sets `finish_reason` at the end. An
        exception leaves the keys and values in an unknown state: throw them away.
        """
        if self.keys_values is None or self.finish_reason is not None:
            raise RuntimeError("a step before the beginning or after the end")
        if self._beam is not None:
            return self._step_of_beam(self._beam, model, self.keys_values)
        start = self.keys_values.length
        fresh = self.ids[start : start + self._chunk_tokens]
        whole = start + len(fresh) == len(self.ids)
        chooses = whole and self._chooses and model.branches
        guess = self._next_guess() if whole and not chooses else []
        logits = model.forward(fresh + guess, self.keys_values, last=1 + len(guess))
        self.counts.forward_passes += 1
        if not self.counts.generated_tokens or len(fresh) > 1:
            self.counts.prefilled_tokens += len(fresh)
        self.counts.guessed_tokens += len(guess)
        if not whole:
            return []
        if chooses and self._spellings is not None:
            self._beam = Beam(self.request, self._sampler, self._spellings, self._to_spell, self._names)
            self._beam.begin(logits[-1])
            return []
        tokens: list[Token] = []
        for row in logits:
            tokens.append(self._choose(row))
            right = len(tokens) <= len(guess) and tokens[-1].id == guess[len(tokens) - 1]
            if self.finish_reason is not None or not right:
                break
        self.counts.right_guesses += len(tokens) - 1
        self._guesses.judge(len(guess), len(tokens) - 1)
        self.keys_values.crop(len(self.ids) - 1)  # without the wrong guesses; the last token has not been run
        return tokens

    def _step_of_beam(self, beam: Beam, model: Model, keys_values: KeysValues) -> list[Token]:
        """One pass for the candidates for the first line; the tokens of that, once it is chosen."""
        beam.step(model, keys_values, len(self.ids))
        self.counts.forward_passes += 1
        if beam.chosen is None:
            return []
        self._beam, self._chooses = None, False
        if not beam.chosen:  # none ends soon enough: the most probable tokens, one after the other
            keys_values.crop(len(self.ids) - 1)
            return []
        keys_values.crop(len(self.ids))
        self.candidates, self._guess = beam.chosen, []
        tokens = []
        for token in self.candidates[0].tokens:
            tokens.append(self._accepted(token))
            if self.finish_reason is not None:
                break
        return tokens

    @property
    def _most_guesses(self) -> int:
        # No more than fit before the last token that may come, so that the context is never exceeded.
        return max(0, min(self._guesses_allowed, self.request.max_tokens - self.counts.generated_tokens - 1))

    def _next_guess(self) -> list[int]:
        guess, self._guess = self._guess[: self._most_guesses], []
        return guess or self._guesses.next(self._most_guesses)

    def _choose(self, logits: torch.Tensor) -> Token:
        """The next token of the answer."""
        if self._spellings is None:
            return self._accepted(self._sampler.choose(logits))
        return self._accepted(self._sampler.choose(logits, *self._spellings.next(self._to_spell, self._names)))

    def _accepted(self, token: Token) -> Token:
        """A token of the answer, which is appended."""
        if self._spellings and (self._to_spell or self._names.left):
            spelled = self._spellings.bytes_of(token.id)
            self._to_spell, self._names = self._to_spell[len(spelled) :], self._names.after(spelled)
        self.ids.append(token.id)
        self._guesses.append(token.id)
        self.counts.generated_tokens += 1
        self.counts.last_token_seconds = time.monotonic() - self._made
        if self.counts.first_token_seconds is None:
            self.counts.first_token_seconds = self.counts.last_token_seconds
        if token.id in self.request.stop_ids:
            self.finish_reason = "stop"
        elif self.counts.generated_tokens >= self.request.max_tokens:
            self.finish_reason = "length"
        return token
