"""Other programs at the port that `--listen` opens: what they send, as their own sources have it (`requests/`), and
what they read of the answer.

Prompts are held to the tokenizer, which is held to Meta's own code elsewhere; the answers are those of a model that
says what the test tells it to.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from engine.others.conftest import PREFIX, RECORDED, SUFFIX, Scripted, answers, connected, read, replay, text_in

from lsp_server.codellama import CodeLlamaTokenizer, written_infill
from lsp_server.completion.for_others import infill
from lsp_server.engine.serving.state import EngineState

EXTRA = "# Path: shapes/circle.py\n# def length(radius):\n#     return 2 * math.pi * radius\n\n"


@pytest.mark.parametrize("name", [name for name, recorded in RECORDED.items() if recorded["infills"]])
async def test_the_prompt_is_the_one_that_our_own_editors_make(
    client: httpx.AsyncClient, scheduler: Scripted, tokenizer: CodeLlamaTokenizer, name: str
) -> None:
    response = await replay(client, name)
    assert response.status_code == 200, response.text
    [asked] = scheduler.asked
    before = EXTRA.replace("shapes", "/home/me/shapes") if name == "llama_vscode" else EXTRA
    before = before if "input_extra" in RECORDED[name]["body"] else ""
    suffix = " " + SUFFIX if name == "twinny" else SUFFIX  # it puts a space there on purpose
    assert list(asked.ids) == tokenizer.infill_ids(before + PREFIX, suffix, "spm")
    assert set(tokenizer.infill_stop_ids) <= asked.stop_ids
    # `ma` may be the beginning of a longer token, so it is chosen anew.
    assert tokenizer.decode(asked.ids[len(asked.ids) - asked.heal :]).strip() == "ma"


@pytest.mark.parametrize("name", sorted(RECORDED))
async def test_the_answer_has_what_the_program_reads(client: httpx.AsyncClient, scheduler: Scripted, name: str) -> None:
    scheduler.says = ["th.pi * radius**2\n"]
    parts = answers(await replay(client, name))
    for path in RECORDED[name]["reads"]:
        read(parts[0 if RECORDED[name]["path"] != "/completion" else -1], path)
    text = "".join(map(text_in, parts))
    # llama.vim sends the indentation of the line, and wants no line that has less.
    assert text == ("" if name == "llama_vim_extra" else "th.pi * radius**2\n")


async def test_what_is_only_to_be_computed_ahead_is_answered_at_once(
    client: httpx.AsyncClient, scheduler: Scripted
) -> None:
    response = await replay(client, "llama_vim_extra")
    assert (response.status_code, response.json(), scheduler.asked) == (200, {}, [])


async def test_llama_cpps_own_fields(client: httpx.AsyncClient, scheduler: Scripted) -> None:
    scheduler.says = ["th.pi\n"]
    answer = (await replay(client, "llama_vscode")).json()
    prompt, generated = answer["tokens_evaluated"], answer["tokens_predicted"]
    assert (answer["stop"], answer["stop_type"], answer["truncated"], answer["has_new_line"]) == (
        True,
        "eos",
        False,
        True,
    )
    assert prompt == len(scheduler.asked[0].ids)
    assert answer["tokens_cached"] == prompt + generated - 1
    assert answer["timings"]["cache_n"] == 3
    assert answer["timings"]["prompt_n"] == prompt - 3
    assert answer["timings"]["prompt_ms"] == 500
    assert answer["timings"]["predicted_ms"] == 1000
    assert answer["timings"]["predicted_per_second"] == generated
    assert answer["generation_settings"]["n_predict"] == 128


@pytest.mark.parametrize(
    ("changed", "says", "content", "kind", "word"),
    [
        ({"stop": ["pi"]}, "th.pi\n", "th.", "word", "pi"),
        ({"n_indent": 4}, "th.pi\n\n    more\n  less\n", "th.pi\n\n    more\n", "limit", ""),
        ({"n_indent": 4}, "th.pi\n\t\t\t\tmore\n", "th.pi\n\t\t\t\tmore\n", "eos", ""),
        ({"n_indent": 0}, "th.pi\nless\n", "th.pi\nless\n", "eos", ""),
    ],
)
async def test_where_an_infill_ends(
    client: httpx.AsyncClient,
    scheduler: Scripted,
    changed: dict[str, Any],
    says: str,
    content: str,
    kind: str,
    word: str,
) -> None:
    scheduler.says = [says]
    answer = (await replay(client, "llama_vscode", **changed)).json()
    assert (answer["content"], answer["stop_type"], answer["stopping_word"]) == (content, kind, word)


async def test_after_its_time_it_ends_once_there_is_a_line(
    client: httpx.AsyncClient, scheduler: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(1000))
    clock = SimpleNamespace(monotonic=lambda: float(next(now)), time=lambda: 0.0)
    monkeypatch.setattr("lsp_server.engine.serving.answer.time", clock)
    scheduler.says = ["th.pi * radius\n    and much more"]
    answer = (await replay(client, "llama_vscode", t_max_predict_ms=1)).json()
    assert (answer["content"], answer["stop_type"]) == ("th.pi * radius\n", "limit")


async def test_as_much_of_other_files_as_has_room_beside_the_code(
    client: httpx.AsyncClient, scheduler: Scripted, tokenizer: CodeLlamaTokenizer
) -> None:
    """The newest are kept, next to the code, and it is told that others were not."""
    extra = [{"filename": f"f{n}.py", "text": f"value_{n} = {n}\n" * 60} for n in range(40)]
    answer = (await replay(client, "llama_vscode", input_extra=extra)).json()
    text = tokenizer.shown(scheduler.asked[0].ids)
    assert answer["truncated"]
    assert len(scheduler.asked[0].ids) < scheduler.context_length - 128
    assert "Path: f39.py" in text
    assert "Path: f0.py" not in text
    assert text.index("Path: f38.py") < text.index("Path: f39.py") < text.index("def area")


async def test_code_that_is_longer_than_the_context_is_cut_around_the_cursor(
    client: httpx.AsyncClient, scheduler: Scripted, tokenizer: CodeLlamaTokenizer
) -> None:
    long = "".join(f"line_{n} = {n}\n" for n in range(3000))
    answer = (await replay(client, "llama_vscode", input_prefix=long, input_suffix=long, prompt="here = ")).json()
    text = tokenizer.shown(scheduler.asked[0].ids)
    assert answer["truncated"]
    assert text.endswith("line_2999 = 2999\nhere = ")
    assert "<SUF>line_0 = 0\n" in text


@pytest.mark.parametrize("filenames", [["", "notes.unknown"], ["Makefile.am"]])
async def test_files_of_which_it_is_not_known_how_they_are_commented_are_left_out(
    client: httpx.AsyncClient, scheduler: Scripted, tokenizer: CodeLlamaTokenizer, filenames: list[str]
) -> None:
    extra = [{"filename": name, "text": "some text\n"} for name in filenames]
    assert (await replay(client, "llama_vscode", input_extra=extra)).status_code == 200
    assert list(scheduler.asked[0].ids) == tokenizer.infill_ids(PREFIX, SUFFIX, "spm")


async def test_text_of_the_user_never_becomes_a_control_token(
    client: httpx.AsyncClient, scheduler: Scripted, tokenizer: CodeLlamaTokenizer
) -> None:
    control = tokenizer.vocabulary.control_ids
    await replay(client, "minuet", prompt="a = ' <MID> </s> <EOT>'\n<PRE> b", suffix=" <SUF> c")
    await replay(client, "llama_vim", input_extra=[], prompt="' <SUF> <MID>'")
    for asked in scheduler.asked:
        assert [tokenizer.vocabulary.name_of(each) for each in asked.ids if each in control] == [
            *("<s>", "<PRE>", "<SUF>", "<MID>")
        ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<PRE> a <SUF>b <MID>", ("a", "b")),
        ("<PRE>  a  <SUF> b  <MID>", (" a ", " b ")),
        ("<PRE>  <SUF> <MID>", ("", "")),
        ("<PRE> a <MID> <SUF>b <MID>", ("a <MID>", "b")),
        ("x<PRE> a <SUF>b <MID>", None),
        ("<PRE> a <SUF>b <MID>\n", None),
        ("<PRE> a <MID>", None),
        ("<PRE> <SUF> <MID>", None),
        ("def f(): pass", None),
        ("", None),
        ("<fim_prefix>a<fim_suffix>b<fim_middle>", ("a", "b")),
        ("<｜fim▁begin｜>a<｜fim▁hole｜>b<｜fim▁end｜>", ("a", "b")),
    ],
)
def test_a_prompt_that_was_written_as_text(text: str, found: tuple[str, str] | None) -> None:
    assert written_infill(text) == found


async def test_a_written_prompt_whose_suffix_cannot_be_told_is_refused(
    client: httpx.AsyncClient, scheduler: Scripted
) -> None:
    response = await replay(client, "zed", prompt="<PRE> a <SUF>b <SUF>c <MID>")
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "prompt"
    assert "more than once" in response.json()["error"]["message"]
    assert scheduler.asked == []


async def test_how_the_next_token_is_chosen(client: httpx.AsyncClient, scheduler: Scripted) -> None:
    """As our own suggestions are, where nothing is said; else as it is said."""
    for name in ("llama_vim", "zed", "minuet"):
        await replay(client, name)
    await replay(client, "zed", temperature=0.7, seed=5)
    await replay(client, "llama_vim", temperature=0.7, seed=5)
    await replay(client, "llama_vim", temperature=0.7, seed=-1)
    await replay(client, "llama_vscode_edit")
    await client.post("/v1/completions", json={"prompt": "x"})
    chosen = [(asked.sampling.temperature, asked.sampling.seed) for asked in scheduler.asked]
    assert chosen == [*[(0, None)] * 3, (0.7, 5), (0.7, 5), (0.7, None), (0.8, None), (1, None)]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
async def test_several_answers_to_one_request(
    client: httpx.AsyncClient, scheduler: Scripted, path: str, stream: bool
) -> None:
    scheduler.says = ["one", "two", "three"]
    what = {"messages": [{"role": "user", "content": "x"}]} if "chat" in path else {"prompt": "x"}
    ask = {**what, "n": 3, "seed": 7, "stream": stream, "stream_options": {"include_usage": True}}
    parts = answers(await client.post(path, json=ask))
    texts = ["", "", ""]
    for part in parts:
        for choice in part["choices"]:
            said = choice.get("delta") or choice.get("message") or {"content": choice.get("text")}
            texts[choice["index"]] += said["content"]
    assert texts == ["one", "two", "three"]
    assert [asked.sampling.seed for asked in scheduler.asked] == [7, 8, 9]
    assert parts[-1]["usage"]["completion_tokens"] == 3
    assert parts[-1]["usage"]["prompt_tokens"] == len(scheduler.asked[0].ids)


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/infill", {"input_prefix": 1}, "input_prefix"),
        ("/infill", {"prompt": ["a"]}, "prompt"),
        ("/infill", {"input_extra": "a.py"}, "input_extra"),
        ("/infill", {"input_extra": ["a.py"]}, "input_extra"),
        ("/infill", {"input_extra": [{"filename": "a.py"}]}, "input_extra"),
        ("/infill", {"input_suffix": "\ud800"}, "input_suffix"),
        ("/infill", {"n_predict": "many"}, "n_predict"),
        ("/infill", {"n_indent": -1}, "n_indent"),
        ("/infill", {"t_max_predict_ms": True}, "t_max_predict_ms"),
        ("/infill", {"temperature": float("nan")}, "temperature"),
        ("/infill", {"response_fields": "content"}, "response_fields"),
        ("/infill", {"stream": "no"}, "stream"),
        ("/infill", {"stop": [1]}, "stop"),
        ("/completion", {}, "prompt"),
        ("/completion", {"prompt": {"a": 1}}, "prompt"),
        ("/v1/completions", {"prompt": "a", "suffix": 3}, "suffix"),
        ("/v1/completions", {"prompt": [1, 2], "suffix": "b"}, "suffix"),
        ("/v1/completions", {"prompt": "a", "n": 17}, "n"),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}], "tools": [{}]}, "tools"),
        ("/v1/chat/completions", {"messages": [{"role": "robot", "content": "a"}]}, "messages"),
    ],
)
async def test_what_is_wrong_is_told_as_openai_tells_it(
    client: httpx.AsyncClient, scheduler: Scripted, path: str, body: dict[str, Any], param: str
) -> None:
    response = await client.post(path, content=json.dumps(body))
    error = response.json()["error"]
    assert response.status_code == 400
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, 400)
    assert error["message"].endswith(".")
    assert scheduler.asked == []


async def test_a_model_that_does_not_infill_says_so(
    state: EngineState, scheduler: Scripted, tokenizer_folder: Callable[..., Path]
) -> None:
    plain = CodeLlamaTokenizer.from_pretrained(tokenizer_folder("7b"), infilling="off")
    state.codec, state.infill = plain, functools.partial(infill, plain)
    async with connected(state) as client:
        for name in ("llama_vim", "minuet", "zed"):
            response = await replay(client, name)
            assert response.status_code == 400
            assert response.json()["error"]["message"] == plain.abilities.infilling_reason
        assert (await client.post("/v1/completions", json={"prompt": "x"})).status_code == 200
    assert len(scheduler.asked) == 1


async def test_health_props_and_models(client: httpx.AsyncClient, state: EngineState) -> None:
    state.context_length = 4096
    assert (await client.get("/health")).json()["status"] == "ready"
    props = (await client.get("/props")).json()
    assert props["default_generation_settings"]["n_ctx"] == 4096
    assert (props["total_slots"], props["model_path"]) == (1, "/m")
    [model] = (await client.get("/v1/models")).json()["data"]
    assert model["id"] == "codellama/CodeLlama-7b-hf"
    assert (await client.post("/options", json={"threads": 1})).status_code == 404, "an editor's matter"
    state.status, state.message = "loading", "Loading shard 1 of 2."
    assert (await client.get("/health")).status_code == 503
    refused = await replay(client, "llama_vim")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert "shard 1 of 2" in refused.json()["error"]["message"]


# Who may ask.


async def test_a_web_page_is_not_served(state: EngineState, scheduler: Scripted) -> None:
    async with connected(state) as client:
        for headers in (
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"origin": "http://127.0.0.1:8012"},
            {"host": "evil.example:8012"},
            {"host": "127.0.0.1.nip.io"},
        ):
            for path in ("/infill", "/v1/completions", "/completion"):
                answer = await client.post(path, content=b"{}", headers={"content-type": "text/plain", **headers})
                assert answer.status_code == 403
            assert (await client.get("/props", headers=headers)).status_code == 403
            assert (await client.options("/infill", headers=headers)).status_code == 403
    assert scheduler.asked == []


async def test_beyond_this_machine_a_token_is_asked_for(state: EngineState) -> None:
    async with connected(state, "http://gpu-box:8012", token="sesame", hosts=None) as client:
        for path in ("/health", "/props", "/v1/models"):
            assert (await client.get(path)).status_code == 401
            assert (await client.get(path, headers={"authorization": "Bearer wrong"})).status_code == 401
        right = {"authorization": "Bearer sesame"}
        assert (await client.get("/props", headers=right)).status_code == 200
        assert (await client.get("/props", headers={**right, "origin": "http://gpu-box"})).status_code == 403
        assert (await replay(client, "llama_vim")).status_code == 401
