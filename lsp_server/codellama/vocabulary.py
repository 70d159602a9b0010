"""A checkpoint's vocabulary: text to ids and ids to bytes, with its control tokens out of reach of the user's text.

Everything goes through one bare `tokenizers.Tokenizer`, which knows no control tokens: they are put in by hand, by id.
transformers' own tokenizer classes are wrong for Code Llama in several ways.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from tokenizers import Tokenizer

from .checkpoint import CheckpointFiles, read_json
from .errors import CheckpointError
from .sentencepiece_model import read_sentencepiece

LLAMA_2_SIZE = 32000
"""Pieces of the Llama 2 vocabulary; Code Llama's infilling pieces and their fragments come after it."""

_CONTROL_PIECE = re.compile(r"▁<(PRE|SUF|MID|EOT)>|▁(<EOT>){2,6}|<step>")
# Some vocabularies add common texts (runs of newlines, HTML tags) as tokens of their own. Those are text. Anything else
# in brackets is taken for a control token even where the file does not call it special: Qwen's <|fim_prefix|> is one.
_HTML = "table|caption|thead|tbody|tfoot|tr|th|td|h[1-6]|blockquote|strong|em|b|i|u|sub|sup|code"
_TEXT_TOKEN = re.compile(rf"[^<\[]+|[^<]|</?({_HTML})>", re.DOTALL)

_LONE = re.compile("[\ud800-\udfff]")

Prefixing = Literal["never", "first", "always"]


@dataclass(frozen=True)
class AddedToken:
    """A control token; `lstrip`/`rstrip`: it swallows the white space next to it in a rendered template."""

    id: int
    lstrip: bool = False
    rstrip: bool = False


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """What the files say of the vocabulary, and the BPE that encodes plain text with it."""

    backend: Tokenizer
    llama_like: bool
    """Pieces as SentencePiece has them (`▁` for a space, `<0x0A>` for a byte), not GPT-2's byte alphabet."""
    prefixing: Prefixing
    """Whether text is given a leading space: in each segment, in the first, or not at all."""
    size: int
    text_size: int
    """Size without the added tokens: what the model's embedding must at least have."""
    control: Mapping[str, AddedToken]
    """Control tokens by their text. User text never becomes one, and none is ever shown."""
    starts_with_bos: bool
    """Whether the file's post-processor puts a token in front."""

    def id_of(self, token: str) -> int | None:
        """The id of a piece or control token, None where the vocabulary does not have it."""
        added = self.control.get(token)
        return added.id if added else self.backend.token_to_id(token)

    def encode(self, text: str, leading_space: bool) -> list[int]:
        """Ids of plain text. If control ids come out, it is encoded again without the pieces that led there."""
        if not text:
            return []
        if leading_space and self.prefixing != "never":
            # SentencePiece always adds its space; the byte-level vocabularies only where there is none yet.
            if self.llama_like:
                text = "▁" + text
            elif not text[0].isspace():
                text = " " + text
        text = _LONE.sub("\ufffd", text)  # half a surrogate pair, which JSON lets an editor send, is no character
        ids: list[int] = self.backend.encode(text, add_special_tokens=False).ids
        if self.control_ids.isdisjoint(ids):
            return ids
        ids = self._without_control.encode(text, add_special_tokens=False).ids
        return [each for each in ids if each not in self.control_ids]

    def name_of(self, token_id: int) -> str:
        """The name of a control token, as it stands in the vocabulary."""
        return next(name for name, token in self.control.items() if token.id == token_id).replace("▁", "")

    def bytes_of(self, token_id: int) -> bytes:
        """The bytes that a token stands for; none for a control token or an id outside the vocabulary."""
        known = self._bytes.get(token_id)
        if known is None:
            known = self._bytes[token_id] = self._spell(token_id)
        return known

    def _spell(self, token_id: int) -> bytes:
        if token_id in self.control_ids:
            return b""
        piece = self.backend.id_to_token(token_id) if 0 <= token_id < self.size else None
        if piece is None:
            return b""
        if not self.llama_like:
            try:
                return bytes(_BYTE_OF[char] for char in piece)
            except KeyError:  # an added token that is text: written as it is
                return piece.encode()
        if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
            return bytes.fromhex(piece[3:5])
        return piece.replace("▁", " ").encode()

    @cached_property
    def control_ids(self) -> frozenset[int]:
        """Ids that user text must not become."""
        return frozenset(token.id for token in self.control.values())

    @cached_property
    def _bytes(self) -> dict[int, bytes]:
        return {}

    @cached_property
    def _without_control(self) -> Tokenizer:
        """The same BPE without the control pieces, made when a text first needs it (a few in a thousand do).

        For Code Llama it is the Llama 2 vocabulary: the fragments (`▁<SUF`) go too, being there only for these pieces.
        """
        spec = json.loads(self.backend.to_str())
        model = spec["model"]
        if "merges" not in model:  # not a BPE: what comes out is filtered
            return self.backend
        pre = model["vocab"].get("▁<PRE>", 0)
        end = LLAMA_2_SIZE if self.llama_like and pre >= LLAMA_2_SIZE else self.size
        vocab = {piece: i for piece, i in model["vocab"].items() if i < end and i not in self.control_ids}
        if (unknown := model.get("unk_token")) in model["vocab"]:
            vocab[unknown] = model["vocab"][unknown]
        merges = [_pair(merge) for merge in model["merges"]]
        model["merges"] = [m for m in merges if m[0] + m[1] in vocab and m[0] in vocab and m[1] in vocab]
        model["vocab"] = vocab
        return Tokenizer.from_str(json.dumps(spec))


def read_vocabulary(files: CheckpointFiles) -> Vocabulary:
    """The vocabulary of a checkpoint, from tokenizer.json or else tokenizer.model. Raises CheckpointError."""
    path = files.folder / "tokenizer.json"
    if path.exists():
        spec = read_json(path)
    else:
        path = files.folder / "tokenizer.model"
        if not path.exists():
            raise CheckpointError(
                f"{files.folder} has neither tokenizer.json nor tokenizer.model; "
                "download the checkpoint again, with its tokenizer."
            )
        spec = read_sentencepiece(path)
    model = spec.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), (dict, list)) or not model["vocab"]:
        raise CheckpointError(f"{path} holds no vocabulary; download the checkpoint again.")
    try:
        return _vocabulary(spec, files)
    except CheckpointError:
        raise
    except Exception as error:  # the tokenizers library raises plain Exception for what it cannot build
        raise CheckpointError(f"{path} cannot be used ({error}); download the checkpoint again.") from error


def _vocabulary(spec: dict[str, Any], files: CheckpointFiles) -> Vocabulary:
    model = spec["model"]
    vocab: Any = model["vocab"]
    pieces: Mapping[str, int] = vocab if isinstance(vocab, dict) else {entry[0]: i for i, entry in enumerate(vocab)}
    is_bpe = model.get("type", "BPE") == "BPE"
    llama_like = "▁" in pieces and (not is_bpe or bool(model.get("byte_fallback")))
    added = list(spec.get("added_tokens") or [])
    # A checkpoint with only a tokenizer.model keeps the tokens added by a fine-tuning in tokenizer_config.json.
    known_ids = {token["id"] for token in added} | set(pieces.values())
    for key, token in (files.tokenizer.get("added_tokens_decoder") or {}).items():
        if int(key) not in known_ids:
            added.append({"normalized": False, **token, "id": int(key)})
    named = {*files.special.values(), *(("<s>", "</s>", "<unk>") if llama_like and is_bpe else ())}
    text_tokens, control = [], {}
    for token in added:
        text = token["content"]
        if token.get("special") or text in named or not _TEXT_TOKEN.fullmatch(text):
            control[text] = AddedToken(token["id"], bool(token.get("lstrip")), bool(token.get("rstrip")))
        else:
            text_tokens.append(token)
    # A padding token may be named "!", say: only a text in brackets is believed to be more than its characters.
    by_name = {text for text in named if not _TEXT_TOKEN.fullmatch(text)}
    for text in by_name | set(filter(_CONTROL_PIECE.fullmatch, pieces) if llama_like else ()):
        if text in pieces and text not in control:
            control[text] = AddedToken(pieces[text])
    size = max(max(pieces.values()), *(token["id"] for token in added), 0) + 1
    prefixing = _prefixing(spec.get("normalizer"), spec.get("pre_tokenizer"))
    starts_with_bos = _starts_with_token(spec.get("post_processor"))
    if llama_like and is_bpe:
        replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
        spec = {"normalizer": replace, "pre_tokenizer": None, "model": {**model, "type": "BPE", "fuse_unk": True}}
    else:
        _never_prefix(spec)
    bare = {"version": "1.0", "truncation": None, "padding": None, "post_processor": None, "decoder": None}
    bare |= {"normalizer": spec.get("normalizer"), "pre_tokenizer": spec.get("pre_tokenizer"), "model": spec["model"]}
    backend = Tokenizer.from_str(json.dumps(bare | {"added_tokens": text_tokens}, ensure_ascii=False))
    text_size = max(pieces.values()) + 1
    return Vocabulary(backend, llama_like, prefixing, size, text_size, control, starts_with_bos)


def _pair(merge: str | list[str]) -> list[str]:
    """A merge is written `"a b"` in older files and `["a", "b"]` in newer ones."""
    return merge.split(" ") if isinstance(merge, str) else merge


def _steps(part: Any) -> list[dict[str, Any]]:
    """The steps of a normalizer or pre-tokenizer, sequences flattened."""
    if not isinstance(part, dict):
        return []
    inner = part.get("normalizers") or part.get("pretokenizers")
    return [step for each in inner for step in _steps(each)] if inner else [part]


def _prefixing(normalizer: Any, pre_tokenizer: Any) -> Prefixing:
    if any(step.get("type") == "Prepend" for step in _steps(normalizer)):
        return "always"
    for step in _steps(pre_tokenizer):
        if step.get("type") == "Metaspace":
            scheme = step.get("prepend_scheme") or ("always" if step.get("add_prefix_space", True) else "never")
            return "first" if scheme == "first" else "never" if scheme == "never" else "always"
        if step.get("type") == "ByteLevel" and step.get("add_prefix_space"):
            return "always"
    return "never"


def _never_prefix(spec: dict[str, Any]) -> None:
    """Takes the implicit leading space out of the file's steps: `Vocabulary.encode` adds it where it is wanted."""
    for step in _steps(spec.get("pre_tokenizer")):
        if step.get("type") in ("Metaspace", "ByteLevel"):
            step["add_prefix_space"] = False
            if "prepend_scheme" in step:
                step["prepend_scheme"] = "never"


def _starts_with_token(processor: Any) -> bool:
    if not isinstance(processor, dict):
        return False
    if processor.get("type") == "Sequence":
        return any(_starts_with_token(each) for each in processor.get("processors", []))
    single = processor.get("single") or [{}]
    return processor.get("type") == "TemplateProcessing" and "SpecialToken" in single[0]


def _byte_alphabet() -> dict[str, int]:
    """The 256 characters that byte-level vocabularies write bytes with (openai/gpt-2, encoder.py)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(256 + n): b for n, b in enumerate(others)}


_BYTE_OF = _byte_alphabet()
