"""llama.cpp's own requests and answers, which llama.vim, llama.vscode, Continue and twinny speak: `/infill`,
`/completion` and `/props`.

https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md. Fields that mean nothing here are passed over,
as are those that say how to sample without saying that one should: what names no temperature is completed as an editor
of ours would be, with the most probable tokens.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from lsp_server.engine.generating.pace import Pace
from lsp_server.engine.generating.request import Counts, Sampling
from lsp_server.engine.serving import wire
from lsp_server.engine.serving.answer import EVENTS, AnswerPart, Parts, Sequences, event, joined
from lsp_server.engine.serving.state import EngineState, Extra
from lsp_server.engine.serving.wire import ApiRequest, Refusal

_MOST = 2**31 - 1
# Fields that take a number: whether it must be whole, the least, the greatest.
_NUMBERS: dict[str, tuple[bool, float, float]] = {
    "n_predict": (True, -2, _MOST),
    "max_tokens": (True, -1, _MOST),
    "n_indent": (True, 0, _MOST),
    "t_max_predict_ms": (False, -1, _MOST),
    "temperature": (False, 0, 100),
    "top_p": (False, 0, 1),
    "top_k": (True, -1, _MOST),
    "seed": (True, -1, 2**63 - 1),
}
_RANDOM_SEEDS = (-1, 2**32 - 1)
_HOTTEST = 2.0
_MOST_EXTRA = 512


def infill(body: bytes, vocab_size: int) -> ApiRequest:
    """The request in the body of /infill: the text between `input_prefix` with `prompt` behind it, and `input_suffix`.
    Raises Refusal."""
    fields = _fields(body)
    prefix, prompt, suffix = (
        wire.text_of(fields.get(name, ""), name) for name in ("input_prefix", "prompt", "input_suffix")
    )
    return _request(fields, prefix + prompt, suffix, _extra(fields.get("input_extra", [])))


def completion(body: bytes, vocab_size: int) -> ApiRequest:
    """The request in the body of /completion. Raises Refusal."""
    fields = _fields(body)
    return _request(fields, wire.prompt_of(fields.get("prompt"), vocab_size), None, ())


def _fields(body: bytes) -> dict[str, Any]:
    fields = {name: value for name, value in wire.read_object(body).items() if value is not None}
    for name, (whole, low, high) in _NUMBERS.items():
        if name in fields:
            wire.check_number(name, fields[name], low, high, whole=whole)
    if not isinstance(fields.get("stream", False), bool):
        raise Refusal("stream must be true or false.", "stream")
    return fields


def _request(
    fields: dict[str, Any], prompt: str | list[int], suffix: str | None, extra: tuple[Extra, ...]
) -> ApiRequest:
    most = fields.get("n_predict", fields.get("max_tokens", -1))
    seed, milliseconds = fields.get("seed", -1), fields.get("t_max_predict_ms", 0)
    wanted = fields.get("response_fields")
    if wanted is not None and not (isinstance(wanted, list) and all(isinstance(each, str) for each in wanted)):
        raise Refusal("response_fields must be a list of names.", "response_fields")
    return ApiRequest(
        prompt=prompt,
        messages=None,
        model=None,
        max_tokens=most if most >= 0 else None,
        sampling=Sampling(
            temperature=min(float(fields.get("temperature", 0)), _HOTTEST),
            top_p=float(fields.get("top_p", 1)),
            top_k=max(0, fields.get("top_k", 0)),
            seed=None if seed in _RANDOM_SEEDS else seed,
        ),
        stop_texts=wire.stop_texts_of(fields.get("stop", [])),
        stop_ids=frozenset(),
        ignore_eos=False,
        priority=0,
        stream=fields.get("stream", False),
        include_usage=False,
        return_token_ids=False,
        suffix=suffix,
        extra=extra,
        least_indent=fields.get("n_indent", 0),
        seconds=milliseconds / 1000 if milliseconds > 0 else None,
        fields=None if wanted is None else tuple(wanted),
    )


def _extra(given: object) -> tuple[Extra, ...]:
    if not isinstance(given, list) or len(given) > _MOST_EXTRA or not all(isinstance(each, dict) for each in given):
        raise Refusal(
            f'input_extra must be a list of at most {_MOST_EXTRA} objects such as {{"filename": "a", "text": "b"}}.',
            "input_extra",
        )
    return tuple(
        Extra(wire.text_of(each.get("filename") or "", "input_extra"), wire.text_of(each.get("text"), "input_extra"))
        for each in given
    )


class Answer:
    """Writes the pieces of one answer as llama.cpp does. `cut`: not all that was sent had room."""

    media_type = EVENTS

    def __init__(
        self, ask: ApiRequest, sequences: Sequences, parts: Parts, model: str, pace: Pace, *, cut: bool = False
    ) -> None:
        self._ask, self._sequences, self._parts, self._model, self._cut = ask, sequences, parts, model, cut

    async def whole(self) -> dict[str, Any]:
        """The answer in one."""
        pieces = [part async for _, handle in self._sequences async for part in self._parts(handle)]
        return selected(self._end(joined(pieces)), self._ask.fields)

    async def events(self) -> AsyncIterator[bytes]:
        """The answer as server-sent events, the last of which says how it ended."""
        generated = 0
        try:
            async for _, handle in self._sequences:
                async for piece in self._parts(handle):
                    generated += len(piece.tokens)
                    if piece.text:
                        counts = {"tokens_predicted": generated, "tokens_evaluated": handle.counts.prompt_tokens}
                        yield event({"index": 0, "content": piece.text, "tokens": [], "stop": False, **counts})
                    if piece.finish_reason:
                        end = AnswerPart("", (), piece.finish_reason, piece.stop_reason)
                        yield event(selected(self._end(end), self._ask.fields))
        except Refusal as refusal:  # too late for a status
            yield event(wire.error(str(refusal), status=refusal.status))

    def _end(self, whole: AnswerPart) -> dict[str, Any]:
        return ended(self._ask, whole, self._sequences.counts, self._model, cut=self._cut)


def nothing(ask: ApiRequest, model: str) -> dict[str, Any]:
    """The answer to who asks for no token: to have other files computed ahead, which stand behind the suffix here."""
    return selected(ended(ask, AnswerPart("", (), "length"), Counts(0), model, cut=False), ask.fields)


def ended(ask: ApiRequest, whole: AnswerPart, counts: Counts, model: str, *, cut: bool) -> dict[str, Any]:
    """An answer that is complete. `tokens_cached`, as llama.cpp has it, are those that the model holds now, of prompt
    and answer; `timings/cache_n` those of the prompt that were there before."""
    if isinstance(whole.stop_reason, str):
        kind = "word"
    else:
        kind = "eos" if whole.finish_reason == "stop" else "limit"
    return {
        "index": 0,
        "content": whole.text,
        "tokens": [],
        "id_slot": 0,
        "stop": True,
        "model": model,
        "tokens_predicted": counts.generated_tokens,
        "tokens_evaluated": counts.prompt_tokens,
        "tokens_cached": counts.prompt_tokens + max(0, counts.generated_tokens - 1),
        "generation_settings": {
            "n_predict": -1 if ask.max_tokens is None else ask.max_tokens,
            "temperature": ask.sampling.temperature,
            "top_k": ask.sampling.top_k,
            "top_p": ask.sampling.top_p,
            "seed": -1 if ask.sampling.seed is None else ask.sampling.seed,
            "stop": list(ask.stop_texts),
            "stream": ask.stream,
        },
        "has_new_line": "\n" in whole.text,
        "truncated": cut,
        "stop_type": kind,
        "stopping_word": whole.stop_reason if kind == "word" else "",
        "timings": timings(counts),
    }


def timings(counts: Counts) -> dict[str, Any]:
    """What an answer cost, by llama.cpp's names."""
    prompt = 1000 * (counts.first_token_seconds or 0.0)
    predicted = 1000 * (counts.last_token_seconds or 0.0) - prompt
    return {
        "cache_n": counts.cached_tokens,
        **_speed("prompt", counts.prefilled_tokens, prompt),
        **_speed("predicted", counts.generated_tokens, predicted),
    }


def _speed(name: str, tokens: int, milliseconds: float) -> dict[str, Any]:
    return {
        f"{name}_n": tokens,
        f"{name}_ms": round(milliseconds, 3),
        f"{name}_per_token_ms": round(milliseconds / tokens, 3) if tokens else 0.0,
        f"{name}_per_second": round(1000 * tokens / milliseconds, 3) if milliseconds > 0 else 0.0,
    }


def selected(answer: dict[str, Any], wanted: tuple[str, ...] | None) -> dict[str, Any]:
    """Of an answer what is wanted: `timings/prompt_n` is a field of a field, and keeps that name."""
    if wanted is None:
        return answer
    chosen: dict[str, Any] = {}
    for path in wanted:
        value: Any = answer
        for name in path.split("/"):
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            chosen[path] = value
    return chosen


def props(state: EngineState) -> dict[str, Any]:
    """The body of GET /props."""
    settings = {"id": 0, "n_ctx": state.context_length, "params": {"temperature": 0.0, "top_k": 0, "top_p": 1.0}}
    return {
        "default_generation_settings": settings,
        "total_slots": 1,
        "model_alias": state.model,
        "model_path": state.folder,
        "chat_template": "",
        "build_info": f"codellama-ls {state.version}",
    }
