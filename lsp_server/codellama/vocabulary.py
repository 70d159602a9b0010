"""A checkpoint's vocabulary: text to ids and ids to bytes, with its control tokens out of reach of the user's text.

Everything goes through one bare `tokenizers.Tokenizer`, which knows no control tokens: they are put in by hand, by id.
transformers' own tokenizer classes are wrong for Code Llama in several ways.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from tokenizers import Tokenizer
from tokenizers.models import BPE

from .checkpoint import TOKENIZER_BYTES, CheckpointFiles, read_json
from .errors import CheckpointError
from .sentencepiece_model import read_sentencepiece
from .tokenizer_json import MOST_ADDED, added_token, check_steps, pieces_of, steps

LLAMA_2_SIZE = 32000
"""Pieces of the Llama 2 vocabulary; Code Llama's infilling pieces and their fragments come after it."""

_CONTROL_PIECE = re.compile(r"▁<(PRE|SUF|MID|EOT)>|▁(<EOT>){2,6}|<step>")
# Some vocabularies add common texts (runs of newlines, HTML tags) as tokens of their own. Those are text. Anything else
# in brackets is taken for a control token even where the file does not call it special: Qwen's <|fim_prefix|> is one.
_HTML = "table|caption|thead|tbody|tfoot|tr|th|td|h[1-6]|blockquote|strong|em|b|i|u|sub|sup|code"
_TEXT_TOKEN = re.compile(rf"[^<\[]+|[^<]|</?({_HTML})>", re.DOTALL)

_MOST_SAID = 300

_BPE_OPTIONS = (
    *("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"),
    *("fuse_unk", "byte_fallback", "ignore_merges"),
)

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
        ids = _encoded(self.backend, text)
        if self.control_ids.isdisjoint(ids):
            return ids
        ids = _encoded(self._without_control, text)
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
    def control_lengths(self) -> dict[str, list[int]]:
        """For each character that a control token begins with, how long such tokens are, the longest first."""
        lengths: dict[str, set[int]] = {}
        for token in self.control:
            lengths.setdefault(token[0], set()).add(len(token))
        return {first: sorted(each, reverse=True) for first, each in lengths.items()}

    @cached_property
    def control_starts(self) -> re.Pattern[str]:
        """Finds where a control token may begin."""
        return re.compile(f"[{re.escape(''.join(self.control_lengths))}]" if self.control else r"(?!)")

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
        kept = {token["content"] for token in spec["added_tokens"]}
        vocab = {
            piece: i for piece, i in model["vocab"].items() if (i < end or piece in kept) and i not in self.control_ids
        }
        if (unknown := model.get("unk_token")) in model["vocab"]:
            vocab[unknown] = model["vocab"][unknown]
        merges = [_pair(merge) for merge in model["merges"]]
        model["merges"] = [m for m in merges if m[0] + m[1] in vocab and m[0] in vocab and m[1] in vocab]
        model["vocab"] = vocab
        return _built(spec)


def read_vocabulary(files: CheckpointFiles) -> Vocabulary:
    """The vocabulary of a checkpoint, from tokenizer.json or else tokenizer.model. Raises CheckpointError."""
    path = files.folder / "tokenizer.json"
    if os.path.lexists(path):
        spec = read_json(path, required=True, limit=TOKENIZER_BYTES)
    else:
        path = files.folder / "tokenizer.model"
        if not os.path.lexists(path):
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
    except BaseException as error:  # the tokenizers library raises plain Exception for what it cannot build, or panics
        _raise_unless_of_library(error)
        raise CheckpointError(f"{path} cannot be used ({_clause(error)}); download the checkpoint again.") from error


def _built(spec: dict[str, Any]) -> Tokenizer:
    """The tokenizer of a specification. The library reads one as text in 0.1 s in which no other thread of this process
    runs, an editor's keys among what waits; a BPE is handed over in a third of that, without being written first."""
    model = spec["model"]
    if model.get("type") != "BPE" or not isinstance(model["vocab"], dict):
        return Tokenizer.from_str(json.dumps(spec, ensure_ascii=False))
    # The added tokens take their ids from the vocabulary that is there when they are read.
    named = {token["content"] for token in spec["added_tokens"]}
    small = {**model, "vocab": {piece: i for piece, i in model["vocab"].items() if piece in named}, "merges": []}
    small["unk_token"] = None
    made = Tokenizer.from_str(json.dumps({**spec, "model": small}, ensure_ascii=False))
    options = {name: model[name] for name in _BPE_OPTIONS if model.get(name) is not None}
    merges: Any = [tuple(_pair(merge)) for merge in model["merges"]]
    made.model = BPE(model["vocab"], merges, **options)
    return made


def _encoded(backend: Tokenizer, text: str) -> list[int]:
    try:
        ids: list[int] = backend.encode(text, add_special_tokens=False).ids
    except BaseException as error:
        _raise_unless_of_library(error)
        raise CheckpointError(
            f"The checkpoint's tokenizer cannot encode this text ({_clause(error)}); use another checkpoint."
        ) from error
    return ids


def _raise_unless_of_library(error: BaseException) -> None:
    """A panic in the library's Rust is an exception that is no Exception, of a type that cannot be imported."""
    if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
        raise error


def _clause(error: BaseException) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    return text if len(text) <= _MOST_SAID else text[:_MOST_SAID] + "..."


def _vocabulary(spec: dict[str, Any], files: CheckpointFiles) -> Vocabulary:
    model = spec["model"]
    pieces = pieces_of(model)
    is_bpe = model.get("type", "BPE") == "BPE"
    llama_like = "▁" in pieces and (not is_bpe or bool(model.get("byte_fallback")))
    added = _added(spec, files, pieces)
    named = {*files.special.values(), *(("<s>", "</s>", "<unk>") if llama_like and is_bpe else ())}
    text_tokens, control = [], {}
    for token in added:
        text = token["content"]
        if token["special"] or text in named or not _TEXT_TOKEN.fullmatch(text):
            control[text] = AddedToken(token["id"], token["lstrip"], token["rstrip"])
        else:
            text_tokens.append(token)
    # A padding token may be named "!", say: only a text in brackets is believed to be more than its characters.
    by_name = {text for text in named if not _TEXT_TOKEN.fullmatch(text)}
    for text in by_name | set(filter(_CONTROL_PIECE.fullmatch, pieces) if llama_like else ()):
        if text in pieces and text not in control:
            control[text] = AddedToken(pieces[text])
    text_size = max(pieces.values()) + 1
    size = max(text_size, *(token["id"] + 1 for token in added), 0)
    prefixing = _prefixing(spec.get("normalizer"), spec.get("pre_tokenizer"))
    starts_with_bos = _starts_with_token(spec.get("post_processor"))
    if llama_like and is_bpe:
        replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
        spec = {"normalizer": replace, "pre_tokenizer": None, "model": {**model, "type": "BPE", "fuse_unk": True}}
    else:
        check_steps(spec.get("normalizer"), spec.get("pre_tokenizer"))
        _never_prefix(spec)
    bare_model = {"type": "BPE", **spec["model"]}  # the library would guess the type
    if isinstance(model["vocab"], dict):  # else it would number these tokens itself, as if there were no others
        missing = {token["content"]: token["id"] for token in text_tokens if token["content"] not in pieces}
        bare_model["vocab"] = {**model["vocab"], **missing}
    bare = {
        **{"version": "1.0", "truncation": None, "padding": None, "post_processor": None, "decoder": None},
        **{"normalizer": spec.get("normalizer"), "pre_tokenizer": spec.get("pre_tokenizer"), "model": bare_model},
        "added_tokens": text_tokens,
    }
    return Vocabulary(_built(bare), llama_like, prefixing, size, text_size, control, starts_with_bos)


def _added(spec: Mapping[str, Any], files: CheckpointFiles, pieces: Mapping[str, int]) -> list[dict[str, Any]]:
    """The added tokens of tokenizer.json, and those that tokenizer_config.json alone has: a checkpoint with only a
    tokenizer.model keeps the tokens added by a fine-tuning there."""
    listed, decoder = spec.get("added_tokens") or [], files.tokenizer.get("added_tokens_decoder") or {}
    if not isinstance(listed, list) or len(listed) > MOST_ADDED:
        raise ValueError(f"its added tokens should be a list of at most {MOST_ADDED}")
    added = [added_token(token) for token in listed]
    try:
        if not isinstance(decoder, dict) or len(decoder) > MOST_ADDED:
            raise ValueError(f"added_tokens_decoder should be an object of at most {MOST_ADDED} tokens")
        known = {token["id"] for token in added} | set(pieces.values())
        for key, token in decoder.items():
            number = int(key) if key.isascii() and key.isdecimal() and len(key) < 10 else -1
            if number not in known:
                added.append(added_token(token, number))
    except ValueError as error:
        path = files.folder / "tokenizer_config.json"
        raise CheckpointError(f"{path} cannot be used ({error}); download the checkpoint again.") from error
    return added


def _pair(merge: str | list[str]) -> list[str]:
    """A merge is written `"a b"` in older files and `["a", "b"]` in newer ones."""
    return merge.split(" ") if isinstance(merge, str) else merge


def _prefixing(normalizer: Any, pre_tokenizer: Any) -> Prefixing:
    if any(step.get("type") == "Prepend" for step in steps(normalizer)):
        return "always"
    for step in steps(pre_tokenizer):
        if step.get("type") == "Metaspace":
            scheme = step.get("prepend_scheme") or ("always" if step.get("add_prefix_space", True) else "never")
            return "first" if scheme == "first" else "never" if scheme == "never" else "always"
        if step.get("type") == "ByteLevel" and step.get("add_prefix_space"):
            return "always"
    return "never"


def _never_prefix(spec: dict[str, Any]) -> None:
    """Takes the implicit leading space out of the file's steps: `Vocabulary.encode` adds it where it is wanted."""
    for step in steps(spec.get("pre_tokenizer")):
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
