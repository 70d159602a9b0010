"""The starter model with low-rank adapters: W + SCALE * B @ A for every linear layer, and rows of its own for the four
infilling tokens. https://arxiv.org/abs/2106.09685 is where the method comes from."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn
from torch.nn import functional
from transformers import AutoModelForCausalLM

RANK = 32
SCALE = 1.0
CHUNK = {"cpu": 64, "cuda": 8192}  # tokens whose logits are in memory at once: on a CPU, in its cache
NEVER = -1e4  # logit of a token that is ruled out


class _Loss(torch.autograd.Function):
    """(states [n, hidden], rows [4, hidden], head [vocabulary, hidden], tokens [4], wanted) -> summed loss, in nats.
    `rows` are those of `head` for the infilling `tokens`, and the only ones that are trained.

    `wanted`: ids [n], for the cross entropy, or logits [n, vocabulary] by slices, for KL(wanted || found), in which the
    four infilling tokens are ruled out, as the product does in a chat.
    The gradients are made together with the loss, a chunk of tokens at a time.
    """

    @staticmethod
    def forward(
        ctx: Any, states: torch.Tensor, rows: torch.Tensor, head: torch.Tensor, tokens: torch.Tensor, wanted: Any
    ) -> torch.Tensor:
        loss = states.new_zeros((), dtype=torch.float32)
        for_states, for_rows = torch.empty_like(states), torch.zeros_like(rows)
        chunk = CHUNK[states.device.type]
        for first in range(0, len(states), chunk):
            part = slice(first, first + chunk)
            logits = (states[part] @ head.t()).float()
            found = functional.log_softmax(logits.index_fill_(1, tokens, NEVER) if callable(wanted) else logits, -1)
            if callable(wanted):
                other = functional.log_softmax(wanted(part).float().index_fill_(1, tokens, NEVER), -1)
                share = other.exp()
                loss += share.mul(other - found).sum()
                gradient = found.exp_().sub_(share)
            else:
                ids = wanted[part, None]
                loss -= found.gather(1, ids).sum()
                gradient = found.exp_()
                gradient.scatter_add_(1, ids, gradient.new_full(ids.shape, -1.0))
            gradient = gradient.to(states.dtype)
            for_states[part] = gradient @ head
            for_rows += gradient[:, tokens].t() @ states[part]
        ctx.save_for_backward(for_states, for_rows)
        return loss

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        for_states, for_rows = ctx.saved_tensors
        return gradient * for_states, gradient * for_rows, None, None, None


class _Product(torch.autograd.Function):
    """x @ whole.T, where `whole` is W + b @ a, made beforehand; the gradients are those by a and b."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, whole: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, whole, a, b)
        return x @ whole.t()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, whole, a, b = ctx.saved_tensors
        flat, inputs = gradient.reshape(-1, gradient.shape[-1]), x.reshape(-1, x.shape[-1])
        for_b = flat.t() @ (inputs @ a.t())
        for_a = (flat @ b).t() @ inputs
        return gradient @ whole, None, for_a, for_b


class _Adapted(nn.Module):
    """A linear layer with `a` = A [rank, in] and `b` = SCALE * B [out, rank]."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.plain, self.whole = linear.weight, torch.empty_like(linear.weight)
        self.a = nn.Parameter(linear.weight.new_empty(RANK, linear.in_features))
        self.b = nn.Parameter(linear.weight.new_empty(linear.out_features, RANK))

    def merge(self, a: torch.Tensor, b: torch.Tensor) -> None:
        self.a.copy_(a)
        self.b.copy_(SCALE * b)
        torch.addmm(self.plain, self.b, self.a, out=self.whole)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _Product.apply(x, self.whole, self.a, self.b)


class Taught(nn.Module):
    """The model in bfloat16, and its adapters, in float32. A step merges the adapters into the weights (`merge`), and
    takes the `gradients` of `loss` or `drift`.

    `tokens`: ids of the infilling tokens, [prefix, suffix, middle, end]. `seed` decides how the adapters begin.
    `compiled`: each layer by torch.compile, which takes a C++ compiler and a minute; such a model is one thread's.
    """

    def __init__(
        self, folder: Path, tokens: list[int], seed: int = 0, device: str = "cpu", compiled: bool = False
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        load = AutoModelForCausalLM.from_pretrained
        self._plain, self._taught = (
            load(folder, dtype=torch.bfloat16, attn_implementation="sdpa").requires_grad_(False).to(device).model
            for _ in range(2)
        )
        self._adapters = dict[str, torch.Tensor]()
        self._adapted = dict[str, _Adapted]()
        for name, linear in list(self._taught.named_modules()):
            if isinstance(linear, nn.Linear):
                path = f"model.{name}"
                a = torch.randn(RANK, linear.in_features) / linear.in_features**0.5
                self._adapters[f"{path}.a"] = a.to(device)
                self._adapters[f"{path}.b"] = torch.zeros(linear.out_features, RANK, device=device)
                self._adapted[path] = _Adapted(linear)
                self._taught.set_submodule(name, self._adapted[path])
        self.compiled = compiled
        if compiled:
            for layer in (*self._plain.layers, *self._taught.layers):
                layer.compile(dynamic=True)
        self._table = self._taught.embed_tokens.weight
        self._tokens = torch.tensor(tokens, device=device)
        rows = self._table[self._tokens].float()
        rows[3] = self._table[0].float()  # `<|endoftext|>`: the end of an infill begins as the end of a document
        self._adapters["rows"] = rows
        self._rows = nn.Parameter(rows.to(self._table.dtype))

    def adapters(self) -> dict[str, torch.Tensor]:
        """What is trained, by name: `rows`, and `<module>.a` and `<module>.b`, named as in the checkpoint."""
        return self._adapters

    def begin_with(self, adapter: Path) -> None:
        """Set the adapters to those in a file as `training.train.write` makes it. It has `a` and `b` in steps whose
        product alone is known; `a` is given the size that it begins with, and learning goes on as it would have."""
        with safe_open(adapter, "pt") as file:
            self._adapters["rows"].copy_(file.get_tensor("model.embed_tokens.rows").float())
            for name in self._adapted:
                a, b, scale = (file.get_tensor(f"{name}.{part}").float() for part in ("a", "b", "scale"))
                step = 1 / (a.shape[1] ** 0.5 * a.square().mean(1).sqrt().clamp(min=1e-6))
                self._adapters[f"{name}.a"].copy_(a * step[:, None])
                self._adapters[f"{name}.b"].copy_(b * scale / step / SCALE)

    @torch.no_grad()
    def merge(self) -> None:
        """Put the adapters into the weights that `loss` and `drift` compute with."""
        for name, adapted in self._adapted.items():
            adapted.merge(self._adapters[f"{name}.a"], self._adapters[f"{name}.b"])
        self._rows.copy_(self._adapters["rows"])
        self._table[self._tokens] = self._rows

    def gradients(self, loss: torch.Tensor) -> list[torch.Tensor]:
        """Those of a loss by each of the `adapters`."""
        parameters = [each for adapted in self._adapted.values() for each in (adapted.a, adapted.b)]
        *found, rows = torch.autograd.grad(loss, [*parameters, self._rows], materialize_grads=True)
        scales = itertools.cycle([1.0, SCALE])
        return [*(scale * each.float() for scale, each in zip(scales, found, strict=False)), rows.float()]

    def loss(self, ids: torch.Tensor, learned: torch.Tensor) -> torch.Tensor:
        """The cross entropy, in nats, of the ids [batch, length] that are to be `learned`, summed. They are a few; for
        the others no logits are made."""
        return self._loss(ids, learned, ids[:, 1:][learned[:, 1:]])

    def drift(self, ids: torch.Tensor, learned: torch.Tensor) -> torch.Tensor:
        """How far the model is from the plain one on these ids: KL(plain || taught), in nats, summed."""
        table = self._plain.embed_tokens.weight
        with torch.no_grad():
            plain = self._plain(input_ids=ids, use_cache=False).last_hidden_state[:, :-1][learned[:, 1:]]
        return self._loss(ids, learned, lambda part: plain[part] @ table.t())

    def _loss(self, ids: torch.Tensor, learned: torch.Tensor, wanted: Any) -> torch.Tensor:
        return _Loss.apply(self.states(ids, learned), self._rows, self._table, self._tokens, wanted)

    def states(self, ids: torch.Tensor, learned: torch.Tensor) -> torch.Tensor:
        """[n, hidden]: what the logits of the n ids to be `learned` are made of. `ids` [batch, length] are padded at
        the right. No mask: what a token sees stands left of it, where no padding is."""
        at = ids.unsqueeze(-1) == self._tokens
        own = at.to(self._table.dtype) @ self._rows
        embedded = torch.where(at.any(-1, keepdim=True), own, functional.embedding(ids, self._table))
        states = self._taught(inputs_embeds=embedded, use_cache=False).last_hidden_state
        return states[:, :-1][learned[:, 1:]]
