"""Over the wire: when the model is asked again, and when what it wrote before will do."""

from __future__ import annotations

import asyncio

import pytest
from actions.stand_in import StandIn
from editor import editor
from lsprotocol import types

pytestmark = pytest.mark.usefixtures("engines")


@pytest.fixture(autouse=True)
def answers(engine: StandIn) -> None:
    engine.answers = ["foo(1, 2)\n"]


def deletion(column: int) -> types.TextDocumentContentChangePartial:
    return types.TextDocumentContentChangePartial(
        types.Range(types.Position(0, column), types.Position(0, column + 1)), ""
    )


async def test_typed_along_deleted_back_and_accepted_in_part(options: dict[str, object], engine: StandIn) -> None:
    async with editor(options) as window:
        uri = window.open("untitled:a", "x = \n")
        await window.ready()
        (item,) = await window.suggest(uri, 0, 4, typed=True)
        assert item.insert_text == "foo(1, 2)"
        for column, char in enumerate("foo(", start=4):
            window.insert(uri, 0, column, char)
            (item,) = await window.suggest(uri, 0, column + 1, typed=True)
        assert item.insert_text == "1, 2)"
        window.change(uri, deletion(7))
        (item,) = await window.suggest(uri, 0, 7, typed=True)
        assert item.insert_text == "foo(1, 2)", "with the word before it, for clients that match it"
        window.insert(uri, 0, 7, "(1,")  # a word of it, accepted
        (item,) = await window.suggest(uri, 0, 10, typed=True)
        assert item.insert_text == " 2)"
        assert window.statuses[-1]["suggestion"] == {"uri": uri, "shown": True, "reason": ""}
        assert len(engine.asked) == 1
        window.insert(uri, 0, 10, " 2)")  # all of it
        await window.suggest(uri, 0, 13, typed=True)
        assert len(engine.asked) == 2


async def test_what_was_typed_otherwise_is_asked_anew(options: dict[str, object], engine: StandIn) -> None:
    async with editor(options) as window:
        uri = window.open("untitled:a", "x = \n")
        await window.ready()
        await window.suggest(uri, 0, 4, typed=True)
        window.insert(uri, 0, 4, "b")
        await window.suggest(uri, 0, 5, typed=True)
        assert len(engine.asked) == 2
        window.change(uri, deletion(4))
        await window.suggest(uri, 0, 4, typed=True)
        assert len(engine.asked) == 2, "deleted back"


async def test_new_settings_forget_what_is_known(options: dict[str, object], engine: StandIn) -> None:
    async with editor(options) as window:
        uri = window.open("untitled:a", "x = \n")
        await window.ready()
        await window.suggest(uri, 0, 4)
        changed = types.DidChangeConfigurationParams({"codellama": {**options, "maxTokens": 8}})
        window.client.workspace_did_change_configuration(changed)
        await window.suggest(uri, 0, 4)
        assert [asked["max_tokens"] for asked in engine.asked] == [64, 8]


async def test_a_generation_whose_text_is_typed_goes_on(options: dict[str, object], engine: StandIn) -> None:
    engine.hold.clear()
    async with editor(options) as window:
        uri = window.open("untitled:a", "x = \n")
        await window.ready()
        first = asyncio.ensure_future(window.suggest(uri, 0, 4, typed=True))
        await window.until(lambda: engine.asked)
        window.insert(uri, 0, 4, "f")
        assert await asyncio.wait_for(first, 60) == [], "the older request is answered at once"
        second = asyncio.ensure_future(window.suggest(uri, 0, 5, typed=True))
        await asyncio.sleep(0.4)  # longer than it goes on without a request
        engine.hold.set()
        (item,) = await second
        assert item.insert_text == "foo(1, 2)"
        assert (len(engine.asked), engine.ended) == (1, 0)


async def test_a_generation_that_goes_another_way_is_ended(options: dict[str, object], engine: StandIn) -> None:
    engine.answers = ["foo(1, 2)\n", "bar\n"]
    engine.hold.clear()
    async with editor(options) as window:
        uri = window.open("untitled:a", "x = \n")
        await window.ready()
        first = asyncio.ensure_future(window.suggest(uri, 0, 4, typed=True))
        await window.until(lambda: engine.asked)
        window.insert(uri, 0, 4, "z")
        assert await asyncio.wait_for(first, 60) == []
        second = asyncio.ensure_future(window.suggest(uri, 0, 5, typed=True))
        engine.hold.set()
        (item,) = await second
        assert item.insert_text == "zbar"
        assert len(engine.asked) == 2


async def test_a_cursor_elsewhere_ends_it_at_once(options: dict[str, object], engine: StandIn) -> None:
    engine.hold.clear()
    async with editor(options) as window:
        uri = window.open("untitled:a", "x = \ny = \n")
        await window.ready()
        first = asyncio.ensure_future(window.suggest(uri, 0, 4, typed=True))
        await window.until(lambda: engine.asked)
        second = asyncio.ensure_future(window.suggest(uri, 1, 4, typed=True))
        await window.until(lambda: engine.ended == 1)
        engine.hold.set()
        assert (await first, len(await second)) == ([], 1)


async def test_who_asks_where_one_is_shown_gets_others(options: dict[str, object], engine: StandIn) -> None:
    engine.answers = ["foo(1, 2)\n", "foo(1, 2)\n", "bar()\n", "never\n"]
    async with editor(options) as window:
        uri = window.open("untitled:a", "x = \n")
        await window.ready()
        (item,) = await window.suggest(uri, 0, 4, typed=True)
        assert item.insert_text == "foo(1, 2)"
        both = await window.suggest(uri, 0, 4)
        assert [item.insert_text for item in both] == ["foo(1, 2)", "bar()"], "the same text only once"
        asked = [(each["temperature"], each.get("seed")) for each in engine.asked]
        assert (asked[0], sorted(asked[1:])) == ((0, None), [(0.7, 0), (0.7, 1)])
        assert window.statuses[-1]["suggestion"] == {"uri": uri, "shown": True, "reason": ""}
        assert [item.insert_text for item in await window.suggest(uri, 0, 4)] == ["foo(1, 2)", "bar()"]
        assert [item.insert_text for item in await window.suggest(uri, 0, 4, typed=True)] == ["foo(1, 2)"]
        window.insert(uri, 0, 4, "b")
        (item,) = await window.suggest(uri, 0, 5, typed=True)
        assert item.insert_text == "bar()", "the other one, typed along"
        assert len(engine.asked) == 3


async def test_a_key_ends_the_search_for_others(options: dict[str, object], engine: StandIn) -> None:
    async with editor(options) as window:
        uri = window.open("untitled:a", "x = \n")
        await window.ready()
        await window.suggest(uri, 0, 4, typed=True)
        engine.hold.clear()
        search = asyncio.ensure_future(window.suggest(uri, 0, 4))
        await window.until(lambda: len(engine.asked) == 3)
        window.insert(uri, 0, 4, "f")
        (item,) = await asyncio.wait_for(search, 60)
        assert item.insert_text == "foo(1, 2)"
        await window.until(lambda: engine.ended == 2)
