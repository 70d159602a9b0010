"""Layers of a Llama on one CUDA card: what they compute of a few tokens, in one captured graph, and of a prompt.

A model is a chain of stretches, as many as there are cards. On a CPU the same code runs in Triton's interpreter,
without graphs: that is how it is tested.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
import triton
from torch.nn.attention.bias import causal_lower_right

from lsp_server.engine.passes import int4, kernels
from lsp_server.engine.passes.card_keys_values import Part
from lsp_server.engine.passes.card_weights import Weight, stacked
from lsp_server.engine.passes.cards import Run, Settings
from lsp_server.engine.passes.kernels import FEW, PATH

# Tokens of the captured passes: another number is filled up to the next of these.
BUCKETS = (1, 4, FEW)
LEAST_TRITON_FOUR = (3, 3)  # which torch 2.7 brings


@dataclass(frozen=True)
class Shape:
    """The numbers of a model that all its stretches share. `longest`: places, counted from 0, that tokens can have."""

    hidden: int
    heads: int
    kv_heads: int
    size: int
    eps: float
    longest: int
    dtype: torch.dtype

    @property
    def attended(self) -> int:
        """Numbers that the heads of a token take together, which need not be `hidden`."""
        return self.heads * self.size

    @property
    def mixed(self) -> int:
        """Rows of the product that gives queries, keys and values."""
        return (self.heads + 2 * self.kv_heads) * self.size


@dataclass(frozen=True)
class Few:
    """At most `FEW` tokens to be run, and what each sees: of the sequence the first `sees` tokens, and those whose
    numbers are in its path, its own among them. They are written from number `start` on."""

    ids: Sequence[int]
    start: int
    places: Sequence[int]
    sees: Sequence[int]
    paths: Sequence[Sequence[int]]

    @classmethod
    def in_a_row(cls, ids: Sequence[int], start: int) -> Few:
        places = range(start, start + len(ids))
        return cls(ids, start, places, [place + 1 for place in places], [()] * len(ids))

    @classmethod
    def on_branches(cls, ids: Sequence[int], start: int, trunk: int, before: Sequence[Sequence[int]]) -> Few:
        paths = [[*path, start + at] for at, path in enumerate(before)]
        if any(len(path) > PATH for path in paths):
            raise ValueError(f"a branch has at most {PATH} tokens")
        return cls(ids, start, [trunk + len(path) - 1 for path in paths], [trunk] * len(ids), paths)

    @property
    def bucket(self) -> int:
        return next(bucket for bucket in BUCKETS if bucket >= len(self.ids))

    def filled(self) -> Few:
        """The same with tokens that nobody reads behind them, up to those of a captured pass. They see the first token
        of the sequence: one that sees nothing would give NaN."""
        count = self.bucket - len(self.ids)
        nothing = [0] * count
        return Few(
            [*self.ids, *nothing],
            self.start,
            [*self.places, *nothing],
            [*self.sees, *[1] * count],
            [*self.paths, *[()] * count],
        )

    def state(self, part: Part) -> list[int]:
        """What the kernels read: see `kernels`. The paths only where there are some."""
        given = self.filled()
        behind = [len(path) for path in given.paths]
        rest = [0] * (FEW - len(given.ids))
        numbers = [self.start, part.capacity, max(given.sees)]
        for each in (given.ids, given.places, given.sees, behind):
            numbers += [*each, *rest]
        numbers += part.addresses
        if any(behind):
            for path in given.paths:
                numbers += [*path, *[0] * (PATH - len(path))]
        return numbers


class Layer:
    """One layer's weights, taken from transformers' module, which loses them."""

    def __init__(self, layer: Any) -> None:
        attention, feed = layer.self_attn, layer.mlp
        self.attention_norm = layer.input_layernorm.weight.detach()
        self.feed_norm = layer.post_attention_layernorm.weight.detach()
        self.mixing = stacked(attention.q_proj, attention.k_proj, attention.v_proj)
        self.output = stacked(attention.o_proj)
        self.gate_up = stacked(feed.gate_proj, feed.up_proj)
        self.down = stacked(feed.down_proj)
        layer.self_attn = layer.mlp = None
        if self.down.weight.device.type == "cuda":
            torch.cuda.empty_cache()  # what was stacked left blocks of sizes that nothing else has


class _Buffers:
    """What a few tokens' pass writes on its way, the same memory in every pass."""

    def __init__(self, shape: Shape, settings: Settings, fed: int, parts: int, device: torch.device) -> None:
        def new(*sizes: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
            return torch.zeros(sizes, dtype=dtype, device=device)

        spans = triton.cdiv(shape.longest, settings.span)
        self.x = new(FEW, shape.hidden)
        self.normed = new(FEW, shape.hidden, dtype=shape.dtype)
        self.added = new(parts * FEW * shape.hidden)
        self.mixed = new(parts * FEW * shape.mixed)
        self.queries = new(FEW, shape.heads, shape.size, dtype=shape.dtype)
        self.attended = new(FEW, shape.attended, dtype=shape.dtype)
        self.fed = new(FEW, fed, dtype=shape.dtype)
        self.taken = new(spans, FEW, shape.heads, shape.size)
        self.most, self.total = new(spans, FEW, shape.heads), new(spans, FEW, shape.heads)


class Stretch:
    """The layers of a `run`. `head`: the norm and the head that follow them, in the last stretch; `embeddings`:
    [vocabulary, hidden], in the first one; `frequencies`: of the rotations, float32 [head size / 2]."""

    def __init__(
        self,
        run: Run,
        shape: Shape,
        settings: Settings,
        frequencies: torch.Tensor,
        embeddings: torch.Tensor | None = None,
        head: tuple[torch.Tensor, Weight] | None = None,
    ) -> None:
        self.device, self.shape, self.settings = run.device, shape, settings
        self._embeddings, self._head = embeddings, head
        self._width = triton.next_power_of_2(shape.hidden)
        with self._on_device():
            self._layers = [Layer(layer) for layer in run.layers]
            places = torch.arange(shape.longest, device=self.device).float()
            angles = torch.outer(places, frequencies.to(self.device).float())
            self._cosines, self._sines = angles.cos(), angles.sin()
            fed = max((layer.down.depth for layer in self._layers), default=0)
            self._buffers = _Buffers(shape, settings, fed, 8, self.device)
            numbers = kernels.ADDRESSES + 2 * len(self._layers) + FEW * PATH
            self._state = torch.zeros(numbers, dtype=torch.int64, device=self.device)
            self._host = torch.zeros(numbers, dtype=torch.int64, pin_memory=self.device.type == "cuda")
            vocabulary = head[1].rows if head is not None else 0
            self._logits = torch.zeros(FEW, vocabulary, device=self.device)
        self._graphs: dict[int, Callable[[], None]] = {}

    def new_part(self) -> Part:
        shape = self.shape
        return Part(len(self._layers), shape.kv_heads, shape.size, shape.dtype, self.device)

    def few(self, few: Few, x: torch.Tensor | None, part: Part) -> torch.Tensor:
        """What the last layer says of a few tokens, float32 [bucket, hidden], or, with a head, their logits in float32
        [bucket, vocabulary]: memory that the next pass writes over. `x`: what the stretch before says."""
        with self._on_device():
            self._tell(few.state(part))
            if x is not None:
                self._buffers.x[: few.bucket].copy_(x, non_blocking=True)
            self._graphs.get(few.bucket, lambda: self.compute(few.bucket))()
        return (self._buffers.x if self._head is None else self._logits)[: few.bucket]

    def capture(self, bucket: int) -> str:
        """Have passes of so many tokens, of which some have been run, from now on as one graph; where the card or its
        driver refuses, why: they are launched one by one then, as before."""
        try:
            with self._on_device():
                self._graphs[bucket] = captured(lambda: self.compute(bucket), self.device)
        except RuntimeError as error:
            return named(error)
        return ""

    def compute(self, tokens: int) -> None:
        """What is captured: from what is in `_state` and, in all stretches but the first, in the buffer of x."""
        buffers, parts = self._buffers, 0
        x, normed, attended = buffers.x[:tokens], buffers.normed[:tokens], buffers.attended[:tokens]
        if self._embeddings is not None:
            kernels.embed[(tokens,)](self._state, self._embeddings, x, self.shape.hidden, WIDTH=self._width)
        for index, layer in enumerate(self._layers):
            self._add_norm(x, buffers.added, layer.attention_norm, normed, parts)
            parts = self._product(normed, layer.mixing, buffers.mixed)
            self._place(index, buffers.mixed, buffers.queries, tokens, parts)
            self._attend(index, tokens)
            parts = self._product(attended, layer.output, buffers.added)
            self._add_norm(x, buffers.added, layer.feed_norm, normed, parts)
            self._product(normed, layer.gate_up, buffers.fed, gated=True)
            parts = self._product(buffers.fed[:tokens], layer.down, buffers.added)
        if self._head is not None:
            norm, head = self._head
            self._add_norm(x, buffers.added, norm, normed, parts)
            self._product(normed, head, self._logits, whole=True)
        elif self._layers:  # of this norm nobody reads more than what was added to x
            self._add_norm(x, buffers.added, self._layers[-1].feed_norm, normed, parts)

    def many(self, given: Sequence[int] | torch.Tensor, start: int, part: Part, last: int) -> torch.Tensor:
        """`few` for a prompt of any length, whose keys and values are written from `start` on: of ids, in the first
        stretch, or of what the stretch before says. With a head the logits of the `last` tokens."""
        with self._on_device():
            if isinstance(given, torch.Tensor):
                x = given.to(self.device)
            else:
                assert self._embeddings is not None
                x = F.embedding(torch.tensor(given, device=self.device), self._embeddings).float()
            self._tell([start, part.capacity, 0, *[0] * (4 * FEW), *part.addresses])
            return self._many(x, start, part, last)

    def _many(self, x: torch.Tensor, start: int, part: Part, last: int) -> torch.Tensor:
        shape, tokens, parts = self.shape, len(x), 0

        def new(*sizes: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
            return torch.empty(sizes, dtype=dtype, device=self.device)

        normed, attended = (new(tokens, width, dtype=shape.dtype) for width in (shape.hidden, shape.attended))
        added, mixed = new(tokens, shape.hidden), new(tokens, shape.mixed)
        queries = new(tokens, shape.heads, shape.size, dtype=shape.dtype)
        fed = new(tokens, max((layer.down.depth for layer in self._layers), default=0), dtype=shape.dtype)
        for index, layer in enumerate(self._layers):
            self._add_norm(x, added, layer.attention_norm, normed, parts)
            parts = self._product(normed, layer.mixing, mixed)
            self._place(index, mixed, queries, tokens, parts, in_a_row=True)
            self._attend_many(queries, part.keys[index], part.values[index], start, attended)
            parts = self._product(attended, layer.output, added)
            self._add_norm(x, added, layer.feed_norm, normed, parts)
            self._product(normed, layer.gate_up, fed, gated=True)
            parts = self._product(fed, layer.down, added)
        if self._head is None:
            return x + added if parts else x
        norm, head = self._head
        self._add_norm(x, added, norm, normed, parts)
        logits = new(last, head.rows)
        self._product(normed[tokens - last :], head, logits, whole=True)
        return logits

    def _tell(self, numbers: Sequence[int]) -> None:
        """Have the kernels read these. One copy; the pass before has ended, so its numbers are not needed any more."""
        count = len(numbers)
        self._host[:count] = torch.tensor(numbers)
        self._state[:count].copy_(self._host[:count], non_blocking=True)

    def _product(
        self, x: torch.Tensor, given: Weight, out: torch.Tensor, *, gated: bool = False, whole: bool = False
    ) -> int:
        """out [parts, tokens, rows] = x [tokens, depth] times the weights; how many parts. `whole`: one."""
        tile, parts = given.cut(self.settings, len(x), gated=gated)
        parts = 1 if whole else parts
        given.launch(x, out, tile, parts, gated=gated)
        return parts

    def _add_norm(
        self, x: torch.Tensor, added: torch.Tensor, norm: torch.Tensor, out: torch.Tensor, parts: int
    ) -> None:
        kernels.add_norm[(len(x),)](
            x, added, norm, out, len(x), self.shape.hidden, self.shape.eps, PARTS=parts, WIDTH=self._width
        )

    def _place(
        self, index: int, mixed: torch.Tensor, queries: torch.Tensor, tokens: int, parts: int, *, in_a_row: bool = False
    ) -> None:
        shape = self.shape
        kernels.place[(tokens, shape.heads + 2 * shape.kv_heads)](
            mixed, self._cosines, self._sines, queries, self._state, tokens, index, len(self._layers),
            shape.heads, shape.kv_heads, PARTS=parts, SIZE=shape.size, IN_A_ROW=in_a_row, num_warps=1,
        )  # fmt: skip

    def _attend(self, index: int, tokens: int) -> None:
        shape, settings, buffers = self.shape, self.settings, self._buffers
        group, layers, factor = shape.heads // shape.kv_heads, len(self._layers), shape.size**-0.5
        rows = triton.next_power_of_2(FEW * group)
        kernels.attend[(shape.kv_heads, len(buffers.taken))](
            buffers.queries, self._state, buffers.taken, buffers.most, buffers.total, tokens, index, layers,
            shape.heads, factor, GROUP=group, ROWS=rows, SIZE=shape.size, KEYS=settings.keys, SPAN=settings.span,
            num_warps=4 if rows < 128 else 8, num_stages=2,
        )  # fmt: skip
        kernels.gather[(tokens, shape.heads)](
            buffers.taken, buffers.most, buffers.total, buffers.queries, self._state, buffers.attended, index, layers,
            shape.heads, group, factor, SIZE=shape.size, KEYS=16, SPAN=settings.span, num_warps=1,
        )  # fmt: skip

    def _attend_many(
        self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, start: int, out: torch.Tensor
    ) -> None:
        """out [tokens, attended]: what the tokens from `start` on take from all up to themselves."""
        shape, tokens = self.shape, len(queries)
        end, group = start + tokens, shape.heads // shape.kv_heads
        # Each head its own, as torch's attention takes them everywhere: some 50 MB, for a moment.
        own_keys, own_values = (
            each[:, :end].repeat_interleave(group, 0)[None] if group > 1 else each[None, :, :end]
            for each in (keys, values)
        )
        # The lower right triangle, a past before it being seen whole; torch's `is_causal` means the upper left one.
        taken = F.scaled_dot_product_attention(
            queries.transpose(0, 1)[None], own_keys, own_values, attn_mask=causal_lower_right(tokens, end)
        )
        out.copy_(taken[0].transpose(0, 1).reshape(out.shape))

    def _on_device(self) -> contextlib.AbstractContextManager[None]:
        """Triton computes on the thread's current card, not on that where the tensors are."""
        return torch.cuda.device(self.device) if self.device.type == "cuda" else contextlib.nullcontext()


def trouble(run: Run) -> str | None:
    """Why no kernel can be run where these layers lie, as the end of a sentence; None where one can. Triton compiles
    with the system's C compiler, which may not be there, and an old one ends the process over weights of 4 bits."""
    four = any(int4.is_taken(layer.mlp.down_proj) for layer in run.layers)
    if four and tuple(map(int, triton.__version__.split(".")[:2])) < LEAST_TRITON_FOUR:
        return f"Triton {triton.__version__} does not compile the kernels for weights of 4 bits"
    try:
        with torch.cuda.device(run.device) if run.device.type == "cuda" else contextlib.nullcontext():
            x, y = (torch.ones(1, 16, device=run.device) for _ in range(2))
            kernels.add_norm[(1,)](x, x, torch.full((16,), 3.0, device=run.device), y, 1, 16, 0.0, PARTS=0, WIDTH=16)
            return None if torch.equal(y, torch.full_like(y, 3.0)) else "a kernel gave a wrong result"
    except Exception as error:  # of Triton's, of a compiler's, of the card's
        return f"Triton does not run here ({named(error)})"


def named(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


def captured(launches: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """The same launches as one graph, on a card. Raises RuntimeError, of torch or of the card."""
    if device.type != "cuda":
        return launches
    graph = torch.cuda.CUDAGraph()
    # A stream of this card: torch's own for captures is of the card that was the first to capture. Another thread may
    # ask the card something meanwhile, as the one that answers how much memory is free.
    stream = torch.cuda.Stream(device)
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        launches()
    return graph.replay
