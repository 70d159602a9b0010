"""Over the wire: what is offered after a change, and when nothing is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from editor import Editor, editor
from lsprotocol import types
from server.next_edits import ask, put, tell

SHAPES = "def area(width):\n    double = width * 2\n    print(double)\n    return double\n\n\nprint(area(1))\n"
PAGE = "from shapes import area\n\ntotal = area(2)\nshown = total\n"


@pytest.fixture
async def window(tmp_path: Path) -> AsyncIterator[Editor]:
    (tmp_path / "shapes.py").write_text(SHAPES, encoding="utf-8")
    (tmp_path / "page.py").write_text(PAGE, encoding="utf-8")
    async with editor({"engineUrl": "http://127.0.0.1:9"}, folder=tmp_path) as made:
        yield made


async def test_from_place_to_place_and_to_a_file_that_is_not_open(window: Editor, tmp_path: Path) -> None:
    uri = window.open(tmp_path / "shapes.py")
    assert await ask(window, uri, 0) == {"edit": None}
    put(window, uri, 1, 4, 10, "twice")
    edit = (await ask(window, uri, 1))["edit"]
    assert (edit["oldText"], edit["newText"], edit["title"]) == ("double", "twice", "double → twice")
    assert edit["textDocument"] == {"uri": uri, "version": 2}
    assert edit["range"] == {"start": {"line": 2, "character": 10}, "end": {"line": 2, "character": 16}}
    tell(window, edit["id"], "accepted")
    put(window, uri, 2, 10, 16, "twice")
    assert (await ask(window, uri, 2))["edit"]["range"]["start"] == {"line": 3, "character": 11}
    put(window, uri, 3, 11, 17, "twice")
    assert await ask(window, uri, 3) == {"edit": None}

    put(window, uri, 0, 4, 8, "surface")
    assert (await ask(window, uri, 0))["edit"]["range"]["start"] == {"line": 6, "character": 6}
    put(window, uri, 6, 6, 10, "surface")
    for _ in range(100):
        if edit := (await ask(window, uri, 6))["edit"]:
            break
        await asyncio.sleep(0.1)  # the index is being made
    page = (tmp_path / "page.py").as_uri()
    assert edit["textDocument"] == {"uri": page, "version": None}
    assert edit["range"]["start"] == {"line": 0, "character": 19}
    window.open(tmp_path / "page.py")
    put(window, page, 0, 19, 23, "surface")
    edit = (await ask(window, page, 0))["edit"]
    assert (edit["textDocument"]["uri"], edit["range"]["start"]["line"]) == (page, 2)


async def test_what_was_accepted_and_undone_is_not_offered_again(window: Editor, tmp_path: Path) -> None:
    uri = window.open(tmp_path / "shapes.py")
    put(window, uri, 1, 4, 10, "twice")
    edit = (await ask(window, uri, 1))["edit"]
    tell(window, edit["id"], "accepted")
    put(window, uri, 2, 10, 16, "twice")
    assert (await ask(window, uri, 2))["edit"]["range"]["start"]["line"] == 3
    put(window, uri, 2, 10, 15, "double")
    assert await ask(window, uri, 2) == {"edit": None}


async def test_plugins_for_another_server_understand_it(window: Editor, tmp_path: Path) -> None:
    uri = window.open("untitled:é", "été = 1\nprint('é😀', été)\n")
    put(window, uri, 0, 0, 3, "hiver")
    answer = await ask(window, uri, 0, "textDocument/copilotInlineEdit")
    (edit,) = answer["edits"]
    assert edit["text"] == "hiver"
    assert edit["textDocument"] == {"uri": uri, "version": 2}
    assert edit["range"] == {"start": {"line": 1, "character": 13}, "end": {"line": 1, "character": 16}}, "in UTF-16"
    command = edit["command"]
    params = types.ExecuteCommandParams(command["command"], command["arguments"])
    assert await window.client.workspace_execute_command_async(params) is None
    assert await ask(window, window.open("untitled:b", "x = 1\n"), 0, "textDocument/copilotInlineEdit") == {"edits": []}


async def test_what_the_user_makes_of_it_counts(window: Editor) -> None:
    ignored = window.open("untitled:i", "one = 1\nprint(one)\n")
    put(window, ignored, 0, 0, 3, "uno")
    with pytest.raises(Exception, match="needs a textDocument with its uri, and a position"):
        await window.client.protocol.send_request_async("codellama/nextEdit", {"textDocument": {}})
    window.client.protocol.notify("codellama/nextEdit/outcome", {"id": 3})
    for _ in range(2):
        tell(window, (await ask(window, ignored, 0))["edit"]["id"], "ignored")
    assert await ask(window, ignored, 0) == {"edit": None}, "ignored twice"

    uri = window.open("untitled:a", "one = 1\ntwo = 2\nsix = 6\nprint(one, two)\nprint(six)\n")
    put(window, uri, 0, 0, 3, "ein")
    off = {"codellama": {"engineUrl": "http://127.0.0.1:9", "nextEdit": False}}
    window.client.workspace_did_change_configuration(types.DidChangeConfigurationParams(off))
    assert await ask(window, uri, 0) == {"edit": None}, "switched off"
    on = {"codellama": {"engineUrl": "http://127.0.0.1:9"}}
    window.client.workspace_did_change_configuration(types.DidChangeConfigurationParams(on))
    for row, name in enumerate(("ein", "zwei")):
        if row:
            put(window, uri, row, 0, 3, name)
        edit = (await ask(window, uri, row))["edit"]
        assert edit["newText"] == name
        tell(window, edit["id"], "rejected")
        assert await ask(window, uri, row) == {"edit": None}, "not again"
    put(window, uri, 2, 0, 3, "sechs")
    assert await ask(window, uri, 2) == {"edit": None}, "after two rejections of a kind it is quiet"


async def test_a_new_parameter_goes_through_its_calls_in_two_files(window: Editor, tmp_path: Path) -> None:
    """Three calls, each once the one before has it; the name of the other file comes first."""
    page = tmp_path / "page.py"
    page.write_text("from shapes import area\n\n\ndef show(unit):\n    print(area(2))\n", encoding="utf-8")
    text = "def area(width):\n    return width\n\n\ndef main(unit):\n    print(area(1))\n    print(area(3))\n"
    uri, other = window.open(tmp_path / "shapes.py", text=None), window.open(page)
    window.change(uri, types.TextDocumentContentChangeWholeDocument(text))
    put(window, uri, 0, 14, 14, ", unit")
    for row in (5, 6):
        edit = (await ask(window, uri, row - 1))["edit"]
        assert (edit["textDocument"]["uri"], edit["range"]["start"]["line"]) == (uri, row)
        assert edit["newText"].endswith(", unit")
        assert edit["title"] == "area(width, unit)"
        place = edit["range"]
        put(window, uri, row, place["start"]["character"], place["end"]["character"], edit["newText"])
        tell(window, edit["id"], "accepted")
    edit = (await ask(window, uri, 6))["edit"]
    assert edit["textDocument"] == {"uri": other, "version": 1}
    assert (edit["range"]["start"]["line"], edit["newText"]) == (4, "2, unit")
    put(window, other, 4, 15, 16, "2, unit")
    assert await ask(window, other, 4) == {"edit": None}, "all have it"


async def test_a_short_file_that_is_not_open_is_found_by_its_one_call(tmp_path: Path) -> None:
    text = "def area(width, unit):\n    return width\n"
    (tmp_path / "area.py").write_text(text, encoding="utf-8")
    (tmp_path / "other.py").write_text("from area import area\n\nsize = area(5, 6)\n", encoding="utf-8")
    async with editor({"engineUrl": "http://127.0.0.1:9"}, folder=tmp_path) as window:
        uri = window.open(tmp_path / "area.py")
        put(window, uri, 0, 14, 20, "")
        for _ in range(100):
            if edit := (await ask(window, uri, 0))["edit"]:
                break
            await asyncio.sleep(0.1)  # the index is being made
    assert edit["textDocument"]["uri"] == (tmp_path / "other.py").as_uri()
    assert (edit["oldText"], edit["newText"]) == ("5, 6", "5")
