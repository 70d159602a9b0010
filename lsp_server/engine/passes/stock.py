"""The forward pass of transformers, for every causal language model that it knows, on whatever devices it lies."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache

from lsp_server.engine.passes.model import CHUNK_TOKENS, FEWEST_GUESSES, KeysValues


class DynamicKeysValues:
    """`KeysValues` in the cache of transformers, which grows by joining.

    Every layer is kept whole, also those with a sliding window (their mask still slides), since only a whole layer can
    be cut back to any prefix.
    """

    def __init__(self) -> None:
        self.cache = DynamicCache()

    @property
    def length(self) -> int:
        return int(self.cache.get_seq_length())

    @property
    def nbytes(self) -> int:
        return sum(tensor.untyped_storage().nbytes() for tensor in self._tensors())

    def crop(self, length: int) -> None:
        if not 0 <= length <= self.length:
            raise ValueError(f"cannot keep {length} of {self.length} tokens")
        if length < self.length:
            self.cache.crop(length - self.length)  # transformers takes the number to drop, negative

    def copy(self, length: int) -> DynamicKeysValues:
        if not 0 <= length <= self.length:
            raise ValueError(f"cannot copy {length} of {self.length} tokens")
        copied = DynamicKeysValues()
        if length:
            for index, layer in enumerate(self.cache.layers):
                # `update` concatenates, which copies.
                copied.cache.update(layer.keys[..., :length, :], layer.values[..., :length, :], index)
        return copied

    def compact(self) -> None:
        for layer in self.cache.layers:
            if layer.is_initialized:
                layer.keys, layer.values = _own(layer.keys), _own(layer.values)

    def _tensors(self) -> list[torch.Tensor]:
        return [tensor for layer in self.cache.layers if layer.is_initialized for tensor in (layer.keys, layer.values)]


def _own(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.untyped_storage().nbytes() == tensor.nbytes else tensor.clone()


class TransformersModel:
    """A causal language model of transformers, on one device or spread over several by accelerate."""

    fewest_guesses = FEWEST_GUESSES
    chunk_tokens = CHUNK_TOKENS
    least_chunk = 1

    def __init__(self, model: Any) -> None:
        self._model = model.eval()
        embeddings = model.get_input_embeddings().weight
        self._vocab_size = int(embeddings.shape[0])
        # Weights that accelerate keeps on disk look like `meta`; its hooks then move the input themselves.
        self._device = torch.device("cpu") if embeddings.device.type == "meta" else embeddings.device
        self.branches = _takes_places_and_mask(model)

    @property
    def vocab_size(self) -> int:
        return self._vocab_size

    def new_keys_values(self) -> DynamicKeysValues:
        return DynamicKeysValues()

    def forward(self, ids: Sequence[int], keys_values: KeysValues, last: int = 1) -> torch.Tensor:
        assert isinstance(keys_values, DynamicKeysValues)
        with torch.inference_mode():
            input_ids = torch.tensor([list(ids)], dtype=torch.long, device=self._device)
            # Only the logits that are wanted: for a chunk of 256 and a vocabulary of 32k the others would take 32 MB.
            output = self._model(
                input_ids=input_ids, past_key_values=keys_values.cache, use_cache=True, logits_to_keep=last
            )
        logits: torch.Tensor = output.logits[0]
        return logits

    def branch(
        self, ids: Sequence[int], before: Sequence[Sequence[int]], keys_values: KeysValues, trunk: int
    ) -> torch.Tensor:
        assert isinstance(keys_values, DynamicKeysValues)
        start = keys_values.length
        hidden = torch.ones(len(ids), start + len(ids), dtype=torch.bool)
        hidden[:, :trunk] = False
        for row, path in enumerate(before):
            hidden[row, [*path, start + row]] = False
        least = torch.finfo(self._model.dtype).min
        mask = torch.zeros(hidden.shape, dtype=self._model.dtype).masked_fill_(hidden, least)
        with torch.inference_mode():
            output = self._model(
                input_ids=torch.tensor([list(ids)], dtype=torch.long, device=self._device),
                attention_mask=mask[None, None].to(self._device),
                position_ids=torch.tensor([[trunk + len(path) for path in before]], device=self._device),
                past_key_values=keys_values.cache,
                use_cache=True,
                logits_to_keep=len(ids),
            )
        logits: torch.Tensor = output.logits[0]
        return logits


def _takes_places_and_mask(model: Any) -> bool:
    """Whether each token's place, and what it sees, can be given to a model of transformers."""
    names = inspect.signature(model.forward).parameters
    own = getattr(getattr(model, "config", None), "_attn_implementation", None)
    return {"position_ids", "attention_mask"} <= names.keys() and own in ("eager", "sdpa")
