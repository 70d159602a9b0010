"""Bad input: one clear sentence, and the server goes on serving."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from actions.stand_in import StandIn
from editor import Editor, editor
from lsprotocol import types
from pytest_lsp.client import LanguageClient

pytestmark = pytest.mark.usefixtures("engines")


@pytest.fixture
async def window(options: dict[str, object], tmp_path: Path) -> AsyncIterator[Editor]:
    async with editor(options, folder=tmp_path) as made:
        yield made
        # Whatever came before, the server still serves.
        uri = made.open("untitled:after", "x = \n")
        await made.ready()
        (item,) = await made.suggest(uri, 0, 4)
        assert item.insert_text == "answer"


async def test_a_cursor_outside_the_text(window: Editor) -> None:
    uri = window.open("untitled:a", "x = \ny\n")
    await window.ready()
    assert await window.suggest(uri, 99, 0) == []
    assert window.reason == "The cursor is on line 100, but the text has 3; reopen the file."
    assert await window.suggest(uri, 0, 99), "behind the end of a line is its end, as the protocol says"


async def test_a_document_that_is_not_open(window: Editor) -> None:
    assert await window.suggest("file:///nowhere.py", 0, 0) == []
    assert "not open" in window.reason


@pytest.mark.parametrize("text", ["", "\0", "x\0y = ", "\ufeffx = ", "\f\x0b\u2028x = ", "\ud800 = "])
async def test_strange_texts(window: Editor, engine: StandIn, text: str) -> None:
    uri = window.open("untitled:a", text, language="no-such-language")
    await window.ready()
    (item,) = await window.suggest(uri, 0, 99)
    assert item.insert_text.endswith("answer")


async def test_twenty_megabytes_of_one_line(window: Editor, engine: StandIn) -> None:
    uri = window.open("untitled:a", "word " * 4_000_000)
    await window.ready()
    assert await window.suggest(uri, 0, 20_000_000)
    window.insert(uri, 0, 20_000_000, "x")
    assert await window.suggest(uri, 0, 20_000_001)
    assert all(len(asked["prompt"]) < 2200 for asked in engine.asked)


async def test_secrets_and_ignored_files(window: Editor, engine: StandIn, tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("ignored.py\n")
    for name, why in ((".env", "secrets"), ("ignored.py", ".gitignore")):
        (tmp_path / name).write_text("TOKEN = \n")
        uri = window.open(tmp_path / name)
        await window.ready()
        assert await window.suggest(uri, 0, 8) == []
        assert why in window.reason
        assert window.statuses[-1]["kind"] == "off"
    assert engine.asked == []


async def test_the_engine_refuses(window: Editor, engine: StandIn) -> None:
    uri = window.open("untitled:a", "x = ")
    await window.ready()
    engine.error = "The prompt is too long by far."
    assert await window.suggest(uri, 0, 4) == []
    assert window.reason == "The prompt is too long by far."
    engine.error = ""


async def test_a_wrong_setting_leaves_the_others(engine: StandIn, tokenizer_folder: Callable[..., Path]) -> None:
    options = {
        "engineUrl": engine.url,
        "tokenizer": str(tokenizer_folder("7b")),
        "maxTokens": "many",
        "layout": "diagonal",
        "debounceMs": -5,
        "nonsense": 1,
        "enabled": None,
    }
    async with editor(options) as window:
        await window.until(lambda: len(window.messages) == 4)
        assert window.messages[0] == (
            "Code Llama: `codellama.maxTokens` must be a whole number, not the text 'many'. It stays at 64."
        )
        assert "must be one of auto, psm, spm, not 'diagonal'" in window.messages[1]
        assert "from -1 to 2000" in window.messages[2]
        assert "no setting `codellama.nonsense`" in window.messages[3]
        uri = window.open("untitled:a", "x = ")
        await window.ready()
        assert await window.suggest(uri, 0, 4)
        assert engine.asked[0]["max_tokens"] == 64


async def test_what_is_wrong_with_a_setting_is_told_once_however_often_it_comes(window: Editor) -> None:
    """Some editors send all settings with `initialize`, again when asked, and again when one changes."""

    async def change(**values: object) -> list[str]:
        before = len(window.messages)
        params = types.DidChangeConfigurationParams({"codellama": values})
        window.client.workspace_did_change_configuration(params)
        await window.suggest(uri, 0, 4)
        return window.messages[before:]

    uri = window.open("untitled:a", "x = ")
    await window.ready()
    said = ["Code Llama: `codellama.maxTokens` must be a whole number, not true. It stays at 64."]
    assert await change(maxTokens=True) == said
    assert await change(maxTokens=True, enabled=True) == []
    (other,) = await change(maxTokens=True, multiline=7)
    assert "must be one of auto, always, never, not 7" in other
    assert await change(maxTokens=64, multiline="auto") == []
    assert await change(maxTokens=True) == said


async def test_settings_change_while_it_runs(window: Editor, engine: StandIn) -> None:
    uri = window.open("untitled:a", "x = ")
    await window.ready()
    change = types.DidChangeConfigurationParams({"codellama": {"enabled": False, "maxTokens": 7}})
    window.client.workspace_did_change_configuration(change)
    assert await window.suggest(uri, 0, 4) == []
    assert "codellama.enabled" in window.reason
    change = types.DidChangeConfigurationParams({"codellama": {"enabled": True, "maxTokens": 7}})
    window.client.workspace_did_change_configuration(change)
    assert await window.suggest(uri, 0, 4)
    assert engine.asked[-1]["max_tokens"] == 7


async def test_a_setting_that_is_taken_out_again(window: Editor, engine: StandIn) -> None:
    """It has its default then, or what came with `initialize`, as the address of the engine does here; also where the
    editor sends the settings of other programs alone."""
    uri = window.open("untitled:a", "x = ")
    await window.ready()
    asked = 0
    for settings, most in (
        ({"codellama": {"maxTokens": 7.0}, "python": {"analysis": {}}}, 7),
        ({"codellama": {}}, 64),
        ({"codellama.maxTokens": 9, "python.analysis.level": 3}, 9),
        ({"python": {"analysis": {}}}, 64),
        ({"codellama": {"maxTokens": 8}}, 8),
        ({}, 64),
        ({"codellama": {"maxTokens": 8}}, 8),
        ({"codellama": {"maxTokens": None}}, 64),
    ):
        window.client.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings))
        assert await window.suggest(uri, 0, 4)
        assert len(engine.asked) > asked
        asked = len(engine.asked)
        assert engine.asked[-1]["max_tokens"] == most, settings
    assert window.messages == []


async def test_what_is_wrong_with_settings_is_told_once(window: Editor) -> None:
    uri = window.open("untitled:a", "x = ")
    await window.ready()
    for settings in ({"maxToken": 5}, {"maxToken": 6, "debounceMs": 1}, {"debounceMs": 2}, {"maxToken": 5}):
        window.client.workspace_did_change_configuration(types.DidChangeConfigurationParams({"codellama": settings}))
        await window.suggest(uri, 0, 4)
    said = "Code Llama: There is no setting `codellama.maxToken`; did you mean `codellama.maxTokens`?"
    assert window.messages == [said, said], "it was mended, and is there again"


async def test_settings_by_asking(engine: StandIn, tokenizer_folder: Callable[..., Path]) -> None:
    settings = {"engineUrl": engine.url, "tokenizer": str(tokenizer_folder("7b")), "disabledLanguages": ["markdown"]}
    async with editor(configuration=settings) as window:
        uri = window.open("untitled:a", "x = ")
        await window.ready()
        assert await window.suggest(uri, 0, 4)
        uri = window.open("untitled:b", "x = ", language="markdown")
        assert await window.suggest(uri, 0, 4) == []
        assert "markdown" in window.reason


async def test_an_editor_that_fails_to_send_its_settings(
    engine: StandIn, tokenizer_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("there are none")

    monkeypatch.setattr(LanguageClient, "get_configuration", fail)
    options = {"engineUrl": engine.url, "tokenizer": str(tokenizer_folder("7b"))}
    async with editor(options, configuration={}) as window:
        uri = window.open("untitled:a", "x = ")
        await window.ready()
        assert await window.suggest(uri, 0, 4)
        assert window.messages == ["Code Llama: The editor did not send its settings: RuntimeError: there are none."]


async def failing(options: dict[str, Any], **env: str) -> str:
    """The one sentence that a model that cannot be reached ends in; the server answers on."""
    async with editor(options, env=env) as window:
        uri = window.open("untitled:a", "x = ")
        await window.until(lambda: window.statuses and window.statuses[-1]["kind"] == "failed", 60)
        assert await window.suggest(uri, 0, 4) == []
        assert window.reason == window.statuses[-1]["message"]
        assert len(window.messages) == 1
        return str(window.messages[0])


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://no-such-host.invalid:9"])
async def test_no_server_at_the_url(url: str) -> None:
    """In words: neither numbers of the system nor names of a library's classes."""
    said = await failing({"engineUrl": url})
    words = rf"Code Llama: No engine answers at {url} \([a-z ]+\); check the address, and whether one runs there\."
    assert re.fullmatch(words, said), said


async def test_a_hub_model_without_a_network() -> None:
    said = await failing(
        {"model": "codellama/CodeLlama-7b-hf"}, HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_CACHE="/nowhere"
    )
    assert "codellama/CodeLlama-7b-hf" in said


async def test_a_checkpoint_with_a_shard_missing(tmp_path: Path) -> None:
    import checkpoints

    folder = checkpoints.random_checkpoint(tmp_path / "model", "llama2", layers=1, hidden=64)
    sorted(folder.glob("*.safetensors"))[1].unlink()
    said = await failing({"model": str(folder)})
    assert "model-00002-of-" in said


async def test_changes_without_a_version_are_taken_in(window: Editor, engine: StandIn) -> None:
    """As by clients of the protocol before 3.16."""
    uri = window.open("untitled:a", "x = \n")
    await window.ready()
    for version in (None, None):
        document = {"uri": uri, "version": version}
        change = {"textDocument": document, "contentChanges": [{"text": "yy = \n"}]}
        message = {"jsonrpc": "2.0", "method": "textDocument/didChange", "params": change}
        window.client.protocol._send_data(message)
    assert await window.suggest(uri, 0, 5)
    assert window.reason == ""


async def test_malformed_messages() -> None:
    command = [sys.executable, "-m", "lsp_server"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    output = process.stdout

    def send(body: bytes) -> None:
        process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))  # type: ignore[union-attr]

    async def answer() -> Any:
        while True:
            header = await asyncio.wait_for(output.readline(), 60)
            length = int(header.split(b":")[1])
            while (await output.readline()).strip():
                pass
            message = json.loads(await output.readexactly(length))
            if "id" in message:
                return message

    def request(number: int, method: str, params: Any) -> None:
        send(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode())

    request(1, "initialize", {"processId": None, "rootUri": None, "capabilities": {}})
    assert (await answer())["result"]["serverInfo"]["name"] == "codellama-ls"
    send(b"{this is no json: my secret text")
    send(b'{"jsonrpc": "2.0", "id": 2, "method": "textDocument/inlineCompletion", "params": {"x": "my secret text"}}')
    send(b'{"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": "my secret text"}}')
    send(b"[]")
    send(b'"text"')
    request(3, "no/such/method", {})
    request(4, "workspace/executeCommand", {"command": "no.such.command"})
    process.stdin.write(b"Nonsense: header\r\n\r\n")
    request(5, "shutdown", None)
    answers = {}
    while 5 not in answers:
        message = await answer()
        answers[message["id"]] = message
    assert answers[3]["error"]["code"] == -32601
    assert "no.such.command" in answers[4]["error"]["message"]
    assert "result" in answers[5]
    send(b'{"jsonrpc": "2.0", "method": "exit"}')
    assert await asyncio.wait_for(process.wait(), 60) == 0
    said = (await process.stderr.read()).decode()
    assert "my secret text" not in said
    assert "Traceback" not in said
