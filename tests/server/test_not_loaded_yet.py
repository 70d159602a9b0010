"""Over the wire: suggestions that are asked for before the model is loaded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from actions.stand_in import StandIn, stand_in
from editor import Editor, editor
from lsprotocol import types

pytestmark = pytest.mark.usefixtures("engines")


@pytest.fixture(autouse=True)
def loading(engine: StandIn) -> None:
    engine.loaded.clear()


async def settled(window: Editor) -> None:
    """Wait until the server says that the model is on its way, and a little longer."""
    await window.until(lambda: window.statuses)
    await asyncio.sleep(0.3)


async def test_what_was_asked_for_comes_once_the_model_is_ready(options: dict[str, object], engine: StandIn) -> None:
    async with editor(options) as window:
        uris = [window.open(f"untitled:{name}", "x = \n") for name in "abc"]
        asking = [
            asyncio.ensure_future(window.suggest(uri, 0, 4, typed=typed))
            for uri, typed in zip(uris, (True, False, True), strict=True)
        ]
        await settled(window)
        assert not any(task.done() for task in asking)
        assert {status["kind"] for status in window.statuses} == {"starting"}, "nobody thinks yet"
        engine.loaded.set()
        answers = await asyncio.wait_for(asyncio.gather(*asking), 60)
        assert [[item.insert_text for item in items] for items in answers] == [["answer"]] * 3
        assert len(engine.asked) == 3


async def test_only_the_last_request_of_a_document_waits(options: dict[str, object], engine: StandIn) -> None:
    async with editor(options) as window:
        uri = window.open("untitled:a", "\n")
        other = window.open("untitled:b", "x = \n")
        asking = [asyncio.ensure_future(window.suggest(other, 0, 4, typed=True))]
        for column in range(30):
            window.insert(uri, 0, column, "a")
            asking.append(asyncio.ensure_future(window.suggest(uri, 0, column + 1, typed=True)))
        await window.until(lambda: sum(task.done() for task in asking) == 29)
        await settled(window)
        assert [task.done() for task in asking] == [False, *[True] * 29, False]
        engine.loaded.set()
        answers = await asyncio.wait_for(asyncio.gather(*asking), 60)
        assert [len(items) for items in answers] == [1, *[0] * 29, 1]
        assert answers[-1][0].insert_text == "a" * 30 + "answer"


async def test_a_change_and_a_close_answer_the_one_that_waits(options: dict[str, object], engine: StandIn) -> None:
    async with editor(options) as window:
        uri = window.open("untitled:a", "x = \n")
        asking = asyncio.ensure_future(window.suggest(uri, 0, 4))
        await settled(window)
        window.insert(uri, 0, 4, "f")
        assert await asyncio.wait_for(asking, 60) == []
        assert window.reason == "The text changed meanwhile."
        asking = asyncio.ensure_future(window.suggest(uri, 0, 5))
        await asyncio.sleep(0.2)
        closed = types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri))
        window.client.text_document_did_close(closed)
        assert await asyncio.wait_for(asking, 60) == []


async def test_a_model_that_cannot_be_had_answers_with_the_reason(
    options: dict[str, object], engine: StandIn, tmp_path: Path
) -> None:
    async with editor({**options, "tokenizer": str(tmp_path)}) as window:
        uris = [window.open(f"untitled:{name}", "x = \n") for name in "ab"]
        asking = [asyncio.ensure_future(window.suggest(uri, 0, 4)) for uri in uris]
        await settled(window)
        engine.loaded.set()
        assert await asyncio.wait_for(asyncio.gather(*asking), 60) == [[], []]
        assert window.statuses[-1]["kind"] == "failed"
        assert window.reason == window.statuses[-1]["message"]
        assert str(tmp_path) in window.reason


async def test_new_settings_while_it_waits(
    options: dict[str, object], engine: StandIn, tokenizer_folder: Callable[..., Path]
) -> None:
    async with stand_in() as second, editor(options) as window:
        second.answers = ["other"]
        uri = window.open("untitled:a", "x = \n")
        asking = asyncio.ensure_future(window.suggest(uri, 0, 4))
        await settled(window)
        changed = types.DidChangeConfigurationParams({"codellama": {**options, "engineUrl": second.url}})
        window.client.workspace_did_change_configuration(changed)
        (item,) = await asyncio.wait_for(asking, 60)
        assert item.insert_text == "other"
        assert engine.asked == []


async def test_the_end_of_the_session_answers_it(options: dict[str, object], engine: StandIn) -> None:
    async with editor(options) as window:
        asking = asyncio.ensure_future(window.suggest(window.open("untitled:a", "x = \n"), 0, 4))
        await settled(window)
    assert (await asyncio.gather(asking, return_exceptions=True))[0] is not None


async def test_the_ordinary_menu_does_not_wait(options: dict[str, object], engine: StandIn) -> None:
    async with editor({**options, "completionMenu": True}) as window:
        uri = window.open("untitled:a", "x = \n")
        await settled(window)
        params = types.CompletionParams(types.TextDocumentIdentifier(uri), types.Position(0, 4))
        answer = await asyncio.wait_for(window.client.text_document_completion_async(params), 60)
        assert isinstance(answer, types.CompletionList)
        assert (list(answer.items), answer.is_incomplete) == ([], True)
        assert window.reason == "Reaching the server."
