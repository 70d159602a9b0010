"""Over the wire: a model for suggestions, and another for chat and code actions."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from actions.acting_editor import ANSWER, DOCUMENTED, ActingEditor, acting_editor, opened
from actions.stand_in import StandIn, stand_in
from lsprotocol import types

pytestmark = pytest.mark.usefixtures("engines")


@pytest.fixture
async def other(engine: StandIn) -> AsyncIterator[StandIn]:
    """The server that has the model for chat; `engine` has that for suggestions."""
    async with stand_in() as made:
        made.answers = [ANSWER]
        yield made


@pytest.fixture
def both(options: dict[str, object], engine: StandIn, other: StandIn) -> dict[str, Any]:
    engine.tokenizer = other.tokenizer = Path(str(options["tokenizer"]))
    return {**options, "chatEngineUrl": other.url, "chatFormat": "inst"}


async def chat(window: ActingEditor, message: str) -> str:
    answer = await window.client.protocol.send_request_async("codellama/chat/send", {"message": message})
    return str(answer.message)


async def suggestion(window: ActingEditor) -> str:
    """What is suggested at a place where anything may be."""
    (item,) = await window.suggest(window.open("untitled:b", "x = \n"), 0, 4)
    return str(item.insert_text)


def change(window: ActingEditor, settings: dict[str, Any]) -> None:
    window.client.workspace_did_change_configuration(types.DidChangeConfigurationParams({"codellama": settings}))


def chat_of(window: ActingEditor) -> dict[str, Any]:
    """What was last said of the model for chat."""
    return (window.statuses[-1].get("chat") or {}) if window.statuses else {}


async def has_both(window: ActingEditor) -> None:
    await window.ready()
    await window.until(lambda: chat_of(window).get("kind") == "ready")


async def test_each_is_asked_for_what_is_its_own(
    both: dict[str, Any], engine: StandIn, other: StandIn, tmp_path: Path
) -> None:
    async with acting_editor(both, tmp_path) as window:
        uri = opened(window, tmp_path)
        await has_both(window)
        assert await suggestion(window) == "answer"
        assert (len(engine.asked), len(other.asked)) == (1, 0)
        await window.choose(await window.menu(uri, (0, 5)), "Document")
        assert window.texts[uri] == DOCUMENTED
        other.answers = ["Yes."]
        assert await chat(window, "Is it?") == "Yes."
        assert len(other.asked) == 2
        assert "Is it?" in other.prompt
    assert all("[INST]" not in engine.prompt_of(each) for each in engine.asked)


async def test_both_are_in_the_status(both: dict[str, Any], engine: StandIn, other: StandIn, tmp_path: Path) -> None:
    other.loaded.clear()
    async with acting_editor(both, tmp_path) as window:
        opened(window, tmp_path)
        await window.ready()
        assert chat_of(window)["kind"] == "starting", "it waits for nobody, and nobody for it"
        assert await suggestion(window) == "answer"
        other.loaded.set()
        await has_both(window)
        status = window.statuses[-1]
        assert (status["device"], status["chat"]["device"]) == (engine.url, other.url)
        assert status["chat"]["message"] == f"stand-in is ready on {other.url}."
        begun = [each.title for each in _begun(window)]
        assert sorted(begun) == ["Code Llama", "Code Llama (chat)"]
        change(window, {"chatEngineUrl": ""})
        await window.until(lambda: window.statuses[-1]["chat"] is None)


async def test_what_fails_for_chat_is_told_and_harms_no_suggestion(
    both: dict[str, Any], engine: StandIn, tmp_path: Path
) -> None:
    async with acting_editor({**both, "chatEngineUrl": "http://127.0.0.1:9"}, tmp_path) as window:
        uri = opened(window, tmp_path)
        await window.until(lambda: chat_of(window).get("kind") == "failed")
        (said,) = await window.until(lambda: window.messages)
        assert said.startswith("Code Llama (chat): No engine answers at http://127.0.0.1:9")
        await window.ready()
        assert await suggestion(window) == "answer"
        with pytest.raises(Exception, match=r"No engine answers at http://127\.0\.0\.1:9"):
            await chat(window, "Why?")
        await window.choose(await window.menu(uri, (0, 5)), "Document")
        await window.until(lambda: window.messages[-1].startswith("Code Llama: No engine answers"))
        assert len(engine.asked) == 1


async def test_the_menu_goes_by_what_the_model_for_chat_can_do(
    options: dict[str, object], other: StandIn, tmp_path: Path
) -> None:
    """That of the suggestions has no chat template here."""
    folder = tmp_path / "chats"
    shutil.copytree(str(options["tokenizer"]), folder)
    (folder / "chat_template.jinja").write_text("{{ messages[-1].content }}")
    settings = {**options, "chatEngineUrl": other.url, "chatTokenizer": str(folder)}
    for given, can in ((options, False), (settings, True)):
        async with acting_editor(dict(given), tmp_path) as window:
            uri = opened(window, tmp_path)
            await (has_both(window) if can else window.ready())
            item = next(each for each in await window.menu(uri, (0, 5)) if each.title.startswith("Document"))
            assert (item.disabled is None) == can


async def test_a_change_of_one_leaves_the_other(
    both: dict[str, Any], engine: StandIn, other: StandIn, tmp_path: Path
) -> None:
    async with stand_in() as third, acting_editor(both, tmp_path) as window:
        third.answers, third.tokenizer, other.answers = ["Third."], other.tokenizer, ["Second."]
        opened(window, tmp_path)
        await has_both(window)
        states = len(window.statuses)
        change(window, {**both, "chatEngineUrl": third.url})
        await window.until(lambda: chat_of(window).get("device") == third.url)
        assert {each["kind"] for each in window.statuses[states:]} == {"ready"}, "that of the suggestions stays"
        assert await chat(window, "Who?") == "Third."
        states = len(window.statuses)
        change(window, {**both, "chatEngineUrl": third.url, "engineUrl": other.url})
        await window.until(lambda: window.statuses[-1]["device"] == other.url)
        assert {each["chat"]["kind"] for each in window.statuses[states:]} == {"ready"}
        other.answers = ["second"]
        assert await suggestion(window) == "second"
        assert not engine.asked


async def test_another_model_of_the_same_server(options: dict[str, object], engine: StandIn, tmp_path: Path) -> None:
    engine.models = ["small", "large"]
    engine.tokenizer = Path(str(options["tokenizer"]))
    settings = {**options, "remoteModel": "small", "chatRemoteModel": "large", "chatFormat": "inst"}
    async with acting_editor(settings, tmp_path) as window:
        opened(window, tmp_path)
        await has_both(window)
        await suggestion(window)
        await chat(window, "Who?")
    assert [each["model"] for each in engine.asked] == ["small", "large"]


async def test_a_wrong_setting_is_named_as_the_one_for_chat(options: dict[str, object], tmp_path: Path) -> None:
    settings = {**options, "chatModel": "half\0a name"}
    async with acting_editor(settings, tmp_path) as window:
        opened(window, tmp_path)
        await window.until(lambda: chat_of(window).get("kind") == "failed")
        (said,) = await window.until(lambda: window.messages)
        assert said.startswith("Code Llama (chat): codellama.chatModel is 'half")
        await window.ready()


async def test_one_model_does_all_where_no_other_is_named(
    options: dict[str, object], engine: StandIn, other: StandIn, tmp_path: Path
) -> None:
    """Nor where it is the same one, said twice."""
    engine.tokenizer = Path(str(options["tokenizer"]))
    for more in ({}, {"chatEngineUrl": engine.url}, {"chatTokenizer": str(options["tokenizer"])}):
        async with acting_editor({**options, **more, "chatFormat": "inst"}, tmp_path) as window:
            opened(window, tmp_path)
            await window.ready()
            assert await chat(window, "Who?") == "answer"
            assert "chat" not in window.statuses[-1]


def _begun(window: ActingEditor) -> list[Any]:
    reports = [each for found in window.client.progress_reports.values() for each in found]
    return [each for each in reports if getattr(each, "kind", "") == "begin"]
