from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import re
import socket as listening
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from engine.conftest import served_on_a_socket, until

from lsp_server.engine.generating.healing import Spellings
from lsp_server.engine.generating.scheduler import Scheduler
from lsp_server.engine.options import Options
from lsp_server.engine.serving import server as serving
from lsp_server.engine.serving import wire
from lsp_server.engine.serving.http import create_app
from lsp_server.engine.serving.state import EngineState

PROMPT = list(range(20, 60))


@pytest.fixture
def state(make_scheduler: Callable[..., Scheduler], codec: Any) -> EngineState:
    scheduler = make_scheduler()
    return EngineState(
        model="tiny",
        folder="/models/tiny",
        version="1",
        status="ready",
        context_length=1000,
        scheduler=scheduler,
        codec=codec,
    )


@contextlib.asynccontextmanager
async def connected(
    state: EngineState, token: str | None = None, base: str = "http://localhost"
) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(state, token=token), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=base) as client:
        yield client


@pytest.fixture
async def client(state: EngineState) -> AsyncIterator[httpx.AsyncClient]:
    async with connected(state) as client:
        yield client


@pytest.fixture
def socket(state: EngineState) -> Iterator[str]:
    with served_on_a_socket(state) as path:
        yield path


def over(socket: str) -> httpx.Client:
    return httpx.Client(
        transport=httpx.HTTPTransport(verify=False, uds=socket), base_url="http://localhost", timeout=120
    )


def says(model: Any, text: str, stop: int = 0) -> None:
    """From now on the model answers each prompt of PROMPT's length with `text`, in UTF-8, and then `stop`."""
    script = [*text.encode(), stop]
    model.next_id = lambda ids: script[min(len(ids) - len(PROMPT), len(script) - 1)]


def events(body: str) -> list[dict[str, Any]]:
    """The chunks of a stream, which must have ended properly."""
    lines = body.split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


# Answers.


async def test_ids_in_and_ids_out(client: httpx.AsyncClient, model: Any) -> None:
    ask = {"prompt": PROMPT, "max_tokens": 6, "temperature": 0, "return_token_ids": True}
    answer = (await client.post("/v1/completions", json=ask)).json()
    [choice] = answer["choices"]
    assert answer["object"] == "text_completion"
    assert answer["model"] == "tiny"
    assert choice["token_ids"] == model.continuation(PROMPT, 6)
    assert choice["finish_reason"] == "length"
    assert answer["usage"] == {
        "prompt_tokens": 40,
        "completion_tokens": 6,
        "total_tokens": 46,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    assert answer["timings"]["prefilled_tokens"] == 40
    assert answer["timings"]["forward_passes"] == 6
    assert answer["timings"]["time_to_first_token_ms"] > 0
    again = (await client.post("/v1/completions", json={**ask, "prompt": [*PROMPT, 9]})).json()
    assert again["usage"]["prompt_tokens_details"] == {"cached_tokens": 40}
    assert again["timings"]["prefilled_tokens"] == 1


async def test_one_prompt_in_a_list_is_that_prompt(client: httpx.AsyncClient, model: Any) -> None:
    said = []
    for prompt in ([5, 6, 7], [[5, 6, 7]]):
        body = {"prompt": prompt, "max_tokens": 2, "temperature": 0}
        said.append((await client.post(COMPLETION, json=body)).json()["choices"])
    assert said[0] == said[1]


async def test_without_a_tokenizer_only_ids(state: EngineState, model: Any) -> None:
    state.codec = None
    async with connected(state) as client:
        ask = {
            "prompt": PROMPT,
            "temperature": 0,
            "return_token_ids": True,
            "stop_token_ids": [model.continuation(PROMPT, 3)[2]],
        }
        [choice] = (await client.post("/v1/completions", json=ask)).json()["choices"]
        assert choice["token_ids"] == model.continuation(PROMPT, 3)
        assert choice["text"] == ""
        assert choice["finish_reason"] == "stop"
        assert choice["stop_reason"] == model.continuation(PROMPT, 3)[2]
        for path, body in [
            ("/v1/completions", {"prompt": "text"}),
            ("/v1/completions", {"prompt": PROMPT, "stop": "x"}),
            ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]}),
        ]:
            response = await client.post(path, json=body)
            assert response.status_code == 400
            assert "tokenizer" in response.json()["error"]["message"]


async def test_text_in_and_text_out(client: httpx.AsyncClient, model: Any) -> None:
    says(model, "héllo €")
    answer = (await client.post("/v1/completions", json={"prompt": "x" * 40, "temperature": 0})).json()
    [choice] = answer["choices"]
    assert (choice["text"], choice["finish_reason"], choice["stop_reason"]) == ("héllo €", "stop", None)
    assert "token_ids" not in choice
    assert answer["usage"]["completion_tokens"] == 11  # with the id that ended it


@pytest.mark.parametrize(
    ("path", "ask"),
    [
        ("/v1/completions", {"prompt": PROMPT, "heal": len(PROMPT)}),
        ("/v1/completions", {"prompt": PROMPT, "heal": -1}),
        ("/v1/completions", {"prompt": "text", "heal": 1}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}], "heal": 1}),
    ],
)
async def test_only_a_part_of_a_prompt_of_ids_can_be_healed(
    client: httpx.AsyncClient, path: str, ask: dict[str, Any]
) -> None:
    response = await client.post(path, json=ask)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "heal"


@pytest.mark.parametrize("stream", [False, True])
async def test_candidates_for_the_first_line(
    make_scheduler: Callable[..., Scheduler], llama: Any, codec: Any, stream: bool
) -> None:
    """The best is the answer, and all are told of before it."""
    spellings = Spellings(lambda each: bytes([each % 256]), 300)
    scheduler = make_scheduler(llama, spellings=spellings)
    state = EngineState(model="tiny", status="ready", scheduler=scheduler, codec=codec)
    asked = {"prompt": PROMPT, "max_tokens": 8, "temperature": 0, "candidates": 4, "follow": [7, 200, 30]}
    asked |= {"stop_token_ids": list(range(100)), "return_token_ids": True, "logprobs": 0, "stream": stream}
    async with connected(state) as client:
        response = await client.post("/v1/completions", json=asked)
        chunks = events(response.text) if stream else [response.json()]
        plain = await client.post("/v1/completions", json={**asked, "candidates": 1, "stream": False})
    (first, *others) = chunks[0]["choices"][0]["candidates"]
    assert len(others) == 3
    assert [sum(each["token_logprobs"]) + each["follows"] for each in (first, *others)] == sorted(
        (sum(each["token_logprobs"]) + each["follows"] for each in (first, *others)), reverse=True
    )
    ids = [each for chunk in chunks for each in chunk["choices"][0]["token_ids"]]
    assert ids[: len(first["token_ids"])] == first["token_ids"]
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks).startswith(first["text"])
    assert plain.json()["choices"][0]["token_ids"] in [each["token_ids"] for each in (first, *others)]
    assert "candidates" not in plain.json()["choices"][0]


@pytest.mark.parametrize(
    "fields", [{"prompt": "text"}, {"temperature": 1}, {"n": 2}, {"candidates": 9}, {"follow": [300]}, {"follow": "x"}]
)
async def test_candidates_are_for_the_most_likely_tokens_of_ids(
    client: httpx.AsyncClient, fields: dict[str, Any]
) -> None:
    asked = {"prompt": PROMPT, "temperature": 0, "candidates": 4, "follow": [7], **fields}
    response = await client.post("/v1/completions", json=asked)
    assert response.status_code == 400
    assert response.json()["error"]["param"] in ("candidates", "follow")
    chat = {"messages": [{"role": "user", "content": "x"}], "temperature": 0, "candidates": 4}
    assert (await client.post("/v1/chat/completions", json=chat)).status_code == 400


async def test_an_answer_goes_on_with_one_of_the_names(
    make_scheduler: Callable[..., Scheduler], llama: Any, codec: Any
) -> None:
    spellings = Spellings(lambda each: bytes([each % 256]), 300)
    state = EngineState("tiny", status="ready", scheduler=make_scheduler(llama, spellings=spellings), codec=codec)
    asked = {"prompt": PROMPT, "max_tokens": 4, "temperature": 0, "ignore_eos": True, "return_token_ids": True}
    async with connected(state) as client:
        plain = (await client.post("/v1/completions", json=asked)).json()["choices"][0]["token_ids"]
        named = await client.post("/v1/completions", json={**asked, "names": {"spam": 50, "sports": 50}})
    ids = named.json()["choices"][0]["token_ids"]
    assert bytes(each % 256 for each in ids) in (b"spam", b"spor")
    assert ids != plain


@pytest.mark.parametrize(
    "names",
    ["get", ["get"], {"x" * 201: 1}, {str(number): 1 for number in range(1001)}, {"\ud800": 1}, {"a": -1}, {"a": "1"}],
)
async def test_names_are_texts_with_what_is_added_for_each(client: httpx.AsyncClient, names: Any) -> None:
    response = await client.post("/v1/completions", content=json.dumps({"prompt": PROMPT, "names": names}))
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "names"


async def test_streamed_text_never_shows_half_a_character(client: httpx.AsyncClient, model: Any) -> None:
    says(model, "é€!")
    ask = {"prompt": PROMPT, "temperature": 0, "stream": True, "stream_options": {"include_usage": True}}
    response = await client.post("/v1/completions", json=ask)
    assert response.headers["content-type"].startswith("text/event-stream")
    chunks = events(response.text)
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks[:-1]) == "é€!"
    assert all("\ufffd" not in chunk["choices"][0]["text"] for chunk in chunks[:-1])
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-2]["timings"]["generated_tokens"] == 7
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 7
    assert len({chunk["id"] for chunk in chunks}) == 1


async def test_streamed_ids_come_with_every_chunk(client: httpx.AsyncClient, model: Any) -> None:
    says(model, "é€!")
    ask = {"prompt": PROMPT, "temperature": 0, "stream": True, "return_token_ids": True}
    chunks = events((await client.post("/v1/completions", json=ask)).text)
    assert [i for chunk in chunks for i in chunk["choices"][0]["token_ids"]] == [*"é€!".encode(), 0]


async def test_stop_ids_can_be_ignored(client: httpx.AsyncClient, model: Any) -> None:
    says(model, "ab")
    ask = {"prompt": PROMPT, "temperature": 0, "max_tokens": 5, "ignore_eos": True, "return_token_ids": True}
    [choice] = (await client.post("/v1/completions", json=ask)).json()["choices"]
    assert (choice["token_ids"], choice["finish_reason"]) == ([97, 98, 0, 0, 0], "length")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_stop_text_is_never_shown(
    client: httpx.AsyncClient, model: Any, state: EngineState, stream: bool
) -> None:
    says(model, "ab\nc\n\nand much more" + "." * 500)
    ask = {"prompt": PROMPT, "temperature": 0, "max_tokens": 900, "stop": ["\n\n", "never"], "stream": stream}
    response = await client.post("/v1/completions", json={**ask, "return_token_ids": True})
    if stream:
        choices = [chunk["choices"][0] for chunk in events(response.text)]
    else:
        choices = response.json()["choices"]
        assert response.json()["usage"]["completion_tokens"] == 6
    assert "".join(choice["text"] for choice in choices) == "ab\nc"
    assert (choices[-1]["finish_reason"], choices[-1]["stop_reason"]) == ("stop", "\n\n")
    assert [i for choice in choices for i in choice["token_ids"]] == list(b"ab\nc\n\n")
    assert state.scheduler is not None
    until(lambda: state.scheduler and not state.scheduler.queued)
    assert len(model.passes) < 400


async def test_what_only_began_like_a_stop_text_is_shown_at_the_end(client: httpx.AsyncClient, model: Any) -> None:
    says(model, "ab\n")
    ask = {"prompt": PROMPT, "temperature": 0, "stop": "\n\n", "stream": True}
    chunks = events((await client.post("/v1/completions", json=ask)).text)
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "ab\n"


@pytest.mark.parametrize("stream", [False, True])
async def test_chat(client: httpx.AsyncClient, model: Any, stream: bool) -> None:
    says(model, "Hello!", stop=1)
    content = [{"type": "text", "text": "x" * 19}, {"type": "text", "text": "y" * 20}]
    ask = {"messages": [{"role": "user", "content": content}], "temperature": 0, "stream": stream}
    response = await client.post("/v1/chat/completions", json=ask)
    if stream:
        chunks = events(response.text)
        assert chunks[0]["object"] == "chat.completion.chunk"
        deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
        assert deltas[0]["role"] == "assistant"
        assert all("role" not in delta for delta in deltas[1:])
        assert "".join(delta["content"] for delta in deltas) == "Hello!"
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    else:
        answer = response.json()
        assert answer["object"] == "chat.completion"
        assert answer["choices"][0]["message"] == {"role": "assistant", "content": "Hello!"}
        assert answer["usage"]["prompt_tokens"] == 40


async def test_what_is_ruled_out_does_not_come(client: httpx.AsyncClient, model: Any) -> None:
    """By the client, and in a dialog what its tokenizer says: id 2, which this model would always write."""
    model.next_id = lambda ids: 2
    ask = {"prompt": [5], "max_tokens": 3, "temperature": 0, "return_token_ids": True}
    free = (await client.post("/v1/completions", json=ask)).json()
    bound = (await client.post("/v1/completions", json={**ask, "logit_bias": {"2": -100}})).json()
    assert free["choices"][0]["token_ids"] == [2, 2, 2]
    assert 2 not in bound["choices"][0]["token_ids"]
    dialog = {"messages": DIALOG, "max_tokens": 3, "temperature": 0, "ignore_eos": True, "return_token_ids": True}
    answer = (await client.post("/v1/chat/completions", json=dialog)).json()
    assert 2 not in answer["choices"][0]["token_ids"]


async def test_a_dialog_that_cannot_be_right(client: httpx.AsyncClient) -> None:
    ask = {"messages": [{"role": "assistant", "content": "hi"}]}
    response = await client.post("/v1/chat/completions", json=ask)
    assert response.status_code == 400
    assert response.json()["error"]["message"] == "The last message must be the user's."
    assert response.json()["error"]["param"] == "messages"


async def test_logprobs(client: httpx.AsyncClient, model: Any) -> None:
    ask = {"prompt": PROMPT, "max_tokens": 2, "temperature": 0, "logprobs": 3}
    first, second = model.continuation(PROMPT, 2)
    logprobs = (await client.post("/v1/completions", json=ask)).json()["choices"][0]["logprobs"]
    assert logprobs["tokens"] == [f"token_id:{first}", f"token_id:{second}"]
    assert logprobs["token_logprobs"][0] == pytest.approx(5 - math.log(math.e**5 + 299), abs=1e-4)
    assert len(logprobs["top_logprobs"][0]) == 3
    assert logprobs["top_logprobs"][0][f"token_id:{first}"] == logprobs["token_logprobs"][0]
    chat = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1, "logprobs": True, "top_logprobs": 2}
    [content] = (await client.post("/v1/chat/completions", json=chat)).json()["choices"][0]["logprobs"]["content"]
    assert content["token"].startswith("token_id:")
    assert len(content["top_logprobs"]) == 2


async def test_seeds(client: httpx.AsyncClient, model: Any) -> None:
    ask = {"prompt": PROMPT, "max_tokens": 8, "temperature": 2, "return_token_ids": True}

    async def run(seed: int) -> list[int]:
        answer = await client.post("/v1/completions", json={**ask, "seed": seed})
        ids: list[int] = answer.json()["choices"][0]["token_ids"]
        return ids

    assert await run(1) == await run(1)
    assert await run(1) != await run(2)


async def test_a_completion_goes_before_a_chat_by_itself(
    client: httpx.AsyncClient, model: Any, gate: Callable[[int], Any]
) -> None:
    held = gate(3)
    chat_ask = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 20, "temperature": 0}
    chat = asyncio.create_task(client.post("/v1/chat/completions", json=chat_ask))
    assert await asyncio.to_thread(held.reached.wait, 20)
    completion = asyncio.create_task(
        client.post("/v1/completions", json={"prompt": PROMPT, "max_tokens": 2, "temperature": 0})
    )
    await asyncio.sleep(0.1)
    held.opened.set()
    assert (await completion).status_code == (await chat).status_code == 200
    assert [first for first, _ in model.passes] == [ord("h")] * 4 + [20] * 2 + [ord("h")] * 16


# Bad input.

COMPLETION = "/v1/completions"
CHAT = "/v1/chat/completions"
DIALOG = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("path", "body", "param", "words"),
    [
        (COMPLETION, {}, "prompt", "not empty"),
        (COMPLETION, {"prompt": []}, "prompt", "not empty"),
        (COMPLETION, {"prompt": ""}, "prompt", "empty"),
        (COMPLETION, {"prompt": 7}, "prompt", "text or a list"),
        (COMPLETION, {"prompt": [[1], [2]]}, "prompt", "Several prompts"),
        (COMPLETION, {"prompt": ["a", "b"]}, "prompt", "Several prompts"),
        (COMPLETION, {"prompt": [1, True]}, "prompt", "whole numbers"),
        (COMPLETION, {"prompt": [1, 2.0]}, "prompt", "whole numbers"),
        (COMPLETION, {"prompt": [1, 300]}, "prompt", "vocabulary of 300"),
        (COMPLETION, {"prompt": [-1]}, "prompt", "vocabulary of 300"),
        (COMPLETION, {"prompt": "\ud800"}, "prompt", "surrogate"),
        (COMPLETION, {"prompt": [1], "n": 17}, "n", "from 1 to 16"),
        (COMPLETION, {"prompt": [1], "n": 0}, "n", "from 1 to 16"),
        (COMPLETION, {"prompt": [1], "echo": True}, "echo", "not supported"),
        (COMPLETION, {"prompt": [1], "suffix": "x"}, "suffix", "not supported"),
        (COMPLETION, {"prompt": [1], "max_tokens": 0}, "max_tokens", "whole number from 1"),
        (COMPLETION, {"prompt": [1], "max_tokens": -5}, "max_tokens", "whole number from 1"),
        (COMPLETION, {"prompt": [1], "max_tokens": 10**30}, "max_tokens", "whole number"),
        (COMPLETION, {"prompt": [1], "max_tokens": "9"}, "max_tokens", "whole number"),
        (COMPLETION, {"prompt": [1], "max_tokens": True}, "max_tokens", "whole number"),
        (COMPLETION, {"prompt": [1], "temperature": -1}, "temperature", "number from 0 to 2"),
        (COMPLETION, {"prompt": [1], "temperature": float("nan")}, "temperature", "number from 0 to 2"),
        (COMPLETION, {"prompt": [1], "top_p": 1.5}, "top_p", "number from 0 to 1"),
        (COMPLETION, {"prompt": [1], "top_k": -2}, "top_k", "whole number"),
        (COMPLETION, {"prompt": [1], "seed": 2**63}, "seed", "whole number"),
        (COMPLETION, {"prompt": [1], "priority": 1.5}, "priority", "whole number"),
        (COMPLETION, {"prompt": [1], "logprobs": 21}, "logprobs", "0 to 20"),
        (COMPLETION, {"prompt": [1], "logprobs": True}, "logprobs", "0 to 20"),
        (COMPLETION, {"prompt": [1], "stop": ""}, "stop", "none of them empty"),
        (COMPLETION, {"prompt": [1], "stop": [1]}, "stop", "none of them empty"),
        (COMPLETION, {"prompt": [1], "stop": ["x"] * 65}, "stop", "at most 64"),
        (COMPLETION, {"prompt": [1], "stop_token_ids": [300]}, "stop_token_ids", "vocabulary"),
        (COMPLETION, {"prompt": [1], "stop_token_ids": 3}, "stop_token_ids", "whole numbers"),
        (COMPLETION, {"prompt": [1], "logit_bias": {"300": 1}}, "logit_bias", "vocabulary"),
        (COMPLETION, {"prompt": [1], "logit_bias": {"a": 1}}, "logit_bias", "keys are token ids"),
        (COMPLETION, {"prompt": [1], "logit_bias": {"1": 101}}, "logit_bias", "from -100 to 100"),
        (COMPLETION, {"prompt": [1], "logit_bias": [1]}, "logit_bias", "keys are token ids"),
        (COMPLETION, {"prompt": [1], "stream": 1}, "stream", "true or false"),
        (COMPLETION, {"prompt": [1], "stream_options": []}, "stream_options", "object"),
        (COMPLETION, {"prompt": [1], "model": 3}, "model", "text"),
        (COMPLETION, {"prompt": [1], "max_token": 3}, "max_token", "no field 'max_token'"),
        (COMPLETION, {"prompt": [1], "messages": DIALOG}, "messages", "no field"),
        (COMPLETION, {"prompt": [1] * 1000}, "prompt", "1000 tokens"),
        (CHAT, {}, "messages", "not empty"),
        (CHAT, {"messages": []}, "messages", "not empty"),
        (CHAT, {"messages": ["hi"]}, "messages", "role and a content"),
        (CHAT, {"messages": [{"role": "user"}]}, "messages", "text"),
        (CHAT, {"messages": [{"role": 1, "content": "x"}]}, "messages", "text"),
        (CHAT, {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages", "only be text"),
        (CHAT, {"messages": [{"role": "user", "content": "x" * 2000}]}, "messages", "2001 tokens"),
        (CHAT, {"messages": DIALOG, "logprobs": 3}, "logprobs", "true or false"),
        (CHAT, {"messages": DIALOG, "tools": [{}]}, "tools", "not supported"),
        (CHAT, {"messages": DIALOG, "prompt": "x"}, "prompt", "no field"),
    ],
)
async def test_bad_fields(
    client: httpx.AsyncClient, model: Any, path: str, body: dict[str, Any], param: str, words: str
) -> None:
    response = await client.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
    error = response.json()["error"]
    assert response.status_code == 400
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert words in error["message"]
    assert error["message"].endswith(".")
    assert model.passes == []


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"prompt": ' + b"9" * 5000 + b"}", b"null"]
)
async def test_bad_bodies(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post("/v1/completions", content=body)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


async def test_null_and_neutral_and_ignored_fields_are_fine(client: httpx.AsyncClient) -> None:
    ask = {
        "prompt": [1, 2],
        "max_tokens": 1,
        "stop": None,
        "n": 1,
        "user": "me",
        "frequency_penalty": 0,
        "model": "tiny",
    }
    assert (await client.post("/v1/completions", json=ask)).status_code == 200


async def test_a_body_too_large(client: httpx.AsyncClient, state: EngineState) -> None:
    """A megabyte, and what a prompt of 1000 tokens can take: as ids, or as text with each byte written `\\u0000`."""
    for longest, most in ((1, 2**20 + 12_000), (16, 2**20 + 96_000)):
        state.longest_token = longest
        response = await client.post("/v1/completions", content=b" " * (most + 1))
        assert response.status_code == 413
        assert f"{most} bytes" in response.json()["error"]["message"]
        assert (await client.post("/v1/completions", content=b" " * most)).status_code == 400


async def test_a_vocabulary_with_one_very_long_token_does_not_let_everything_in(
    client: httpx.AsyncClient, state: EngineState
) -> None:
    """1,000 tokens of 512 bytes each, every byte written as six: nobody sends that."""
    state.longest_token = 6000
    assert (await client.post("/v1/completions", content=b" " * (31 * 2**20))).status_code == 413


async def test_a_long_request_is_read_off_the_loop(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    read, threads = wire.json.loads, {}

    def loads(body: Any, **how: Any) -> Any:
        threads[len(body)] = threading.current_thread()
        return read(body, **how)

    monkeypatch.setattr(wire.json, "loads", loads)
    bodies = [json.dumps({"prompt": [1]}).encode() + b" " * size for size in (10, 2**17)]
    for body in bodies:
        await client.post("/v1/completions", content=body)
    assert [threads[len(body)] is threading.main_thread() for body in bodies] == [True, False]


async def test_a_text_that_no_context_holds_is_not_made_into_tokens(
    client: httpx.AsyncClient, state: EngineState, codec: Any
) -> None:
    """1000 tokens of at most 16 bytes each."""
    state.longest_token = 16

    def fail(*_: object) -> list[int]:
        raise AssertionError

    codec.completion_ids = codec.dialog_ids = fail
    text = "é" * 8001
    for path, ask, param in (
        ("/v1/completions", {"prompt": text}, "prompt"),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": text}]}, "messages"),
    ):
        response = await client.post(path, json=ask)
        assert response.status_code == 400
        assert response.json()["error"]["param"] == param
        assert "16,002 bytes" in response.json()["error"]["message"]
        assert "16,000" in response.json()["error"]["message"]


async def test_a_body_that_does_not_come(state: EngineState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lsp_server.engine.serving.http._BODY_SECONDS", 0.1)

    async def dripping() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(5)

    async with connected(state) as client:
        response = await client.post("/v1/completions", content=dripping())
    assert response.status_code == 408


async def test_another_model_is_not_served(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/completions", json={"prompt": [1], "model": "gpt-4"})
    assert response.status_code == 404
    assert "'tiny'" in response.json()["error"]["message"]


async def test_a_tokenizer_that_does_not_fit_the_model(client: httpx.AsyncClient, codec: Any, model: Any) -> None:
    codec.completion_ids = lambda text: [1, 300]
    response = await client.post("/v1/completions", json={"prompt": "x"})
    assert response.status_code == 500
    assert "do not" in response.json()["error"]["message"] or "does not" in response.json()["error"]["message"]
    assert model.passes == []


async def test_unknown_paths_and_methods(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v2")).json()["error"]["message"] == "Not Found: GET /v2"
    response = await client.get("/v1/completions")
    assert response.status_code == 405
    assert "error" in response.json()


async def test_too_many_requests(
    make_scheduler: Callable[..., Scheduler], state: EngineState, gate: Callable[[int], Any]
) -> None:
    state.scheduler = make_scheduler(max_queued=1)
    held = gate(0)
    async with connected(state) as client:
        first = asyncio.create_task(client.post("/v1/completions", json={"prompt": [1], "max_tokens": 1}))
        assert await asyncio.to_thread(held.reached.wait, 20)
        refused = await client.post("/v1/completions", json={"prompt": [1]})
        held.opened.set()
        assert (await first).status_code == 200
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "1"
        assert 'engine_requests_total{outcome="refused"} 1' in (await client.get("/metrics")).text


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failed_generation(client: httpx.AsyncClient, model: Any, stream: bool) -> None:
    def fail() -> None:
        if len(model.passes) == 2:
            raise RuntimeError("kaboom")

    model.before_pass = fail
    ask = {"prompt": PROMPT, "temperature": 0, "stream": stream, "return_token_ids": True}
    response = await client.post("/v1/completions", json=ask)
    if stream:
        chunks = events(response.text)
        assert sum(len(chunk["choices"][0]["token_ids"]) for chunk in chunks[:-1]) == 2
        error = chunks[-1]["error"]
    else:
        assert response.status_code == 500
        error = response.json()["error"]
    assert error["type"] == "server_error"
    assert "kaboom" in error["message"]


# State.


async def test_health_and_models(client: httpx.AsyncClient, state: EngineState) -> None:
    response = await client.get("/health")
    assert response.status_code == 200
    health = response.json()
    assert set(health) == {
        *("status", "progress", "message", "model", "path", "version"),
        *("pid", "context_length", "device", "plan", "idle_seconds", "options", "users"),
        *("quantizations", "by_settings"),
        *("prefill_tokens_per_second", "prefill_speed", "prefill_by_pass"),
    }
    assert health["prefill_tokens_per_second"] is None
    await client.post("/v1/completions", json={"prompt": PROMPT * 3, "max_tokens": 1})
    answer = await client.post("/v1/completions", json={"prompt": PROMPT, "max_tokens": 1})
    speed = (await client.get("/health")).json()["prefill_tokens_per_second"]
    assert speed > 0
    assert answer.json()["timings"]["prefill_tokens_per_second"] == speed
    assert health["options"]["context_length"] == 0
    assert (health["status"], health["model"], health["path"]) == ("ready", "tiny", "/models/tiny")
    [model] = (await client.get("/v1/models")).json()["data"]
    assert (model["id"], model["root"], model["max_model_len"]) == ("tiny", "/models/tiny", 1000)


async def test_options_of_a_running_engine(client: httpx.AsyncClient, state: EngineState) -> None:
    def change(options: Options) -> None:
        state.options = options

    state.change = change
    answer = await client.post("/options", json={"idleMinutes": 5, "threads": 2, "logLevel": "debug"})
    assert answer.status_code == 200
    options = (await client.get("/health")).json()["options"]
    assert options == answer.json()
    assert (options["idle_minutes"], options["threads"], options["log_level"]) == (5, 2, "debug")
    for asked, status, words in (
        ({"contextLength": 4096}, 409, "keeps its contextLength"),
        ({"model": "other"}, 400, "'model'"),
        ({"threads": -1}, 400, "threads"),
        ({"idleMinutes": "long"}, 400, "idleMinutes"),
        ({"idle_minutes": 5}, 400, "idle_minutes"),
    ):
        refused = await client.post("/options", json=asked)
        assert refused.status_code == status
        assert words in refused.json()["error"]["message"]
    assert (await client.post("/options", json={"contextLength": 0})).status_code == 200, "as it is"
    assert (await client.get("/health")).json()["options"] == options


async def test_loading_then_ready_then_broken(state: EngineState, make_scheduler: Callable[..., Scheduler]) -> None:
    scheduler, state.scheduler = state.scheduler, None
    state.status, state.progress, state.message = "loading", 0.4, "Shard 2 of 5"
    async with connected(state) as client:
        health = await client.get("/health")
        assert health.status_code == 503
        assert (health.json()["status"], health.json()["progress"]) == ("loading", 0.4)
        refused = await client.post("/v1/completions", json={"prompt": [1]})
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert "Shard 2 of 5" in refused.json()["error"]["message"]
        assert "engine_ready 0" in (await client.get("/metrics")).text
        state.status, state.scheduler = "ready", scheduler
        assert (await client.get("/health")).status_code == 200
        assert scheduler is not None
        scheduler.broken = "The model failed."
        assert (await client.get("/health")).json()["status"] == "failed"
        refused = await client.post("/v1/completions", json={"prompt": [1]})
        assert refused.status_code == 503
        assert "retry-after" not in refused.headers


async def test_metrics(client: httpx.AsyncClient) -> None:
    await client.post("/v1/completions", json={"prompt": PROMPT, "max_tokens": 3, "temperature": 0})
    await client.post("/v1/completions", json={"prompt": [*PROMPT, 1], "max_tokens": 3, "temperature": 0})
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = response.text.splitlines()
    for line in [
        'engine_requests_total{outcome="length"} 2',
        "engine_prompt_tokens_total 81",
        "engine_cached_tokens_total 40",
        "engine_prefilled_tokens_total 41",
        "engine_generated_tokens_total 6",
        "engine_forward_passes_total 6",
        "engine_time_to_first_token_seconds_count 2",
        'engine_time_to_first_token_seconds_bucket{le="60.0"} 2',
        'engine_time_to_first_token_seconds_bucket{le="+Inf"} 2',
        "engine_queued_requests 0",
        "engine_kv_tokens 43",
        "engine_kv_budget_tokens 2000",
        "engine_ready 1",
    ]:
        assert line in lines


@pytest.mark.parametrize(("sent", "named"), [("a-1.b:2", "a-1.b:2"), ("a b", None), ("", None), ("x" * 65, None)])
async def test_a_request_is_logged_under_the_name_that_it_came_with(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, sent: str, named: str | None
) -> None:
    caplog.set_level(logging.INFO)
    ask = {"prompt": PROMPT, "max_tokens": 3, "temperature": 0}
    await client.post("/v1/completions", json=ask, headers={"X-Request-Id": sent})
    (line,) = [each.getMessage() for each in caplog.records if each.getMessage().startswith("request ")]
    found = re.fullmatch(
        r"request (\S+): length, 40 tokens of a prompt, 0 of them kept, 3 generated, "
        r"the first after \d+ ms, the last after \d+ ms",
        line,
    )
    assert found is not None, line
    assert found[1] == named or (named is None and re.fullmatch("[0-9a-f]{8}", found[1]))


async def test_nothing_of_a_prompt_is_logged(
    client: httpx.AsyncClient, model: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    says(model, "answer")
    await client.post("/v1/completions", json={"prompt": "secret" + "x" * 34})
    await client.post("/v1/completions", json={"prompt": "secret", "n": 99})
    assert "secret" not in caplog.text
    assert "answer" not in caplog.text


# Who may ask.


async def test_with_a_token_everything_needs_it(state: EngineState) -> None:
    async with connected(state, token="sesame", base="http://127.0.0.1:8000") as client:
        for path in ("/health", "/metrics", "/v1/models"):
            assert (await client.get(path)).status_code == 401
        for wrong in ("Bearer sesam", "Bearer sesame ", "sesame", "Bearer", ""):
            assert (await client.get("/health", headers={"authorization": wrong})).status_code == 401
        right = {"authorization": "Bearer sesame"}
        assert (await client.get("/health", headers=right)).status_code == 200
        for host in ("localhost", "localhost:8000", "127.0.0.1", "[::1]:8000", "LOCALHOST"):
            assert (await client.get("/health", headers={**right, "host": host})).status_code == 200
        for host in ("evil.example", "localhost.evil.example:8000", "127.0.0.1.nip.io", "", "[::2]"):
            assert (await client.get("/health", headers={**right, "host": host})).status_code == 403
        assert (await client.get("/health", headers={**right, "origin": "http://localhost"})).status_code == 403


# Over a real socket.


def test_streaming_over_a_socket(socket: str, model: Any, gate: Callable[[int], Any]) -> None:
    held = gate(3)
    ask = {"prompt": PROMPT, "max_tokens": 6, "temperature": 0, "stream": True, "return_token_ids": True}
    ids: list[int] = []
    with over(socket) as client, client.stream("POST", "/v1/completions", json=ask) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                ids += json.loads(line[6:])["choices"][0]["token_ids"]
            if len(ids) == 3:
                held.opened.set()  # three tokens came while the fourth was not computed yet
    assert ids == model.continuation(PROMPT, 6)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("at", [1, 20])
def test_closing_the_connection_ends_the_request_within_a_pass(
    socket: str, state: EngineState, model: Any, gate: Callable[[int], Any], stream: bool, at: int
) -> None:
    """At pass 1 the prompt is still being computed, and nothing has been sent; at pass 20 tokens have."""
    scheduler = state.scheduler
    assert scheduler is not None
    scheduler._chunk_tokens = 16
    held = gate(at)
    ask = {"prompt": PROMPT, "max_tokens": 900, "temperature": 0, "stream": stream, "return_token_ids": True}
    with over(socket) as client:
        if stream:
            with client.stream("POST", "/v1/completions", json=ask) as response:
                assert response.status_code == 200
                held.reached.wait(60)
        else:
            with pytest.raises(httpx.ReadTimeout):
                client.post("/v1/completions", json=ask, timeout=0.5)
            assert held.reached.is_set()
    until(lambda: all(job.cancelled for job in scheduler._jobs.values()))
    held.opened.set()
    until(lambda: not scheduler.queued)
    assert len(model.passes) == at + 1
    assert scheduler.totals.requests == {"cancelled": 1}
    with over(socket) as client:
        assert client.get("/health").json()["status"] == "ready"


def test_a_reader_that_does_not_read_is_bounded_and_can_go(socket: str, state: EngineState, model: Any) -> None:
    scheduler = state.scheduler
    assert scheduler is not None
    ask = {
        "prompt": PROMPT,
        "max_tokens": 900,
        "temperature": 0,
        "stream": True,
        "return_token_ids": True,
        "logprobs": 20,
    }
    with over(socket) as client:
        with client.stream("POST", "/v1/completions", json=ask):
            until(lambda: not scheduler.queued)  # it does not wait for the reader
            assert client_is_served(socket)
        assert scheduler.totals.requests == {"length": 2}


def client_is_served(socket: str) -> bool:
    with over(socket) as client:
        return (
            client.post("/v1/completions", json={"prompt": [5], "max_tokens": 1, "temperature": 0}).status_code == 200
        )


# Connections.


def raw(path: str, sent: bytes) -> bytes:
    """All that comes back for these bytes, up to the end of the connection."""
    with listening.socket(listening.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(path)
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def refusal(answer: bytes) -> tuple[int, str]:
    """The status of an answer that is an error, and its sentence."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]["message"]


@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nHost: x\r\n", b"GET /hea"])
def test_a_connection_that_asks_nothing_is_closed(socket: str, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.2)
    assert refusal(raw(socket, sent))[0] == 408
    assert client_is_served(socket)


def test_a_second_request_that_does_not_end_is_bounded_too(socket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.2)
    whole = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    assert raw(socket, whole + b"GET /hea").startswith(b"HTTP/1.1 200")


def test_bytes_that_are_no_request_are_refused_in_json(socket: str) -> None:
    status, message = refusal(raw(socket, b"\0\xff nonsense\r\n\r\n"))
    assert (status, message) == (400, "Invalid HTTP request received.")


def test_connections_are_bounded(socket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MOST_CONNECTIONS", 3)
    held = [listening.socket(listening.AF_UNIX) for _ in range(3)]
    for connection in held:
        connection.connect(socket)
    status, message = refusal(raw(socket, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"))
    assert status == 503
    assert "3 connections" in message
    for connection in held:
        connection.close()
    until(lambda: client_is_served(socket))


async def test_how_far_a_prompt_is_computed_is_told_where_it_is_wanted(client: httpx.AsyncClient, model: Any) -> None:
    model.before_pass = lambda: time.sleep(0.1)  # else all comes at once
    fields = {"prompt": PROMPT * 10, "max_tokens": 1, "stream": True}
    response = await client.post("/v1/completions", json=fields)
    assert not any("prompt_progress" in each for each in events(response.text))
    fields = {**fields, "prompt": [9, *PROMPT * 10], "return_progress": True}
    told = events((await client.post("/v1/completions", json=fields)).text)
    progress = [event["prompt_progress"] for event in told if "prompt_progress" in event]
    assert progress[0] == {"total": 401, "cache": 0, "processed": 0, "others": 0}
    assert progress[-1] == {"total": 401, "cache": 0, "processed": 256, "others": 0}


async def test_how_much_of_a_prompt_is_known(client: httpx.AsyncClient) -> None:
    assert (await client.post("/known", json={"prompt": PROMPT})).json() == {"tokens": 40, "known": 0}
    await client.post("/v1/completions", json={"prompt": PROMPT, "max_tokens": 1})
    assert (await client.post("/known", json={"prompt": [*PROMPT, 9]})).json() == {"tokens": 41, "known": 40}
    refused = await client.post("/known", json={"prompt": "text"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "prompt")
