"""`tokenizer.model`, the file of the SentencePiece library, read as a `tokenizer.json`.

The file is a protocol buffer (google/sentencepiece, src/sentencepiece_model.proto). It is read here by hand, because
the library's Python API does not tell the normalizer, nor all types of pieces, and is not needed for anything else.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .checkpoint import read_file
from .errors import CheckpointError
from .tokenizer_json import MOST_CHARACTERS

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
MODEL_BYTES = 16 * 2**20
# The largest vocabulary there is has a quarter of a million pieces, of three fields and seven characters.
_MOST_FIELDS = 2_000_000
_MOST_SPLITS = 4_000_000
_BPE = 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def read_sentencepiece(path: Path) -> dict[str, Any]:
    """The model in `path` in the form of a tokenizer.json. Raises CheckpointError where it is not a BPE model."""
    raw = read_file(path, MODEL_BYTES, required=True) or b""
    pieces: list[tuple[str, float, int]] = []
    model_type, dummy_prefix, collapses, rewrites = 1, True, True, False  # the defaults of the format
    left = iter(range(_MOST_FIELDS))
    try:
        for number, value in _fields(memoryview(raw), left):
            if number == 1:
                pieces.append(_piece(value, left))
            elif number == 2:
                model_type = next((v for n, v in _fields(value, left) if n == 3), model_type)
            elif number == 3:
                spec = dict(_fields(value, left))
                dummy_prefix, collapses = bool(spec.get(3, 1)), bool(spec.get(4, 1))
                rewrites = len(spec.get(2, b"")) > 0
    except (IndexError, TypeError, ValueError, struct.error) as error:
        raise CheckpointError(f"{path} is not a SentencePiece model, or is cut off; download it again.") from error
    if not pieces:
        raise CheckpointError(f"{path} holds no vocabulary; download it again.")
    if model_type != _BPE or collapses or rewrites:
        raise CheckpointError(f"{path} is not a Llama-like vocabulary; add the checkpoint's tokenizer.json.")
    if sum(len(piece) for piece, _, _ in pieces) > _MOST_SPLITS:
        raise CheckpointError(f"{path} holds more than {_MOST_SPLITS:,} characters; download it again.")
    return specification(pieces, dummy_prefix)


def specification(pieces: list[tuple[str, float, int]], dummy_prefix: bool) -> dict[str, Any]:
    """A tokenizer.json of BPE pieces (text, score, type). `dummy_prefix`: whether a text is given a leading space."""
    vocab = {piece: index for index, (piece, _, _) in enumerate(pieces)}
    prepend = [{"type": "Prepend", "prepend": "▁"}] if dummy_prefix else []
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    return {
        "added_tokens": [
            {"id": i, "content": piece, "special": kind != USER_DEFINED}
            for i, (piece, _, kind) in enumerate(pieces)
            if kind in (UNKNOWN, CONTROL, USER_DEFINED)
        ],
        "normalizer": {"type": "Sequence", "normalizers": [*prepend, replace]},
        "model": {
            "type": "BPE",
            "unk_token": next((piece for piece, _, kind in pieces if kind == UNKNOWN), None),
            "fuse_unk": True,
            "byte_fallback": any(kind == BYTE for _, _, kind in pieces),
            "vocab": vocab,
            "merges": _merges(pieces),
        },
    }


def _merges(pieces: list[tuple[str, float, int]]) -> list[list[str]]:
    """Every split of a piece into two pieces, best first.

    SentencePiece merges the pair whose *whole* has the best score; tokenizers goes by a list of pairs. Sorted by
    (score of the whole, length of the left, length of the right), descending, the two agree.
    """
    scores = {piece: score for piece, score, kind in pieces if kind == NORMAL}
    merges = [
        (score, at, len(piece) - at, piece)
        for piece, score in scores.items()
        for at in range(1, len(piece))
        if piece[:at] in scores and piece[at:] in scores
    ]
    merges.sort(key=lambda merge: merge[:3], reverse=True)
    return [[piece[:at], piece[at:]] for _, at, _, piece in merges]


def _piece(message: memoryview, left: Iterator[int]) -> tuple[str, float, int]:
    text, score, kind = "", 0.0, NORMAL
    for number, value in _fields(message, left):
        if number == 1:
            text = str(value, "utf-8")
            if len(text) > MOST_CHARACTERS:
                raise ValueError("a piece that is far too long")
        elif number == 2:
            (score,) = struct.unpack("<f", value)
        elif number == 3:
            kind = value
    return text, score, kind


def _fields(message: memoryview, left: Iterator[int]) -> Iterator[tuple[int, Any]]:
    """Number and raw value of each field of a protocol buffer message (protobuf.dev/programming-guides/encoding).

    `left` has as many values as fields may still come.
    """
    at, end = 0, len(message)
    while at < end:
        if next(left, None) is None:
            raise ValueError("more fields than any vocabulary needs")
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == _BYTES:
            size, at = _varint(message, at)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire}")
        if at + size > end:
            raise ValueError("cut off")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
