"""Which of the models that a server lists is the one that is meant."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from typing import Any

from lsp_server.model.dialect import NOTHING_THERE
from lsp_server.model.endpoint import Endpoint
from lsp_server.model.exchange import ANSWER_SECONDS, EngineDenied, EngineLost, EngineRefused
from lsp_server.model.refusal import Refusal
from lsp_server.model.servers import EngineBusy, Servers

# Of models that complete nothing: as they are named, or as servers say what they do.
_OTHER = re.compile(
    r"embed|rerank|\bbge\b|\be5\b|\bgte\b|minilm|whisper|\btts\b|speech|transcri|moderation|clip\b|diffusion|dall|image|guard"
)
_FORMS = ("hf", "gguf", "awq", "gptq", "fp8", "int8", "int4", "8bit", "4bit", "bf16", "fp16")
SHOWN = 8
# With these a server says that it will have one later.
LOADING = (429, 503)


@dataclasses.dataclass(frozen=True)
class Served:
    """A model as a server lists it. `context_length`: 0 where it does not say. `completes`: as far as its name and what
    the server says of it tell. `parent`: the model of which it is an adapter. `owner`: who is said to own it."""

    id: str
    context_length: int = 0
    completes: bool = True
    parent: str = ""
    owner: str = ""


class NotChosen(Exception):
    """None of them is surely meant; the message ends a sentence on the server."""


async def common(servers: Servers) -> Served:
    """The model that `servers` have, with the least context; from now on those that have it are asked alone.

    Raises EngineLost, EngineRefused, and EngineBusy where none is ready.
    """
    found_at, problems = dict[str, Served](), list[EngineLost | EngineRefused]()
    for found in await servers.each("/v1/models", ANSWER_SECONDS):
        try:
            if isinstance(found, (EngineLost, EngineRefused)):
                raise found
            at, status, content = found
            found_at[at.url] = _of(at, status, content)
        except (EngineLost, EngineRefused) as error:
            problems.append(error)
    if not found_at:
        raise next((each for each in problems if isinstance(each, EngineBusy)), problems[0])
    servers.use({url: each.id for url, each in found_at.items()})
    length = min((each.context_length for each in found_at.values() if each.context_length), default=0)
    return dataclasses.replace(next(iter(found_at.values())), context_length=length)


def _of(at: Endpoint, status: int, content: bytes) -> Served:
    """The model of one server. Raises EngineRefused."""
    try:
        answer: Any = json.loads(content)
    except (ValueError, RecursionError):
        answer = content.decode(errors="replace")
    models = listed(answer) if status == 200 else []
    if models:
        try:
            return choose(models, at.model, at.like)
        except NotChosen as error:
            raise EngineRefused(f"{at.name} {error}.") from None
    said = (Refusal.said(answer, status).sentence if status != 200 else "") or f"status {status}"
    if status in (401, 403):
        raise EngineDenied(at.keeps_out(said))
    if status == 407:
        raise EngineRefused(f"The proxy for {at.url} lets nobody in ({said}): its address has a name and a password.")
    if status in LOADING:
        raise EngineBusy(f"{at.name} is not ready ({said}); it is asked again.")
    if status in NOTHING_THERE and at.model:
        return Served(at.model)  # not every gateway has a list
    named = ", or name its model in codellama.remoteModel" if status in NOTHING_THERE else ""
    raise EngineRefused(f"{at.name} does not list a model at /v1/models ({said}); check codellama.engineUrl{named}.")


def listed(answer: Any) -> list[Served]:
    """The models of an answer to `GET /v1/models`, each once; [] where it is none. Some send the bare list."""
    models = answer.get("data") if isinstance(answer, dict) else answer
    found: dict[str, Served] = {}
    for each in models if isinstance(models, list) else ():
        if _is_model(each):
            found.setdefault(each["id"], _served(each))
    return list(found.values())


def choose(models: Sequence[Served], name: str, like: Sequence[str]) -> Served:
    """The model that is called `name`; without one the one that is named like one of `like`, or the only one that
    completes text. Raises NotChosen."""
    if name:
        if found := [each for each in models if each.id == name] or [each for each in models if _same(each.id, name)]:
            return found[0]
        raise NotChosen(f"does not serve {name}, but {_names(models)}: check codellama.remoteModel")
    able = [each for each in models if each.completes]
    for wanted in like:
        for alike in (_equal, _same, _form):
            if found := [each for each in able if alike(each.id, wanted)]:
                return found[0]
    first = [each for each in able if not each.parent] or able
    if len(first) == 1:
        return first[0]
    if not first:
        raise NotChosen(f"serves no model that completes text, but {_names(models)}: check codellama.engineUrl")
    raise NotChosen(f"serves several models ({_names(first)}): say which in codellama.remoteModel")


def _is_model(found: Any) -> bool:
    return isinstance(found, dict) and isinstance(found.get("id"), str) and bool(found["id"])


def _served(found: dict[str, Any]) -> Served:
    said = [found.get(each) for each in ("type", "task", "pipeline_tag")]
    kinds = " ".join([found["id"], *(each for each in said if isinstance(each, str))])
    length, parent, owner = found.get("max_model_len"), found.get("parent"), found.get("owned_by")
    return Served(
        found["id"],
        length if type(length) is int and length > 0 else 0,
        _OTHER.search(kinds.lower()) is None,
        parent if isinstance(parent, str) else "",
        owner if isinstance(owner, str) else "",
    )


def _equal(one: str, other: str) -> bool:
    return one == other


def _same(one: str, other: str) -> bool:
    """Whether two names are of one model: a hub id, a path, or the last part of either."""
    return _last(one) == _last(other)


def _form(one: str, other: str) -> bool:
    """Whether one names another form of the other, such as its 4-bit weights."""
    return _plain(one) == _plain(other)


def _last(name: str) -> str:
    return re.split(r"[\\/]", name.rstrip("\\/"))[-1].lower()


def _plain(name: str) -> str:
    whole = re.sub(r"[._-]i?q\d+(_[a-z0-9]+)*", "", _last(name))  # as llama.cpp calls its quantizations
    return "".join(each for each in re.split(r"[^a-z0-9]+", whole) if each not in _FORMS)


def _names(models: Sequence[Served]) -> str:
    shown = [each.id if len(each.id) <= 80 else f"{each.id[:80]}..." for each in models[:SHOWN]]
    return ", ".join(shown) + (f" and {len(models) - SHOWN} more" if len(models) > SHOWN else "")
