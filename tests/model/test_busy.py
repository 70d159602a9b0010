"""Servers that cannot answer now, or let nobody in."""

from __future__ import annotations

import asyncio
import time

import pytest
from editor import editor

from lsp_server.model import servers
from lsp_server.model.access import ModelAccess, ModelUnavailable
from lsp_server.model.client import PRIORITY_CHAT, EngineRefused
from lsp_server.model.servers import Rest
from lsp_server.settings import Settings
from model.conftest import STREAM, asked, said, serving


def failing(theirs, *statuses):
    """Have a server answer with these, and well after them."""
    left = list(statuses)

    def answer(body):
        return (left.pop(0), "application/json", b'{"error": "not now"}') if left else (200, STREAM, said("yes"))

    theirs.answer = answer


@pytest.fixture
def hasty(monkeypatch):
    """A tenth of a second where it is one."""
    monkeypatch.setattr(servers, "FIRST_SECONDS", 0.1)


@pytest.mark.parametrize("statuses", [(503,), (429, 503), (502, 504, 529), (500, 500)])
async def test_a_chat_waits_and_goes_on(theirs, client, hasty, statuses):
    failing(theirs, *statuses)
    assert await asked(client, priority=PRIORITY_CHAT) == ("yes", "stop")
    assert len(theirs.asked) == len(statuses) + 1


async def test_a_chat_is_told_what_is_wrong_where_the_server_always_fails(theirs, client, hasty):
    failing(theirs, *[500] * 20)
    with pytest.raises(EngineRefused, match="not now"):
        await asked(client, priority=PRIORITY_CHAT)
    assert len(theirs.asked) == servers.FAILURES


async def test_a_chat_waits_for_as_long_as_the_server_says(theirs, client, hasty):
    failing(theirs, 503)
    theirs.more = "Retry-After: 1\r\n"
    began = time.monotonic()
    assert await asked(client, priority=PRIORITY_CHAT) == ("yes", "stop")
    assert time.monotonic() - began >= 0.9


async def test_a_chat_waits_for_the_one_that_is_busy_where_the_other_is_gone(tokenizer_folder):
    async with serving() as busy, serving() as gone:
        settings = Settings(engine_url=f"{busy.url} {gone.url}", tokenizer=str(tokenizer_folder("7b")))
        access = ModelAccess(settings)
        client = (await access.wait()).client

        async def away(writer):
            writer.close()

        gone.streams = away
        failing(busy, 503)
        busy.more = "Retry-After: 1\r\n"
        assert await asked(client, priority=PRIORITY_CHAT) == ("yes", "stop")
        assert (len(busy.asked), len(gone.asked) <= 1) == (2, True)
        access.close()


async def test_the_status_says_so_for_no_longer_than_it_is_true(theirs, tokenizer_folder):
    failing(theirs, 503)
    states = []
    access = ModelAccess(Settings(engine_url=theirs.url, tokenizer=str(tokenizer_folder("7b"))), states.append)
    client = (await access.wait()).client
    with pytest.raises(EngineRefused):
        await asked(client)
    assert "is busy (status 503); it is asked again in 1 s." in states[-1].message
    await asyncio.sleep(1.2)
    assert "is ready" in states[-1].message
    access.close()


def test_how_long_a_server_rests():
    def rests(*said):
        rest, found = Rest(), []
        for each in said:
            rest.begin(503, each)
            found.append(round(rest.until - time.monotonic()))
        return found

    assert rests(*[""] * 8) == [1, 2, 4, 8, 16, 30, 30, 30]
    assert rests("7", "7.4", "1000000", "-5", "0", "inf", "nan", "soon") == [7, 7, 60, 1, 1, 30, 30, 30]
    assert rests(time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 20)))[0] in (19, 20)
    assert rests("Sat, 01 Jan 2000 00:00:00 GMT", "Sat, 01 Jan 9999 00:00:00 GMT", "Sat, 99") == [1, 60, 4]


@pytest.mark.parametrize("status", [429, 503, 500])
async def test_while_a_server_is_busy_keys_ask_it_nothing_and_the_status_says_so(theirs, tokenizer_folder, status):
    failing(theirs, status)
    theirs.more = "Retry-After: 2\r\n"
    options = {"engineUrl": theirs.url, "tokenizer": str(tokenizer_folder("7b"))}
    async with editor(options) as window:
        uri = window.open("untitled:a.py", "x = \n")
        await window.ready()
        for at in range(12):
            window.insert(uri, 0, 4 + at, "a")
            assert await window.suggest(uri, 0, 5 + at, typed=True) == []
        assert len(theirs.asked) == 1
        assert f"(status {status}); it is asked again in " in window.reason
        assert window.statuses[-1]["kind"] == "busy"
        assert f"(status {status}); it is asked again in " in window.statuses[-1]["message"]
        await asyncio.sleep(2.1)
        window.change(uri, {"text": "y = \n"})
        (item,) = await window.suggest(uri, 0, 4)
        assert item.insert_text == "yes"
        await window.until(lambda: "is ready" in window.statuses[-1]["message"])
        assert not window.messages


async def test_a_server_that_says_within_its_answer_that_it_is_busy_is_given_a_rest_too(theirs, client):
    theirs.answer = lambda body: (200, STREAM, b'data: {"error": {"message": "no slot", "code": 503}}\n\n')
    with pytest.raises(EngineRefused, match="no slot"):
        await asked(client)
    with pytest.raises(EngineRefused, match=r"is busy \(status 503\); it is asked again in 1 s"):
        await asked(client)
    assert len(theirs.asked) == 1


async def test_a_chat_in_the_editor_survives_a_server_that_is_busy(theirs, tokenizer_folder, tmp_path):
    failing(theirs, 503, 429)
    options = {"engineUrl": theirs.url, "tokenizer": str(tokenizer_folder("7b")), "chatFormat": "inst"}
    async with editor(options, env={"CODELLAMA_LS_DATA": str(tmp_path)}) as window:
        reply = await window.client.protocol.send_request_async("codellama/chat/send", {"message": "Well?"})
        assert reply.message == "yes"
        assert any("is busy (status 503)" in status["message"] for status in window.statuses)


DENIED = {
    401: (r"lets nobody in without a token \(not you\); set codellama.engineToken", {}),
    403: (r"does not accept the token or password \(not you\); check codellama.engineToken", {"engineToken": "abc"}),
    404: (r"not you; check codellama.engineUrl and codellama.remoteModel", {}),
}


@pytest.mark.parametrize("status", DENIED)
async def test_a_server_that_refuses_everybody_is_a_failed_state_with_the_setting(theirs, tokenizer_folder, status):
    theirs.answer = lambda body: (status, "application/json", b'{"error": "not you"}')
    sentence, more = DENIED[status]
    async with editor({"engineUrl": theirs.url, "tokenizer": str(tokenizer_folder("7b")), **more}) as window:
        uri = window.open("untitled:a.py", "x = \n")
        await window.ready()
        for at in range(5):
            window.insert(uri, 0, 4 + at, "a")
            assert await window.suggest(uri, 0, 5 + at) == []
        assert window.statuses[-1]["kind"] == "failed"
        with pytest.raises(AssertionError, match=sentence):
            await window.ready()
        assert theirs.posts.count("/v1/completions") == 1
        assert len(window.messages) == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_a_server_that_lists_its_models_to_nobody(theirs, status):
    theirs.models = (status, '{"detail": "Invalid API key"}')
    access = ModelAccess(Settings(engine_url=theirs.url, engine_token="wrong"))
    with pytest.raises(ModelUnavailable, match=r"does not accept the token .*Invalid API key.* codellama.engineToken"):
        await access.wait()
    access.close()


async def test_a_server_that_loads_is_asked_again_until_it_has(theirs, tokenizer_folder):
    models, theirs.models = theirs.models, (503, '{"error": {"message": "Loading model", "code": 503}}')
    states = []
    access = ModelAccess(Settings(engine_url=theirs.url, tokenizer=str(tokenizer_folder("7b"))), states.append)
    waiting = asyncio.ensure_future(access.wait())
    await asyncio.sleep(1.5)
    assert (states[-1].kind, "Loading model" in states[-1].message) == ("loading", True)
    theirs.models = models
    assert (await asyncio.wait_for(waiting, 60)).model == "theirs"
    access.close()
