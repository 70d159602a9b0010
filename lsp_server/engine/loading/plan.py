"""Where each part of a model will live, and in how many bits, worked out before a byte of its weights is read.

The engine, its refusal, `codellama-ls models`, `setup` and `doctor` all ask here. Sizes are those of the loaded model:

- on a GPU and in memory, linear layers have 8 bits a weight (bitsandbytes' LLM.int8), 4 (its nf4) or 16 (`sizes.py`);
  embeddings, `lm_head` and norms have 2 bytes;
- on disk, linear layers stay in the checkpoint's own 16-bit file and are read through a memory map (see `disk.py`),
  so nothing is counted against memory for them;
- keys and values of a token: 2 x key-value heads x head dim x 2 bytes for each layer, on the device that computes
  the layer, which for layers on disk is the CPU; in memory they take more than that (`sizes.HELD_IN_MEMORY`).

accelerate's own `infer_auto_device_map` is not used for the placing: it knows nothing of keys and values, and the room
for layers in memory, which a card computes prompts through, it sets aside on the first card, not on the last. Its sizes
of modules are.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lsp_server.engine.loading import placing, rates, refusal
from lsp_server.engine.loading.devices import GIB as GIB
from lsp_server.engine.loading.devices import Device
from lsp_server.engine.loading.devices import devices as devices
from lsp_server.engine.loading.placing import Plan as Plan
from lsp_server.engine.loading.placing import Row as Row
from lsp_server.engine.loading.refusal import DoesNotFit as DoesNotFit
from lsp_server.engine.loading.shards import Tensor
from lsp_server.engine.loading.sizes import Sizes, measure

KEPT_CONTEXTS, KEPT_SHARE = 4, 0.25
# What `auto` tries at each stage, the first that fits being taken. 4 bits need bitsandbytes, not made for macOS.
AUTO = (8,) if sys.platform == "darwin" else (8, 4)


def make(
    config: dict[str, Any],
    devices: tuple[Device, ...],
    context_length: int = 0,
    sequences: int = 1,
    tensors: Mapping[str, Tensor] | None = None,
    quantization: str = "8",
) -> Plan:
    """Place a model on `devices` with room for the keys and values of `sequences` contexts.

    `context_length` 0 means what the model was trained for, at most 8192, and less, down to 1024, where that keeps
    the model on faster devices or makes it fit at all. A number is kept to (but never above what the model was
    trained for). `tensors`: what the checkpoint has, against which the config is held. `quantization`: as the setting.
    Raises DoesNotFit, and CheckpointProblem for a config that transformers does not know or that is not that of
    `tensors`.
    """
    return choose(measure(config, tensors), devices, context_length, quantization, sequences)


def make_roomy(
    config: dict[str, Any],
    devices: tuple[Device, ...],
    context_length: int = 0,
    tensors: Mapping[str, Tensor] | None = None,
    quantization: str = "8",
) -> Plan:
    """The plan of `make`, with room for the keys and values of up to `KEPT_CONTEXTS` contexts, kept for later requests
    (several files, a chat), where that moves no part of the model and takes no more than `KEPT_SHARE` of what is free.

    Raises as `make` does.
    """
    return roomy(measure(config, tensors), devices, context_length, quantization)


def roomy(sizes: Sizes, devices: tuple[Device, ...], context_length: int = 0, quantization: str = "8") -> Plan:
    """The same for a model of such sizes. Raises DoesNotFit."""
    plan = choose(sizes, devices, context_length, quantization)
    for sequences in range(KEPT_CONTEXTS, 1, -1):
        found = placing.first(sizes, plan.bits, devices, placing.wish(sizes, devices, plan.context_length, sequences))
        if found is None:
            continue
        small = all(row.kv_bytes <= KEPT_SHARE * row.device.free_bytes for row in found.rows)
        if small and (found.device_map, found.context_length) == (plan.device_map, plan.context_length):
            return replace(found, why=plan.why)
    return plan


def choose(
    sizes: Sizes, devices: tuple[Device, ...], context_length: int = 0, quantization: str = "8", sequences: int = 1
) -> Plan:
    """The placement of a model of such sizes, in the bits that `quantization` (a setting's value) leads to.

    `auto`: 8 bits where they fit the GPUs, else 4 where those do; else 8 with layers in memory, and 4 where 8 do not
    fit there; else 8 with layers on disk. Without a GPU it begins with the memory. Raises DoesNotFit.
    """
    wanted = placing.wish(sizes, devices, context_length, sequences)
    tried = AUTO if quantization == "auto" else (int(quantization),)
    if sizes.fixed_bits:
        tried = (sizes.fixed_bits,)
    staged = [placing.stages(sizes, devices, bits, wanted) for bits in tried]
    for stage in zip(*staged, strict=True):
        for bits, (places, most) in zip(tried, stage, strict=True):
            plan = placing.longest(sizes, bits, places, most, wanted)
            if plan is not None:
                return replace(plan, why=_why(plan, sizes, devices, wanted, quantization))
    raise DoesNotFit(refusal.sentence(sizes, devices, wanted, tried, chosen=bool(context_length)))


def alike(plan: Plan, sizes: Sizes, devices: tuple[Device, ...]) -> list[str]:
    """The values of the setting `quantization` with which a model on `devices` has as many bits as in `plan`."""
    found = []
    for value in ("auto", "8", "4", "16"):
        with contextlib.suppress(DoesNotFit):
            if choose(sizes, devices, plan.context_length, value).bits == plan.bits:
                found.append(value)
    return found


def _why(plan: Plan, sizes: Sizes, devices: tuple[Device, ...], wanted: placing.Wish, quantization: str) -> str:
    """What to say of the bits: nothing of 8 on the fastest devices, else the speed and that of the other choice."""
    best = "cuda" if placing.by_kind(devices)[0] else "cpu"
    whole = plan.layers_on(best) == sizes.layers
    if plan.bits == 8 and whole:
        return ""
    speed = rates.words(rates.seconds(plan))
    if sizes.fixed_bits:
        return f"as the checkpoint has them, {speed}"
    if quantization != "auto":
        return f"as set, {speed}"
    others = (placing.first(sizes, bits, devices, wanted) for bits in AUTO if bits != plan.bits)
    other = next(others, None)
    if plan.bits == 4:
        return f"{speed}; 8 would {'not fit' if other is None else f'be {_told(other, sizes)}'}"
    said = _told(plan, sizes)
    return said if other is None else f"{said}; 4 would be {_told(other, sizes)} (`quantization`)"


def _told(plan: Plan, sizes: Sizes) -> str:
    """How fast, and how many layers lie where it is slow."""
    speed, on_cards = rates.words(rates.seconds(plan)), plan.layers_on("cuda")
    slow = [(plan.layers_on("cpu") if on_cards else 0, "in memory"), (plan.layers_on("disk"), "on disk")]
    left = " and ".join(f"{count} of {sizes.layers} layers {where}" for count, where in slow if count)
    return f"{speed}, with {left}" if left else speed
