"""How long a token takes where a model lies: about, from what is read for each token and how fast each device reads.

A token needs all weights once. What a pass reaches of the memory's speed is a share of it, here in one table.
"""

from __future__ import annotations

import ctypes
import functools
import time
from concurrent.futures import ThreadPoolExecutor

from lsp_server.engine.loading.devices import GIB, Device
from lsp_server.engine.loading.placing import Plan, Row

GB = 10**9
BEFORE = 1000  # tokens of context
# Bytes a second, of the makers' data sheets; the longest name that a card's has in it counts.
_CARDS = {
    **{"B200": 8000, "H200": 4800, "GH200": 4000, "H100 NVL": 3900, "H100 PCIe": 2000, "H100": 3350, "A100": 1935},
    **{"A100-SXM4-40GB": 1555, "A100-PCIE-40GB": 1555, "A100-SXM4-80GB": 2039, "V100": 900, "A30": 933, "A40": 696},
    **{"A10": 600, "L40S": 864, "L40": 864, "L4": 300, "T4": 320, "RTX A6000": 768, "RTX 6000 Ada": 960},
    **{"RTX PRO 6000": 1792, "RTX A5000": 768, "RTX A4000": 448, "RTX 5090": 1792, "RTX 5080": 960},
    **{"RTX 5070 Ti": 896, "RTX 5070": 672, "RTX 5060": 448, "RTX 4090": 1008, "RTX 4080": 717},
    **{"RTX 4070 Ti SUPER": 672, "RTX 4070": 504, "RTX 4060 Ti": 288, "RTX 4060": 272, "RTX 3090": 936},
    **{"RTX 3090 Ti": 1008, "RTX 3080": 760, "RTX 3070": 448, "RTX 3060": 360, "RTX 2080 Ti": 616},
}
# Of cards with other names, or thought of: by GiB of memory, those of a card of that size that many have.
_BY_SIZE = {8: 272, 12: 360, 16: 448, 24: 936, 32: 1792, 48: 768, 80: 2039, 96: 1792, 141: 4800}
# Of a disk: what is read of a solid-state one, as little of it stays in memory.
_DISK = 1 * GB
# The share of that speed which a pass reaches, by the kind of device and the bits of a weight. On cards what others
# reach at one token: 52-65% in 8 bits (gpt-fast, torchao on an A100), 63 and 72% in 4 (MLC on an RTX 3090 Ti and 4090;
# gpt-fast on an A100 42-54%), 80% in 16 (llama.cpp). On a processor 8 bits are read as fast as memory is copied; in 4
# looking the weights up takes its part (benchmarks/NOTES.md), and in 16 the product is torch's.
_SHARES = {
    **{("cuda", 8): 0.65, ("cuda", 4): 0.65, ("cuda", 16): 0.8},
    **{("cpu", 8): 1.0, ("cpu", 4): 0.7, ("cpu", 16): 0.7},
}
# What a layer takes on a card beside: in 8 and 4 bits eight launches of 2 microseconds; in 16, which transformers' pass
# computes, the processor needs at least so long for its part, whatever the card (7B on an RTX 4090: 41 tokens a second,
# where the memory would allow 74).
_LAUNCHES_SECONDS, _HOST_SECONDS = 0.000016, 0.0007
# Read often enough to see how fast the memory is, not the caches.
_PROBE_BYTES, _PROBES = 2**26, 4


def seconds(plan: Plan) -> float:
    """How long a token after `BEFORE` others takes, about."""
    each = plan.kv_bytes_per_token * BEFORE / max(sum(len(row.layers) for row in plan.rows), 1)
    return sum(_row_seconds(row, plan.bits, each) for row in plan.rows)


def words(seconds: float) -> str:
    """Seconds a token as they are said: "about 20 tokens/s", "about 2.5 s a token"."""
    if seconds > 0.5:
        return f"about {seconds:.1f} s a token"
    return f"about {float(f'{1 / seconds:.2g}'):.0f} tokens/s"


def bandwidth(device: Device) -> float:
    """The bytes a second that a device reads of its memory: what is known of it, else by a card's name or size, or
    measured."""
    if device.bandwidth:
        return device.bandwidth
    if device.kind == "cpu":
        return of_memory()
    if device.kind == "disk":
        return _DISK
    named = [name for name in _CARDS if name.lower() in device.name.lower()]
    if named:
        return _CARDS[max(named, key=len)] * GB
    size = device.total_bytes / GIB
    return _BY_SIZE[min(_BY_SIZE, key=lambda each: abs(each - size))] * GB


@functools.cache
def of_memory() -> float:
    """Bytes a second that the processors read and write of the memory, measured in a moment."""
    import psutil

    cores = psutil.cpu_count(logical=False) or 1
    share = _PROBE_BYTES // cores
    part = ctypes.c_char * share
    source, target = bytearray(_PROBE_BYTES), bytearray(_PROBE_BYTES)
    source[:] = b"\1" * _PROBE_BYTES  # until it is written, there is nothing behind it
    parts = [(part.from_buffer(target, at * share), part.from_buffer(source, at * share)) for at in range(cores)]
    best = 0.0
    with ThreadPoolExecutor(cores) as threads:
        for _ in range(_PROBES):
            began = time.perf_counter()
            list(threads.map(lambda pair: ctypes.memmove(pair[0], pair[1], share), parts))
            best = max(best, 2 * share * cores / (time.perf_counter() - began))
    return best


def _row_seconds(row: Row, bits: int, kv_bytes: float) -> float:
    """`kv_bytes`: what is read of keys and values in each layer."""
    share = _SHARES.get((row.device.kind, bits), 1.0)
    layers = len(row.layers)
    reading = (row.read_bytes + kv_bytes * layers) / (share * bandwidth(row.device))
    if row.device.kind != "cuda":
        return reading
    return max(reading, _HOST_SECONDS * layers) if bits == 16 else reading + _LAUNCHES_SECONDS * layers
