"""What one server takes in a request: known of those that say what they are, learned from refusals of any other.

Servers that speak the same protocol differ in the fields beyond its core, and many refuse a whole request for one of
them: vLLM a `priority` unless it was started for it, others what they do not know. They differ in prompts too: some
take no token ids, some a conversation alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from lsp_server.model.refusal import Refusal

if TYPE_CHECKING:
    from lsp_server.codellama.text_form import Text

Kind = Literal["", "ours", "vllm", "llama.cpp", "llama-cpp-python", "transformers", "tgi"]
"""What a server is, as it says itself; "": it does not say."""

Way = Literal["ids", "chat", "text"]
"""How a prompt is put: as token ids, as the messages of a conversation, or as text. The first is exact."""

# Fields without which the request means the same, or nearly so.
OPTIONAL = (
    "temperature",
    "top_p",
    "seed",
    "stop_token_ids",
    "logit_bias",
    "logprobs",
    "priority",
    "stream_options",
    "return_token_ids",
    "return_progress",
    "generation_config",
    "heal",
    "candidates",
    "follow",
    "names",
)
# Those that the project's own engine alone has, and those of vLLM.
OWN = frozenset({"heal", "candidates", "follow", "names", "return_progress"})
_VLLMS = frozenset({"stop_token_ids", "priority", "return_token_ids"})
# What servers that say what they are do not know, or do not do; some would refuse it, others pass over it.
_UNKNOWN: dict[Kind, frozenset[str]] = {
    "transformers": _VLLMS | {"logprobs", "stream_options"},
    "llama.cpp": _VLLMS,
    "llama-cpp-python": _VLLMS | {"stream_options"},
    "tgi": _VLLMS | {"logit_bias"},
}
# They take prompts as text alone.
TEXT_ALONE: frozenset[Kind] = frozenset({"transformers", "llama-cpp-python", "tgi"})
# With these a server says that something is wrong with the request; 0: it does not say what kind of error it is. Some
# call it their own error, where a field is what they cannot do.
STATUSES = (400, 422, 500, 0)
# With these it may say that it does not take prompts in this way, or that there is nothing at this address.
NOTHING_THERE = (404, 405, 501)
_OTHER_WAY = (*STATUSES, *NOTHING_THERE, 415)


class Dialect:
    """What one server takes, as far as is known. `kind`: what it is. `ours`: it is the project's own engine, which
    takes all. `met`, `tried`: whether it was asked what it is, and given a prompt as text to try.

    Of prompts as text: `names_start`, whether they have the name of the token that every prompt starts with; `infills`,
    whether the server reads the infilling tokens in them. `room`: for how many tokens it has room, where it has said
    that those of a request were too many, else 0.
    """

    def __init__(self, *, ours: bool) -> None:
        self.kind: Kind = "ours" if ours else ""
        self.met = ours
        self.tried = False
        self.names_start = False
        self.infills = True
        self.room = 0
        self._refused: frozenset[str] = frozenset() if ours else OWN
        self._open: set[Way] = {"ids"} if ours else set()
        self._closed: set[Way] = set()

    def is_of(self, kind: Kind) -> None:
        """Take in what the server says that it is."""
        self.met, self.kind = True, kind
        self._refused |= _UNKNOWN.get(kind, frozenset())
        if kind in TEXT_ALONE:
            self._closed.add("ids")
        elif kind:
            self._open.add("ids")

    def takes(self, field: str) -> bool:
        """Whether the server takes a field, as far as is known."""
        return field not in self._refused

    def ways(self, can: Collection[Way]) -> list[Way]:
        """Of the ways in which a prompt can be put those that may be this server's, the best first."""
        order: tuple[Way, ...] = ("ids", "chat", "text")
        return [way for way in order if way in can and way not in self._closed]

    def may_take_another(self, way: Way, refusal: Refusal) -> bool:
        """Whether a refusal may be about the way in which a prompt is put."""
        return refusal.status in _OTHER_WAY and way not in self._open and not refusal.room

    def said(self, fields: Mapping[str, Any], without: Collection[str] = ()) -> dict[str, Any]:
        """A request in the server's words: without the fields that it refuses, and those of `without`."""
        return {name: value for name, value in fields.items() if self.takes(name) and name not in without}

    def own(self, fields: Mapping[str, Any], stop_ids: Sequence[int]) -> dict[str, Any]:
        """What the server has words of its own for: the ends of an answer, how probable its tokens were, and that code
        may say the same twice."""
        own: dict[str, Any] = {}
        if self.kind == "transformers" and stop_ids:
            own["generation_config"] = json.dumps(
                {
                    "eos_token_id": list(stop_ids),
                    "pad_token_id": stop_ids[0],
                    "do_sample": bool(fields.get("temperature")),
                }
            )
        if self.kind == "llama.cpp":
            own["logprobs"] = 1  # there 0 stands for none at all, and without it no end by an id could be seen
        if self.kind == "llama-cpp-python":
            own["repeat_penalty"] = 1.0  # where none is named, there is one
        return own

    def refused(self, sent: Mapping[str, Any], refusal: Refusal) -> frozenset[str]:
        """The optional fields of what was sent that a refusal is about; none where it is about something else."""
        optional = [name for name in OPTIONAL if name in sent]
        if self.kind == "ours" or refusal.status not in STATUSES:
            return frozenset()
        if "model" in sent and re.search(r"\bpinned to\b", refusal.sentence):  # it has but one, whatever it is called
            return frozenset({"model"})
        if refusal.about & sent.keys():
            return refusal.about & frozenset(optional)
        return frozenset(name for name in optional if re.search(_named(name), refusal.sentence, re.IGNORECASE))

    def learn(self, fields: Collection[str], way: Way, refused: Collection[Way]) -> None:
        """Take in that a request went on without these fields, in one way that was refused in others."""
        self._refused |= frozenset(fields)
        self._open.add(way)
        self._closed |= set(refused) - self._open

    def count(self, text: Text | None, usage: Mapping[str, Any]) -> None:
        """Compare how many ids the server made of a text with how many it should have."""
        read = usage.get("prompt_tokens")
        if text is None or type(read) is not int:
            return
        more = read - text.tokens
        if more == 1 or (more == 0 and not text.start):
            return
        if text.start and (more, self.names_start) in ((0, False), (2, True)):
            self.names_start = not self.names_start
        else:
            self.infills = False


def alike(way: Way, refusal: Refusal) -> tuple[Way, ...]:
    """The ways that a refusal of one is about: where nothing is at its address, all that go there."""
    return ("ids", "text") if way != "chat" and refusal.status in NOTHING_THERE else (way,)


def _named(field: str) -> str:
    """A pattern for a field's name as sentences have it: `logit_bias`, "logit bias", logitBias."""
    return rf"(?<![A-Za-z]){field.replace('_', '[_ -]?')}(?![A-Za-z])"
