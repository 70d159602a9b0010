"""Which pass computes a loaded model: the project's own where it can, else that of transformers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from lsp_server.engine.passes import cards, int4, int8, llama_cpu
from lsp_server.engine.passes.model import Model
from lsp_server.engine.passes.stock import TransformersModel
from lsp_server.engine.passes.threads import SharedThreads

_log = logging.getLogger(__name__)


def chosen(
    model: Any,
    threads: SharedThreads,
    context_length: int,
    on_cpu: Callable[[float], None] = lambda done: None,
    on_cards: Callable[[float], None] = lambda done: None,
) -> tuple[Model, str]:
    """The pass, and a remark for the user: why that on cards is not the project's own, or slower than it is, or "".

    It takes the weights out of transformers' `model`. `on_cpu`, `on_cards`: told by either pass how far it is prepared.
    """
    remark = ""
    if cards.on_a_card(model):
        reason = cards.refusal(model)
        if reason is None:
            from lsp_server.engine.passes import llama_cuda, stretch  # which need Triton

            on = [run for run in cards.runs(model) if not run.in_memory]
            reason = next(filter(None, map(stretch.trouble, on)), None)
            if reason is None:
                ours = llama_cuda.LlamaOnCuda(model, context_length, on_cards, threads=threads)
                return ours, ours.remark
        _log.info("transformers' own pass computes this model: %s", reason)
        remark = f"transformers' own pass computes it, since {reason}"
    on_cpu(0.0)
    int8.replace_linears(model) or int4.replace_linears(model)
    if llama_cpu.can_take(model):
        return llama_cpu.LlamaOnCpu(model, threads, on_cpu), remark
    return TransformersModel(model), remark
