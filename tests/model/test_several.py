"""Several servers of one model, and several models of one server."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
import sys

import pytest

from lsp_server.model.access import ModelAccess, ModelUnavailable
from lsp_server.model.client import PRIORITY_CHAT, EngineRefused
from lsp_server.model.served import NotChosen, choose, listed
from lsp_server.settings import Settings
from model.conftest import HEAD, STREAM, asked, said, serving, text_of


@pytest.fixture
async def two():
    async with serving() as first, serving() as second:
        yield first, second


@pytest.fixture
async def reach(tokenizer_folder):
    """The client of these addresses."""
    opened = []

    async def reached(*urls, between=" ", **more):
        settings = Settings(engine_url=between.join(urls), tokenizer=str(tokenizer_folder("7b")), **more)
        opened.append(ModelAccess(settings))
        return (await opened[-1].wait()).client

    yield reached
    for access in opened:
        access.close()


def nobody() -> str:
    """An address where nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize("between", [" ", ", ", ",", "\n"])
async def test_requests_go_to_the_server_that_has_least_to_do(two, reach, between):
    waits = asyncio.Event()

    async def slow(writer):
        writer.write(HEAD)
        await waits.wait()
        writer.write(said("yes"))
        writer.close()

    for each in two:
        each.streams = slow
    client = await reach(*(each.url for each in two), between=between)
    asking = [asyncio.ensure_future(asked(client)) for _ in range(6)]
    for _ in range(6000):
        if sum(len(each.asked) for each in two) == 6:
            break
        await asyncio.sleep(0.01)
    waits.set()
    assert {await each for each in asking} == {("yes", "stop")}
    assert [len(each.asked) for each in two] == [3, 3]


async def test_a_server_that_is_not_there_is_no_loss(two, reach):
    client = await reach(nobody(), two[0].url, nobody())
    for _ in range(3):
        assert await asked(client) == ("yes", "stop")


async def test_a_server_that_goes_away_is_no_loss_and_is_left_alone_for_a_while(two, reach):
    client = await reach(*(each.url for each in two))
    await asyncio.gather(asked(client), asked(client))

    async def away(writer):
        writer.close()

    two[0].streams = away
    for _ in range(3):
        assert await asyncio.gather(*(asked(client) for _ in range(3))) == [("yes", "stop")] * 3
    assert len(two[0].asked) <= 1 + 2, "those that were under way"
    assert len(two[1].asked) == 1 + 9


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("priority", [0, PRIORITY_CHAT])
async def test_a_request_that_one_cannot_take_goes_to_the_other(two, reach, status, priority):
    left = [status]
    for each in two:
        each.answer = lambda body: (
            (left.pop(), "application/json", b'{"error": "no"}') if left else (200, STREAM, said("yes"))
        )
    client = await reach(*(each.url for each in two))
    for _ in range(3):
        assert await asked(client, priority=priority) == ("yes", "stop")
    assert sorted(len(each.asked) for each in two) == [1, 3]


async def test_where_all_are_busy_none_is_asked(two, reach):
    for each in two:
        each.answer = lambda body: (503, "application/json", b'{"error": "no"}')
        each.more = "Retry-After: 20\r\n"
    client = await reach(*(each.url for each in two))
    for _ in range(4):
        with pytest.raises(EngineRefused):
            await asked(client)
    assert [len(each.asked) for each in two] == [1, 1]


async def test_each_server_is_asked_for_the_model_as_it_calls_it(two, reach):
    two[0].models = (200, json.dumps({"data": [{"id": "CodeLlama-7b-hf", "max_model_len": 8192}]}))
    two[1].models = (200, json.dumps({"data": [{"id": "/models/codellama-7b.Q4_K_M.gguf", "max_model_len": 4096}]}))
    client = await reach(*(each.url for each in two), model="codellama/CodeLlama-7b-hf")
    await asyncio.gather(*(asked(client) for _ in range(4)))
    assert {body["model"] for body in two[0].asked} == {"CodeLlama-7b-hf"}
    assert {body["model"] for body in two[1].asked} == {"/models/codellama-7b.Q4_K_M.gguf"}
    assert await client.served_model() == (client.model or "CodeLlama-7b-hf", 4096)


async def test_a_server_without_the_model_is_asked_for_nothing(two, reach):
    two[0].models = (200, json.dumps({"data": [{"id": "text-embedding-x"}]}))
    client = await reach(*(each.url for each in two))
    await asyncio.gather(*(asked(client) for _ in range(4)))
    assert [len(each.asked) for each in two] == [0, 4]


def models(*names, **more):
    return listed({"data": [{"id": name, **more} for name in names]})


@pytest.mark.parametrize(
    ("names", "wanted", "like", "chosen"),
    [
        (["text-embedding-x", "codellama-7b"], "", ["codellama-7b"], "codellama-7b"),
        (["text-embedding-x", "codellama-7b"], "", [], "codellama-7b"),
        (["embedding-model", "gpt", "codellama/CodeLlama-7b-hf"], "", ["codellama/CodeLlama-7b-hf"],
         "codellama/CodeLlama-7b-hf"),
        (["bge-m3", "jina-reranker", "whisper-1", "a"], "", ["starter"], "a"),
        (["gpt", "CodeLlama-13b-Instruct-hf"], "", ["starter", "/models/CodeLlama-13b-Instruct-hf/"],
         "CodeLlama-13b-Instruct-hf"),
        (["gpt", "codellama-7b.Q8_0.gguf"], "", ["codellama/CodeLlama-7b-hf"], "codellama-7b.Q8_0.gguf"),
        (["gpt", "CodeLlama-7B-AWQ", "codellama-7b-instruct"], "", ["codellama/CodeLlama-7b-hf"], "CodeLlama-7B-AWQ"),
        (["a", "b"], "b", ["a"], "b"),
        (["text-embedding-x", "b"], "text-embedding-x", [], "text-embedding-x"),
        (["org/a", "b"], "a", [], "org/a"),
    ],
)  # fmt: skip
def test_which_model_is_meant(names, wanted, like, chosen):
    assert choose(models(*names), wanted, like).id == chosen


@pytest.mark.parametrize(
    ("names", "wanted", "sentence"),
    [
        (["a", "b"], "", "serves several models (a, b): say which in codellama.remoteModel"),
        (["a", "b"], "c", "does not serve c, but a, b: check codellama.remoteModel"),
        (["embedding"], "", "serves no model that completes text, but embedding: check codellama.engineUrl"),
        ([f"m{at}" for at in range(500)], "",
         "serves several models (m0, m1, m2, m3, m4, m5, m6, m7 and 492 more): say which in codellama.remoteModel"),
    ],
)  # fmt: skip
def test_which_model_is_asked_of_the_user(names, wanted, sentence):
    with pytest.raises(NotChosen) as caught:
        choose(models(*names), wanted, ["codellama/CodeLlama-7b-hf"])
    assert str(caught.value) == sentence


def test_adapters_of_a_model_are_not_meant_unless_they_are_named():
    found = [*models("base"), *models("sql", "docs", parent="base")]
    assert choose(found, "", []).id == "base"
    assert choose(found, "sql", []).id == "sql"


async def test_the_question_which_model_is_one_sentence_of_the_state(theirs):
    theirs.models = (200, json.dumps({"data": [{"id": "a"}, {"id": "b"}]}))
    with pytest.raises(
        ModelUnavailable, match=r"serves several models \(a, b\): say which in codellama\.remoteModel\.$"
    ):
        await ModelAccess(Settings(engine_url=theirs.url)).wait()


async def test_the_doctor_looks_at_all_of_them_and_asks_for_the_model_that_is_named(two):
    for each in two:
        each.models = (200, json.dumps({"data": [{"id": "a"}, {"id": "b", "max_model_len": 4096}]}))
    command = [sys.executable, "-m", "lsp_server", "doctor", "--engine-url", " ".join(each.url for each in two)]
    for more, told in ([], "say which in codellama.remoteModel"), (["--remote-model", "b"], "serves b, context 4096"):
        process = await asyncio.create_subprocess_exec(*command, *more, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        assert told in out.decode()
        assert process.returncode == (not more)
    assert all(each.url in out.decode() for each in two)


async def test_the_doctor_looks_at_the_one_for_chat_too(two, engines):
    one, other = two
    other.models = (200, json.dumps({"data": [{"id": "a"}, {"id": "b", "max_model_len": 4096}]}))
    command = [sys.executable, "-m", "lsp_server", "doctor", "--json", "--chat-engine-url", other.url]
    for more, found in (
        (["--engine-url", one.url], {"engine for suggestions": True, "engine for chat": False}),
        (["--chat-remote-model", "b"], {"model for suggestions": True, "engine for chat": True}),
        (
            ["--chat-model", "/no", "--chat-engine-url", ""],
            {"engine for suggestions": True, "model for chat": False},
        ),
    ):
        process = await asyncio.create_subprocess_exec(*command, *more, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        checks = {check["name"]: check for check in json.loads(out)}
        assert {name: checks[name]["ok"] for name in found} == found
        if "--engine-url" in more:
            assert "say which in codellama.chatRemoteModel" in checks["engine for chat"]["found"]
            assert "engine packages" not in checks


async def test_a_model_that_is_named_needs_no_list(theirs, tokenizer_folder):
    theirs.models = (404, "{}")
    settings = Settings(engine_url=theirs.url, tokenizer=str(tokenizer_folder("7b")))
    access = ModelAccess(settings)
    with pytest.raises(ModelUnavailable, match=r"does not list a model .* name its model in codellama\.remoteModel"):
        await access.wait()
    access.close()
    access = ModelAccess(dataclasses.replace(settings, remote_model="theirs"))
    model = await access.wait()
    assert await text_of(model, [1, 5]) == "yes"
    assert theirs.asked[0]["model"] == "theirs"
    access.close()
