"""Servers that are not the project's own engine: what they refuse, and what else they send."""

from __future__ import annotations

import json
import re
import uuid

import pytest

from lsp_server.model.client import EngineLost, EngineRefused
from model.conftest import STREAM, asked, said

PRIORITY = "Got priority 10 but Priority scheduling is not enabled."


def error(sentence, **more):
    return json.dumps({"object": "error", "message": sentence, "type": "BadRequestError", **more}).encode()


def detail(*places, message="Extra inputs are not permitted"):
    return json.dumps({"detail": [{"type": "extra_forbidden", "loc": ["body", *places], "msg": message}]}).encode()


# Sentences of vLLM, TGI, FastAPI, llama.cpp and OpenAI, or shaped as theirs are.
REFUSALS = {
    "priority": (400, error(PRIORITY, param=None, code=400)),
    "top_p": (422, b'{"error": "Input validation error: `top_p` must be > 0.0 and < 1.0", "error_type": "validation"}'),
    "seed": (400, error("Unrecognized request argument supplied: seed")),
    "logit_bias": (422, detail("logit_bias")),
    "return_token_ids": (400, b'{"error": {"message": "Unknown parameter.", "param": "return_token_ids"}}'),
    "stream_options": (400, error("[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options'), 'msg': 'Extra "
                                  "inputs are not permitted', 'input': {'priority': 10, 'seed': 5}}]")),
    "stop_token_ids": (400, b"Stop token IDs are not supported"),
    "temperature": (422, b'{"error": "`temperature` must be strictly positive"}'),
}  # fmt: skip
EVERYTHING = {"priority": 10, "top_p": 1.0, "seed": 5, "logit_bias": {7: -100.0}, "stop_ids": [2]}


@pytest.mark.parametrize("field", REFUSALS)
async def test_a_field_that_a_server_refuses_is_left_out_and_the_answer_comes(theirs, client, field):
    status, content = REFUSALS[field]
    theirs.answer = lambda body: (status, "application/json", content) if field in body else (200, STREAM, said("yes"))
    assert await asked(client, **EVERYTHING) == ("yes", "stop")
    assert await asked(client, **EVERYTHING) == ("yes", "stop")
    assert [field in body for body in theirs.asked] == [True, False, False]
    assert theirs.asked[1].keys() == theirs.asked[0].keys() - {field}, "nothing else is left out"


async def test_a_request_has_a_name_that_others_take(theirs, client):
    """starlette-context, which llama-cpp-python's server is made with, refuses all but UUIDs of the fourth kind."""
    assert await asked(client) == ("yes", "stop")
    named = re.search(r"^x-request-id: *(\S+)\r$", theirs.heads[-1].lower(), re.MULTILINE)
    assert uuid.UUID(named[1]).version == 4
    assert str(uuid.UUID(named[1])) == named[1]


async def test_a_refusal_in_the_stream_is_one_too(theirs, client):
    event = {"error": {"message": PRIORITY, "type": "BadRequestError", "param": None, "code": 400}}
    stream = f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n".encode()
    theirs.answer = lambda body: (200, STREAM, stream if body.get("priority") else said("yes"))
    assert await asked(client, priority=10) == ("yes", "stop")


async def test_a_server_that_refuses_one_field_after_the_other(theirs, client):
    def answer(body):
        unknown = next((name for name in REFUSALS if name in body), None)
        return (200, STREAM, said("yes")) if unknown is None else (422, "application/json", detail(unknown))

    theirs.answer = answer
    assert await asked(client, **EVERYTHING) == ("yes", "stop")
    requests = len(theirs.asked)
    assert await asked(client, **EVERYTHING) == ("yes", "stop")
    assert len(theirs.asked) == requests + 1


@pytest.mark.parametrize(
    ("status", "content", "sentence"),
    [
        (400, error("This model's maximum context length is 4096 tokens."), "maximum context length is 4096"),
        (400, error("The prompt is too long; requests of priority 10 have 4096 tokens."), "The prompt is too long"),
        (400, error("prompt is too long, whatever the priority", param="prompt"), "prompt is too long"),
        (404, error("The model `theirs` does not exist; check your priority."), "does not exist"),
        (422, detail("prompt", 0, message="Input should be a valid string"), "body.prompt.0: Input should be"),
        (413, error("Too many tokens for this priority."), "Too many tokens"),
    ],
)
async def test_a_refusal_of_something_else_is_told_and_nothing_left_out_for_good(
    theirs, client, status, content, sentence
):
    theirs.answer = lambda body: (status, "application/json", content)
    with pytest.raises(EngineRefused, match=sentence):
        await asked(client, priority=10)
    theirs.answer = lambda body: (200, STREAM, said("yes"))
    await asked(client, priority=10)
    assert theirs.asked[-1]["priority"] == 10


async def test_what_only_our_engine_knows_is_not_sent_to_others(theirs, client):
    await asked(client, heal=2, candidates=4, follow=(5, 6), names={"a": 1.0})
    assert not {"heal", "candidates", "follow", "names"} & theirs.asked[0].keys()


async def test_an_answer_is_cut_at_a_stop_id_where_the_server_knows_none(theirs, client):
    events = [{"choices": [{"text": "x", "token_ids": ids}]} for ids in ([5, 6], [7, 2, 8], [9])]
    stream = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()
    theirs.answer = lambda body: (
        (422, "application/json", detail("stop_token_ids")) if "stop_token_ids" in body else (200, STREAM, stream)
    )
    assert await asked(client, stop_ids=[2]) == ("<5><6><7>", "stop")


TEXT = '{"choices": [{"text": "one"}]}'
END = '{"choices": [{"text": "", "finish_reason": "stop"}]}'
READ = {
    "U+2028 in the JSON": f'data: {{"choices": [{{"text": "a\u2028b\x85c"}}]}}\n\ndata: {END}\n\n',
    "lines that end at CR": f"data: {TEXT}\r\rdata: {END}\r\r",
    "lines that end at CRLF": f"data: {TEXT}\r\n\r\ndata: {END}\r\n\r\n",
    "no space after the colon": f"data:{TEXT}\n\ndata:{END}\n\n",
    "choices: null": f'data: {{"choices": null}}\n\ndata: {TEXT}\n\ndata: {END}\n\n',
    "error: null": f'data: {{"error": null, "choices": [{{"text": "one"}}]}}\n\ndata: {END}\n\n',
    "data: null": f"data: null\n\ndata: {TEXT}\n\ndata: 7\n\ndata: []\n\ndata: {END}\n\n",
    "one event over two lines": f'data: {{"choices":\ndata: [{{"text": "one"}}]}}\n\ndata: {END}\n\n',
    "no empty line between events": f"data: {TEXT}\ndata: {END}\ndata: [DONE]\n",
    "a comment and other fields": f": hello\nid: 5\nretry: 10\nevent: message\ndata: {TEXT}\n\ndata: {END}\n\n",
    "plain text between events": f"data: {TEXT}\n\ndata: be patient\n\nwarming up\n\ndata: {END}\n\n",
    "no end of the last event": f"data: {TEXT}\n\ndata: {END}",
    "[DONE] without a reason": f"data: {TEXT}\n\ndata: [DONE]\n\n",
    "usage that is none": f'data: {TEXT}\n\ndata: {{"usage": "free", "choices": []}}\n\ndata: {END}\n\n',
    "choices that are none": f'data: {{"choices": [null, 5, {{"text": 5, "token_ids": "x"}}]}}\n\n'
                             f"data: {TEXT}\n\ndata: {END}\n\n",
    "a byte order mark": f"\ufeffdata: {TEXT}\n\ndata: {END}\n\n",
    "numbers of no size": f'data: {{"timings": {{"prefill_tokens_per_second": 1{"0" * 400}}}, "choices": [{{"text": '
                          f'"one", "logprobs": {{"token_logprobs": [-1{"0" * 400}]}}}}]}}\n\ndata: {END}\n\n',
    "JSON behind blanks": '\n  {"choices": [{"text": "one", "finish_reason": "stop"}]}',
    "no stream at all": json.dumps({"choices": [{"text": "one", "finish_reason": "stop"}]}, indent=2),
}  # fmt: skip


async def test_an_answer_that_is_something_new_is_one(theirs, client):
    theirs.answer = lambda body: (201, STREAM, said("yes"))  # as frameworks answer any POST
    assert await asked(client) == ("yes", "stop")


# DeepSeek, vLLM, OpenAI and Mistral say so; Cohere and Mistral have other names for a limit.
ENDS = {
    **dict.fromkeys(("abort", "error", "content_filter", "insufficient_system_resource"), "did not finish"),
    **dict.fromkeys(("MAX_TOKENS", "max_tokens", "model_length"), "length"),
    **dict.fromkeys(("eos_token", "stop_sequence", "end_turn"), ""),
}


@pytest.mark.parametrize(("reason", "means"), ENDS.items(), ids=ENDS.keys())
async def test_an_end_that_is_none_is_told_from_one(theirs, client, reason, means):
    theirs.answer = lambda body: (200, STREAM, said("yes", finish=reason))
    if means == "did not finish":
        with pytest.raises(EngineRefused, match=rf"did not finish its answer \({reason}\)"):
            await asked(client)
    else:
        text, end = await asked(client)
        assert (text, end == "length") == ("yes", means == "length")


@pytest.mark.parametrize("stream", READ.values(), ids=READ.keys())
async def test_an_answer_is_read_whatever_else_the_server_sends(theirs, client, stream):
    theirs.answer = lambda body: (200, STREAM, stream.encode())
    text = "a\u2028b\x85c" if "\u2028" in stream else "one"
    assert await asked(client) == (text, "stop")


REFUSED = {
    '{"error": "overloaded"}': (200, 'data: {"error": "overloaded"}\n\n', "overloaded"),
    "an error object": (200, f'data: {TEXT}\n\ndata: {{"error": {{"message": "out of memory"}}}}\n\n', "out of memory"),
    "event: error": (200, 'event: error\ndata: {"message": "gone"}\n\n', "gone"),
    "event: error, text": (200, "event: error\ndata: gone away\n\n", "gone away"),
    "an error without a frame": (200, '{"error": {"message": "bad key"}}', "bad key"),
    "error: of llama.cpp": (200, 'error: {"code": 500, "message": "no slot"}\n\n', "no slot"),
    "an error of no shape": (200, 'data: {"error": {"reason": 5}}\n\n', "does not say which"),
    "plain text alone": (200, "the proxy is tired", "the proxy is tired"),
    "422 with detail": (422, '{"detail": [{"loc": ["body", "prompt"], "msg": "too odd"}]}', "body.prompt: too odd"),
    "401 with detail": (401, '{"detail": "Invalid API key"}', "Invalid API key"),
    "error: null and a message": (400, '{"error": null, "message": "bad"}', "bad"),
    "an error that is a text": (500, '{"error": "worker died"}', "worker died"),
    "a page": (502, "<html><body>Bad Gateway</body></html>", "answered with status 502"),
    "nothing": (500, "", "answered with status 500"),
    "a list": (500, "[1, 2]", "answered with status 500"),
    "a text": (429, "slow down", "slow down"),
}


@pytest.mark.parametrize(("status", "content", "sentence"), REFUSED.values(), ids=REFUSED.keys())
async def test_an_error_is_told_in_the_servers_own_sentence(theirs, client, status, content, sentence):
    theirs.answer = lambda body: (status, STREAM, content.encode())
    with pytest.raises(EngineRefused) as caught:
        await asked(client)
    assert sentence in str(caught.value)
    assert not any(word in str(caught.value) for word in ("None", "{", "\n"))


@pytest.mark.parametrize("rest", ["", 'data: {"choices": [{"te', "data: ", "data: [DO"])
async def test_an_answer_that_breaks_off_is_said_to(theirs, client, rest):
    theirs.answer = lambda body: (200, STREAM, f"data: {TEXT}\n\n{rest}".encode())
    with pytest.raises(EngineLost, match="broke off in the middle"):
        await asked(client)


@pytest.mark.parametrize(
    ("status", "content", "sentence"),
    [
        (501, '{"detail": "Not here"}', "Not here"),
        (200, "[]", "status 200"),
        (200, "[[5]]", "status 200"),
        (200, '{"data": null}', "status 200"),
        (200, '{"data": [null]}', "status 200"),
        (200, "hello", "status 200"),
        (404, "<html></html>", "status 404"),
    ],
)
async def test_a_server_that_lists_no_model(theirs, client, status, content, sentence):
    theirs.models = (status, content)
    with pytest.raises(EngineRefused, match="does not list a model") as caught:
        await client.served_model()
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    "content", ['[{"id": "theirs"}]', '{"data": [{"id": "theirs"}, {"id": "theirs"}, {"id": null}]}']
)
async def test_a_list_of_models_that_is_bare_or_says_one_twice(theirs, client, content):
    theirs.models = (200, content)
    assert await client.served_model() == ("theirs", 0)
