"""What Code Llama is: pure functions on text and ids. No network, no torch, no editors.

Only `checkpoint` reads files, and only `renderer` starts a process, for the chat templates of other models.
"""

from .abilities import Abilities
from .dialog import Message, checked_turns
from .errors import CheckpointError, DialogError, InfillingUnsupported
from .family import (
    VARIANTS,
    ModelShape,
    Variant,
    variant_of,
)
from .stream import StreamDecoder
from .tokenizer import CodeLlamaTokenizer
from .written import written_infill

__all__ = [
    "VARIANTS",
    "Abilities",
    "CheckpointError",
    "CodeLlamaTokenizer",
    "DialogError",
    "InfillingUnsupported",
    "Message",
    "ModelShape",
    "StreamDecoder",
    "Variant",
    "checked_turns",
    "variant_of",
    "written_infill",
]
