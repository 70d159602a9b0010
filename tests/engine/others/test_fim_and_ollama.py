"""Mistral's and Ollama's requests, beside those that are recorded: their answers to the end, and what they refuse."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from engine.others.conftest import PREFIX, SUFFIX, Scripted, answers, connected, replay, text_in

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.engine.serving.state import EngineState

FIM = "/v1/fim/completions"
DIALOG = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which way?"}]


async def test_a_fim_is_answered_as_a_conversation_is(client: httpx.AsyncClient, scheduler: Scripted) -> None:
    scheduler.says = ["th.pi\n"]
    whole = (await client.post(FIM, json={"prompt": PREFIX, "suffix": SUFFIX, "random_seed": 7})).json()
    assert whole["object"] == "chat.completion"
    choice = whole["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": "th.pi\n"}
    assert choice["finish_reason"] == "stop"
    assert whole["usage"]["total_tokens"] == whole["usage"]["prompt_tokens"] + whole["usage"]["completion_tokens"]
    parts = answers(await replay(client, "minuet_codestral", stop=["\n"]))
    assert {part["object"] for part in parts} == {"chat.completion.chunk"}
    assert "".join(map(text_in, parts)) == "th.pi"
    first, second = scheduler.asked
    assert (first.sampling.seed, first.sampling.temperature, second.max_tokens) == (7, 0, 256)
    assert first.max_tokens == scheduler.context_length, "it names no limit"


async def test_a_fim_at_the_end_of_a_file_and_one_without_a_limit(
    client: httpx.AsyncClient, scheduler: Scripted, tokenizer: CodeLlamaTokenizer
) -> None:
    for more in ({}, {"suffix": None}, {"suffix": "", "max_tokens": -1}):
        assert (await client.post(FIM, json={"prompt": PREFIX, **more})).status_code == 200
    assert {tuple(asked.ids) for asked in scheduler.asked} == {tuple(tokenizer.infill_ids(PREFIX, "", "spm"))}
    assert {asked.max_tokens for asked in scheduler.asked} == {scheduler.context_length}
    await client.post("/v1/completions", json={"prompt": "x", "max_tokens": -1})
    assert scheduler.asked[-1].max_tokens == scheduler.context_length


async def test_ollama_streams_lines_and_the_last_says_what_it_cost(
    client: httpx.AsyncClient, scheduler: Scripted
) -> None:
    scheduler.says = ["th.pi * radius**2\n"]
    response = await replay(client, "continue_ollama")
    assert response.headers["content-type"] == "application/x-ndjson"
    *parts, end = answers(response)
    assert all(part["done"] is False and part["model"] == "codellama/CodeLlama-7b-hf" for part in parts)
    assert "".join(map(text_in, parts)) == "th.pi * radius**2\n"
    assert (end["done"], end["done_reason"], end["response"]) == (True, "stop", "")
    asked = scheduler.asked[0]
    assert end["prompt_eval_count"] == len(asked.ids)
    assert (end["prompt_eval_duration"], end["eval_duration"], end["total_duration"]) == (5e8, 1e9, 1.5e9)
    assert (asked.sampling.temperature, asked.max_tokens) == (0.01, 256)
    whole = (await replay(client, "continue_ollama", stream=False)).json()
    assert (whole["response"], whole["done"], whole["eval_count"]) == ("th.pi * radius**2\n", True, end["eval_count"])


async def test_ollama_continues_answers_or_infills_as_it_is_asked(
    client: httpx.AsyncClient, scheduler: Scripted, tokenizer: CodeLlamaTokenizer
) -> None:
    scheduler.says = ["That way."]
    written = f"<PRE> {PREFIX} <SUF>{SUFFIX} <MID>"
    for path, body, ids in (
        ("generate", {"prompt": "def f(", "raw": True}, tokenizer.completion_ids("def f(")),
        ("generate", {"prompt": written}, tokenizer.infill_ids(PREFIX, SUFFIX, "spm")),
        ("generate", {"prompt": written, "raw": True}, tokenizer.infill_ids(PREFIX, SUFFIX, "spm")),
        ("generate", {"prompt": "Which way?", "system": "Be brief."}, tokenizer.dialog_ids(DIALOG)),
        ("chat", {"messages": DIALOG}, tokenizer.dialog_ids(DIALOG)),
    ):
        parts = answers(await client.post(f"/api/{path}", json={"model": "codellama", **body}))
        assert list(scheduler.asked[-1].ids) == ids
        assert "".join(map(text_in, parts)) == "That way."
        assert ("message" in parts[0]) is (path == "chat")
    assert {asked.max_tokens for asked in scheduler.asked} == {scheduler.context_length}, "none names a limit"


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("generate", {}, {"response": ""}),
        ("generate", {"prompt": "", "keep_alive": "5m", "stream": False}, {"response": ""}),
        ("chat", {}, {"message": {"role": "assistant", "content": ""}}),
        ("chat", {"messages": []}, {"message": {"role": "assistant", "content": ""}}),
    ],
)
async def test_who_only_wants_the_model_loaded_gets_no_text(
    client: httpx.AsyncClient, scheduler: Scripted, path: str, body: dict[str, Any], said: dict[str, Any]
) -> None:
    """https://docs.ollama.com/api: "If an empty prompt is provided, the model will be loaded into memory"."""
    [whole] = answers(await client.post(f"/api/{path}", json={"model": "codellama", **body}))
    assert {"done": True, "done_reason": "load", **said}.items() <= whole.items()
    assert scheduler.asked == []


async def test_an_option_that_is_null_is_none(client: httpx.AsyncClient, scheduler: Scripted) -> None:
    null = dict.fromkeys(("num_predict", "temperature", "top_p", "seed", "stop"))
    assert (await client.post("/api/generate", json={"prompt": "x", "options": null})).status_code == 200
    assert scheduler.asked[0].max_tokens == scheduler.context_length


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        (FIM, {"suffix": "x"}, "prompt must be"),
        (FIM, {"prompt": [1, 2], "suffix": "x"}, "suffix is not supported but"),
        (FIM, {"prompt": "x", "random_seed": "y"}, "seed must be a whole number"),
        ("/api/generate", {"prompt": 3}, "prompt must be or hold text"),
        ("/api/generate", {"prompt": "x", "images": ["aGk="]}, "images is not supported"),
        ("/api/generate", {"prompt": "x", "format": "json"}, "format is not supported"),
        ("/api/generate", {"prompt": "x", "options": []}, "options must be an object"),
        ("/api/generate", {"prompt": "x", "options": {"num_predict": "9"}}, "num_predict must be a whole number"),
        ("/api/generate", {"prompt": "x", "options": {"stop": [1]}}, "stop must be a text"),
        ("/api/generate", {"prompt": "<PRE> a <SUF>b <SUF>c <MID>"}, "more than once"),
        ("/api/chat", {"messages": {}}, "messages must be a list"),
        ("/api/nothing", {}, "Not Found: POST /api/nothing"),
    ],
)
async def test_what_is_wrong_is_told_as_each_tells_it(
    client: httpx.AsyncClient, scheduler: Scripted, path: str, body: dict[str, Any], sentence: str
) -> None:
    response = await client.post(path, content=json.dumps(body))
    assert response.status_code == (404 if path.endswith("nothing") else 400)
    error = response.json()["error"]
    assert sentence in (error["message"] if path == FIM else error)
    assert scheduler.asked == []


async def test_an_answer_that_fails_midway_is_an_error_in_a_line(
    client: httpx.AsyncClient, scheduler: Scripted
) -> None:
    scheduler.says, scheduler.finish = ["th"], "error"
    *_, end = answers(await replay(client, "continue_ollama"))
    assert list(end) == ["error"]
    assert isinstance(end["error"], str)


async def test_what_ollamas_programs_ask_before(client: httpx.AsyncClient, state: EngineState) -> None:
    state.context_length = 4096
    assert (await client.get("/api/version")).json()["version"]
    [model] = (await client.get("/api/tags")).json()["models"]
    assert model["name"] == "codellama/CodeLlama-7b-hf"
    assert (await client.get("/")).text == "Ollama is running"
    [running] = (await client.get("/api/ps")).json()["models"]
    assert (running["model"], running["expires_at"][:4]) == (model["model"], "9999")
    shown = (await client.post("/api/show", json={"model": model["name"]})).json()
    assert shown["model_info"]["llama.context_length"] == 4096
    assert ("insert" in shown["capabilities"], ".Suffix" in shown["template"]) == (True, True)
    state.infill = None
    shown = (await client.post("/api/show", json={"model": model["name"]})).json()
    assert ("insert" in shown["capabilities"], ".Suffix" in shown["template"]) == (False, False)


async def test_an_engine_for_editors_alone_has_none_of_them(state: EngineState) -> None:
    from lsp_server.engine.serving.http import create_app

    transport = httpx.ASGITransport(create_app(state))
    async with httpx.AsyncClient(transport=transport, base_url="http://engine") as ours, connected(state) as theirs:
        for path in (FIM, "/api/generate", "/api/chat"):
            assert (await ours.post(path, json={"prompt": "x"})).status_code == 404
            assert (await theirs.post(path, json={"prompt": "x", "messages": DIALOG})).status_code == 200
