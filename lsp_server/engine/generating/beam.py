"""The first line of an answer, chosen among several by how well what follows fits.

A small model has the right line more often than it says, and its own probability does not tell which one that is; how
well the text behind the answer follows does (measured: benchmarks/quality/README.md). So a few lines are written side
by side, always the most probable ones ("beam search", Lowerre 1976), that of the most probable tokens among them. Taken
is the one that is the most probable together with the next tokens behind it.

All lines share the keys and values of the prompt; what each adds lies behind them until the line is chosen.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch

from lsp_server.engine.generating.healing import Spellings
from lsp_server.engine.generating.names import NO_NAMES, Names
from lsp_server.engine.generating.request import Candidate, Request, Token
from lsp_server.engine.generating.sampling import Sampler
from lsp_server.engine.passes.model import KeysValues, Model

# Most tokens of a line; of text behind the answer so many are looked at.
LINE_TOKENS, FOLLOW_TOKENS = 32, 5


def most_tokens(candidates: int) -> int:
    """Tokens whose keys and values lie behind the prompt at most while a line is chosen among so many."""
    return candidates * (LINE_TOKENS + FOLLOW_TOKENS)


@dataclasses.dataclass(frozen=True)
class _Line:
    """One line as far as it is written: `tokens`, and the numbers `run` of those whose keys and values are there.

    `to_spell`: what of the healed text is left; `names`: those of which one is probably written first, or its rest.
    `text`: what was written. `plain`: of the most probable tokens only.
    `follows`: how probable the first token behind the answer would be in place of the last one.
    """

    tokens: tuple[Token, ...] = ()
    run: tuple[int, ...] = ()
    to_spell: bytes = b""
    names: Names = NO_NAMES
    text: bytes = b""
    plain: bool = True
    ended: bool = False
    follows: float = 0.0

    @property
    def logprob(self) -> float:
        return sum(token.logprob or 0.0 for token in self.tokens)


class Beam:
    """The lines of one request, while they are written: each `step` does one forward pass.

    `begin` it with what the model says after the prompt, whose keys and values are `trunk` tokens long.
    """

    def __init__(self, request: Request, sampler: Sampler, spellings: Spellings, to_spell: bytes, names: Names) -> None:
        self._width, self._follow = request.candidates, list(request.follow[:FOLLOW_TOKENS])
        self._stop_ids, self._sampler, self._spellings = request.stop_ids, sampler, spellings
        self._lines = [_Line(to_spell=to_spell, names=names)]
        self._passes = 0
        self.chosen: tuple[Candidate, ...] | None = None  # the best first, once that is known

    @property
    def next_tokens(self) -> int:
        """The most tokens that the next step will run."""
        return self._width * max(1, len(self._follow))

    def begin(self, logits: torch.Tensor) -> None:
        """Take in what may come first, [vocabulary]."""
        self._grow([(self._lines[0], logits)])

    def step(self, model: Model, keys_values: KeysValues, trunk: int) -> None:
        """Run the last token of each line that has not ended; once all have, what follows them. `chosen` is there
        after the last step; none of it where no line has come to its end."""
        if live := [line for line in self._lines if not line.ended]:
            start = keys_values.length
            last = [line.tokens[-1].id for line in live]
            logits = model.branch(last, [line.run for line in live], keys_values, trunk)
            run = [dataclasses.replace(line, run=(*line.run, start + at)) for at, line in enumerate(live)]
            self._passes += 1
            self._grow(list(zip(run, logits, strict=True)))
            return
        if not self._follow:
            self._choose([0.0] * len(self._lines))
            return
        self._choose(self._followed(model, keys_values, trunk))

    def _grow(self, grown: list[tuple[_Line, torch.Tensor]]) -> None:
        """Keep the best of the lines that have ended and those that follow on `grown`, each with its logits."""
        found = [line for line in self._lines if line.ended]
        for line, logits in grown:
            found += self._longer(line, logits)
        found.sort(key=lambda line: -line.logprob)  # of equals the one that was found first
        kept = found[: self._width]
        if not any(line.plain for line in kept):
            kept[-1] = next(line for line in found if line.plain)
        if self._passes >= LINE_TOKENS - 1:
            kept = [line for line in kept if line.ended]
        self._lines = kept
        if not kept:
            self.chosen = ()

    def _longer(self, line: _Line, logits: torch.Tensor) -> list[_Line]:
        """The most probable ways in which a line goes on."""
        weighed = self._sampler.weighed(logits, *self._spellings.next(line.to_spell, line.names))
        logprobs = torch.log_softmax(weighed, dim=-1)
        values, ids = logprobs.topk(min(self._width, len(logprobs)))
        follows = float(torch.log_softmax(logits.float(), dim=-1)[self._follow[0]]) if self._follow else 0.0
        found = []
        for number, (value, token) in enumerate(zip(values.tolist(), ids.tolist(), strict=True)):
            if value == -math.inf:
                break
            spelled = self._spellings.bytes_of(token)
            text = line.text + spelled
            found.append(
                _Line(
                    (*line.tokens, Token(token, value)),
                    line.run,
                    line.to_spell[len(spelled) :],
                    line.names.after(spelled),
                    text,
                    plain=line.plain and number == 0,
                    ended=token in self._stop_ids or b"\n" in text.lstrip(),
                    follows=follows,
                )
            )
        return found

    def _followed(self, model: Model, keys_values: KeysValues, trunk: int) -> list[float]:
        """How probable what follows is behind each line, in place of its last token."""
        more = self._follow[:-1]
        sums = [line.follows for line in self._lines]
        if not more:
            return sums
        start, ids, before = keys_values.length, list[int](), list[Sequence[int]]()
        for number, line in enumerate(self._lines):
            ids += more
            own = start + number * len(more)
            before += [(*line.run, *range(own, own + at)) for at in range(len(more))]
        logprobs = torch.log_softmax(model.branch(ids, before, keys_values, trunk).float(), dim=-1)
        for number in range(len(self._lines)):
            for at, wanted in enumerate(self._follow[1:]):
                sums[number] += float(logprobs[number * len(more) + at, wanted])
        return sums

    def _choose(self, followed: Sequence[float]) -> None:
        order = sorted(range(len(self._lines)), key=lambda at: -(self._lines[at].logprob + followed[at]))
        self.chosen = tuple(Candidate(self._lines[at].tokens, followed[at]) for at in order)
