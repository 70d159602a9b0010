"""The forward pass of a Llama (Code Llama is one) on a CPU, with weights of 8 or 4 bits and few operations.

For one token at a time the pass of transformers spends more on the way to the arithmetic than on the arithmetic: it
joins the cache anew in every layer, and its attention is made for many query rows. Here queries, keys and values are
one product, and so are the two halves of the feed-forward; keys and values lie in memory set aside beforehand, the keys
transposed; attention is two plain products. Over a few tokens each layer is one compiled function (`fused`). The
arithmetic is that of transformers' `LlamaModel`, rounded to bfloat16 at the same places or fewer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F

from lsp_server.engine.passes import compiling, fused, int4, int8, linears, memory, products
from lsp_server.engine.passes.compiling import Floats
from lsp_server.engine.passes.int8 import Int8Linear
from lsp_server.engine.passes.linears import RoundedLinear
from lsp_server.engine.passes.model import CHUNK_TOKENS, FEWEST_GUESSES_ON_CPU, unlike_llama
from lsp_server.engine.passes.threads import Pauses, SharedThreads

# Memory for positions is set aside, and computed with, in steps of this size: oneDNN prepares each new shape of a
# product for 0.6 ms.
_STEP = 128
# Most bytes of attention scores at a time: rows of a long prompt are taken in parts. In float32, whose products are no
# slower for it, few heads and few rows are, so that the scores stay in a cache.
_SCORES_BYTES, _NEAR_BYTES, _NEAR_ROWS = 64 * 2**20, 4 * 2**20, 128


class FlatKeysValues:
    """Keys [layers, heads, head size, capacity] and values [layers, heads, capacity, head size] of one sequence.

    The capacity is always computed with, since products of a part of it would copy that part first; what lies behind
    `length` is old or zero, and masked. It is kept near to what is needed.
    """

    def __init__(self, layers: int, heads: int, head_size: int) -> None:
        self._shape = (layers, heads, head_size)
        self.length = 0
        self.keys = torch.zeros(layers, heads, head_size, 0, dtype=torch.bfloat16)
        self.values = torch.zeros(layers, heads, 0, head_size, dtype=torch.bfloat16)

    @property
    def nbytes(self) -> int:
        return self.keys.nbytes + self.values.nbytes

    def crop(self, length: int) -> None:
        if not 0 <= length <= self.length:
            raise ValueError(f"cannot keep {length} of {self.length} tokens")
        self.length = length

    def copy(self, length: int) -> FlatKeysValues:
        if not 0 <= length <= self.length:
            raise ValueError(f"cannot copy {length} of {self.length} tokens")
        copied = FlatKeysValues(*self._shape)
        copied._resize(_room(length), self, length)
        copied.length = length
        return copied

    def compact(self) -> None:
        if _room(self.length) < self.capacity:
            self._resize(_room(self.length), self, self.length)

    @property
    def capacity(self) -> int:
        return self.keys.shape[-1]

    def make_room(self, length: int) -> None:
        """Have a capacity of at least `length` tokens, and not much more."""
        if not length <= self.capacity <= _room(length) * 3 // 2:
            self._resize(_room(length), self, min(length, self.length))

    def _resize(self, capacity: int, source: FlatKeysValues, kept: int) -> None:
        layers, heads, size = self._shape
        keys = memory.zeros(layers, heads, size, capacity, dtype=torch.bfloat16)
        values = memory.zeros(layers, heads, capacity, size, dtype=torch.bfloat16)
        keys[..., :kept] = source.keys[..., :kept]
        values[..., :kept, :] = source.values[..., :kept, :]
        self.keys, self.values = keys, values


def _room(length: int) -> int:
    """The capacity for `length` tokens: in whole steps, an eighth more than they need, so that an answer that grows by
    single tokens is not copied over and over."""
    return -(-(length + length // 8) // _STEP) * _STEP


class _Layer:
    """One layer's weights, taken from transformers' module, which loses them."""

    def __init__(self, layer: Any, head_size: int, arena: memory.Arena) -> None:
        attention, feed = layer.self_attn, layer.mlp
        self.attention_norm = layer.input_layernorm.weight
        self.feed_norm = layer.post_attention_layernorm.weight
        queries, keys = (_paired(linear, head_size) for linear in (attention.q_proj, attention.k_proj))
        self.queries_keys_values = queries.stacked([queries, keys, attention.v_proj]).moved(arena)
        self.output = attention.o_proj.moved(arena)
        self.gate_up = feed.gate_proj.stacked([feed.gate_proj, feed.up_proj]).moved(arena)
        self.down = feed.down_proj.moved(arena)
        layer.self_attn = layer.mlp = None
        mixing, mixing_scale = self.queries_keys_values.arrays()
        output, output_scale = self.output.arrays()
        gate_up, gate_up_scale = self.gate_up.arrays()
        down, down_scale = self.down.arrays()
        self.weights = fused.Weights(
            attention_norm=_floats(self.attention_norm),
            mixing=mixing,
            mixing_scale=mixing_scale,
            output=output,
            output_scale=output_scale,
            feed_norm=_floats(self.feed_norm),
            gate_up=gate_up,
            gate_up_scale=gate_up_scale,
            down=down,
            down_scale=down_scale,
            apart=1,
        )


def _paired(linear: RoundedLinear, head_size: int) -> RoundedLinear:
    """The rows of each head reordered so that the two numbers that are rotated together are neighbours, as in Meta's
    own weights; products of queries and keys stay the same."""
    rows = torch.arange(linear.weight.shape[0]).view(-1, 2, head_size // 2).transpose(1, 2).flatten()
    return linear.with_rows(rows)


def _floats(tensor: torch.Tensor) -> Floats:
    return cast(Floats, tensor.detach().float().numpy())


class LlamaOnCpu:
    """A `model.Model`. It takes the weights out of transformers' `model`, which cannot be used any more.

    threads: how many compute a pass; without it as many as torch is set to. report: told which share of the weights is
    prepared; after the last of them, 1, everything is compiled, which takes a while.
    """

    fewest_guesses = FEWEST_GUESSES_ON_CPU
    least_chunk = 1
    branches = True
    chunk_tokens = CHUNK_TOKENS

    def __init__(
        self,
        model: Any,
        threads: SharedThreads | None = None,
        report: Callable[[float], None] = lambda done: None,
    ) -> None:
        config = model.config
        self._threads = threads
        self._heads, self._kv_heads = config.num_attention_heads, config.num_key_value_heads
        self._head_size = config.head_dim or config.hidden_size // config.num_attention_heads
        self._eps, self._hidden = config.rms_norm_eps, config.hidden_size
        self._embeddings = model.model.embed_tokens.weight
        self._frequencies = model.model.rotary_emb.inv_freq.float()
        self._rotations = torch.empty(0, len(self._frequencies), dtype=torch.complex64)
        self._layers, arena = [], memory.Arena()
        for number, layer in enumerate(model.model.layers):
            report(number / len(model.model.layers))
            self._layers.append(_Layer(layer, self._head_size, arena))
        self._norm = model.model.norm.weight
        self._head = Int8Linear.rounded(model.lm_head.weight).moved(arena)
        model.lm_head = None
        self._head_arrays, self._norm_array = self._head.arrays(), _floats(self._norm)
        report(1.0)
        self.forward([0], self.new_keys_values())  # compiled now, not when the first suggestion waits

    @property
    def vocab_size(self) -> int:
        return int(self._embeddings.shape[0])

    def new_keys_values(self) -> FlatKeysValues:
        return FlatKeysValues(len(self._layers), self._kv_heads, self._head_size)

    @torch.inference_mode()
    def forward(self, ids: Sequence[int], keys_values: Any, last: int = 1) -> torch.Tensor:
        if self._threads is not None:
            self._threads.adapt()
        cache = cast(FlatKeysValues, keys_values)
        start, end = cache.length, cache.length + len(ids)
        cache.make_room(end)
        x = self._embeddings[torch.tensor(ids)]
        rotations = self._rotations_until(end)[start:end]
        if len(ids) <= fused.MOST_TOKENS:
            few = self._forward_few(x, rotations, cache, fused.Seen.in_a_row(start, len(ids)))
            return self._logits_of_few(few[-last:])
        # Queries are divided by the root of the head size on this occasion.
        rotations = torch.cat(
            (
                (rotations * self._head_size**-0.5)[:, None].expand(-1, self._heads, -1),
                rotations[:, None].expand(-1, self._kv_heads, -1),
            ),
            dim=1,
        )
        mask, pauses = _mask(start, len(ids), cache.capacity), Pauses()
        for index, layer in enumerate(self._layers):
            mixed = layer.queries_keys_values(F.rms_norm(x, (self._hidden,), layer.attention_norm, self._eps))
            attended = self._attend(mixed, rotations, mask, cache.keys[index], cache.values[index], start)
            x = x + layer.output(attended)
            gate, up = layer.gate_up(F.rms_norm(x, (self._hidden,), layer.feed_norm, self._eps)).chunk(2, dim=-1)
            x = x + layer.down(F.silu(gate).mul_(up))
            pauses.take()
        cache.length = end
        logits: torch.Tensor = self._head(F.rms_norm(x[-last:], (self._hidden,), self._norm, self._eps))
        return logits

    @torch.inference_mode()
    def branch(self, ids: Sequence[int], before: Sequence[Sequence[int]], keys_values: Any, trunk: int) -> torch.Tensor:
        if self._threads is not None:
            self._threads.adapt()
        cache, parts = cast(FlatKeysValues, keys_values), []
        cache.make_room(cache.length + len(ids))
        for first in range(0, len(ids), fused.MOST_TOKENS):
            part = ids[first : first + fused.MOST_TOKENS]
            paths = [[*before[first + at], cache.length + at] for at in range(len(part))]
            places = torch.tensor([trunk + len(path) - 1 for path in paths])
            rotations = self._rotations_until(int(places.max()) + 1)[places]
            seen = fused.Seen.on_branches(trunk, paths)
            parts.append(self._forward_few(self._embeddings[torch.tensor(part)], rotations, cache, seen))
        return self._logits_of_few(np.concatenate(parts))

    def _forward_few(self, x: torch.Tensor, rotations: torch.Tensor, cache: FlatKeysValues, seen: fused.Seen) -> Floats:
        """What the last layer says of each token, [tokens, hidden]; their keys and values are in the cache then."""
        threads = compiling.set_threads()
        rows, turned = _floats(x), torch.view_as_real(rotations).flatten(1).numpy()
        # numpy has no bfloat16.
        keys, values = cache.keys.view(torch.uint16).numpy(), cache.values.view(torch.uint16).numpy()
        pauses = Pauses()
        for index, layer in enumerate(self._layers):
            fused.layer(rows, layer.weights, self._eps, turned, keys[index], values[index], cache.length, seen, threads)
            pauses.take()
        cache.length += len(rows)
        return rows

    def _logits_of_few(self, rows: Floats) -> torch.Tensor:
        normed = fused.rms_norm(rows, self._norm_array, self._eps)
        return products.product(torch.from_numpy(normed), *self._head_arrays)

    def _attend(
        self,
        mixed: torch.Tensor,
        rotations: torch.Tensor,
        mask: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        start: int,
    ) -> torch.Tensor:
        """Put the new keys and values into the cache and give what the new tokens take from it, [tokens, hidden]."""
        heads, kv_heads, size = self._heads, self._kv_heads, self._head_size
        tokens, group, capacity = len(mixed), heads // kv_heads, mask.shape[1]
        end = start + tokens
        seen = _columns(end, capacity)
        rotated, fresh = mixed.split(((heads + kv_heads) * size, kv_heads * size), dim=-1)
        pairs = torch.view_as_complex(rotated.float().view(tokens, heads + kv_heads, size // 2, 2))
        rotated = torch.view_as_real(pairs * rotations).view(tokens, heads + kv_heads, size)
        keys[:, :, start:end] = rotated[:, heads:].permute(1, 2, 0)
        values[:, start:end] = fresh.view(tokens, kv_heads, size).transpose(0, 1)
        queries = rotated[:, :heads].to(linears.PRODUCT).view(tokens, kv_heads, group, size).permute(1, 0, 2, 3)
        taken = torch.empty(tokens, kv_heads, group * size, dtype=torch.bfloat16)
        some_heads, rows = _at_once(kv_heads, group, capacity)
        for head in range(0, kv_heads, some_heads):
            few = slice(head, head + some_heads)
            few_keys, few_values = (cached[few].to(linears.PRODUCT) for cached in (keys[..., :seen], values[:, :seen]))
            for first in range(0, tokens, rows):
                part = queries[few, first : first + rows]
                number, count = part.shape[:2]
                until = _columns(start + first + count, capacity)
                scores = torch.bmm(part.reshape(number, count * group, size), few_keys[..., :until])
                later = mask[first : first + count, None, start:until]  # none is hidden from all of them before
                scores.view(number, count, group, until)[..., start:].add_(later)
                mixture = torch.bmm(torch.softmax(scores, dim=-1), few_values[:, :until])
                taken[first : first + count, few] = mixture.view(number, count, -1).transpose(0, 1)
        return taken.flatten(1)

    def _rotations_until(self, end: int) -> torch.Tensor:
        """e^(i position frequency), [positions, half a head], for at least `end` positions."""
        if end > len(self._rotations):
            angles = torch.outer(torch.arange(_room(end) * 2).float(), self._frequencies)
            self._rotations = torch.polar(torch.ones_like(angles), angles)
        return self._rotations


def _columns(end: int, capacity: int) -> int:
    """How many of the positions set aside are computed with, of which the first `end` are seen. oneDNN, which
    multiplies bfloat16, copies a part of them first; float32 is copied in any case."""
    return capacity if linears.PRODUCT is torch.bfloat16 else -(-end // _STEP) * _STEP


def _at_once(kv_heads: int, group: int, capacity: int) -> tuple[int, int]:
    """(heads of keys and values, rows) whose scores are computed in one go."""
    if linears.PRODUCT is torch.bfloat16:
        return kv_heads, max(1, _SCORES_BYTES // (kv_heads * group * capacity * 2))
    return max(1, _NEAR_BYTES // (_NEAR_ROWS * group * capacity * 4)), _NEAR_ROWS


def _mask(start: int, tokens: int, capacity: int) -> torch.Tensor:
    """[tokens, capacity]: 0 where the token at `start` + row may look, minus infinity beyond itself."""
    return torch.full((tokens, capacity), -torch.inf, dtype=torch.bfloat16).triu_(start + 1)


def can_take(model: Any) -> bool:
    """Whether `LlamaOnCpu` computes what `model` does: a plain Llama, its linear layers all in 8 or all in 4 bits on
    the CPU."""
    config = model.config
    return (
        unlike_llama(config) is None
        and all(size % products.MULTIPLE == 0 for size in (config.hidden_size, config.intermediate_size))
        and model.lm_head.weight.device.type == "cpu"
        and 7 * config.num_hidden_layers in (int8.replaced(model), int4.replaced(model))
    )
