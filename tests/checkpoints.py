"""Checkpoints for tests: the real vocabularies, and small models with random weights that say what they are told.

The vocabulary comes from the package splintr-rs and is rebuilt by its rules; it is Meta's,
under the Llama 2 Community License, so none is kept in this repository.
"""

from __future__ import annotations

import functools
import itertools
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

Kind = Literal["7b", "llama2", "70b"]
"""7b: 32016 pieces with the infilling tokens; llama2: the first 32000 (34B, Python); 70b: `<step>`, no dummy prefix."""

STEP = 32015
EOT = 32010
MID = 32009


@functools.cache
def pieces(kind: Kind = "7b") -> tuple[str, ...]:
    """The pieces of a vocabulary, `▁` for a space."""
    import splintr

    source = splintr.Tokenizer.from_pretrained("codellama")
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    names += [source.decode_token_bytes(i).decode().replace(" ", "▁") for i in range(259, 32016)]
    if kind == "llama2":
        return tuple(names[:32000])
    if kind == "70b":
        names[STEP] = "<step>"
    return tuple(names)


def score(index: int, piece: str) -> float:
    """The score of a piece in Meta's tokenizer.model."""
    if 32007 <= index <= 32010:
        return -1e18
    if index >= 32000 or (len(piece) > 1 and set(piece) == {"▁"}):
        return -1e9
    return -float(index - 259) if index >= 259 else 0.0


@functools.cache
def tokenizer_json(kind: Kind = "7b") -> str:
    """The text of a tokenizer.json, with merges in Meta's order; made once per test session."""
    names = pieces(kind)
    scores = {piece: score(i, piece) for i, piece in enumerate(names) if i >= 259}
    merges = [
        (whole, at, len(piece) - at, piece)
        for piece, whole in scores.items()
        for at in range(1, len(piece))
        if piece[:at] in scores and piece[at:] in scores
    ]
    merges.sort(key=lambda merge: merge[:3], reverse=True)
    prepend = [] if kind == "70b" else [{"type": "Prepend", "prepend": "▁"}]
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    added = [{"id": i, "content": names[i], **flags} for i in range(3)]
    if kind == "70b":
        added.append({"id": STEP, "content": "<step>", **flags})
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": added,
            "normalizer": {"type": "Sequence", "normalizers": [*prepend, replace]},
            "pre_tokenizer": None,
            "post_processor": None,
            "decoder": None,
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": "<unk>",
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": True,
                "byte_fallback": True,
                "ignore_merges": False,
                "vocab": {piece: i for i, piece in enumerate(names)},
                "merges": [[piece[:at], piece[at:]] for _, at, _, piece in merges],
            },
        },
        ensure_ascii=False,
    )


@functools.cache
def tokenizer_model(kind: Kind = "7b") -> bytes:
    """The bytes of a tokenizer.model that the SentencePiece library reads (src/sentencepiece_model.proto)."""
    unknown, control, byte = 2, 3, 6
    message = bytearray()
    for index, piece in enumerate(pieces(kind)):
        type_ = unknown if index == 0 else control if index < 3 else byte if index < 259 else 1
        body = _bytes_field(1, piece.encode()) + b"\x15" + struct.pack("<f", score(index, piece)) + _int_field(3, type_)
        message += _bytes_field(1, body)
    trainer = _int_field(3, 2) + _int_field(35, 1)  # BPE, byte fallback
    # add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces
    normalizer = _bytes_field(1, b"identity") + _int_field(3, kind != "70b") + _int_field(4, 0) + _int_field(5, 1)
    return bytes(message) + _bytes_field(2, trainer) + _bytes_field(3, normalizer)


def code_llama_tokenizer(folder: Path, kind: Kind = "7b", as_: Literal["json", "model", "gguf"] = "json") -> Path:
    """Writes the tokenizer of `kind` into `folder` and returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if as_ == "json":
        (folder / "tokenizer.json").write_text(tokenizer_json(kind), encoding="utf-8")
    elif as_ == "gguf":
        import gguf_files

        from lsp_server.engine.loading import gguf_contents

        folder = folder / "unpacked"
        gguf_contents.write(gguf_files.write(folder.with_name("model.gguf"), kind), folder)
    else:
        (folder / "tokenizer.model").write_bytes(tokenizer_model(kind))
    return folder


def random_checkpoint(
    folder: Path,
    kind: Kind = "7b",
    *,
    layers: int = 2,
    hidden: int = 128,
    continuation: Sequence[int] | None = None,
    script: Mapping[int, int] | None = None,
    shards: int = 3,
    seed: int = 0,
    **config: Any,
) -> Path:
    """Writes a Llama checkpoint with random weights and the tokenizer of `kind`, in at least `shards` shards.

    `script`: the id that follows an id, greedily, whatever came before. `continuation`: ids to say in turn: the first
    follows any id that the script does not know, which is how it comes after any prompt; its ids must be distinct.
    Both survive 8-bit weights, fp16 and bf16. `config`: further values of config.json.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    size = len(pieces(kind))
    values = {
        "vocab_size": size,
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": max(1, hidden // 32),
        "num_key_value_heads": max(1, hidden // 64),
        "max_position_embeddings": 4096 if kind == "70b" else 16384,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "tie_word_embeddings": False,
    }
    model = LlamaForCausalLM(LlamaConfig(**{**values, **config})).to(torch.float16)
    if continuation is not None or script is not None:
        _speak(model, dict(script or {}), list(continuation or []))
    folder.mkdir(parents=True, exist_ok=True)
    whole = sum(p.numel() * p.element_size() for p in model.parameters())
    embedding = size * hidden * 2  # a shard holds at least one table, so more shards come from splitting the rest
    model.save_pretrained(folder, max_shard_size=min(embedding, whole // shards) + 1)
    return code_llama_tokenizer(folder, kind)


def _speak(model: Any, script: dict[int, int], continuation: list[int]) -> None:
    """Makes the model a Markov chain: the next id is a function of the last one alone.

    The layers keep their random weights but for the two projections that write into the residual stream, which become
    tiny (zero rows have no 8-bit scale); so what reaches the output head is the embedding of the last token, normed.
    Embeddings are chosen from a few directions: one for each id of the script, one for all the others.
    """
    import torch

    for first, second in itertools.pairwise(continuation):
        script.setdefault(first, second)
    default = continuation[0] if continuation else None
    hidden = model.config.hidden_size
    assert len(script) < hidden, "a script needs fewer ids than the model has hidden dimensions"
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.normal_(0, 1e-4)
            layer.mlp.down_proj.weight.normal_(0, 1e-4)
        embedding, head = model.model.embed_tokens.weight, model.lm_head.weight
        if default is not None:
            embedding.zero_()
            embedding[:, 0] = 1.0
            head.normal_(0, 0.01)
            head[default, 0] = 4.0
        else:
            embedding[:, : len(script) + 1] = 0.0
            head[:, : len(script) + 1] = 0.0
        for direction, (last, following) in enumerate(script.items(), 1):
            embedding[last] = 0.0
            embedding[last, direction] = 1.0
            head[following, direction] = 4.0


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _int_field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(int(value))


def _bytes_field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def byte_level_tokenizer(
    folder: Path,
    special: Sequence[str],
    *,
    not_special: Sequence[str] = (),
    template: str | None = None,
    bos_in_front: str | None = None,
    **tokenizer_config: Any,
) -> Path:
    """Writes a small GPT-2-like byte-level tokenizer.json with these added tokens, as models outside the family have.

    `not_special`: added tokens that the file does not call special. `bos_in_front`: the post-processor adds this token.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    lines = ["def add(a, b):\n    return a + b\n", "for line in lines:\n    print(line)\n", "user: hello, world!"]
    tokenizer.train_from_iterator(lines * 3, trainer)
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in not_special])
    if bos_in_front:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos_in_front} $A", special_tokens=[(bos_in_front, tokenizer.token_to_id(bos_in_front))]
        )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    if template:
        tokenizer_config["chat_template"] = template
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config), encoding="utf-8")
    return folder
