"""Models with the shapes of Code Llama and random weights, made in a card's memory: 34B in 16 bits needs no disk."""

from __future__ import annotations

import math
from typing import Any

import torch
from accelerate import init_empty_weights
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks import shapes
from lsp_server.engine.passes import cards, rounding
from lsp_server.engine.passes.llama_cuda import LlamaOnCuda
from lsp_server.engine.passes.model import Model
from lsp_server.engine.passes.stock import TransformersModel

OURS, EIGHT, EIGHT_PLAIN = "ours, 8 bits", "stock 8 bits, threshold 6", "stock 8 bits, threshold 0"
OURS_FOUR, FOUR, SIXTEEN = "ours, nf4", "stock nf4", "stock bfloat16"
KINDS = (OURS, OURS_FOUR, EIGHT, EIGHT_PLAIN, SIXTEEN, FOUR)
# In float32, on the weights in 8 bits, and on those in 4.
EXACT, EXACT_FOUR = "float32", "float32 of nf4"
# The deviation of numbers that are evenly spread over -127 .. 127.
_SPREAD = math.sqrt((255**2 - 1) / 12)
# What a channel of activations is multiplied with that bitsandbytes is to find above its threshold.
_OUTLIER, _CHANNEL = 40.0, 7
_CPU = torch.device("cpu")


def make(
    kind: str,
    config: dict[str, Any],
    device: torch.device,
    context: int,
    *,
    outliers: bool = False,
    in_memory: bool = False,
) -> Model:
    """A model of that kind, of the same weights in 8 bits, those in 4 made of them. `outliers`: a channel of what each
    layer is given is far above the others, as in real models. `in_memory`: of OURS and OURS_FOUR, the second half of
    the layers lies in memory, with the head."""
    half = torch.float32 if kind in (EXACT, EXACT_FOUR) else torch.bfloat16
    if device.type == "cpu" and kind in (OURS, OURS_FOUR):
        half = torch.float16  # in bfloat16 the interpreter is wrong
    with init_empty_weights():
        model: Any = LlamaForCausalLM(LlamaConfig(**config, dtype=half))
    random = torch.Generator(device).manual_seed(0)
    for name, parameter in model.named_parameters():
        if "embed_tokens" in name:
            weight = torch.empty(parameter.shape, device=device).normal_(generator=random)
            if outliers:
                weight[:, _CHANNEL] *= _OUTLIER
        elif "lm_head" in name:
            deviation = shapes.DEVIATION / math.sqrt(parameter.shape[1])
            weight = torch.empty(parameter.shape, device=device).normal_(0, deviation, generator=random)
        elif parameter.dim() == 1:
            weight = torch.ones(parameter.shape, device=device)
        else:
            continue
        # Rounded before it is cut to 16 bits, so that in 32 it is the same.
        _put(model, name, weight.to(torch.bfloat16).to(half))
    model.model.rotary_emb.to(device)
    layers = list(model.model.layers)
    runs = [cards.Run(device, layers)]
    if in_memory:
        half_of_them = len(layers) // 2
        runs = [cards.Run(device, layers[:half_of_them]), cards.Run(_CPU, layers[half_of_them:], in_memory=True)]
        model.lm_head.to(_CPU)
    for run in runs:
        for layer in run.layers:
            for norm in (layer.input_layernorm, layer.post_attention_layernorm):
                norm.to(run.device)
            for parent in (layer.self_attn, layer.mlp):
                for name, linear in list(parent.named_children()):
                    if isinstance(linear, torch.nn.Linear):
                        made = _linear(kind, linear.out_features, linear.in_features, half, random, run.device)
                        setattr(parent, name, made)
    model.eval()
    return LlamaOnCuda(model, context, runs=runs) if kind in (OURS, OURS_FOUR) else TransformersModel(model)


def _put(model: Any, name: str, weight: torch.Tensor) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, torch.nn.Parameter(weight, requires_grad=False))


def _linear(kind: str, rows: int, depth: int, half: torch.dtype, random: torch.Generator, where: torch.device) -> Any:
    """A layer whose weights come in the order in which it is made: the same in every kind."""
    package, device = rounding.bitsandbytes(), random.device
    small = torch.randint(-127, 128, (rows, depth), dtype=torch.int8, device=device, generator=random)
    small[:, 0] = 127  # the largest of each row, of which the scale is told
    largest = torch.full((rows,), 127 * shapes.DEVIATION / (_SPREAD * math.sqrt(depth)), device=device)
    if kind in (OURS, EIGHT, EIGHT_PLAIN):
        eight = package.nn.Linear8bitLt(
            depth, rows, bias=False, has_fp16_weights=False, threshold=6.0 * (kind != EIGHT_PLAIN), device="meta"
        )
        small, largest = small.to(where), largest.to(where)
        eight.weight = package.nn.Int8Params(small, requires_grad=False, has_fp16_weights=False, CB=small, SCB=largest)
        return eight
    weight = (small.float() * (largest / 127)[:, None]).to(torch.bfloat16 if kind != EXACT else half)
    if kind in (OURS_FOUR, FOUR, EXACT_FOUR):
        packed, state = package.functional.quantize_4bit(weight, quant_type="nf4")
        if kind != EXACT_FOUR:
            four = package.nn.Linear4bit(depth, rows, bias=False, compute_dtype=half, quant_type="nf4", device="meta")
            four.weight = package.nn.Params4bit(
                packed, requires_grad=False, quant_state=state, quant_type="nf4", bnb_quantized=True
            )
            return four
        state.dtype = half
        weight = package.functional.dequantize_4bit(packed, state)
    plain = torch.nn.Linear(depth, rows, bias=False, device="meta")
    plain.weight = torch.nn.Parameter(weight, requires_grad=False)
    return plain
