"""Why a model does not fit, in one sentence with the need, the room and what would."""

from __future__ import annotations

from collections.abc import Sequence

from lsp_server.codellama import VARIANTS
from lsp_server.engine.loading import placing
from lsp_server.engine.loading.devices import GIB, Device, describe_places, gib
from lsp_server.engine.loading.placing import LEAST_CONTEXT, Wish
from lsp_server.engine.loading.sizes import Sizes, of_shape
from lsp_server.errors import UserError

# GiB of cards that there are. A driver keeps some of each.
_CARDS, KEPT_FREE = (8, 12, 16, 24, 32, 48, 80, 141), 0.97
_A_CARD = Device("", "cuda", 0, 0, 0)


class DoesNotFit(UserError):
    """The devices cannot hold the model; the message is one sentence with the need, the room and a way out."""


def sentence(sizes: Sizes, devices: tuple[Device, ...], wanted: Wish, tried: Sequence[int], *, chosen: bool) -> str:
    """Why nothing fits in any of the bits `tried`, and what would; `chosen`: whether the user set the tokens of a
    context."""
    gpus, memory, _ = placing.by_kind(devices)
    places = gpus + memory
    where = places[0] if places else _A_CARD
    start = f"The model needs {_need(sizes, where, wanted, tried[0])}"
    start += "".join(f" and {gib(_total(sizes, where, wanted, bits))} in {bits}" for bits in tried[1:])
    start += f", and there are {describe_places(places)}; "
    if chosen and wanted.least > LEAST_CONTEXT:
        less = placing.Wish(wanted.least, LEAST_CONTEXT, wanted.least, wanted.sequences)
        shorter = _first(sizes, devices, less, tried)
        if shorter is not None:
            return start + f"set `contextLength` to {shorter.context_length} or less, which fits."
    if wanted.sequences > 1 and _first(sizes, devices, placing.wish(sizes, devices, wanted.least), tried) is not None:
        return start + "one request at a time fits."
    less_bits = [bits for bits in (8, 4) if bits < min(tried) and not sizes.fixed_bits]
    fewer = _first(sizes, devices, wanted, less_bits)
    if fewer is not None:
        return start + f"set `quantization` to {fewer.bits}, which fits."
    need = _total(sizes, _A_CARD, wanted, min(tried))
    card = next((size for size in _CARDS if size * GIB * KEPT_FREE >= need), None)
    wish = f"a GPU of {card} GiB" if card is not None else f"{-(-need // (78 * GIB))} GPUs of 80 GiB"
    return (
        start
        + f"{_smaller(sizes, devices)} would fit here, and {wish} would hold this one"
        + (f" in {min(tried)} bits." if len(tried) > 1 else ".")
    )


def _first(sizes: Sizes, devices: tuple[Device, ...], wanted: Wish, tried: Sequence[int]) -> placing.Plan | None:
    plans = (placing.first(sizes, bits, devices, wanted) for bits in tried)
    return next((plan for plan in plans if plan is not None), None)


def _total(sizes: Sizes, where: Device, wanted: Wish, bits: int) -> int:
    return sum(_needs(sizes, where, wanted, bits))


def _needs(sizes: Sizes, where: Device, wanted: Wish, bits: int) -> tuple[int, int, int]:
    """Weights, keys and values, headroom, where all lies on one device."""
    kv = placing.kept_bytes(sizes.kv_bytes * wanted.least * wanted.sequences, where)
    return sizes.weights(bits), kv, placing.headroom(where, sizes.working)


def _need(sizes: Sizes, where: Device, wanted: Wish, bits: int) -> str:
    weights, kv, room = _needs(sizes, where, wanted, bits)
    times = f" x {wanted.sequences}" if wanted.sequences > 1 else ""
    return (
        f"{gib(weights + kv + room)} in {bits} bits ({gib(weights)} weights, {gib(kv)} keys and values for "
        f"{wanted.least:,} tokens{times}, {gib(room)} headroom)"
    )


def _smaller(sizes: Sizes, devices: tuple[Device, ...]) -> str:
    """The largest Code Llama smaller than this one that fits GPUs and memory, in 8 bits or in 4, else the starter."""
    places = tuple(device for device in devices if device.kind != "disk")
    shapes = {variant.size: variant.shape for variant in VARIANTS if variant.flavour == "base"}
    for size, shape in reversed(shapes.items()):
        other = of_shape(shape)
        if other.whole < 0.9 * sizes.whole:
            plan = _first(other, places, placing.wish(other, places, 0), (8, 4))
            if plan is not None:
                return f"Code Llama {size}" + " in 4 bits" * (plan.bits == 4)
    return "the starter model"
