"""From what a server sends to the text that suggestions, actions and chat are made of."""

from __future__ import annotations

import contextlib
import json

import pytest
from editor import editor

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.engine.generating.request import Prefill
from lsp_server.model.access import Reached
from lsp_server.model.answering import Answer, Question
from lsp_server.model.client import Choice
from model.conftest import STREAM, said


@pytest.fixture
def tokenizer(tokenizer_folder):
    return CodeLlamaTokenizer.from_pretrained(tokenizer_folder("7b"))


@pytest.fixture
def ask(theirs, client, tokenizer):
    """ask(*pieces, **question): (the parts of the answer, the answer); a piece is a text, a list of ids, or a whole
    event."""

    async def asked(*pieces, refuses=(), **more):
        stream = b"".join(b"data: %s\n\n" % json.dumps(event_of(each)).encode() for each in pieces)
        end = {"choices": [{"text": "", "finish_reason": "stop"}], "usage": {"completion_tokens": 40}}
        stream += b"data: %s\n\n" % json.dumps(end).encode()

        def answer(body):
            unknown = next((name for name in refuses if name in body), None)
            if unknown:
                return 400, "application/json", json.dumps({"error": f"unknown field {unknown}"}).encode()
            return 200, STREAM, stream

        theirs.answer = answer
        made = Answer(
            Reached(client, tokenizer, 4096, "", ""), Question([1, 2], tokenizer.infill_stop_ids, 1000, **more)
        )
        async with contextlib.aclosing(made.parts()) as parts:
            return [part async for part in parts], made

    return asked


def event_of(piece):
    if isinstance(piece, dict):
        return piece
    return {"choices": [{"text": piece} if isinstance(piece, str) else {"token_ids": piece, "text": "?"}]}


def text_of(parts):
    return "".join(text for part in parts for text in part)


async def test_one_string_for_each_token_and_characters_whole(ask, tokenizer):
    ids = tokenizer.encode_raw("x = '\U0001f40d'\n")
    parts, answer = await ask(ids[:2], ids[2:])
    assert [len(part) for part in parts] == [2, len(ids) - 2, 1]
    assert text_of(parts) == "x = '\U0001f40d'\n"
    assert (answer.tokens, answer.finish_reason) == (len(ids), "stop")


async def test_a_server_that_sends_text_alone_counts_itself(ask):
    parts, answer = await ask("one ", "two")
    assert text_of(parts) == "one two"
    assert answer.tokens == 40


@pytest.mark.parametrize(
    ("pieces", "text", "against"),
    [
        (["  x"], "x", False),
        ([" ", " ", "x"], "x", False),
        ([" "], "", False),
        ([" y", "x"], "", True),
        (["x"], "", True),
    ],
)
async def test_what_is_pending_is_no_part_of_the_answer(ask, pieces, text, against):
    parts, answer = await ask(*pieces, pending="  ")
    assert (text_of(parts), answer.against) == (text, against)


@pytest.mark.parametrize("pieces", [["one <EOT> two"], ["one <E", "OT> two"], ["one <", "EOT", "> two", " three"]])
async def test_the_end_is_found_in_text_where_a_server_takes_no_stop_ids(ask, pieces):
    parts, answer = await ask(*pieces, refuses=["stop_token_ids"])
    assert text_of(parts) == "one "
    assert answer.finish_reason == "stop"


async def test_text_that_only_begins_like_an_end_is_kept(ask):
    parts, _ = await ask("a <EOT> b")
    assert text_of(parts) == "a <EOT> b", "the server knows its end"
    parts, _ = await ask("a <EO", refuses=["stop_token_ids"])
    assert text_of(parts) == "a <EO"


async def test_chat_with_a_server_that_has_no_priorities(theirs, tokenizer_folder, tmp_path):
    refusal = {"object": "error", "message": "Got priority 10 but Priority scheduling is not enabled.", "code": 400}
    theirs.answer = lambda body: (
        (400, "application/json", json.dumps(refusal).encode()) if body.get("priority") else (200, STREAM, said("yes"))
    )
    options = {"engineUrl": theirs.url, "tokenizer": str(tokenizer_folder("7b")), "chatFormat": "inst"}
    async with editor(options, env={"CODELLAMA_LS_DATA": str(tmp_path)}) as window:
        for _ in range(2):
            reply = await window.client.protocol.send_request_async("codellama/chat/send", {"message": "Well?"})
            assert reply.message == "yes"
    assert len(theirs.asked) == 3


async def test_what_an_answer_had_before_an_error_is_kept(theirs, tokenizer_folder, tmp_path):
    stream = b'data: {"choices": [{"text": "so far"}]}\n\ndata: {"error": "overloaded"}\n\n'
    theirs.answer = lambda body: (200, STREAM, stream)
    options = {"engineUrl": theirs.url, "tokenizer": str(tokenizer_folder("7b")), "chatFormat": "inst"}
    async with editor(options, env={"CODELLAMA_LS_DATA": str(tmp_path)}) as window:
        ask = window.client.protocol.send_request_async
        with pytest.raises(Exception, match=r"^overloaded$") as caught:
            await ask("codellama/chat/send", {"message": "Well?"})
        kept = await ask("codellama/chat/get", {"conversationId": caught.value.data["conversationId"]})
        assert [turn.content for turn in kept.turns] == ["Well?", "so far"]


async def test_an_answer_in_circles_is_ended_where_that_is_wanted(ask):
    pieces = ["It is one. ", *["And that is all. "] * 200]
    parts, answer = await ask(*pieces, ends_circles=True)
    assert answer.finish_reason == "repeats"
    assert 6 < text_of(parts).count("And that") < 40
    parts, answer = await ask(*pieces)
    assert (answer.finish_reason, text_of(parts).count("And that")) == ("stop", 200)


async def test_how_probable_the_first_line_is(theirs, client, tokenizer):
    ids = tokenizer.encode_raw("\nx = 1\ny")
    values = [-0.5 * at for at in range(len(ids) + 1)]
    events = [
        {"token_ids": ids[:2], "logprobs": {"token_logprobs": values[:2]}},
        {"token_ids": [*ids[2:], 2], "logprobs": {"token_logprobs": values[2:]}, "finish_reason": "stop"},
    ]
    stream = b"".join(b"data: %s\n\n" % json.dumps({"choices": [each]}).encode() for each in events)
    theirs.answer = lambda body: (200, STREAM, stream)
    question = Question([1, 2], (), 8, choice=Choice(logprobs=True))
    answer = Answer(Reached(client, tokenizer, 4096, "", ""), question)
    async with contextlib.aclosing(answer.parts()) as parts:
        text = text_of([part async for part in parts])
    assert text.startswith("\nx = 1\ny")
    assert theirs.asked[-1]["logprobs"] == 0
    line_end = next(at for at in range(len(ids)) if "\n" in tokenizer.decode(ids[: at + 1]).lstrip("\n"))
    assert [logprob for _, logprob in answer.line] == values[: line_end + 1]
    assert "".join(text for text, _ in answer.line).strip() == "x = 1"


@pytest.mark.parametrize("sent", [None, {}, {"token_logprobs": None}, {"token_logprobs": [None, "x"]}, [0.5]])
async def test_servers_that_do_not_say_how_probable_it_is(theirs, client, tokenizer, sent):
    events = [{"text": "yes", "logprobs": sent}, {"text": "", "finish_reason": "stop"}]
    stream = b"".join(b"data: %s\n\n" % json.dumps({"choices": [each]}).encode() for each in events)
    theirs.answer = lambda body: (200, STREAM, stream)
    answer = Answer(Reached(client, tokenizer, 4096, "", ""), Question([1], (), 8, choice=Choice(logprobs=True)))
    async with contextlib.aclosing(answer.parts()) as parts:
        assert text_of([part async for part in parts]) == "yes"
    assert answer.line == []


async def test_how_far_a_prompt_is_computed_is_told_and_is_no_part_of_the_answer(ask):
    told = []
    right = ({"total": 40, "cache": 8, "processed": 8, "others": 1}, {"total": 40, "cache": 8, "processed": 24})
    wrong = ({}, [], 7, {"total": 9, "processed": 10}, {"total": -1, "processed": -1})
    said = [*({"choices": [], "prompt_progress": each} for each in (*right, *wrong)), "one"]
    parts, answer = await ask(*said, on_prefill=told.append)
    assert told == [Prefill(40, 8, 8, 1), Prefill(40, 24, 8, 0)]
    assert (text_of(parts), answer.tokens) == ("one", 40)
    assert text_of((await ask(*said))[0]) == "one"
