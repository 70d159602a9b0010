"""The forward pass of a Llama (Code Llama is one) on CUDA cards: weights in 8 or 4 bits, as few launches as it takes.

Stock, each 8-bit layer has the host wait for the card to learn whether there are outliers, and a token takes thousands
of launches. Here a few tokens are one captured graph for each card: one copy in, one copy out and one wait. Activations
are 16 bits wide and weights are never rounded again, so there are no outliers to look for. Layers may lie in memory
beside the cards (`stretch_in_memory`).

What a token gives does not depend on what is computed beside it, bit for bit: guesses never change an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch

from lsp_server.engine.passes import cards
from lsp_server.engine.passes.card_keys_values import CardKeysValues
from lsp_server.engine.passes.card_weights import EightBits
from lsp_server.engine.passes.kernels import FEW, PATH
from lsp_server.engine.passes.model import FEWEST_GUESSES, FEWEST_GUESSES_ON_CPU
from lsp_server.engine.passes.stretch import BUCKETS, Few, Shape, Stretch
from lsp_server.engine.passes.stretch_in_memory import StretchInMemory
from lsp_server.engine.passes.threads import SharedThreads

# Room for places that passes have beyond the context: a filled-up pass, and a branch behind a prompt of full length.
_BEYOND = FEW + PATH


class LlamaOnCuda:
    """A `model.Model`. It takes the weights out of transformers' `model`, which `cards.refusal` has nothing against,
    and which cannot be used any more.

    context_length: tokens of a sequence, at most. report: told which share of the passes is captured; before that,
    everything is compiled, which takes half a minute the first time. settings: for all cards, those of each where None.
    runs: where its layers lie, for whoever knows better than `cards.runs`. threads: those of layers in memory.
    `remark`: what the user should know, or "".
    """

    branches = True

    def __init__(
        self,
        model: Any,
        context_length: int,
        report: Callable[[float], None] = lambda done: None,
        settings: cards.Settings | None = None,
        runs: Sequence[cards.Run] | None = None,
        threads: SharedThreads | None = None,
    ) -> None:
        config, runs = model.config, runs or cards.runs(model)
        embeddings = model.model.embed_tokens.weight.detach()
        shape = Shape(
            hidden=config.hidden_size,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            size=config.head_dim or config.hidden_size // config.num_attention_heads,
            eps=config.rms_norm_eps,
            longest=context_length + _BEYOND,
            dtype=embeddings.dtype,
        )
        self._longest, self._vocab_size = shape.longest, int(embeddings.shape[0])
        norm = model.model.norm.weight.detach().to(runs[-1].device)
        head = (norm, EightBits.rounded(model.lm_head.weight.detach()))
        model.lm_head = None
        frequencies = model.model.rotary_emb.inv_freq

        def made(number: int, run: cards.Run) -> Stretch | StretchInMemory:
            card = _card(runs, number)
            ends = (embeddings if number == 0 else None, head if number == len(runs) - 1 else None)
            common = (run, shape, settings or cards.settings(card), frequencies, *ends)
            return StretchInMemory(*common, card=card, threads=threads) if run.in_memory else Stretch(*common)

        self._stretches = [made(number, run) for number, run in enumerate(runs)]
        in_memory = any(run.in_memory for run in runs)
        self.fewest_guesses = FEWEST_GUESSES_ON_CPU if in_memory else FEWEST_GUESSES
        # Between two chunks an urgent request comes first; the slowest card says how long that may take.
        slowest = min((settings or cards.settings(run.device)).chunk_tokens for run in runs if not run.in_memory)
        self.chunk_tokens = cards.COPIED_CHUNK if in_memory else slowest
        self.least_chunk = cards.LEAST_COPIED_CHUNK if in_memory else 1
        self.remark = self._prepare(report)

    @property
    def vocab_size(self) -> int:
        return self._vocab_size

    def new_keys_values(self) -> CardKeysValues:
        return CardKeysValues([stretch.new_part() for stretch in self._stretches], FEW)

    @torch.inference_mode()
    def forward(self, ids: Sequence[int], keys_values: Any, last: int = 1) -> torch.Tensor:
        cache = cast(CardKeysValues, keys_values)
        # Guesses are the last tokens of which logits are wanted. They are computed as they will be without a prompt
        # before them, and the prompt as it is without guesses behind it: either way the same answer.
        prompt = len(ids) - last + 1 if last <= FEW else len(ids)
        if prompt <= FEW:
            prompt = 0
        self._make_room(cache, len(ids))
        parts = [self._many(ids[:prompt], cache, 1 if last <= FEW else last)] if prompt else []
        for first in range(prompt, len(ids), FEW):
            parts.append(self._few(Few.in_a_row(ids[first : first + FEW], cache.length), cache))
        return torch.cat(parts)[-last:]

    @torch.inference_mode()
    def branch(self, ids: Sequence[int], before: Sequence[Sequence[int]], keys_values: Any, trunk: int) -> torch.Tensor:
        """As the protocol says. Raises ValueError for a branch of more than `kernels.PATH` tokens."""
        cache, parts = cast(CardKeysValues, keys_values), []
        self._make_room(cache, len(ids))
        for first in range(0, len(ids), FEW):
            part = slice(first, first + FEW)
            parts.append(self._few(Few.on_branches(ids[part], cache.length, trunk, before[part]), cache))
        return torch.cat(parts)

    def _make_room(self, cache: CardKeysValues, more: int) -> None:
        cache.make_room(cache.length + more)

    def _few(self, few: Few, cache: CardKeysValues) -> torch.Tensor:
        """The logits of all its tokens, on the CPU: the next pass writes over those on the card."""
        if max(few.places) >= self._longest:
            raise ValueError(f"a sequence has at most {self._longest} tokens")
        x: torch.Tensor | None = None
        for stretch, part in zip(self._stretches, cache.parts, strict=True):
            x = stretch.few(few, x, part)
        assert x is not None
        cache.length += len(few.ids)
        return x[: len(few.ids)].to("cpu", copy=True)

    def _many(self, ids: Sequence[int], cache: CardKeysValues, last: int) -> torch.Tensor:
        """The logits of the last tokens of a prompt, on the CPU."""
        if cache.length + len(ids) > self._longest:
            raise ValueError(f"a sequence has at most {self._longest} tokens")
        x: Any = ids
        for stretch, part in zip(self._stretches, cache.parts, strict=True):
            x = stretch.many(x, cache.length, part, last)
        cache.length += len(ids)
        logits: torch.Tensor = x.to("cpu", copy=True)
        return logits

    def _prepare(self, report: Callable[[float], None]) -> str:
        """Compile all kernels, and capture the passes of a few tokens: nothing may be compiled in a capture. The remark
        for the user, where a capture fails."""
        report(0.0)
        reason = ""
        for number, bucket in enumerate(BUCKETS):
            self.forward([0] * bucket, self.new_keys_values())
            for stretch in self._stretches:
                reason = reason or stretch.capture(bucket)
            report((number + 1) / len(BUCKETS))
        self.forward([0] * (FEW + 1), self.new_keys_values())
        said = f"a token takes longer than it need, since this card takes no graphs ({reason})" if reason else ""
        remarks = (stretch.remark for stretch in self._stretches if isinstance(stretch, StretchInMemory))
        return "; ".join(filter(None, (said, *remarks)))


def _card(runs: Sequence[cards.Run], number: int) -> torch.device:
    """Where the layers of this run are computed: on their own card, or, of those in memory, a prompt on the card before
    them, else on the first one."""
    return next(run.device for run in (*runs[number::-1], *runs) if not run.in_memory)
