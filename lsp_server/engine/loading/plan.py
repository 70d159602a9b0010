"""Where each part of a model will live, worked out from its config before a byte of its weights is read.

Parts are placed in the order in which the model runs them: on the GPUs first, then in the computer's memory, then
on disk; so each device holds one contiguous run of layers. Sizes are those of the loaded model:

- on a GPU and in memory, linear layers have 1 byte a weight plus a float32 scale for each output row (bitsandbytes
  LLM.int8); embeddings, `lm_head` and norms have 2 bytes;
- on disk, linear layers stay in the checkpoint's own 16-bit file and are read through a memory map (see `disk.py`),
  so nothing is counted against memory for them;
- keys and values of a token: 2 x key-value heads x head dim x 2 bytes for each layer, on the device that computes
  the layer, which for layers on disk is the CPU.

accelerate's own `infer_auto_device_map` is not used for the placing: it knows nothing of keys and values and sets
aside room for a layer to be streamed in, which does not happen here. Its sizes of modules are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lsp_server.engine.loading.devices import Device, describe_places, gib, held
from lsp_server.engine.loading.devices import devices as devices
from lsp_server.engine.loading.shards import Tensor
from lsp_server.engine.loading.sizes import Part, measure
from lsp_server.errors import UserError

GIB = 1024**3
MIB = 1024**2
MOST_CONTEXT = 8192  # what is made room for unless the user asks for more
SPILL_CONTEXT = 2048  # enough for a window and a short chat, where more would push layers off the GPUs
LEAST_CONTEXT = 1024  # below this a window and an answer do not fit together
CONTEXT_STEP = 256
CUDA_BYTES = 512 * MIB  # the CUDA context and its libraries
PROCESS_BYTES = 512 * MIB  # torch and its companions, measured: 300 MiB before a model
KEPT_CONTEXTS, KEPT_SHARE = 4, 0.25
MOST_ON_DISK = 0.5  # share of the layers: above it, a token takes so long that refusing is kinder

# Code Llama in 8 bits: GiB of weights, and with keys and values of 1024 tokens and headroom on a GPU; for saying what
# would fit instead.
_FAMILY = (("70B", 64.73, 66.5), ("34B", 31.92, 33.3), ("13B", 12.43, 14.0), ("7B", 6.52, 7.7))
_CARDS = (8, 12, 16, 24, 32, 48, 80, 141)


class DoesNotFit(UserError):
    """The devices cannot hold the model; the message is one sentence with the need, the room and a way out."""


@dataclass(frozen=True)
class Row:
    """What one device holds. `layers` are the numbers of the decoder layers; all sizes in bytes."""

    device: Device
    parts: tuple[str, ...]
    layers: tuple[int, ...]
    weights_bytes: int
    kv_bytes: int
    headroom: int

    @property
    def used_bytes(self) -> int:
        return self.weights_bytes + self.kv_bytes + self.headroom


@dataclass(frozen=True)
class Plan:
    """A placement that fits. `device_map` names a CUDA index, "cpu" or "disk" for each part, "" being all of it."""

    device_map: dict[str, int | str]
    rows: tuple[Row, ...]
    context_length: int
    sequences: int
    kv_bytes_per_token: int

    @property
    def weights_bytes(self) -> int:
        return sum(row.weights_bytes for row in self.rows)

    @property
    def kv_bytes(self) -> int:
        return sum(row.kv_bytes for row in self.rows)

    @property
    def headroom(self) -> int:
        return sum(row.headroom for row in self.rows)

    def reserved(self) -> dict[str, int]:
        """The bytes of each device that are planned with and that this process, which has begun to load the model, does
        not hold yet: keys and values come with use."""
        sizes = {}
        for row in self.rows:
            if row.device.kind != "disk":
                context = CUDA_BYTES if row.device.kind == "cuda" else 0  # which is there from the beginning
                sizes[row.device.key] = max(row.used_bytes - context - held(row.device), 0)
        return sizes

    @property
    def max_kv_tokens(self) -> int:
        """Tokens of keys and values there is room for, over all sequences."""
        return self.context_length * self.sequences

    def summary(self) -> str:
        """One line: how much, for which context, where."""
        total = sum(row.used_bytes for row in self.rows if row.device.kind != "disk")
        places = ", ".join(row.device.name for row in self.rows)
        return f"{gib(total)} for a context of {self.context_length:,} tokens, on {places}"

    def describe(self) -> str:
        """A table for the user: a line for each device, then the context."""
        heads = ("device", "layers", "weights", "keys and values", "headroom", "of")
        lines = [heads]
        for row in self.rows:
            span = f"{row.layers[0]}-{row.layers[-1]}" if row.layers else "-"
            free = "" if row.device.kind == "disk" else gib(row.device.free_bytes)
            sizes = (gib(row.weights_bytes), gib(row.kv_bytes), gib(row.headroom))
            lines.append((row.device.name, span, *sizes, free))
        widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
        table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
        table.append(f"Context: {self.context_length:,} tokens" + f" x {self.sequences}" * (self.sequences > 1))
        disk = sum(row.weights_bytes for row in self.rows if row.device.kind == "disk")
        if disk:
            table.append(f"Slow: {gib(disk)} are read from disk for every token.")
        return "\n".join(line.rstrip() for line in table)


def make(
    config: dict[str, Any],
    devices: tuple[Device, ...],
    context_length: int = 0,
    sequences: int = 1,
    tensors: Mapping[str, Tensor] | None = None,
) -> Plan:
    """Place a model on `devices` with room for the keys and values of `sequences` contexts.

    `context_length` 0 means what the model was trained for, at most 8192, and less, down to 1024, where that keeps
    the model on faster devices or makes it fit at all. A number is kept to (but never above what the model was
    trained for). `tensors`: what the checkpoint has, against which the config is held. Raises DoesNotFit, and
    CheckpointProblem for a config that transformers does not know or that is not that of `tensors`.
    """
    return _made(config, measure(config, tensors), devices, context_length, sequences)


def _made(
    config: dict[str, Any],
    measured: tuple[tuple[Part, ...], int, int],
    devices: tuple[Device, ...],
    context_length: int,
    sequences: int,
    bits: int = 8,
) -> Plan:
    parts, activations, largest = measured
    trained = int(config.get("max_position_embeddings") or MOST_CONTEXT)
    wanted = min(context_length or MOST_CONTEXT, trained)
    least = wanted if context_length else min(LEAST_CONTEXT, wanted)
    # Loading quantizes one matrix at a time, from a 16-bit and through a float16 copy; running has its activations.
    working = max(2 * largest, activations)
    gpus, memory, disks = _by_kind(devices)
    spilled = wanted if context_length or not gpus else min(wanted, SPILL_CONTEXT)
    steps = [(gpus, wanted), (gpus + memory, spilled), (gpus + memory + disks, least)]
    for places, most in steps:
        plan = _longest(parts, places, working, sequences, most, least)
        if plan is not None:
            return plan
    raise DoesNotFit(_refusal(parts, devices, working, sequences, least, chosen=bool(context_length), bits=bits))


def _by_kind(devices: tuple[Device, ...]) -> tuple[tuple[Device, ...], tuple[Device, ...], tuple[Device, ...]]:
    """GPUs, memory, disks."""
    gpus, memory, disks = (
        tuple(device for device in devices if device.kind == kind) for kind in ("cuda", "cpu", "disk")
    )
    return gpus, memory, disks


def make_roomy(
    config: dict[str, Any],
    devices: tuple[Device, ...],
    context_length: int = 0,
    tensors: Mapping[str, Tensor] | None = None,
    bits: int = 8,
) -> Plan:
    """The plan of `make`, with room for the keys and values of up to `KEPT_CONTEXTS` contexts, kept for later requests
    (several files, a chat), where that moves no part of the model and takes no more than `KEPT_SHARE` of what is free.
    `bits`: those of the weights, 8 or 16; with 16 none of them stay on disk.

    Raises as `make` does.
    """
    measured = measure(config, tensors, bits)
    devices = devices if bits == 8 else tuple(each for each in devices if each.kind != "disk")
    plan = _made(config, measured, devices, context_length, 1, bits)
    for sequences in range(KEPT_CONTEXTS, 1, -1):
        try:
            roomy = _made(config, measured, devices, plan.context_length, sequences, bits)
        except DoesNotFit:
            continue
        small = all(row.kv_bytes <= KEPT_SHARE * row.device.free_bytes for row in roomy.rows)
        if small and (roomy.device_map, roomy.context_length) == (plan.device_map, plan.context_length):
            return roomy
    return plan


def _longest(
    parts: tuple[Part, ...], places: tuple[Device, ...], working: int, sequences: int, wanted: int, least: int
) -> Plan | None:
    """The plan with the longest context from `least` to `wanted` tokens that fits, if any does."""
    if (best := _place(parts, places, working, wanted, sequences)) is not None:
        return best
    low, high = least // CONTEXT_STEP, (wanted - 1) // CONTEXT_STEP
    while low <= high:  # fewer tokens never fit worse
        middle = (low + high) // 2
        plan = _place(parts, places, working, max(middle * CONTEXT_STEP, least), sequences)
        best, low, high = (plan, middle + 1, high) if plan is not None else (best, low, middle - 1)
    return best


def _place(
    parts: tuple[Part, ...], places: tuple[Device, ...], working: int, context: int, sequences: int
) -> Plan | None:
    """Fill the places in order. Layers on disk keep their keys and values in memory, so room for those of the last
    `on_disk` layers is set aside there; the smallest number that works is the plan."""
    layers = sum(part.layer is not None for part in parts)
    most = int(layers * MOST_ON_DISK) if any(place.kind == "disk" for place in places) else 0
    for on_disk in range(most + 1):
        plan = _fill(parts, places, working, context, sequences, on_disk)
        if plan is not None:
            return plan
    return None


def _fill(
    parts: tuple[Part, ...], places: tuple[Device, ...], working: int, context: int, sequences: int, on_disk: int
) -> Plan | None:
    tokens = context * sequences
    layers = sum(part.layer is not None for part in parts)
    rows = [Row(place, (), (), 0, 0, _headroom(place, working)) for place in places if place.kind != "disk"]
    disk = next((Row(place, (), (), 0, 0, 0) for place in places if place.kind == "disk"), None)
    memory = next((index for index, row in enumerate(rows) if row.device.kind == "cpu"), None)
    device_map: dict[str, int | str] = {}
    current = 0
    for part in parts:
        kv = part.kv_bytes * tokens
        if part.tied:  # shares the embedding's memory, so it goes where that is
            device_map[part.name] = next(iter(device_map.values()))
            continue
        if disk is not None and memory is not None and part.layer is not None and part.layer >= layers - on_disk:
            disk = _with(disk, part, part.disk_bytes, 0)
            rows[memory] = replace(rows[memory], kv_bytes=rows[memory].kv_bytes + kv)
            device_map[part.name] = "disk"
            continue
        while current < len(rows) and rows[current].used_bytes + part.bytes + kv > rows[current].device.free_bytes:
            current += 1
        if current == len(rows):
            return None
        rows[current] = _with(rows[current], part, part.bytes, kv)
        device = rows[current].device
        device_map[part.name] = device.index if device.kind == "cuda" else "cpu"
    rows = [row for row in rows if row.parts or (on_disk and row.device.kind == "cpu")]
    if any(row.used_bytes > row.device.free_bytes for row in rows):
        return None
    if disk is not None and disk.parts:
        rows.append(disk)
    if len(set(device_map.values())) == 1:
        device_map = {"": next(iter(device_map.values()))}
    return Plan(device_map, tuple(rows), context, sequences, sum(part.kv_bytes for part in parts))


def _with(row: Row, part: Part, weights: int, kv: int) -> Row:
    layers = row.layers if part.layer is None else (*row.layers, part.layer)
    bytes_now = (row.weights_bytes + weights, row.kv_bytes + kv)
    return Row(row.device, (*row.parts, part.name), layers, *bytes_now, row.headroom)


def _headroom(device: Device, working: int) -> int:
    return (CUDA_BYTES if device.kind == "cuda" else PROCESS_BYTES) + working


def _refusal(
    parts: tuple[Part, ...],
    devices: tuple[Device, ...],
    working: int,
    sequences: int,
    least: int,
    *,
    chosen: bool,
    bits: int,
) -> str:
    """Why nothing fits, and what would; `chosen`: whether the user set the `least` tokens of a context."""
    gpus, memory, disks = _by_kind(devices)
    places = gpus + memory
    weights = sum(part.bytes for part in parts if not part.tied)
    kv = sum(part.kv_bytes for part in parts) * least * sequences
    headroom = _headroom((gpus or memory)[0], working) if places else 0
    need = weights + kv + headroom
    start = (
        f"The model needs {gib(need)} in {bits} bits ({gib(weights)} weights, {gib(kv)} keys and values for "
        f"{least:,} tokens{f' x {sequences}' if sequences > 1 else ''}, {gib(headroom)} headroom), "
        f"and there are {describe_places(places)}; "
    )
    if chosen and least > LEAST_CONTEXT:
        shorter = _longest(parts, places + disks, working, sequences, least, LEAST_CONTEXT)
        if shorter is not None:
            return start + f"set `contextLength` to {shorter.context_length} or less, which fits."
    if sequences > 1 and _longest(parts, places + disks, working, 1, least, least) is not None:
        return start + "one request at a time fits."
    room = sum(place.free_bytes for place in gpus) or sum(place.free_bytes for place in memory)
    smaller = (name for name, size, whole in _FAMILY if size * GIB < 0.9 * weights and whole * GIB <= room)
    fits = next((f"Code Llama {name}" for name in smaller), "the starter model")
    card = next((size for size in _CARDS if size * GIB * 0.97 >= need), None)  # a driver keeps some of a card
    wish = f"a GPU of {card} GiB" if card is not None else f"{-(-need // (78 * GIB))} GPUs of 80 GiB"
    return start + f"{fits} would fit here, and {wish} would hold this one."
