"""A server's own sentence on why it will not do something, and which field of the request that is about."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

# Longer than a sentence; a page of HTML is none at all.
SENTENCE_CHARACTERS = 600
# vLLM puts the list that FastAPI makes of a body that it cannot read into a sentence, as Python shows it.
_SHOWN_PLACE = re.compile(r"""['"]loc['"]:\s*[\[(]['"]body['"],\s*['"](\w+)['"]""")
# The most tokens of a prompt with its answer, in a sentence on too many: of LM Studio; of vLLM, SGLang, OpenAI,
# llama.cpp and llama-cpp-python; of TGI; of Mistral.
_ROOMS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\bn_ctx\W+(\d{1,9})\b",
        r"\b(?:context|model) (?:length|size|window)\D{0,24}(\d{1,9})\b",
        r"\bmust (?:be <=|have less than) (\d{1,9})\b",
        r"\b(\d{1,9}) maximum context length\b",
    )
]
# TGI, which calls it an error of the request once an answer may be streamed.
_OVERLOADED = re.compile(r"\bmodel is overloaded\b", re.IGNORECASE)
_SHOWN_MESSAGE = re.compile(r"""['"]msg['"]:\s*(['"])(.*?)\1""")


@dataclasses.dataclass(frozen=True)
class Refusal:
    """`sentence`: "" where there is none. `about`: the names of fields, where the server names them in a place of their
    own and not in the sentence alone. `status`: that of HTTP, 0 where it is not known."""

    sentence: str
    about: frozenset[str] = frozenset()
    status: int = 0

    @property
    def room(self) -> int:
        """How many tokens there is room for, where it says so; 0: it does not."""
        return next((int(found[1]) for each in _ROOMS if (found := each.search(self.sentence))), 0)

    @classmethod
    def said(cls, error: Any, status: int = 200) -> Refusal:
        """What an answer says: JSON in the shapes that servers use, or text. An answer that began well has a status of
        200; what went wrong then may have another."""
        text = "; ".join(dict.fromkeys(_sentences(error)))
        if status == 200:
            status = 429 if _OVERLOADED.search(text) else next(_codes(error), 0)
        return cls(_one_line(text), frozenset(_places(error)) | frozenset(_SHOWN_PLACE.findall(text)), status)


def _sentences(error: Any) -> Iterator[str]:
    """The texts of an error, which may be within others: {"error": {"message"}}, {"error"}, {"message"}, {"detail"},
    {"detail": [{"loc", "msg"}]}, {"errors": [...]}."""
    if isinstance(error, str):
        if error.strip() and not error.lstrip().startswith("<"):
            yield error.strip()
    elif isinstance(error, list):
        for each in error:
            yield from _sentences(each)
    elif isinstance(error, dict):
        for name in ("error", "message", "detail", "msg", "errors", "title"):
            if found := list(_sentences(error.get(name))):
                place = ".".join(_texts(error.get("loc"))) if name == "msg" else ""
                yield from (f"{place}: {each}" if place else each for each in found)
                return


def _codes(error: Any) -> Iterator[int]:
    """The status of HTTP that an error has as its code."""
    if isinstance(error, dict):
        for name in ("code", "status", "status_code"):
            if isinstance(code := error.get(name), int) and 400 <= code < 600:
                yield code
        yield from _codes(error.get("error"))


def _places(error: Any) -> Iterator[str]:
    """The words of every `param` and `loc` in an error."""
    if isinstance(error, list):
        for each in error:
            yield from _places(each)
    elif isinstance(error, dict):
        for text in (*_texts(error.get("param")), *_texts(error.get("loc"))):
            yield from re.findall(r"\w+", text)
        for name in ("error", "detail", "errors"):
            yield from _places(error.get(name))


def _texts(place: Any) -> list[str]:
    """A place as its parts: it is a text, or a list of texts and numbers."""
    parts = place if isinstance(place, list) else [place]
    return [str(each) for each in parts if isinstance(each, (str, int)) and not isinstance(each, bool)]


def _one_line(text: str) -> str:
    if shown := _SHOWN_MESSAGE.search(text) if _SHOWN_PLACE.search(text) else None:
        places = ", ".join(dict.fromkeys(_SHOWN_PLACE.findall(text)))
        return f"{places}: {shown[2]}"
    text = " ".join(text.split())
    return text if len(text) <= SENTENCE_CHARACTERS else f"{text[:SENTENCE_CHARACTERS]}..."
