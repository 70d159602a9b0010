"""What is known of CUDA cards: how the kernels are cut for each, and which models they are for. Needs no Triton.

The tables are data, chosen by reading the machine code that Triton makes for cards that were not there: no spills,
each weight converted once, few instructions for each weight (`tests/cuda/test_compiling.py`). `benchmarks/card.py`
measures others on a card and prints the best as it would stand here.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from lsp_server.engine.passes import int4, int8
from lsp_server.engine.passes.model import unlike_llama

# Depths are taken in the largest of these steps that divides them.
STEPS = (256, 128, 64, 32, 16)
# Queries that share their keys and values, at most: they are rows of one tile, those of 16 tokens.
MOST_SHARING = 8


@dataclass(frozen=True)
class Tile:
    """How one program of a product is cut: rows of weights, numbers of the depth at a time, tokens; and how Triton is
    to compile it."""

    rows: int
    depth: int
    tokens: int
    warps: int
    stages: int


@dataclass(frozen=True)
class Cuts:
    """How products are cut: of few tokens and of a prompt, and those of gates and values, which are two in one."""

    few: Tile
    gated: Tile
    prompt: Tile
    gated_prompt: Tile

    def tile(self, *, few: bool, gated: bool) -> Tile:
        if few:
            return self.gated if gated else self.few
        return self.gated_prompt if gated else self.prompt


@dataclass(frozen=True)
class Settings:
    """How the kernels are cut for a card. `eight`, `four`: the products of weights of so many bits. `programs`: of a
    product, at least, by dealing out the depth to several.

    `chunk_tokens`: most tokens of a prompt in one pass: a card that computes much for what it reads wants many.
    """

    eight: Cuts
    four: Cuts
    programs: int = 500
    chunk_tokens: int = 512
    span: int = 256  # keys that one program attends to
    keys: int = 64  # of them at a time

    def cuts(self, bits: int) -> Cuts:
        return self.eight if bits == 8 else self.four

    def parts(self, groups: int, steps: int) -> int:
        """How many programs the depth of a product for few tokens, of so many steps, is dealt out to: 1, 2, 4 or 8. Its
        rows are dealt out to `groups`."""
        parts = 1
        while parts < 8 and groups * parts < self.programs and steps >= 4 * parts:
            parts *= 2
        return parts


_PROMPT, _GATED_PROMPT = Tile(128, 64, 128, 8, 3), Tile(64, 64, 128, 8, 3)
# In 4 bits each warp has blocks of its own. Of prompts a tile of 128 tokens would not have room in the registers.
_FEW_FOUR, _GATED_FOUR, _PROMPT_FOUR = Tile(64, 128, 16, 2, 4), Tile(32, 128, 16, 2, 4), Tile(128, 64, 64, 8, 3)
_AMPERE = Settings(
    # Four warps of 16 rows: `mma.sync`, which has each warp convert its own rows.
    eight=Cuts(Tile(64, 256, 16, 4, 3), Tile(32, 128, 16, 2, 4), _PROMPT, _GATED_PROMPT),
    four=Cuts(_FEW_FOUR, _GATED_FOUR, Tile(128, 64, 64, 4, 3), _PROMPT_FOUR),
)
_HOPPER = Settings(
    # Of 64 rows or more Triton makes `wgmma` there, which takes weights from shared memory in pieces of two bytes.
    eight=Cuts(Tile(32, 256, 16, 2, 4), Tile(32, 128, 16, 2, 4), _PROMPT, _GATED_PROMPT),
    four=Cuts(_FEW_FOUR, _GATED_FOUR, _PROMPT, _PROMPT_FOUR),
)
BY_CAPABILITY: dict[tuple[int, int], Settings] = {
    (8, 0): _AMPERE,
    (8, 6): _AMPERE,
    (8, 9): _AMPERE,
    (9, 0): _HOPPER,
}
DEFAULT = _AMPERE
LEAST_CAPABILITY = (8, 0)  # older ones Triton does not compile for, or they have no bfloat16
# Cards that compute a thousand tokens of a prompt as soon as others do half of them, by their names.
DATA_CENTRE = ("A100", "A800", "H100", "H800", "H200", "H20", "GH200", "B100", "B200", "GB200", "B300", "GB300")
DATA_CENTRE_CHUNK = 1024
# Where each pass over a prompt has layers copied to a card: most tokens of it, and below how many it takes little less.
COPIED_CHUNK, LEAST_COPIED_CHUNK = DATA_CENTRE_CHUNK, 256


def settings(device: torch.device) -> Settings:
    """Those of a card; of a CPU, where the kernels run in Triton's interpreter, the default."""
    if device.type != "cuda":
        return DEFAULT
    properties = torch.cuda.get_device_properties(device)
    return settings_of(properties.name, (properties.major, properties.minor))


def settings_of(name: str, capability: tuple[int, int]) -> Settings:
    """Those of a card called so ("NVIDIA H100 80GB HBM3") of that compute capability."""
    found = BY_CAPABILITY.get(capability, DEFAULT)
    words = name.replace("-", " ").split()
    return replace(found, chunk_tokens=DATA_CENTRE_CHUNK) if set(DATA_CENTRE) & set(words) else found


@dataclass(frozen=True)
class Run:
    """Layers that lie on one device one after the other; the first run has the embeddings, the last one the head.

    in_memory: they lie in the computer's memory, beside a card.
    """

    device: torch.device
    layers: list[Any] = field(default_factory=list)
    in_memory: bool = False


def runs(model: Any, computing: str = "cuda") -> list[Run]:
    """Where the layers of transformers' `model` lie, in the order in which they compute: on cards of type `computing`,
    or in memory beside them."""
    inner = model.model
    devices = [_device(module) for module in (inner.embed_tokens, *inner.layers, model.lm_head)]
    beside = any(device.type == computing != "cpu" for device in devices)
    found: list[Run] = []
    for device, layer in zip(devices, (None, *inner.layers, None), strict=True):
        if not found or device != found[-1].device:
            found.append(Run(device, in_memory=beside and device.type == "cpu"))
        if layer is not None:
            found[-1].layers.append(layer)
    return found


def _device(module: Any) -> torch.device:
    tensors = _tensors(module)
    return tensors[0].device if tensors else torch.device("cpu")


def _tensors(module: Any) -> list[torch.Tensor]:
    return [*module.parameters(), *module.buffers()]


def on_a_card(model: Any) -> bool:
    """Whether any of it lies on a CUDA card."""
    return any(parameter.device.type == "cuda" for parameter in model.parameters())


def refusal(model: Any, computing: str = "cuda") -> str | None:
    """Why `LlamaOnCuda` does not take `model`, as the end of a sentence; None where it does.

    It computes a plain Llama, its linear layers all in 8 bits or all in 4, on cards of type `computing` (which tests
    change), some of them perhaps in memory.
    """
    config = model.config
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed"
    if (reason := unlike_llama(config) or _not_cut_for(config)) is not None:
        return reason
    devices = {run.device for run in runs(model, computing) if not run.in_memory}
    if any(device.type != computing for device in devices):
        return "it is not on cards"
    for device in devices:
        if device.type == "cuda" and torch.cuda.get_device_capability(device) < LEAST_CAPABILITY:
            return f"{torch.cuda.get_device_name(device)} is older than its kernels are made for"
    bits: set[int | None] = set()
    for layer in model.model.layers:
        attention, feed = layer.self_attn, layer.mlp
        linears = (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)
        for linear in (*linears, feed.gate_proj, feed.up_proj, feed.down_proj):
            if not _tensors(linear):
                return "some of its layers lie on disk"
            bits.add(_bits(linear))
    return None if bits <= {8} or bits == {4} else "its weights are not all in 8 bits, nor all in nf4"


def _bits(linear: Any) -> int | None:
    """How many bits the weights of a layer have that is taken; None of any other layer."""
    if int8.rows_of(linear) is not None:
        return 8
    return 4 if int4.is_taken(linear) else None


def _not_cut_for(config: Any) -> str | None:
    """What of a plain Llama's sizes the kernels are not made for; None where they are."""
    size = config.head_dim or config.hidden_size // config.num_attention_heads
    if size not in (16, 32, 64, 128, 256):
        return f"its attention heads have {size} numbers"
    if config.num_attention_heads // config.num_key_value_heads > MOST_SHARING:
        return "too many of its attention heads share their keys"
    if config.hidden_size % STEPS[-1] or config.intermediate_size % STEPS[-1]:
        return f"its widths are no multiples of {STEPS[-1]}"
    return None
