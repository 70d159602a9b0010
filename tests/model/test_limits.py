"""Servers whose answer does not end, is of any size, or does not come: each is left with a sentence."""

from __future__ import annotations

import asyncio
import dataclasses
import json

import pytest

from lsp_server.model import endpoint
from lsp_server.model.access import ModelAccess, ModelUnavailable
from lsp_server.model.client import EngineRefused, ModelClient
from lsp_server.settings import Settings
from model.conftest import HEAD, STREAM, asked, said, text_of

MEGABYTE = b"x" * 1_000_000


async def end_of(client, **more):
    """(the text that came, the sentence or the reason with which the answer ended)."""
    text, end = "", ""
    try:
        async for piece in client.complete([1], **{"max_tokens": 8, **more}):
            text, end = text + piece.text, piece.finish_reason
    except EngineRefused as error:
        end = str(error)
    return text, end


def written(theirs, *parts, forever=b"", hangs=False):
    """Have a server write these, then `forever` without end; `taken`: the bytes that were taken from it."""
    taken = [0]

    async def write(writer):
        for part in (HEAD, *parts):
            writer.write(part)
        while forever:
            writer.write(forever)
            await writer.drain()
            taken[0] += len(forever)
        await writer.drain()
        if hangs:
            await asyncio.sleep(60)
        writer.close()

    theirs.streams = write
    return taken


def event(**choice):
    return b"data: %s\n\n" % json.dumps({"choices": [choice]}).encode()


async def test_an_endless_text_is_cut_at_what_was_asked_for(theirs, client):
    taken = written(theirs, forever=event(text="x" * 100))
    text, end = await end_of(client)
    assert (end, 100 < len(text) < 2000) == ("length", True)
    assert taken[0] < 20_000_000


async def test_no_more_ids_are_taken_than_were_asked_for(theirs, client):
    written(theirs, forever=event(text="?", token_ids=[7, 8, 9]))
    assert await asked(client) == ("<7><8><9><7><8><9><7><8>", "length")


ENDLESS = {
    "comments": (b": still here\n\n" * 1000, "sent more bytes"),
    "events without text": (event(text="") * 1000, "sent more events"),
    "one line": (MEGABYTE, "an event of more than 4 MB"),
    "one event of many lines": (b"data: [1,\n" * 10_000, "an event of more than 4 MB"),
    "data without end": (b"data:\n" * 10_000, "an event of more than 4 MB"),
    "plain text": (b"the proxy is tired\n" * 1000, "sent more bytes"),
}


@pytest.mark.parametrize("kind", ENDLESS)
async def test_what_does_not_end_is_left_with_a_sentence_and_what_came_is_kept(theirs, client, kind):
    forever, sentence = ENDLESS[kind]
    taken = written(theirs, event(text="so far"), forever=forever)
    text, end = await end_of(client)
    assert text == "so far"
    assert sentence in end
    assert taken[0] < 20_000_000
    theirs.streams = None
    assert await asked(client) == ("yes", "stop")


async def test_an_event_of_150_megabytes(theirs, client):
    taken = written(theirs, b'data: {"choices": [{"text": "', *[MEGABYTE] * 150, b'"}]}\n\n')
    assert "an event of more than 4 MB" in (await end_of(client))[1]
    assert not taken[0]


async def test_a_large_answer_that_is_not_streamed_is_read(theirs, client):
    words = "word " * 20_000
    body = {"choices": [{"text": words, "finish_reason": "stop", "logprobs": {"more": ["x" * 100] * 20_000}}]}
    written(theirs, json.dumps(body).encode())
    assert await end_of(client, max_tokens=25_000) == (words, "stop")


async def test_an_error_without_end(theirs, client):
    async def write(writer):
        writer.write(b"HTTP/1.1 400 Bad\r\n\r\n")
        while True:
            writer.write(MEGABYTE)
            await writer.drain()

    theirs.streams = write
    assert "more than 4 MB where a short answer belongs" in (await end_of(client))[1]


@pytest.mark.parametrize("body", [b"no gzip", b"\x1f\x8b\x08\x00" + b"\xff" * 200])
async def test_what_is_said_to_be_packed_and_is_not(theirs, client, body):
    async def write(writer):
        writer.write(HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n") + body)
        writer.close()

    theirs.streams = write
    assert "sent what cannot be unpacked, though nothing packed was asked for" in (await end_of(client))[1]


async def test_a_list_of_models_of_600_megabytes(theirs):
    sent = [0]

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(600):
            sent[0] += 1
            writer.write(MEGABYTE)
            await writer.drain()

    async with await asyncio.start_server(serve, "127.0.0.1") as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        with pytest.raises(ModelUnavailable, match="more than 4 MB where a short answer belongs"):
            await ModelAccess(Settings(engine_url=url)).wait()
        assert sent[0] < 50


def hasty(theirs, first=0.3, between=0.3):
    """A client that waits for so many seconds."""
    at = dataclasses.replace(endpoint.remote(theirs.url), patience=endpoint.Patience(first, between))
    return ModelClient(at)


async def drip(writer):
    """A head that never ends."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-A: b\r\n")
        await asyncio.sleep(0.05)


async def pings(writer):
    writer.write(HEAD)
    while True:
        writer.write(b": ping\n\n" + event(text=""))
        await asyncio.sleep(0.05)


async def nothing(writer):
    await asyncio.sleep(60)


async def head_alone(writer):
    writer.write(HEAD)
    await asyncio.sleep(60)


@pytest.mark.parametrize("streams", [nothing, drip, head_alone, pings])
async def test_a_server_that_does_not_begin_is_left_and_the_setting_named(theirs, streams):
    theirs.streams = streams
    client = hasty(theirs, between=60)
    _, end = await end_of(client)
    assert end.startswith(f"The engine at {theirs.url} was silent for 0 s; ")
    assert "codellama.firstTokenSeconds lets it take longer." in end
    theirs.streams = None
    assert await asked(client) == ("yes", "stop")
    await client.aclose()


@pytest.mark.parametrize("rest", [b"", b": ping\n\n", b'data: {"choi'])
async def test_a_server_that_hangs_in_the_middle_is_left_and_what_came_is_kept(theirs, rest):
    written(theirs, event(text="so far"), rest, hangs=True)
    client = hasty(theirs, first=60)
    text, end = await end_of(client)
    assert text == "so far"
    assert "silent for 0 s in the middle of its answer" in end
    assert "codellama.nextTokenSeconds lets it take longer." in end
    await client.aclose()


async def test_a_slow_answer_is_waited_for(theirs):
    async def write(writer):
        writer.write(HEAD)
        for _ in range(6):
            await asyncio.sleep(0.2)
            writer.write(event(text="x"))
        writer.write(event(text="", finish_reason="stop") + b"data: [DONE]\n\n")
        writer.close()

    theirs.streams = write
    client = hasty(theirs, 1.0, 1.0)
    assert await asked(client) == ("xxxxxx", "stop")
    await client.aclose()


@pytest.mark.parametrize("hangs", [True, False])
async def test_an_answer_that_is_whole_needs_no_end_of_the_stream(theirs, client, hangs):
    """The server says no more, or ends its connection in the middle of a chunk."""

    async def write(writer):
        writer.write(HEAD.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"))
        for part in (event(text="yes"), event(text="", finish_reason="stop")):
            writer.write(b"%x\r\n%s\r\n" % (len(part), part))
        writer.write(b"ff\r\n: \n")
        await writer.drain()
        await asyncio.sleep(60 if hangs else 0.1)
        writer.close()

    theirs.streams = write
    assert await asked(client) == ("yes", "stop")


async def test_who_reads_slowly_does_not_find_the_server_silent(theirs):
    theirs.answer = lambda body: (200, STREAM, said(*"abcdef"))
    client = hasty(theirs, 1.0, 0.2)
    text = ""
    async for piece in client.complete([1], max_tokens=8):
        text += piece.text
        await asyncio.sleep(0.3)
    assert text == "abcdef"
    await client.aclose()


async def test_the_settings_say_how_long_one_waits(theirs, tokenizer_folder):
    settings = Settings(
        engine_url=theirs.url, tokenizer=str(tokenizer_folder("7b")), first_token_seconds=7, next_token_seconds=3
    )
    access = ModelAccess(settings)
    reached = await access.wait()
    assert reached.client.endpoint.patience == endpoint.Patience(7, 3)
    access.close()


# Those of vLLM, SGLang, llama.cpp, llama-cpp-python, LM Studio, TGI and Mistral.
TOO_LONG = [
    "This model's maximum context length is 512 tokens. However, you requested 900 tokens (890 in the messages, 10 in "
    "the completion). Please reduce the length of the messages or completion.",
    "'max_tokens' or 'max_completion_tokens' is too large: 10. This model's maximum context length is 512 tokens and "
    "your request has 890 input tokens (10 > 512 - 890).",
    "The decoder prompt (length 890) is longer than the maximum model length of 512. Make sure that `max_model_len` is "
    "no smaller than the number of text tokens.",
    "Requested token count exceeds the model's maximum context length of 512 tokens. You requested a total of 900.",
    "The input (890 tokens) is longer than the model's context length (512 tokens).",
    "request (890 tokens) exceeds the available context size (512 tokens), try increasing it",
    "Requested tokens (890) exceed context window of 512",
    "Trying to keep the first 890 tokens when context the overflows. However, the model is loaded with context length "
    "of only 512 tokens, which is not enough.",
    "The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 890>= "
    "n_ctx: 512).",
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 512. Given: 890 `inputs` tokens and 10 "
    "`max_new_tokens`",
    "Input validation error: `inputs` must have less than 512 tokens. Given: 890",
    "Prompt contains 890 tokens and 0 draft tokens, too large for model with 512 maximum context length",
]


@pytest.mark.parametrize("sentence", TOO_LONG)
async def test_where_there_is_less_room_than_was_known_the_next_prompt_is_shorter(theirs, reach, sentence):
    def answer(body):
        if len(body["prompt"]) + body["max_tokens"] > 512:
            return 400, "application/json", json.dumps({"error": {"message": sentence, "code": 400}}).encode()
        return 200, STREAM, said("yes")

    theirs.answer = answer
    model = await reach()
    with pytest.raises(EngineRefused, match="the next prompts are shorter"):
        await text_of(model, [1] * 890)
    assert len(theirs.asked) == 1, "no other way to put it is tried"
    model = await reach.access.wait()
    assert model.context_length == 512
    assert await text_of(model, [1] * 500) == "yes"
    reach.access.lost(model.client)
    assert (await reach.access.wait()).context_length == 512, "it is remembered"


async def test_a_number_that_is_no_limit_is_none(theirs, reach):
    said = {"error": {"message": "The model length of 5 layers cannot be read in the context window 90000."}}
    theirs.answer = lambda body: (400, "application/json", json.dumps(said).encode())
    model = await reach()
    for _ in range(2):
        with pytest.raises(EngineRefused, match="cannot be read"):
            await text_of(model, [1] * 4)
    assert (await reach.access.wait()).context_length == 16384
