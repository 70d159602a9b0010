"""What Code Llama is: pure functions on text and ids. No network, no torch, no editors."""

from .abilities import Abilities
from .dialog import Turn, checked_turns
from .errors import CheckpointError, DialogError, InfillingUnsupported
from .family import (
    VARIANTS,
    Memory,
    ModelShape,
    Variant,
    eight_bit_bytes,
    kv_bytes_per_token,
    memory,
    variant_of,
)
from .stream import StreamDecoder
from .tokenizer import CodeLlamaTokenizer

__all__ = [
    "VARIANTS",
    "Abilities",
    "CheckpointError",
    "CodeLlamaTokenizer",
    "DialogError",
    "InfillingUnsupported",
    "Memory",
    "ModelShape",
    "StreamDecoder",
    "Turn",
    "Variant",
    "checked_turns",
    "eight_bit_bytes",
    "kv_bytes_per_token",
    "memory",
    "variant_of",
]
