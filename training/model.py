"""The starter model with low-rank adapters: W + SCALE * B @ A for every linear layer, and rows of its own for the four
infilling tokens. https://arxiv.org/abs/2106.09685 is where the method comes from."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import AutoModelForCausalLM

RANK = 16
SCALE = 2.0


class _Product(torch.autograd.Function):
    """x @ (W + SCALE * B @ A).T. The sum is made once for each call: next to a batch it costs nothing, and it saves the
    two thin products of the usual form, which are slow on a CPU."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        whole = torch.addmm(weight, (SCALE * b).to(weight.dtype), a.to(weight.dtype))
        ctx.save_for_backward(x, whole, a, b)
        return x @ whole.t()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, whole, a, b = ctx.saved_tensors
        flat, inputs = gradient.reshape(-1, gradient.shape[-1]), x.reshape(-1, x.shape[-1])
        for_b = flat.t() @ (inputs @ a.to(x.dtype).t())
        for_a = (flat @ b.to(x.dtype)).t() @ inputs
        return gradient @ whole, None, SCALE * for_a.float(), SCALE * for_b.float()


class _Thread(threading.local):
    plain = False  # whether this thread computes without the adapters


_thread = _Thread()


class _Adapted(nn.Module):
    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = linear.weight
        self.a = nn.Parameter(torch.randn(RANK, linear.in_features) / linear.in_features**0.5)
        self.b = nn.Parameter(torch.zeros(linear.out_features, RANK))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight.t() if _thread.plain else _Product.apply(x, self.weight, self.a, self.b)


class Taught(nn.Module):
    """The model in bfloat16, whose only parameters to train are the adapters, in float32.

    `tokens`: ids of the infilling tokens, [prefix, suffix, middle, end]. `seed` decides how the adapters begin.
    """

    def __init__(self, folder: Path, tokens: list[int], seed: int = 0, device: str = "cpu") -> None:
        super().__init__()
        torch.manual_seed(seed)
        attention = "eager" if device == "cpu" else "sdpa"  # whose backward pass is slow on a CPU
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, attn_implementation=attention)
        self.model.requires_grad_(False)
        for layer in self.model.model.layers:
            for part in (layer.self_attn, layer.mlp):
                for name, child in list(part.named_children()):
                    if isinstance(child, nn.Linear):
                        setattr(part, name, _Adapted(child))
        self.table = self.model.model.embed_tokens.weight
        self.register_buffer("tokens", torch.tensor(tokens), persistent=False)
        rows = self.table[self.tokens].float()
        rows[3] = self.table[0].float()  # `<|endoftext|>`: the end of an infill begins as the end of a document
        self.rows = nn.Parameter(rows)
        self.to(device)

    def adapters(self) -> dict[str, torch.Tensor]:
        """What is trained, by name: `rows`, and `<module>.a` and `<module>.b`, named as in the checkpoint."""
        return {name.removeprefix("model."): each for name, each in self.named_parameters() if each.requires_grad}

    def states(self, ids: torch.Tensor) -> torch.Tensor:
        """[batch, length] ids, padded at the right -> [batch, length, hidden]. No mask: what a token sees stands left
        of it, where no padding is."""
        embedded = functional.embedding(ids, self.table)
        at = ids.unsqueeze(-1) == self.tokens
        own = at.to(self.table.dtype) @ self.rows.to(self.table.dtype)
        embedded = torch.where(at.any(-1, keepdim=True), own, embedded)
        return self.model.model(inputs_embeds=embedded, use_cache=False).last_hidden_state

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """[n, hidden] -> [n, vocabulary] in float32."""
        plain = states @ self.table.t()
        return plain.index_copy(1, self.tokens, states @ self.rows.to(states.dtype).t()).float()

    def loss(self, ids: torch.Tensor, learned: torch.Tensor) -> torch.Tensor:
        """The cross entropy, in nats, of the ids [batch, length] that are to be `learned`, summed. They are a few; for
        the others no logits are made."""
        learned = learned[:, 1:]
        logits = self.logits(self.states(ids)[:, :-1][learned])
        return functional.cross_entropy(logits, ids[:, 1:][learned], reduction="sum")

    def drift(self, ids: torch.Tensor, learned: torch.Tensor) -> torch.Tensor:
        """How far the model is from the plain one on these ids: KL(plain || taught), in nats, summed."""
        learned = learned[:, 1:]
        with torch.no_grad():
            _thread.plain = True
            plain = functional.log_softmax(self.logits(self.states(ids)[:, :-1][learned]), -1)
            _thread.plain = False
        own = functional.log_softmax(self.logits(self.states(ids)[:, :-1][learned]), -1)
        return functional.kl_div(own, plain, reduction="sum", log_target=True)
