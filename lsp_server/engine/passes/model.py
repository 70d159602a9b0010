"""What generating needs of a model, however its forward pass is computed; the other files here are such passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch

# Tokens guessed at a time at first: as many as are nearly free where weights are read much more slowly than computed
# with.
FEWEST_GUESSES = 3
FEWEST_GUESSES_ON_CPU = 1  # a second token costs nearly half of a pass
# Tokens of a prompt in one pass, at most, where a processor computes them: a pass is not broken off, and whoever comes
# meanwhile waits for its end.
CHUNK_TOKENS = 256


class KeysValues(Protocol):
    """The keys and values of one sequence, in every layer, wherever the layer lies: as the model wants them, which
    makes them (`Model.new_keys_values`). Whatever else holds them uses only what is here."""

    @property
    def length(self) -> int:
        """Number of tokens whose keys and values are here."""

    @property
    def nbytes(self) -> int:
        """Bytes of memory held, including what a crop has cut off but not yet freed."""

    def crop(self, length: int) -> None:
        """Keep the first `length` tokens (0 <= length <= self.length). Takes no time; the memory of the others is freed
        by the next forward pass or by `compact`."""

    def copy(self, length: int) -> KeysValues:
        """A copy of the first `length` tokens, which shares no memory with this one."""

    def compact(self) -> None:
        """Free the memory that a crop has cut off. Copies only where something was cut off."""


class Model(Protocol):
    """What generating needs of a model."""

    fewest_guesses: int  # tokens worth guessing at when nothing is known of how often the guesses are right
    branches: bool  # whether it can `branch`
    chunk_tokens: int  # most tokens of a prompt that are best run in one pass
    least_chunk: int  # below so many a pass takes hardly less time: none is worth it that others could wait for

    @property
    def vocab_size(self) -> int:
        """Ids 0 .. vocab_size - 1 may be run."""

    def new_keys_values(self) -> KeysValues:
        """Those of no tokens, of the kind that this model takes."""

    def forward(self, ids: Sequence[int], keys_values: KeysValues, last: int = 1) -> torch.Tensor:
        """Run `ids` after the tokens of `keys_values`, to which theirs are added.

        Returns the logits of the `last` of them, [last, vocabulary].
        """

    def branch(
        self, ids: Sequence[int], before: Sequence[Sequence[int]], keys_values: KeysValues, trunk: int
    ) -> torch.Tensor:
        """Run `ids` after the tokens of `keys_values`, to which theirs are added, each on a branch of its own.

        All see the first `trunk` tokens, and of those behind them each sees only itself and the ones whose numbers are
        in its `before`, in this order; they may be among `ids`, earlier ones. Returns the logits of all, [ids,
        vocabulary]. Whoever is done with the branches crops `keys_values` to the trunk.
        """


def unlike_llama(config: Any) -> str | None:
    """What sets a model apart from a plain Llama, which the project's own passes compute, as the end of a sentence;
    None where nothing does."""
    if config.model_type != "llama":
        return f"it is no Llama but a {config.model_type} model"
    if config.hidden_act != "silu":
        return f"its feed-forward goes through {config.hidden_act}"
    if config.attention_bias or config.mlp_bias:
        return "its linear layers have biases"
    if config.rope_parameters.get("rope_type", "default") != "default":
        return "its positions are scaled"
    return None
