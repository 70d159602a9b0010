"""The Code Llama family: shapes and abilities, by Meta's model card and the configs of the twelve repositories."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .abilities import STEP_CONTEXT, Abilities
from .checkpoint import MOST_SIZE, read_json, whole_number
from .errors import CheckpointError

MOST_THETA = 1e15
Flavour = Literal["base", "Python", "Instruct"]


@dataclass(frozen=True)
class ModelShape:
    """The sizes of a Llama-like model that decide its memory."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp: int
    vocab: int
    context_length: int
    rope_theta: float = 10_000.0
    tied: bool = False
    """Whether the output head is the embedding."""
    model_type: str = "llama"

    @classmethod
    def from_config(cls, source: str | Path | Mapping[str, Any]) -> ModelShape:
        """The shape in a config.json: of a checkpoint folder, or already read.

        Raises CheckpointError naming the value that is missing or makes no sense.
        """
        if isinstance(source, Mapping):
            where, config = "config.json", source
        else:
            path = Path(source).expanduser() / "config.json"
            where, config = str(path), read_json(path, required=True)
        if isinstance(config.get("text_config"), Mapping):  # models that also see pictures
            config = {**config, **config["text_config"]}

        def size(key: str, default: int | None = None) -> int:
            value = whole_number(config, key, MOST_SIZE, where) or default
            if value is None:
                raise CheckpointError(f"{where} does not give {key}; download the checkpoint again.")
            return value

        hidden, heads = size("hidden_size"), size("num_attention_heads")
        if config.get("head_dim") is None and hidden % heads:
            raise CheckpointError(
                f"{where} gives a hidden_size of {hidden}, which is not a multiple of its {heads} "
                "num_attention_heads; download the checkpoint again."
            )
        kv_heads = size("num_key_value_heads", heads)
        if heads % kv_heads:
            raise CheckpointError(
                f"{where} gives {heads} num_attention_heads, which is not a multiple of its {kv_heads} "
                "num_key_value_heads; download the checkpoint again."
            )
        rope = config.get("rope_parameters")  # where transformers 5 writes it
        theta = (rope.get("rope_theta") if isinstance(rope, Mapping) else None) or config.get("rope_theta") or 10_000
        if type(theta) not in (int, float) or not 0 < theta <= MOST_THETA:  # NaN is neither more nor less
            raise CheckpointError(
                f"{where} gives {reprlib.repr(theta)} as rope_theta, which must be a number above 0, and not absurdly "
                "large; download the checkpoint again."
            )
        kind = config.get("model_type")
        return cls(
            layers=size("num_hidden_layers"),
            hidden=hidden,
            heads=heads,
            kv_heads=kv_heads,
            head_dim=size("head_dim", max(1, hidden // heads)),
            mlp=size("intermediate_size", 4 * hidden),
            vocab=size("vocab_size"),
            context_length=size("max_position_embeddings", 2048),
            rope_theta=float(theta),
            tied=bool(config.get("tie_word_embeddings", False)),
            model_type=kind if isinstance(kind, str) and kind else "llama",
        )

    @property
    def linear_weights(self) -> int:
        """Weights of the linear layers: attention and MLP, without the output head."""
        attention = 2 * self.hidden * self.head_dim * (self.heads + self.kv_heads)
        return self.layers * (attention + 3 * self.hidden * self.mlp)

    @property
    def other_weights(self) -> int:
        """Weights of all else: embedding, output head, norms."""
        tables = 1 if self.tied else 2
        return tables * self.vocab * self.hidden + (2 * self.layers + 1) * self.hidden

    @property
    def parameters(self) -> int:
        """All weights."""
        return self.linear_weights + self.other_weights


@dataclass(frozen=True)
class Variant:
    """One of the twelve models."""

    size: Literal["7B", "13B", "34B", "70B"]
    flavour: Flavour
    shape: ModelShape
    infilling: Literal["yes", "no", "disputed"]
    """Whether it was trained to infill; "disputed" where Meta's documents disagree."""
    chat_format: Literal["", "inst", "source-step"]
    """"" for those that were not trained to chat."""

    @property
    def name(self) -> str:
        """As Meta names it, e.g. "CodeLlama-7b-Instruct"."""
        flavour = "" if self.flavour == "base" else f"-{self.flavour}"
        return f"CodeLlama-{self.size.lower()}{flavour}"

    @property
    def hub_id(self) -> str:
        """The repository on the Hugging Face hub."""
        return f"codellama/{self.name}-hf"

    @property
    def context_length(self) -> int:
        """Tokens of prompt and answer together."""
        return self.shape.context_length

    @property
    def parameters(self) -> int:
        """All weights."""
        return self.shape.parameters


_SIZES: dict[Literal["7B", "13B", "34B", "70B"], tuple[int, int, int, int, int]] = {
    # layers, hidden, heads, kv heads, mlp
    "7B": (32, 4096, 32, 32, 11008),
    "13B": (40, 5120, 40, 40, 13824),
    "34B": (48, 8192, 64, 8, 22016),
    "70B": (80, 8192, 64, 8, 28672),
}


def _variants() -> tuple[Variant, ...]:
    found = []
    for size, (layers, hidden, heads, kv_heads, mlp) in _SIZES.items():
        for flavour in ("base", "Python", "Instruct"):
            short = size == "70B" and flavour != "base"
            has_pieces = size == "70B" or (size != "34B" and flavour != "Python")
            infilling: Literal["yes", "no", "disputed"] = "yes" if has_pieces else "no"
            if size == "70B":
                infilling = "disputed" if flavour == "base" else "no"
            chat: Literal["", "inst", "source-step"] = ""
            if flavour == "Instruct":
                chat = "source-step" if size == "70B" else "inst"
            shape = ModelShape(
                layers=layers,
                hidden=hidden,
                heads=heads,
                kv_heads=kv_heads,
                head_dim=128,
                mlp=mlp,
                vocab=32016 if has_pieces else 32000,
                context_length=STEP_CONTEXT if short else 16384,
                rope_theta=1e4 if short else 1e6,
            )
            found.append(Variant(size, flavour, shape, infilling, chat))
    return tuple(found)


VARIANTS = _variants()
"""The twelve: 7B, 13B, 34B, 70B, each base, Python, Instruct."""


def variant_of(shape: ModelShape, abilities: Abilities | None = None) -> Variant | None:
    """The variant a checkpoint looks like; None for none. For display only: decide by `Abilities`, never by this.

    34B base and 34B Python cannot be told apart by their files; it is called base.
    """
    body = (shape.layers, shape.hidden, shape.heads, shape.kv_heads, shape.mlp)
    fits = [v for v in VARIANTS if _SIZES[v.size] == body and v.shape.rope_theta == shape.rope_theta]
    fits = [v for v in fits if v.shape.vocab == shape.vocab]
    chats = abilities is not None and abilities.chat
    return next((v for v in fits if bool(v.chat_format) == chats), fits[0] if fits else None)
