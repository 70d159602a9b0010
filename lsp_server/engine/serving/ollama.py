"""Ollama's requests and answers, `/api/generate` and `/api/chat`, for programs that speak nothing else, and what they
ask before: `/`, `/api/version`, `/api/tags`, `/api/ps` and `/api/show`.

https://docs.ollama.com/api. Answers are streamed unless a request says otherwise, one JSON object a line. Fields that
mean nothing here are passed over, as in `llama_cpp`.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import AsyncIterator
from typing import Any

from lsp_server.engine.generating.pace import Pace
from lsp_server.engine.serving import wire
from lsp_server.engine.serving.answer import AnswerPart, Parts, Sequences, joined
from lsp_server.engine.serving.state import EngineState
from lsp_server.engine.serving.wire import ApiRequest, Refusal
from lsp_server.errors import UserError

PREFIX = "/api/"
# The first that says what a model can do: some programs speak to no older one.
VERSION = {"version": "0.6.4"}
# What some look for at the top, to know whether it is there.
RUNNING = "Ollama is running"
_NEVER = "9999-12-31T00:00:00Z"
_HOTTEST = 2.0


def generate(body: bytes, vocab_size: int) -> ApiRequest:
    """The request in the body of /api/generate: the text between `prompt` and `suffix`; without a suffix what follows
    the prompt if that is `raw`, or was written to infill, else an answer to it. Raises Refusal."""
    fields = _fields(body)
    prompt, suffix, system = (wire.text_of(fields.get(name, ""), name) for name in ("prompt", "suffix", "system"))
    if not (prompt or suffix):
        return _loading(fields, vocab_size)
    if suffix:
        return _request(fields, {"prompt": prompt, "suffix": suffix}, vocab_size)
    if fields.get("raw") is True or _is_written(prompt):
        return _request(fields, {"prompt": prompt}, vocab_size)
    said = [("system", system)] * bool(system) + [("user", prompt)]
    messages = [{"role": role, "content": content} for role, content in said]
    return _request(fields, {"messages": messages}, vocab_size)


def chat(body: bytes, vocab_size: int) -> ApiRequest:
    """The request in the body of /api/chat. Raises Refusal."""
    fields = _fields(body)
    if fields.get("messages", []) == []:
        return _loading(fields, vocab_size)
    return _request(fields, {"messages": fields.get("messages")}, vocab_size)


def _fields(body: bytes) -> dict[str, Any]:
    fields = {name: value for name, value in wire.read_object(body).items() if value is not None}
    for name in ("images", "tools", "format"):
        if fields.get(name):
            raise Refusal(f"{name} is not supported: leave it out.", name)
    return fields


def _loading(fields: dict[str, Any], vocab_size: int) -> ApiRequest:
    """The request of who wants no text, but the model in memory, where it is."""
    return dataclasses.replace(_request(fields, {"prompt": ""}, vocab_size), max_tokens=0)


def _request(fields: dict[str, Any], asked: dict[str, Any], vocab_size: int) -> ApiRequest:
    options = fields.get("options", {})
    if not isinstance(options, dict):
        raise Refusal("options must be an object.", "options")
    options = {name: value for name, value in options.items() if value is not None}
    most, temperature = options.get("num_predict", -1), options.get("temperature")
    limit = {"num_predict": (most, True), "temperature": (0 if temperature is None else temperature, False)}
    for name, (value, whole) in limit.items():
        wire.check_number(name, value, -2 if whole else 0, 2**31 - 1, whole=whole)
    chosen = {name: options.get(name) for name in ("top_p", "top_k", "seed", "stop")}
    chosen["temperature"] = None if temperature is None else min(temperature, _HOTTEST)
    chosen["max_tokens"] = most if most > 0 else -1
    stream = {"stream": fields.get("stream", True)}
    return wire.request({**asked, **chosen, **stream}, vocab_size, chat="messages" in asked, lenient=True)


def _is_written(prompt: str) -> bool:
    """Whether a prompt is one to infill that was written as text, also one that is then refused."""
    from lsp_server.codellama import written_infill

    try:
        return written_infill(prompt) is not None
    except UserError:
        return True


class Answer:
    """Writes the pieces of one answer as Ollama does: as those of /api/chat if `chat`, else of /api/generate."""

    media_type = "application/x-ndjson"

    def __init__(
        self,
        ask: ApiRequest,
        sequences: Sequences,
        parts: Parts,
        model: str,
        pace: Pace,
        *,
        cut: bool = False,
        chat: bool = False,
    ) -> None:
        self._sequences, self._parts, self._model, self._chat = sequences, parts, model, chat

    async def whole(self) -> dict[str, Any]:
        """The answer in one."""
        return self._said(joined([part async for _, handle in self._sequences async for part in self._parts(handle)]))

    async def events(self) -> AsyncIterator[bytes]:
        """The answer as lines of JSON, the last of which says how it ended."""
        try:
            async for _, handle in self._sequences:
                async for piece in self._parts(handle):
                    if piece.text or piece.finish_reason:
                        yield _line(self._said(piece))
        except Refusal as refusal:  # too late for a status
            yield _line(error(str(refusal)))

    def _said(self, piece: AnswerPart) -> dict[str, Any]:
        head = _head(self._model, piece.text, chat=self._chat, done=bool(piece.finish_reason))
        return {**head, "done_reason": piece.finish_reason, **self._cost()} if piece.finish_reason else head

    def _cost(self) -> dict[str, int]:
        """Counts of tokens, and times in nanoseconds."""
        counts = self._sequences.counts
        first, last = (round(1e9 * (each or 0)) for each in (counts.first_token_seconds, counts.last_token_seconds))
        return {
            "total_duration": last,
            "load_duration": 0,
            "prompt_eval_count": counts.prompt_tokens,
            "prompt_eval_duration": first,
            "eval_count": counts.generated_tokens,
            "eval_duration": max(0, last - first),
        }


def tags(state: EngineState) -> dict[str, Any]:
    """The body of GET /api/tags: the models."""
    return {"models": [{**_model(state), "modified_at": _now()}]}


def running(state: EngineState) -> dict[str, Any]:
    """The body of GET /api/ps: the models in memory, of which there is the one."""
    return {"models": [{**_model(state), "expires_at": _NEVER, "size_vram": 0}]}


def show(state: EngineState) -> dict[str, Any]:
    """The body of POST /api/show: what the model can do. Programs take one for able to infill whose template has a
    suffix."""
    infills = _infills(state)
    return {
        "parameters": "",
        "template": "{{ .Prompt }}{{ .Suffix }}" if infills else "{{ .Prompt }}",
        "details": _DETAILS,
        "model_info": {"general.architecture": "llama", "llama.context_length": state.context_length},
        "capabilities": ["completion", "insert"] if infills else ["completion"],
    }


def nothing(ask: ApiRequest, model: str, *, chat: bool) -> dict[str, Any]:
    """The answer to who wants no text."""
    return {**_head(model, "", chat=chat, done=True), "done_reason": "load"}


def error(message: str) -> dict[str, Any]:
    """The body of an answer that is an error."""
    return {"error": message}


_DETAILS = {"format": "safetensors", "family": "llama", "families": ["llama"]}


def _infills(state: EngineState) -> bool:
    if state.infill is None or state.scheduler is None:
        return False
    try:
        state.infill("", "", (), context_length=state.scheduler.context_length, max_tokens=1)
    except UserError:
        return False
    return True


def _model(state: EngineState) -> dict[str, Any]:
    return {"name": state.model, "model": state.model, "size": 0, "digest": "", "details": _DETAILS}


def _head(model: str, text: str, *, chat: bool, done: bool) -> dict[str, Any]:
    said = {"message": {"role": "assistant", "content": text}} if chat else {"response": text}
    return {"model": model, "created_at": _now(), **said, "done": done}


def _line(said: dict[str, Any]) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat()
