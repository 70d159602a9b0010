"""What servers of others take, each in its own way: stand-ins that refuse as vLLM, llama.cpp and the like refuse."""

from __future__ import annotations

import json
import re

import pytest

from lsp_server.model.answering import Answer, Question
from lsp_server.model.client import Choice
from lsp_server.model.exchange import EngineDenied, EngineRefused
from model.conftest import DIALOG, STREAM, lists, said, serving, text_of

OURS = {"heal", "candidates", "follow", "names"}
SIZE = 32016
# vllm/entrypoints/openai/completion/protocol.py, CompletionRequest, as far as it may be sent here; what it does not
# know it passes over, and did refuse before 0.6.
VLLM_FIELDS = {
    *(
        "model",
        "prompt",
        "max_tokens",
        "stop",
        "stream",
        "stream_options",
        "temperature",
        "top_p",
        "seed",
        "logit_bias",
    ),
    *("logprobs", "stop_token_ids", "priority", "return_token_ids"),
}


def vllm(*, forbids=False, prioritizes=False, in_stream=False):
    """answer(body) of vLLM. Its errors: {"error": {"message", "type", "param", "code"}}; those of its engine come with
    the status of an answer (vllm/entrypoints/openai/engine/serving.py, create_streaming_error_response)."""

    def refusal(message, param=None, code=400, *, late=False):
        error = {"error": {"message": message, "type": "BadRequestError", "param": param, "code": code}}
        if late and in_stream:
            return 200, STREAM, f"data: {json.dumps(error)}\n\ndata: [DONE]\n\n".encode()
        return code, "application/json", json.dumps(error).encode()

    def answer(body):
        if forbids and (unknown := sorted(body.keys() - VLLM_FIELDS)):
            # pydantic's list, as text
            errors = [{"type": "extra_forbidden", "loc": ("body", unknown[0]), "msg": "Extra inputs are not permitted"}]
            return refusal(str(errors))
        if body["model"] != "theirs":
            return refusal(f"The model `{body['model']}` does not exist.", "model", 404)
        if not isinstance(body["prompt"], (str, list)) or any(each < 0 for each in body["prompt"]):
            return refusal("Input should be greater than or equal to 0", "prompt")
        if body.get("priority", 0) and not prioritizes:
            return refusal(f"Got priority {body['priority']} but Priority scheduling is not enabled.", late=True)
        if outside := [int(each) for each in body.get("logit_bias", {}) if int(each) >= SIZE]:
            return refusal(f"token_id(s) {outside} in logit_bias contain out-of-vocab token ids.", "logit_bias")
        if max(body["prompt"]) >= SIZE:  # vllm/v1/engine/input_processor.py
            return refusal(f"Token id {max(body['prompt'])} is out of vocabulary", late=True)
        return 200, STREAM, said("yes")

    return answer


def detail(text, status=422):
    return status, "application/json", json.dumps({"detail": text}).encode()


@pytest.mark.parametrize("in_stream", [False, True])
@pytest.mark.parametrize("forbids", [False, True])
@pytest.mark.parametrize("prioritizes", [False, True])
async def test_vllm_as_it_comes_answers_chat_actions_and_completion(
    theirs, reach, tokenizer, in_stream, forbids, prioritizes
) -> None:
    theirs.models = lists(owned_by="vllm", max_model_len=8192)
    theirs.answer = vllm(forbids=forbids, prioritizes=prioritizes, in_stream=in_stream)
    model = await reach()
    assert (model.model, model.context_length) == ("theirs", 8192)
    assert theirs.asked == [], "it says what it is"
    choice = Choice(0.2, top_p=0.95, seed=5, logit_bias=tokenizer.dialog_bias, logprobs=True)
    ids = tokenizer.infill_ids("x = f(", "\nz = 1\n")
    for priority in (10, 5, 0):
        assert await text_of(model, ids, (2,), priority=priority, choice=choice) == "yes"
    assert {tuple(body["prompt"]) for body in theirs.asked} == {tuple(ids)}
    assert len(theirs.asked) == (3 if prioritizes else 4), "it is asked once"
    assert ("priority" in theirs.asked[-1]) is prioritizes
    assert {"stop_token_ids", "logit_bias", "seed", "return_token_ids"} <= theirs.asked[-1].keys()
    assert not any(OURS & body.keys() for body in theirs.asked)


async def test_a_vllm_with_another_vocabulary_says_so(theirs, reach) -> None:
    theirs.models = lists(owned_by="vllm")
    theirs.answer = vllm(in_stream=True)
    model = await reach()
    with pytest.raises(EngineRefused, match=r"32020 is out of vocabulary.*codellama\.tokenizer"):
        await text_of(model, [1, 32020])
    assert await text_of(model, [1, 5]) == "yes"


def text_alone(answer=None, *, extra=1, count=None, chats=True):
    """answer(body) of a server that takes text: FastAPI's, with the counts of a server that puts `extra` in front."""

    def answered(body):
        if "messages" in body:
            return (200, STREAM, said("hello")) if chats else detail("Not Found", 404)
        if not isinstance(body["prompt"], str):
            return detail("prompt must be a string.", 400)
        usage = {} if count is None else {"usage": {"prompt_tokens": count(body["prompt"]) + extra}}
        end = {"choices": [{"text": "", "finish_reason": "stop"}], **usage}
        return 200, STREAM, b'data: {"choices": [{"text": "yes"}]}\n\ndata: %s\n\n' % json.dumps(end).encode()

    return answered


async def test_prompts_are_text_where_ids_are_refused_and_chats_are_messages(theirs, reach, tokenizer) -> None:
    theirs.answer = text_alone()
    model = await reach()
    ids = tokenizer.infill_ids("x = f(", "\nz = 1\n")
    assert await text_of(model, ids) == "yes"
    assert await text_of(model, ids) == "yes"
    dialog = {"messages": DIALOG, "priority": 10}
    assert await text_of(model, tokenizer.dialog_ids(DIALOG), **dialog) == "hello"
    assert [type(body.get("prompt")) for body in theirs.asked] == [list, str, str, type(None)], "refused once"
    assert theirs.asked[1]["prompt"] == "<PRE> x = f( <SUF>\nz = 1\n <MID>", "which is read as the ids"
    assert theirs.posts[-1] == "/v1/chat/completions"
    assert theirs.asked[-1]["messages"] == [{"role": "user", "content": "What is < /s>?"}], "no end of the prompt"


async def test_a_chat_that_comes_first_is_messages_and_where_there_is_no_such_address_text(
    theirs, reach, tokenizer
) -> None:
    for chats, answer, last in ((True, "hello", "/v1/chat/completions"), (False, "yes", "/v1/completions")):
        theirs.answer = text_alone(chats=chats)
        model = await reach()
        for _ in range(2):
            assert await text_of(model, tokenizer.dialog_ids(DIALOG), messages=DIALOG) == answer
            assert theirs.posts[-1] == last
    assert theirs.asked[-1]["prompt"] == "[INST] What is < /s>? [/INST]"


async def test_a_server_that_takes_conversations_alone(theirs, reach, tokenizer) -> None:
    theirs.answer = lambda body: (200, STREAM, said("hello")) if "messages" in body else detail("Not Found", 404)
    model = await reach()
    assert await text_of(model, tokenizer.dialog_ids(DIALOG), messages=DIALOG) == "hello"
    asked = len(theirs.asked)
    with pytest.raises(EngineRefused, match="conversations alone, so there are no suggestions"):
        await text_of(model, tokenizer.infill_ids("x", "y"))
    assert len(theirs.asked) == asked, "which is known by now"


async def test_a_server_that_takes_conversations_alone_stays_when_a_suggestion_comes_first(
    theirs, reach, tokenizer
) -> None:
    theirs.refuses["/v1/chat/completions"] = 404  # as there is nothing for GET
    theirs.answer = lambda body: (200, STREAM, said("hello")) if "messages" in body else detail("Not Found", 404)
    model = await reach()
    denied: list[str] = []
    model.client.on_denied = denied.append
    for _ in range(2):
        with pytest.raises(EngineRefused, match="conversations alone, so there are no suggestions"):
            await text_of(model, tokenizer.infill_ids("x", "y"))
    assert len(theirs.asked) == 2, "the second, of one token, to find that out"
    assert await text_of(model, tokenizer.dialog_ids(DIALOG), messages=DIALOG) == "hello"
    assert not denied


async def test_a_model_that_is_not_there_is_no_server_of_conversations(theirs, reach, tokenizer) -> None:
    theirs.answer = lambda body: detail("The model `theirs` does not exist.", 404)
    model = await reach()
    with pytest.raises(EngineDenied, match=r"does not exist; check .*codellama\.remoteModel"):
        await text_of(model, tokenizer.infill_ids("x", "y"))


async def test_ids_that_a_server_fails_at_are_put_as_text_at_once(theirs, reach, tokenizer) -> None:
    fails = text_alone()
    theirs.answer = lambda body: fails(body) if isinstance(body["prompt"], str) else detail("list has no encode()", 500)
    model = await reach()
    for _ in range(2):
        assert await text_of(model, tokenizer.infill_ids("x", "y")) == "yes"
    assert [type(body["prompt"]) for body in theirs.asked] == [list, str, str]


async def test_a_server_that_fails_at_everything_is_given_a_rest(theirs, reach, tokenizer) -> None:
    theirs.answer = lambda body: detail("out of memory", 500)
    model = await reach()
    with pytest.raises(EngineRefused, match="out of memory"):
        await text_of(model, tokenizer.infill_ids("x", "y"))
    asked = len(theirs.asked)
    with pytest.raises(EngineRefused, match="cannot answer now"):
        await text_of(model, tokenizer.infill_ids("x", "y"))
    assert len(theirs.asked) == asked


async def test_of_several_servers_the_least_context_counts_that_one_says_at_a_place_of_its_own(theirs, reach) -> None:
    async with serving() as other:
        for each, size in ((theirs, 8192), (other, 4096)):
            each.models = lists(owned_by="llamacpp")
            each.pages["/props"] = {"default_generation_settings": {"n_ctx": size}}
        model = await reach(engine_url=f"{theirs.url} {other.url}")
    assert (model.client.dialect.kind, model.context_length) == ("llama.cpp", 4096)


async def test_a_refusal_that_is_not_about_the_form_is_told_once_and_ids_go_on(theirs, reach, tokenizer) -> None:
    theirs.answer = lambda body: detail("This model's maximum context length is 4096 tokens.", 400)
    model = await reach()
    with pytest.raises(EngineRefused, match="maximum context length"):
        await text_of(model, [1, 5])
    theirs.answer = lambda body: (200, STREAM, said("yes"))
    assert await text_of(model, [1, 5]) == "yes"
    assert theirs.asked[-1]["prompt"] == [1, 5]


TRANSFORMERS = {"paths": {"/v1/completions": {}, "/load_model": {}}}
UNEXPECTED = "Unexpected fields in the request: {'%s'}"


def transformers(count, *, extra=1, pinned=True):
    """answer(body) of `transformers serve`, cli/serving/completion.py, chat_completion.py and utils.py of 5.23."""
    known = {"model", "max_tokens", "stream", "stream_options", "temperature", "top_p", "seed", "logit_bias"}
    known |= {"generation_config", "prompt", "messages", "logprobs", "stop"}

    def answer(body):
        if unknown := body.keys() - known:
            return detail(UNEXPECTED % "', '".join(unknown))
        if "prompt" in body and not isinstance(body["prompt"], str):
            return detail("prompt must be a string.", 400)
        if pinned and "model" in body:
            return detail(f"Server is pinned to 'm@main'; requested '{body['model']}'.", 400)
        return text_alone(extra=extra, count=count)(body)

    return answer


@pytest.mark.parametrize("models", [(500, "Internal Server Error"), lists(owned_by="someone"), (200, '{"data": []}')])
async def test_transformers_serve(theirs, reach, tokenizer, count, models) -> None:
    theirs.models, theirs.pages["/openapi.json"] = models, TRANSFORMERS
    theirs.answer = transformers(count)
    model = await reach()
    assert model.tokenizer.abilities.infilling
    asked = len(theirs.asked)
    ids = tokenizer.infill_ids("x = f(", "\nz = 1\n")
    assert await text_of(model, ids, tokenizer.infill_stop_ids, choice=Choice(logprobs=True)) == "yes"
    assert len(theirs.asked) == asked + 1, "all that it refuses is known"
    sent = theirs.asked[-1]
    assert sent["prompt"] == "<PRE> x = f( <SUF>\nz = 1\n <MID>"
    assert json.loads(sent["generation_config"])["eos_token_id"][0] == 32010, "it ends where the model does"
    assert await text_of(model, tokenizer.dialog_ids(DIALOG), messages=DIALOG, priority=10) == "hello"


async def test_the_space_that_transformers_serve_loses_is_not_missed(theirs, reach, tokenizer, count) -> None:
    """The first token of an answer is `▁x`, and it says `x`, as a tokenizer does at the beginning of a text."""
    theirs.pages["/openapi.json"] = TRANSFORMERS
    theirs.answer = transformers(count)
    model = await reach()
    ids = tokenizer.completion_ids("x =")
    answer = Answer(model, Question(ids, (2,), 8, pending=" "))
    assert "".join(["".join(part) async for part in answer.parts()]) == "yes"
    assert not answer.against


async def test_a_server_that_puts_no_token_in_front_is_sent_its_name(theirs, reach, tokenizer, count) -> None:
    theirs.pages["/openapi.json"] = TRANSFORMERS
    theirs.answer = transformers(lambda text: count(text), extra=0)
    model = await reach()
    assert model.tokenizer.abilities.infilling
    await text_of(model, tokenizer.infill_ids("x = f(", "\nz = 1\n"))
    assert theirs.asked[-1]["prompt"] == "<s><PRE> x = f( <SUF>\nz = 1\n <MID>"


async def test_a_server_that_loses_the_infilling_tokens_infills_no_more_and_it_is_said(
    theirs, reach, tokenizer, count
) -> None:
    theirs.pages["/openapi.json"] = TRANSFORMERS
    theirs.answer = transformers(lambda text: count(re.sub("<(PRE|SUF|MID)>", "< \\1 >", text)))
    model = await reach()
    assert not model.tokenizer.abilities.infilling
    assert "see the code before it alone" in reach.access.state.message
    assert reach.access.state.kind == "ready"
    await text_of(model, tokenizer.infill_ids("x = f(", "\nz = 1\n"))
    assert theirs.asked[-1]["prompt"] == "x = f("


async def test_llama_cpp_is_asked_for_its_room_and_its_ends_are_seen(theirs, reach, tokenizer) -> None:
    theirs.models = lists(owned_by="llamacpp")
    theirs.pages["/props"] = {"default_generation_settings": {"n_ctx": 2048}}
    # It passes over what it does not know, stop ids too, and shows no control tokens in a text.
    tokens = [("a", 81), (" b", 278), ("", 32010), (" never", 500)]
    events = [
        {"choices": [{"text": text, "finish_reason": None, "logprobs": {"content": [{"id": each, "logprob": -0.5}]}}]}
        for text, each in tokens
    ]
    stream = b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events)
    theirs.answer = lambda body: (200, STREAM, stream if body.get("logprobs") else said("a", " b", " never"))
    model = await reach()
    assert model.context_length == 2048
    ids = tokenizer.infill_ids("x", "y")
    answer = Answer(model, Question(ids, tokenizer.infill_stop_ids, 8))
    assert "".join(["".join(part) async for part in answer.parts()]) == "a b"
    assert (answer.finish_reason, answer.line) == ("stop", [("a", -0.5), (" b", -0.5)])
    assert theirs.asked[-1]["prompt"] == ids
    assert not {"priority", "stop_token_ids", "return_token_ids", *OURS} & theirs.asked[-1].keys()


def llama_cpp_python(count, *, logits=False):
    """answer(body) of llama-cpp-python's server, llama_cpp/server/types.py and errors.py: what it cannot read, and what
    its model was not loaded for, is a fault of its own."""

    def fault(message):
        error = {"error": {"message": message, "type": "internal_server_error", "param": None, "code": None}}
        return 500, "application/json", json.dumps(error).encode()

    def answer(body):
        if not isinstance(body.get("prompt", ""), str):
            return fault(
                "[{'type': 'string_type', 'loc': ('body', 'prompt', 'str'), 'msg': 'Input should be a string'}]"
            )
        if body.get("logprobs") is not None and not logits:
            return fault("logprobs is not supported for models created with logits_all=False")
        return text_alone(count=count)(body)

    return answer


@pytest.mark.parametrize("says", [True, False])
async def test_llama_cpp_python(theirs, reach, tokenizer, count, says) -> None:
    theirs.models = lists(owned_by="me")
    if says:
        theirs.pages["/openapi.json"] = {"paths": {"/v1/completions": {}, "/extras/tokenize": {}}}
    theirs.answer = llama_cpp_python(count)
    model = await reach()
    ids = tokenizer.infill_ids("x = f(", "\nz = 1\n")
    for _ in range(2):
        assert await text_of(model, ids, choice=Choice(logprobs=True), priority=5) == "yes"
    assert theirs.asked[-1]["prompt"] == "<PRE> x = f( <SUF>\nz = 1\n <MID>"
    assert "logprobs" not in theirs.asked[-1]
    assert (theirs.asked[-1].get("repeat_penalty") == 1.0) is says
    assert await text_of(model, tokenizer.dialog_ids(DIALOG), messages=DIALOG, priority=10) == "hello"


async def test_what_a_server_takes_is_remembered_when_it_is_reached_again(theirs, reach, tokenizer) -> None:
    theirs.answer = text_alone()
    model = await reach()
    await text_of(model, [1, 5])
    heads = len(theirs.heads)
    model.lost()
    model = await reach.access.wait()
    await text_of(model, [1, 5])
    assert [head.split()[:2] for head in theirs.heads[heads:]] == [["GET", "/v1/models"], ["POST", "/v1/completions"]]
    assert isinstance(theirs.asked[-1]["prompt"], str)


async def test_a_server_that_has_another_model_by_now_is_asked_for_that(theirs, reach):
    await reach()
    theirs.models = (200, json.dumps({"data": [{"id": "new", "max_model_len": 2048}]}))
    gone = json.dumps({"error": {"message": "The model `theirs` does not exist.", "code": 404}}).encode()
    theirs.answer = lambda body: (200, STREAM, said("yes")) if body["model"] == "new" else (404, "text/json", gone)
    assert await text_of(reach.access.reached, [1, 5]) == "yes"
    model = await reach.access.wait()
    assert (model.model, model.context_length) == ("new", 2048)
