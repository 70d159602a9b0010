"""Text Generation Inference: a stand-in that takes, refuses and answers as its router does.

router/src/lib.rs (CompletionRequest, ChatRequest), validation.rs, server.rs (completions, chat_completions) and
infer/mod.rs (into_openai_event) of 3.x. What it does not know it passes over.
"""

from __future__ import annotations

import json

import pytest

from lsp_server.model.answering import Answer, Question
from lsp_server.model.client import Choice
from lsp_server.model.exchange import EngineRefused
from model.conftest import DIALOG, STREAM, lists, text_of

NAME = "codellama/CodeLlama-7b-hf"
# GET /info, as far as it matters here.
INFO = {"model_id": NAME, "max_input_tokens": 1023, "max_total_tokens": 2048, "router": "text-generation-router"}
NUMBER, TEXT = (int, float), (str,)
BOTH = {
    **{"model": TEXT, "max_tokens": int, "temperature": NUMBER, "top_p": NUMBER, "stream": bool, "seed": int},
    **{"frequency_penalty": NUMBER, "stop": list},
}
COMPLETION = {**BOTH, "prompt": TEXT, "suffix": TEXT, "repetition_penalty": NUMBER}
CHAT = {
    **{**BOTH, "messages": list, "logit_bias": list, "logprobs": bool, "top_logprobs": int, "n": int, "tools": list},
    **{"presence_penalty": NUMBER, "stream_options": dict},
}
SHOWN = {int: "u32", str: "a string", list: "a sequence", bool: "a boolean", dict: "a map", float: "f32"}


class Tgi:
    """answer(body). `says`: the text of each token; `end`: that of the token at which it ends, or "" for none.
    `converses`: its model has a chat template."""

    def __init__(self, count):
        self.count = count
        self.says, self.end = ["yes"], "</s>"
        self.converses = self.overloaded = False

    def __call__(self, body):
        chat = "messages" in body
        for name, kinds in (CHAT if chat else COMPLETION).items():
            if name in body and (not isinstance(body[name], kinds) or (kinds is int and body[name] < 0)):
                kind = SHOWN[type(body[name])]
                text = f"Failed to deserialize the JSON body into the target type: {name}: invalid type: {kind}"
                return 422, "text/plain; charset=utf-8", text.encode()
        if "suffix" in body:
            return self._refused("Suffix is not supported and can be achieved by preprocessing the prompt.", "suffix")
        if chat and not self.converses:
            return self._refused("Template error: template not found", "template_error")
        if self.overloaded:
            return self._broken("Model is overloaded")
        if not 0 < body.get("top_p", 0.5) < 1:
            return self._broken("Input validation error: `top_p` must be > 0.0 and < 1.0")
        size = 1 + self.count(str(body["messages"]) if chat else body["prompt"])
        if size > INFO["max_input_tokens"]:
            limit = INFO["max_input_tokens"]
            return self._broken(f"Input validation error: `inputs` must have less than {limit} tokens. Given: {size}")
        return self._said(size, chat=chat, most=body["max_tokens"])

    def _said(self, size, *, chat, most):
        tokens = [*self.says, *([self.end] if self.end else [])][:most]
        events = []
        for number, text in enumerate(tokens, start=1):
            reason = "eos_token" if text == self.end else "length"
            reason = {"eos_token": "stop"}.get(reason, reason) if chat else reason
            last = number == len(tokens)
            shown = "" if chat and text == self.end else text
            content = {"delta": {"role": "assistant", "content": shown}} if chat else {"text": shown}
            choice = {"index": 0, **content, "logprobs": None, "finish_reason": reason if last else ("", None)[chat]}
            usage = {"prompt_tokens": size, "completion_tokens": number, "total_tokens": size + number}
            events.append({"id": "", "model": NAME, "choices": [choice], **({"usage": usage} if last else {})})
        return 200, STREAM, b"".join(b"data: %s\n\n" % json.dumps(each).encode() for each in events) + DONE

    def _refused(self, sentence, kind):
        return 422, "application/json", json.dumps({"error": sentence, "error_type": kind}).encode()

    def _broken(self, sentence):
        """What goes wrong once it is to be streamed; every status is this one."""
        error = {"error": {"message": sentence, "http_status_code": 422}}
        return 200, STREAM, b"data: %s\n\n" % json.dumps(error).encode() + DONE


DONE = b"data: [DONE]\n\n"


@pytest.fixture
def tgi(theirs, count):
    theirs.models = lists(id=NAME, owned_by=NAME)
    theirs.pages["/info"] = INFO
    theirs.answer = Tgi(count)
    return theirs.answer


EVERYTHING = Choice(0.0, seed=5, logit_bias={7: -100.0}, logprobs=True)


async def test_it_infills_and_shows_no_end(theirs, tgi, reach, tokenizer) -> None:
    model = await reach()
    assert (model.client.dialect.kind, model.model, model.tokenizer.abilities.infilling) == ("tgi", NAME, True)
    asked = len(theirs.asked)
    ids, ends = tokenizer.infill_ids("x = f(", "\nz"), tokenizer.infill_stop_ids
    answer = Answer(model, Question(ids, ends, 8, choice=EVERYTHING))
    assert "".join(["".join(part) async for part in answer.parts()]) == "yes"
    assert answer.finish_reason == "stop"
    tgi.says, tgi.end = ["a", " b", "<EOT>", "never"], ""
    assert await text_of(model, ids, ends) == "a b"
    assert theirs.asked[-1]["prompt"] == "<PRE> x = f( <SUF>\nz <MID>"
    assert len(theirs.asked) == asked + 2, "all that it refuses is known"


async def test_an_end_that_is_the_users_is_kept(tgi, reach, tokenizer) -> None:
    tgi.says = ["<s>old", "</s>", "!"]
    assert await text_of(await reach(), tokenizer.infill_ids("x", "y"), tokenizer.infill_stop_ids) == "<s>old</s>!"


async def test_a_dialog_is_put_as_text_where_the_model_has_no_template(theirs, tgi, reach, tokenizer) -> None:
    for converses, prompt in ((False, "[INST] What is < /s>? [/INST]"), (True, None)):
        tgi.converses = converses
        model = await reach()
        for _ in range(2):
            assert await text_of(model, tokenizer.dialog_ids(DIALOG), messages=DIALOG, choice=EVERYTHING) == "yes"
        assert theirs.asked[-1].get("prompt") == prompt


async def test_the_prompt_has_a_limit_of_its_own(tgi, reach) -> None:
    assert (await reach()).context_length == 1023


async def test_one_that_is_overloaded_is_given_a_rest(theirs, tgi, reach, tokenizer) -> None:
    model = await reach()
    tgi.overloaded = True
    asked = len(theirs.asked)
    for sentence in ("Model is overloaded", "is busy"):
        with pytest.raises(EngineRefused, match=sentence):
            await text_of(model, tokenizer.infill_ids("x", "y"))
    assert len(theirs.asked) == asked + 1
