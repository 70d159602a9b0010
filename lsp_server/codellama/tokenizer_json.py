"""What a tokenizer.json may say: types, sizes and steps are checked before anything is made of them.

The library that runs it trusts the file: an absurd one makes it panic, take all memory, or work for hours on a text.
Each function raises ValueError with what is wrong, as a clause; `vocabulary` makes a sentence of it.
"""

from __future__ import annotations

import itertools
import reprlib
from collections.abc import Mapping
from typing import Any, cast

from .patterns import is_linear

MOST_IDS = 2**22
MOST_ADDED = 2**17
# The longest pieces in use are runs of white space; what is longer costs the library time at each place of a text.
MOST_CHARACTERS = 1024
_MOST_ADDED_CHARACTERS = 128
_MOST_STEPS = 16
# How many times longer a text may become by what the file makes of it.
_MOST_GROWTH = 64
_GROWTH = {"ByteLevel": 4, "NFD": 4, "NFKC": 4, "NFKD": 4}
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
_NORMALIZERS = {
    *("Sequence", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Lowercase", "Strip", "StripAccents", "BertNormalizer"),
    *("Prepend", "Replace", "ByteLevel"),
}
_PRE_TOKENIZERS = {
    *("Sequence", "ByteLevel", "Metaspace", "Whitespace", "WhitespaceSplit", "BertPreTokenizer", "Split"),
    *("Punctuation", "Digits", "CharDelimiterSplit", "UnicodeScripts"),
}


def pieces_of(model: Mapping[str, Any]) -> dict[str, int]:
    """The pieces of a model with their ids."""
    if model.get("type", "BPE") not in ("BPE", "Unigram", "WordLevel"):
        raise ValueError(f"its model is of the type {reprlib.repr(model['type'])}, not BPE, Unigram or WordLevel")
    vocab = model["vocab"]
    if isinstance(vocab, list):
        if not all(isinstance(each, list) and len(each) == 2 and type(each[1]) in (int, float) for each in vocab):
            raise ValueError("its vocabulary should hold pieces with their scores")
        vocab = {each[0] if isinstance(each[0], str) else None: at for at, each in enumerate(vocab)}
    if set(map(type, vocab)) != {str}:
        raise ValueError("a piece of its vocabulary is not a text")
    if len(longest := max(vocab, key=len)) > MOST_CHARACTERS:
        raise ValueError(f"the piece {reprlib.repr(longest)} has more than {MOST_CHARACTERS} characters")
    if set(map(type, vocab.values())) != {int} or min(vocab.values()) < 0 or max(vocab.values()) >= MOST_IDS:
        for piece, number in vocab.items():
            check_id(piece, number)
    merges = model.get("merges") or []
    if not isinstance(merges, list) or not _are_pairs(merges):
        raise ValueError("its merges should be pairs of pieces")
    for name in ("continuing_subword_prefix", "end_of_word_suffix"):
        mark = model.get(name) or ""
        if not isinstance(mark, str) or len(mark) > _MOST_ADDED_CHARACTERS:
            raise ValueError(f"its {name} should be a short text")
    return cast("dict[str, int]", vocab)


def _are_pairs(merges: list[Any]) -> bool:
    """Whether these are texts, as in older files, or lists of two texts. Without a loop: there may be 500,000."""
    kinds = set(map(type, merges))
    if kinds != {list}:
        return kinds <= {str}
    return set(map(len, merges)) == {2} and set(map(type, itertools.chain.from_iterable(merges))) == {str}


def check_id(token: str, number: Any) -> None:
    if type(number) is not int or not 0 <= number < MOST_IDS:
        raise ValueError(
            f"{reprlib.repr(token)} has the id {reprlib.repr(number)}, which should be a whole number "
            f"from 0 to {MOST_IDS - 1}"
        )


def added_token(token: Any, number: Any = None) -> dict[str, Any]:
    """An added token with all its fields. `number`: its id, where the token does not say it itself."""
    if not isinstance(token, Mapping) or not isinstance(token.get("content"), str) or not token["content"]:
        raise ValueError("an added token should be an object with a text as its content")
    text = token["content"]
    if len(text) > _MOST_ADDED_CHARACTERS:
        raise ValueError(f"the added token {reprlib.repr(text)} has more than {_MOST_ADDED_CHARACTERS} characters")
    number = token.get("id") if number is None else number
    check_id(text, number)
    return {"id": number, "content": text, **{flag: bool(token.get(flag)) for flag in _FLAGS}}


def check_steps(normalizer: Any, pre_tokenizer: Any) -> None:
    """Raises ValueError where what is done to a text before it is encoded might never end, or make it far too long."""
    growth = 1
    for part, known in ((normalizer, _NORMALIZERS), (pre_tokenizer, _PRE_TOKENIZERS)):
        found = steps(part)
        if len(found) > _MOST_STEPS:
            raise ValueError(f"it takes more than {_MOST_STEPS} steps to prepare a text")
        for step in found:
            kind = step.get("type")
            if not isinstance(kind, str) or kind not in known:
                raise ValueError(
                    f"it prepares texts with a step of the type {reprlib.repr(kind)}, which is not supported"
                )
            growth *= _GROWTH.get(kind, 1)
            if kind in ("Split", "Replace"):
                _check_pattern(step.get("pattern"))
            if kind in ("Prepend", "Replace"):
                text = step.get("prepend" if kind == "Prepend" else "content")
                growth *= max(1, len(text)) + (kind == "Prepend") if isinstance(text, str) else 1
    if growth > _MOST_GROWTH:
        raise ValueError("it makes texts many times longer before they are encoded")


def _check_pattern(pattern: Any) -> None:
    if isinstance(pattern, Mapping) and isinstance(text := pattern.get("String"), str):
        if not 0 < len(text) <= _MOST_ADDED_CHARACTERS:
            raise ValueError("it looks for an empty or a very long text")
    elif not isinstance(pattern, Mapping) or not isinstance(text := pattern.get("Regex"), str):
        raise ValueError("it looks for something that is neither a text nor a regular expression")
    elif not is_linear(text):
        raise ValueError(f"its regular expression {reprlib.repr(text)} is not known to end on every text")


def steps(part: Any) -> list[dict[str, Any]]:
    """The steps of a normalizer or pre-tokenizer, sequences flattened."""
    if not isinstance(part, dict):
        return []
    if part.get("type") != "Sequence":
        return [part]
    return [step for key in ("normalizers", "pretokenizers") for each in part.get(key) or [] for step in steps(each)]
