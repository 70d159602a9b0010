"""Layers of a Llama that lie in memory beside a card: a few tokens are computed there, and a prompt's on the card.

A few tokens take as long as the processor reads the weights. With each token more it computes longer, a prompt for
minutes, so for more than `kernels.FEW` the weights are copied to the card, layer by layer, for each pass. That takes
about as long as the processor would with sixteen tokens (a layer of 34B: 0.7 GB, 30 to 60 ms at 25 to 12 GB/s; 22
GFLOP, the same for eight cores at 50 to 100 each), and for every further token next to nothing. Where the one way ends
and the other begins does not depend on guesses, as only a prompt has more.
"""

from __future__ import annotations

import contextlib
import copy
import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from lsp_server.engine.passes import compiling, fused, products
from lsp_server.engine.passes.card_keys_values import Part, room
from lsp_server.engine.passes.card_weights import Weight
from lsp_server.engine.passes.cards import Run, Settings
from lsp_server.engine.passes.stretch import Few, Layer, Shape, Stretch, named
from lsp_server.engine.passes.threads import Pauses, SharedThreads

# How a layer's products are called, in the order in which they lie in memory.
_PRODUCTS = ("mixing", "output", "gate_up", "down")


class _Held:
    """A layer whose weights lie in one piece of memory, so that one copy brings all of them."""

    def __init__(self, layer: Layer) -> None:
        self.numbers = torch.cat([getattr(layer, name).weight.flatten() for name in _PRODUCTS])
        self._layer = self._on(layer, self.numbers)

    def lent(self, numbers: torch.Tensor) -> Layer:
        """The layer where a copy of its weights will lie."""
        return self._on(self._layer, numbers)

    def weights(self, size: int) -> fused.Weights:
        """As the compiled layer takes them; `size`: of a head."""
        layer = self._layer
        arrays: dict[str, Any] = {}
        for name in _PRODUCTS:
            arrays[name], arrays[f"{name}_scale"] = _arrays(getattr(layer, name))
        norms = {name: getattr(layer, name).float().numpy() for name in ("attention_norm", "feed_norm")}
        return fused.Weights(**norms, **arrays, apart=size // 2)

    @staticmethod
    def _on(layer: Layer, numbers: torch.Tensor) -> Layer:
        moved, device, first = copy.copy(layer), numbers.device, 0
        moved.attention_norm, moved.feed_norm = layer.attention_norm.to(device), layer.feed_norm.to(device)
        for name in _PRODUCTS:
            given: Weight = getattr(layer, name)
            part = numbers[first : first + given.weight.numel()].view_as(given.weight)
            setattr(moved, name, type(given)(part, given.scales.to(device)))
            first += given.weight.numel()
        return moved


class _OnCard(Stretch):
    """The same layers on a card, for prompts. There is room for two: while one is computed, the next is copied.

    `remark`: why the card does not read their memory by itself, or "".
    """

    def __init__(
        self, card: torch.device, shape: Shape, settings: Settings, frequencies: torch.Tensor, held: Sequence[_Held]
    ) -> None:
        # Buffers are for a few tokens, of which it computes none.
        super().__init__(Run(card), shape, replace(settings, span=shape.longest), frequencies)
        self._held, self.remark = held, ""
        with self._on_device():
            self._places = [torch.empty_like(each.numbers, device=card) for each in held[:2]]
            self._lent = [each.lent(self._places[number % 2]) for number, each in enumerate(held)]
            self._copying = torch.cuda.Stream(card) if card.type == "cuda" else None
            if self._copying is not None:
                self.remark = next(filter(None, map(_pinned, held)), "")

    def through(self, x: torch.Tensor, start: int, part: Part) -> torch.Tensor:
        """What the last layer says of a prompt, x [tokens, hidden], on the card; keys and values are in `part`, in
        memory, and here those of a layer at a time."""
        shape, tokens = self.shape, len(x)
        mine = Part(1, shape.kv_heads, shape.size, shape.dtype, self.device)
        mine.resize(room(start + tokens, 0), mine, 0)
        with self._on_device():
            self._copy(0)
            for number, layer in enumerate(self._lent):
                if self._copying is not None:
                    torch.cuda.current_stream().wait_stream(self._copying)
                if number + 1 < len(self._lent):
                    self._copy(number + 1)
                # Keys as they lie in memory: it is the card that turns them.
                ways = ((mine.keys[0].mT, part.keys[number].mT, 2), (mine.values[0], part.values[number], 1))
                for here, there, along in ways:
                    here.narrow(along, 0, start).copy_(there.narrow(along, 0, start))
                self._layers = [layer]
                x = self.many(x, start, mine, 0)
                for here, there, along in ways:
                    there.narrow(along, start, tokens).copy_(here.narrow(along, start, tokens))
        return x

    def _copy(self, number: int) -> None:
        """Begin to copy a layer to its place, when all that was begun before is computed."""
        place, numbers = self._places[number % 2], self._held[number].numbers
        if self._copying is None:
            place.copy_(numbers)
            return
        self._copying.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._copying):
            place.copy_(numbers, non_blocking=True)


def _pinned(held: _Held) -> str:
    """Have the card read a layer's memory by itself, where it lies (torch's own pinned memory is a power of two, of
    which a third would be empty); why it does not, or ""."""
    cuda, address = torch.cuda.cudart(), held.numbers.data_ptr()
    try:
        torch.cuda.check_error(cuda.cudaHostRegister(address, held.numbers.nbytes, 0))
    except RuntimeError as error:
        with contextlib.suppress(RuntimeError):
            torch.zeros(1, device="cuda")  # which comes upon that error once more, and nothing after it
        return named(error)
    weakref.finalize(held, cuda.cudaHostUnregister, address)
    return ""


def _arrays(given: Weight) -> tuple[Any, Any]:
    """The numbers and scales of a product as `products` takes them."""
    scales = given.scales[:, None] if given.bits == 8 else products.shares(given.scales)
    return given.weight.numpy(), scales.numpy()


def _bits(tensor: torch.Tensor) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """Numbers of bfloat16, which numpy has not."""
    bits: np.ndarray[Any, np.dtype[np.uint16]] = tensor.view(torch.uint16).numpy()
    return bits


class StretchInMemory:
    """The layers of a `run` in memory. `card`: what computes prompts; the rest as in `Stretch`.

    `remark`: what the user should know, or "".
    """

    def __init__(
        self,
        run: Run,
        shape: Shape,
        settings: Settings,
        frequencies: torch.Tensor,
        embeddings: torch.Tensor | None = None,
        head: tuple[torch.Tensor, Weight] | None = None,
        *,
        card: torch.device,
        threads: SharedThreads | None = None,
    ) -> None:
        self._shape, self._embeddings, self._threads = shape, embeddings, threads
        held = [_Held(Layer(layer)) for layer in run.layers]
        self._layers = [each.weights(shape.size) for each in held]
        self._head = None
        if head is not None:
            norm, weight = head
            self._head = (norm.float().numpy(), *_arrays(weight))
        angles = torch.outer(torch.arange(shape.longest).float(), frequencies.cpu().float())
        self._rotations = torch.stack((angles.cos(), angles.sin()), -1).flatten(1)
        self._card = _OnCard(card, shape, settings, frequencies, held) if held else None
        self.remark = ""
        if self._card is not None and (reason := self._card.remark):
            self.remark = f"a prompt takes longer than it need, since the card does not read memory ({reason})"

    def new_part(self) -> Part:
        shape, cpu = self._shape, torch.device("cpu")
        return Part(len(self._layers), shape.kv_heads, shape.size, torch.bfloat16, cpu, turned=True)

    def few(self, few: Few, x: torch.Tensor | None, part: Part) -> torch.Tensor:
        """As that of `Stretch`, in memory of its own."""
        if self._threads is not None:
            self._threads.adapt()
        tokens = len(few.ids)
        rows = self._embedded(few.ids) if x is None else x[:tokens].to("cpu", copy=True)
        seen = fused.Seen.in_a_row(few.start, tokens)
        if any(few.paths):
            seen = fused.Seen.on_branches(few.sees[0], few.paths)
        turned, threads, pauses = self._rotations[list(few.places)].numpy(), compiling.set_threads(), Pauses()
        for weights, keys, values in zip(self._layers, part.keys, part.values, strict=True):
            fused.layer(
                rows.numpy(), weights, self._shape.eps, turned, _bits(keys.mT), _bits(values), few.start, seen, threads
            )
            pauses.take()
        return F.pad(self._said(rows), (0, 0, 0, few.bucket - tokens))

    def many(self, given: Sequence[int] | torch.Tensor, start: int, part: Part, last: int) -> torch.Tensor:
        """As that of `Stretch`."""
        x = given if isinstance(given, torch.Tensor) else self._embedded(given)
        if self._card is not None:
            x = self._card.through(x, start, part)
        return x if self._head is None else self._said(x[-last:].cpu())

    def capture(self, bucket: int) -> str:
        """Nothing: a processor has no launches to save."""
        return ""

    def _embedded(self, ids: Sequence[int]) -> torch.Tensor:
        assert self._embeddings is not None
        return F.embedding(torch.tensor(ids), self._embeddings).float()

    def _said(self, rows: torch.Tensor) -> torch.Tensor:
        """The logits of rows, with a head; else they themselves."""
        if self._head is None:
            return rows
        norm, weights, scales = self._head
        normed = fused.rms_norm(rows.numpy(), norm, self._shape.eps)
        return products.product(torch.from_numpy(normed), weights, scales)
