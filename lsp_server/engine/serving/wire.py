"""The requests that the engine accepts: OpenAI's completions API, with vLLM's additions.

https://platform.openai.com/docs/api-reference/completions and
https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html; `return_progress` is llama.cpp's; `heal`,
`candidates`, `follow` and `names` are ours.
Everything that a client may send is checked here. An editor's window of ours is told of a field that there is not;
other programs, which speak to many servers, are not (`lenient`).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from lsp_server import settings, settings_sent
from lsp_server.engine.generating.request import Sampling
from lsp_server.engine.options import FIXED, Options, different
from lsp_server.engine.serving.state import Extra
from lsp_server.errors import UserError

_INT64 = 2**63

# Fields that take a number: whether it must be whole, the least, the greatest.
_NUMBERS: dict[str, tuple[bool, float, float]] = {
    "max_tokens": (True, 1, 2**31 - 1),
    "max_completion_tokens": (True, 1, 2**31 - 1),
    "temperature": (False, 0, 2),
    "top_p": (False, 0, 1),
    "top_k": (True, -1, 2**31 - 1),
    "seed": (True, -_INT64, _INT64 - 1),
    "priority": (True, -(2**31), 2**31 - 1),
    "top_logprobs": (True, 0, 20),
    "heal": (True, 0, 64),
    "n": (True, 1, 16),
    "candidates": (True, 1, 8),
}
_FLAGS = ("stream", "return_token_ids", "return_progress", "ignore_eos")
# Fields of the API that are accepted only with the value that changes nothing.
_ONLY: dict[str, tuple[Any, ...]] = {
    "best_of": (1,),
    "echo": (False,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "response_format": ({"type": "text"},),
}
_IGNORED = ("user", "metadata", "store", "service_tier")
# Of those, what other programs send with a value that they find good for any model; the answer is right without it.
_TUNING = ("best_of", "frequency_penalty", "presence_penalty")
# Names with which an answer may go on, characters of one, and what may be added for it.
MOST_NAMES, LONGEST_NAME, MOST_NATS = 1_000, 200, 100
_LIMITS = ("max_completion_tokens", "max_tokens")
_NO_LIMIT = -1  # llama.cpp's word for it
_COMMON = {
    "model",
    "stop",
    "suffix",
    "stop_token_ids",
    "stream_options",
    "logprobs",
    "logit_bias",
    "follow",
    "names",
    *_NUMBERS,
    *_FLAGS,
    *_ONLY,
    *_IGNORED,
}


class Refusal(UserError):
    """A request that is answered with an error: an HTTP status, a sentence, and the field at fault if there is one."""

    def __init__(self, message: str, param: str | None = None, *, status: int = 400, retry_after: int | None = None):
        super().__init__(message)
        self.param, self.status, self.retry_after = param, status, retry_after


@dataclass(frozen=True)
class ApiRequest:
    """A checked request. Of `prompt` (text or ids) and `messages` one is there.

    `suffix`: the text after the place that is to be filled, None where nothing is; `extra` belongs to it. `count`:
    so many answers. `candidates`, `follow`, `names`: as in the engine's own request. `least_indent`: the answer ends
    before a line after the first that is indented less; `seconds`: once it has a whole line, so long after its first
    token. `fields`: those of the answer that are wanted.
    `chooses`: it says itself at which temperature.
    """

    prompt: str | list[int] | None
    messages: list[dict[str, str]] | None
    model: str | None
    max_tokens: int | None
    sampling: Sampling
    stop_texts: tuple[str, ...]
    stop_ids: frozenset[int]
    ignore_eos: bool
    priority: int
    stream: bool
    include_usage: bool
    return_token_ids: bool
    heal: int = 0
    candidates: int = 1
    follow: tuple[int, ...] = ()
    names: Mapping[str, float] = field(default_factory=dict)
    suffix: str | None = None
    extra: tuple[Extra, ...] = ()
    count: int = 1
    least_indent: int = 0
    seconds: float | None = None
    fields: tuple[str, ...] | None = None
    chooses: bool = True
    return_progress: bool = False


def parse(body: bytes, vocab_size: int, *, chat: bool, lenient: bool = False) -> ApiRequest:
    """The request in `body`, of /v1/chat/completions if `chat`, else of /v1/completions.

    Defaults are OpenAI's (temperature 1, 16 tokens for a completion, no limit for a chat), except that a chat has
    priority 10: a client that does not say otherwise does not hold up completions. Raises Refusal.
    """
    return request(read_object(body), vocab_size, chat=chat, lenient=lenient)


def request(fields: dict[str, Any], vocab_size: int, *, chat: bool, lenient: bool) -> ApiRequest:
    """The request that has these fields. Raises Refusal."""
    fields = {name: value for name, value in fields.items() if value is not None}
    usual_tokens = None if chat or (lenient and _NO_LIMIT in map(fields.get, _LIMITS)) else 16
    if lenient:
        fields = _known(fields, _COMMON | {"messages" if chat else "prompt"})
    _check_fields(fields, _COMMON | {"messages" if chat else "prompt"})
    stream_options = fields.get("stream_options", {})
    if not isinstance(stream_options, dict) or not isinstance(stream_options.get("include_usage", False), bool):
        raise Refusal('stream_options must be an object such as {"include_usage": true}.', "stream_options")
    return ApiRequest(
        prompt=None if chat else prompt_of(fields.get("prompt"), vocab_size),
        messages=_messages(fields.get("messages"), lenient=lenient) if chat else None,
        model=text_of(fields["model"], "model") if "model" in fields and not lenient else None,
        max_tokens=next((fields[name] for name in _LIMITS if name in fields), usual_tokens),
        sampling=Sampling(
            temperature=float(fields.get("temperature", 1.0)),
            top_p=float(fields.get("top_p", 1.0)),
            top_k=max(0, fields.get("top_k", 0)),
            seed=fields.get("seed"),
            logprobs=_logprobs(fields, chat),
            logit_bias=_logit_bias(fields.get("logit_bias", {}), vocab_size),
        ),
        stop_texts=stop_texts_of(fields.get("stop", [])),
        stop_ids=frozenset(_ids(fields.get("stop_token_ids", []), "stop_token_ids", vocab_size)),
        ignore_eos=fields.get("ignore_eos", False),
        priority=fields.get("priority", 10 if chat else 0),
        stream=fields.get("stream", False),
        include_usage=stream_options.get("include_usage", False),
        return_token_ids=fields.get("return_token_ids", False),
        heal=_heal(fields, chat),
        candidates=_candidates(fields, chat),
        follow=tuple(_ids(fields.get("follow", []), "follow", vocab_size)),
        names=_names(fields.get("names", {})),
        suffix=_suffix(fields, chat),
        count=fields.get("n", 1),
        chooses="temperature" in fields or not lenient,
        return_progress=fields.get("return_progress", False),
    )


def options(body: bytes, now: Options, alike: Collection[str] = ()) -> Options:
    """What an engine that has the options `now` is to change: a JSON object of settings. `alike`: the values of
    `quantization` that come to what it has. Raises Refusal."""
    fields = read_object(body)
    names = {settings.camel(field.name): field.name for field in dataclasses.fields(Options)}
    for name in fields:
        if name not in names:
            raise Refusal(f"There is no option {name[:80]!r} of an engine.", name[:80])
    base = settings.Settings(**dataclasses.asdict(now))
    changed, problems = settings_sent.read(fields, base)
    if problems:
        raise Refusal(" ".join(problems))
    wanted = Options.of(changed)
    others = different(dataclasses.asdict(now), wanted, alike)
    for name in FIXED:
        if name in others:
            raise Refusal(f"A running engine keeps its {settings.camel(name)}: end it and start another.", status=409)
    return wanted


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`. Raises Refusal."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal("The body is not valid JSON in UTF-8.") from None
    if not isinstance(fields, dict):
        raise Refusal("The body must be a JSON object.")
    return fields


def _known(fields: dict[str, Any], known: set[str]) -> dict[str, Any]:
    """What of another program's fields means something here."""
    without = {name for name in _LIMITS if fields.get(name) == _NO_LIMIT}
    without.update(_TUNING)
    return {name: value for name, value in fields.items() if name in known and name not in without}


def _suffix(fields: dict[str, Any], chat: bool) -> str | None:
    suffix = text_of(fields.get("suffix", ""), "suffix")
    if suffix and (chat or not isinstance(fields.get("prompt"), str)):
        raise Refusal("suffix is not supported but with a prompt that is text.", "suffix")
    return suffix or None


def _heal(fields: dict[str, Any], chat: bool) -> int:
    """How many of the prompt's last tokens count only as text: an addition of ours, for prompts of token ids."""
    heal, prompt = int(fields.get("heal", 0)), fields.get("prompt")
    if heal and (chat or not isinstance(prompt, list) or heal >= len(prompt)):
        raise Refusal("heal needs a prompt of more token ids than are to be healed.", "heal")
    return heal


def _candidates(fields: dict[str, Any], chat: bool) -> int:
    """Among how many the first line of the answer is chosen: an addition of ours, for prompts of token ids."""
    candidates = int(fields.get("candidates", 1))
    fits = not chat and isinstance(fields.get("prompt"), list) and fields.get("temperature") == 0
    if candidates > 1 and not (fits and fields.get("n", 1) == 1):
        raise Refusal("candidates needs a prompt of token ids, temperature 0, and an n of 1.", "candidates")
    return candidates


def _names(names: object) -> dict[str, float]:
    """With what the answer may go on, and what is added for each: an addition of ours."""
    if not isinstance(names, dict) or len(names) > MOST_NAMES or any(len(name) > LONGEST_NAME for name in names):
        raise Refusal(
            f"names must be an object of up to {MOST_NAMES} texts of up to {LONGEST_NAME} characters.", "names"
        )
    for name, nats in names.items():
        text_of(name, "names")
        check_number("names", nats, 0, MOST_NATS, whole=False)
    return {name: float(nats) for name, nats in names.items()}


def _check_fields(fields: dict[str, Any], known: set[str]) -> None:
    for name, value in fields.items():
        if name not in known:
            raise Refusal(f"There is no field {name[:80]!r} in this request.", name[:80])
        if name in _NUMBERS:
            whole, low, high = _NUMBERS[name]
            check_number(name, value, low, high, whole=whole)
        elif name in _FLAGS and not isinstance(value, bool):
            raise Refusal(f"{name} must be true or false.", name)
        elif name in _ONLY and value not in _ONLY[name]:
            raise Refusal(f"{name} is not supported: leave it out.", name)


def check_number(name: str, value: object, low: float, high: float, *, whole: bool) -> None:
    """Raises Refusal where a field is no such number."""
    kinds = (int,) if whole else (int, float)
    # The comparison is also false for NaN, which Python's JSON lets in.
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        raise Refusal(f"{name} must be a {'whole ' * whole}number from {low} to {high}.", name)


def prompt_of(prompt: object, vocab_size: int) -> str | list[int]:
    """A text, or ids of this vocabulary; either may stand in a list of one. Raises Refusal."""
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], (str, list)):
        prompt = prompt[0]
    if isinstance(prompt, list):
        if prompt and all(isinstance(part, (str, list)) for part in prompt):
            raise Refusal("Several prompts in one request are not supported: send one request for each.", "prompt")
        ids = _ids(prompt, "prompt", vocab_size)
        if ids:
            return ids
    elif isinstance(prompt, str):
        return text_of(prompt, "prompt")
    raise Refusal("prompt must be a text or a list of token ids that is not empty.", "prompt")


def _messages(messages: object, *, lenient: bool) -> list[dict[str, str]]:
    if not isinstance(messages, list) or not messages:
        raise Refusal("messages must be a list of messages that is not empty.", "messages")
    checked = []
    for message in messages:
        if not isinstance(message, dict) or (set(message) - {"role", "content", "name"} and not lenient):
            raise Refusal("A message must be an object with a role and a content.", "messages")
        content = message.get("content")
        if isinstance(content, list):
            if not all(isinstance(part, dict) and part.get("type") == "text" for part in content):
                raise Refusal("The content of a message can only be text.", "messages")
            content = "".join(text_of(part.get("text"), "messages") for part in content)
        checked.append({"role": text_of(message.get("role"), "messages"), "content": text_of(content, "messages")})
    return checked


def _logprobs(fields: dict[str, Any], chat: bool) -> int | None:
    """Completions say how many in `logprobs`; chats say whether in `logprobs` and how many in `top_logprobs`."""
    value = fields.get("logprobs")
    if chat:
        if value is not None and not isinstance(value, bool):
            raise Refusal("logprobs must be true or false.", "logprobs")
        return fields.get("top_logprobs", 0) if value else None
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 20):
        raise Refusal("logprobs must be a whole number from 0 to 20.", "logprobs")
    return value


def _logit_bias(bias: object, vocab_size: int) -> tuple[tuple[int, float], ...]:
    """(id, what is added to its logit): JSON has the ids as texts."""
    if not isinstance(bias, dict) or len(bias) > 1024 or not all(key.isdecimal() and len(key) < 10 for key in bias):
        raise Refusal("logit_bias must be an object whose keys are token ids, at most 1024 of them.", "logit_bias")
    ids = _ids([int(key) for key in bias], "logit_bias", vocab_size)
    if not all(type(value) in (int, float) and -100 <= value <= 100 for value in bias.values()):
        raise Refusal("The values of logit_bias must be numbers from -100 to 100.", "logit_bias")
    return tuple(zip(ids, map(float, bias.values()), strict=True))


def stop_texts_of(stop: object) -> tuple[str, ...]:
    """The texts to stop at. Raises Refusal."""
    stops = [stop] if isinstance(stop, str) else stop
    if (
        not isinstance(stops, list)
        or len(stops) > 64
        or not all(isinstance(s, str) and 0 < len(s) < 1024 for s in stops)
    ):
        raise Refusal("stop must be a text, or a list of at most 64 texts, none of them empty or very long.", "stop")
    return tuple(stops)


def _ids(ids: object, name: str, vocab_size: int) -> list[int]:
    if not isinstance(ids, list) or not all(type(i) is int for i in ids):
        raise Refusal(f"{name} must hold token ids, which are whole numbers.", name)
    if not all(0 <= i < vocab_size for i in ids):
        raise Refusal(f"{name} holds an id that is outside of the model's vocabulary of {vocab_size}.", name)
    return ids


def text_of(value: object, name: str) -> str:
    """Text that can be encoded. Raises Refusal."""
    if not isinstance(value, str):
        raise Refusal(f"{name} must be or hold text.", name)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Refusal(f"{name} holds half of a surrogate pair, which is not text.", name) from None
    return value


def error(message: str, *, status: int, param: str | None = None) -> dict[str, Any]:
    """The body of an answer that is an error."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": status}}


def prompt_ids(body: bytes, vocab_size: int) -> list[int]:
    """The ids of a prompt about which something is asked. Raises Refusal."""
    return _ids(read_object(body).get("prompt"), "prompt", vocab_size)
