"""A model's parts on devices: the longest context with which they fit, and which device holds what.

Parts are placed in the order in which the model runs them: on the GPUs first, then in the computer's memory, then
on disk; so each device holds one contiguous run of layers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lsp_server.engine.loading.devices import Device, gib, held
from lsp_server.engine.loading.sizes import HELD_IN_MEMORY, Part, Sizes

MIB = 1024**2
MOST_CONTEXT = 8192  # what is made room for unless the user asks for more
SPILL_CONTEXT = 2048  # enough for a window and a short chat, where more would push layers off the GPUs
LEAST_CONTEXT = 1024  # below this a window and an answer do not fit together
CONTEXT_STEP = 256
CUDA_BYTES = 512 * MIB  # the CUDA context and its libraries
GRAPH_BYTES = 34 * MIB  # what captured passes write on their way: 12 MB in 7B with 1,024 tokens, 34 in 70B with 8,192
COPIED_LAYERS = 2  # of those in memory that a card has room for, while it computes a prompt through them
COPIED_BITS = (8, 4)  # those of weights that are copied so (`passes/cards.py`, `refusal`)
FILLED_TOKENS = 128 + 16  # of each sequence on a card: memory is set aside in steps, with room for a filled-up pass
PROCESS_BYTES = 512 * MIB  # torch and its companions, measured: 300 MiB before a model
MOST_ON_DISK = 0.5  # share of the layers: above it, a token takes so long that refusing is kinder


@dataclass(frozen=True)
class Row:
    """What one device holds. `layers` are the numbers of the decoder layers; all sizes in bytes, `read_bytes` those of
    the weights that are read for each token."""

    device: Device
    parts: tuple[str, ...]
    layers: tuple[int, ...]
    weights_bytes: int
    kv_bytes: int
    headroom: int
    read_bytes: int = 0

    @property
    def used_bytes(self) -> int:
        return self.weights_bytes + self.kv_bytes + self.headroom


@dataclass(frozen=True)
class Plan:
    """A placement that fits. `device_map` names a CUDA index, "cpu" or "disk" for each part, "" being all of it.

    `bits`: those of the linear weights; `why`: what there is to say of them, "" for nothing.
    """

    device_map: dict[str, int | str]
    rows: tuple[Row, ...]
    context_length: int
    sequences: int
    kv_bytes_per_token: int
    bits: int = 8
    why: str = ""

    @property
    def weights_bytes(self) -> int:
        return sum(row.weights_bytes for row in self.rows)

    @property
    def kv_bytes(self) -> int:
        return sum(row.kv_bytes for row in self.rows)

    @property
    def headroom(self) -> int:
        return sum(row.headroom for row in self.rows)

    @property
    def used_bytes(self) -> int:
        """Of GPUs and memory."""
        return sum(row.used_bytes for row in self.rows if row.device.kind != "disk")

    def layers_on(self, kind: str) -> int:
        """How many layers lie on devices of a kind."""
        return sum(len(row.layers) for row in self.rows if row.device.kind == kind)

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
        """One line: how much, in how many bits, for which context, where, and why so."""
        places = ", ".join(row.device.name for row in self.rows)
        said = (
            f"{gib(self.used_bytes)} in {self.bits} bits for a context of {self.context_length:,} tokens, on {places}"
        )
        return f"{said}; {self.why}" if self.why else said

    def describe(self) -> str:
        """A table for the user: a line for each device, then the context and the bits."""
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
        table.append(f"Bits of a weight: {self.bits}" + f"; {self.why}" * bool(self.why))
        disk = sum(row.weights_bytes for row in self.rows if row.device.kind == "disk")
        if disk:
            table.append(f"Slow: {gib(disk)} are read from disk for every token.")
        return "\n".join(line.rstrip() for line in table)


def by_kind(devices: tuple[Device, ...]) -> tuple[tuple[Device, ...], tuple[Device, ...], tuple[Device, ...]]:
    """GPUs, memory, disks."""
    gpus, memory, disks = (
        tuple(device for device in devices if device.kind == kind) for kind in ("cuda", "cpu", "disk")
    )
    return gpus, memory, disks


@dataclass(frozen=True)
class Wish:
    """Between how many tokens a context is to have, of how many sequences. `spilled`: the most where layers lie off the
    GPUs."""

    most: int
    least: int
    spilled: int
    sequences: int = 1


def wish(sizes: Sizes, devices: tuple[Device, ...], context_length: int, sequences: int = 1) -> Wish:
    """`context_length` 0: what the model was trained for, at most `MOST_CONTEXT`, and down to `LEAST_CONTEXT`. A number
    is kept to, but never above what the model was trained for."""
    most = min(context_length or MOST_CONTEXT, sizes.trained or MOST_CONTEXT)
    least = most if context_length else min(LEAST_CONTEXT, most)
    spilled = most if context_length or not by_kind(devices)[0] else min(most, SPILL_CONTEXT)
    return Wish(most, least, spilled, sequences)


def stages(sizes: Sizes, devices: tuple[Device, ...], bits: int, wanted: Wish) -> list[tuple[tuple[Device, ...], int]]:
    """The places to try one after the other, each with the longest context worth having there."""
    gpus, memory, disks = by_kind(devices)
    # Layers on disk are those of a 16-bit checkpoint, and the others are rounded to 8 bits beside them (`disk.py`).
    last = gpus + memory + disks if bits == 8 and not sizes.fixed_bits else ()
    return [(gpus, wanted.most), (gpus + memory, wanted.spilled), (last, wanted.least)]


def longest(sizes: Sizes, bits: int, places: tuple[Device, ...], most: int, wanted: Wish) -> Plan | None:
    """The plan with the longest context up to `most` tokens that fits `places`, if any does."""
    parts, working, sequences = sizes.parts(bits), sizes.working, wanted.sequences

    def placed(context: int) -> Plan | None:
        copied = _copied_bytes(parts, context) if bits in COPIED_BITS else 0
        plan = _place(parts, places, working, context, sequences, copied)
        return replace(plan, bits=bits) if plan is not None else None

    if not places:
        return None
    if (best := placed(most)) is not None:
        return best
    low, high = wanted.least // CONTEXT_STEP, (most - 1) // CONTEXT_STEP
    while low <= high:  # fewer tokens never fit worse
        middle = (low + high) // 2
        plan = placed(max(middle * CONTEXT_STEP, wanted.least))
        best, low, high = (plan, middle + 1, high) if plan is not None else (best, low, middle - 1)
    return best


def first(sizes: Sizes, bits: int, devices: tuple[Device, ...], wanted: Wish) -> Plan | None:
    """The plan of the first stage that has one."""
    tried = (longest(sizes, bits, places, most, wanted) for places, most in stages(sizes, devices, bits, wanted))
    return next((plan for plan in tried if plan is not None), None)


def headroom(device: Device, working: int) -> int:
    """What a device keeps free of weights and of keys and values."""
    return (CUDA_BYTES + GRAPH_BYTES if device.kind == "cuda" else PROCESS_BYTES) + working


def filled_bytes(size: int, device: Device, sequences: int) -> int:
    """What is kept free for keys and values of `size` a token beyond those of tokens, which only a card has."""
    return size * FILLED_TOKENS * sequences if device.kind == "cuda" else 0


def kept_bytes(size: int, device: Device) -> int:
    """What keys and values of this size take where the device computes with them."""
    return int(HELD_IN_MEMORY * size) if device.kind == "cpu" else size


def _copied_bytes(parts: tuple[Part, ...], context: int) -> int:
    """What a card keeps free to compute a prompt through layers in memory: two of them, with the keys and values of
    one, and buffers like those for its own."""
    largest = max(parts, key=lambda part: (part.layer is not None, part.bytes))
    return COPIED_LAYERS * largest.bytes + largest.kv_bytes * context + GRAPH_BYTES


def _place(
    parts: tuple[Part, ...], places: tuple[Device, ...], working: int, context: int, sequences: int, copied: int
) -> Plan | None:
    """Fill the places in order. Layers on disk keep their keys and values in memory, so room for those of the last
    `on_disk` layers is set aside there; the smallest number that works is the plan. `copied`: what the last card keeps
    free for layers in memory; with layers on disk transformers' pass computes all of it, and has no such room."""
    layers = sum(part.layer is not None for part in parts)
    most = int(layers * MOST_ON_DISK) if any(place.kind == "disk" for place in places) else 0
    for on_disk in range(most + 1):
        plan = _fill(parts, places, working, context, sequences, on_disk=on_disk, copied=0 if on_disk else copied)
        if plan is not None:
            return plan
    return None


def _fill(
    parts: tuple[Part, ...],
    places: tuple[Device, ...],
    working: int,
    context: int,
    sequences: int,
    *,
    on_disk: int,
    copied: int,
) -> Plan | None:
    tokens = context * sequences
    layers = sum(part.layer is not None for part in parts)
    rows = [Row(place, (), (), 0, 0, headroom(place, working)) for place in places if place.kind != "disk"]
    disk = next((Row(place, (), (), 0, 0, 0) for place in places if place.kind == "disk"), None)
    memory = next((index for index, row in enumerate(rows) if row.device.kind == "cpu"), None)
    last = sum(row.device.kind == "cuda" for row in rows) - 1 if copied and memory is not None else -1
    if last >= 0:
        rows[last] = replace(rows[last], headroom=rows[last].headroom + copied)
    device_map: dict[str, int | str] = {}
    current = 0
    for part in parts:
        exact = part.kv_bytes * tokens
        if part.tied:  # shares the embedding's memory, so it goes where that is
            device_map[part.name] = next(iter(device_map.values()))
            continue
        if disk is not None and memory is not None and part.layer is not None and part.layer >= layers - on_disk:
            disk = _with(disk, part, part.disk_bytes, 0, part.disk_bytes)
            kv = kept_bytes(exact, rows[memory].device)
            rows[memory] = replace(rows[memory], kv_bytes=rows[memory].kv_bytes + kv)
            device_map[part.name] = "disk"
            continue
        while current < len(rows) and not _has_room(rows[current], part, exact, sequences):
            current += 1
        if current == len(rows):
            return None
        device = rows[current].device
        filled = filled_bytes(part.kv_bytes, device, sequences)
        rows[current] = replace(rows[current], headroom=rows[current].headroom + filled)
        rows[current] = _with(rows[current], part, part.bytes, kept_bytes(exact, device), part.read_bytes)
        device_map[part.name] = device.index if device.kind == "cuda" else "cpu"
    if last >= 0 and not rows[last].parts:  # a card too small to be of use: another is the last
        others = tuple(place for place in places if place != rows[last].device)
        return _fill(parts, others, working, context, sequences, on_disk=on_disk, copied=copied)
    rows = [row for row in rows if row.parts or (on_disk and row.device.kind == "cpu")]
    if any(row.used_bytes > row.device.free_bytes for row in rows):
        return None
    if disk is not None and disk.parts:
        rows.append(disk)
    if len(set(device_map.values())) == 1:
        device_map = {"": next(iter(device_map.values()))}
    return Plan(device_map, tuple(rows), context, sequences, sum(part.kv_bytes for part in parts))


def _has_room(row: Row, part: Part, kv: int, sequences: int) -> bool:
    more = kept_bytes(kv, row.device) + filled_bytes(part.kv_bytes, row.device, sequences)
    return row.used_bytes + part.bytes + more <= row.device.free_bytes


def _with(row: Row, part: Part, weights: int, kv: int, read: int) -> Row:
    layers = row.layers if part.layer is None else (*row.layers, part.layer)
    return replace(
        row,
        parts=(*row.parts, part.name),
        layers=layers,
        weights_bytes=row.weights_bytes + weights,
        kv_bytes=row.kv_bytes + kv,
        read_bytes=row.read_bytes + read,
    )
