"""The request `codellama/action`: an edit, as the user asks for it in their own words, handed over as it is written."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from acting_editor import ANSWER, ActingEditor, opened
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from stand_in import StandIn

GREETED = "def greet(name):\n    print('hi', name)\n    return name\n"
LOGGED = "```python\ndef greet(name):\n    log.info('hi %s', name)\n    return name\n```"


def request(editor: ActingEditor, uri: str, first: int, last: int, **more: Any) -> dict[str, Any]:
    start, end = {"line": first, "character": 0}, {"line": last, "character": 0}
    return {"action": "edit", "uri": uri, "range": {"start": start, "end": end}, "version": editor.versions[uri]} | more


async def ask(editor: ActingEditor, params: dict[str, Any]) -> tuple[Any, list[Any]]:
    """(the result, the parts that came before)"""
    parts: list[Any] = []

    def heard(params: types.ProgressParams) -> None:
        if params.token == "t":
            parts.append(params.value)

    editor.client.protocol.fm.features[types.PROGRESS] = heard
    params = {"partialResultToken": "t"} | params
    return await editor.client.protocol.send_request_async("codellama/action", params), parts


def made(editor: ActingEditor, result: Any) -> str:
    """The text with the edit of a result made."""
    edit = editor.client.protocol._converter.structure(_plain(result.edit), types.WorkspaceEdit)
    editor.apply(edit)
    return editor.texts[edit.document_changes[0].text_document.uri]


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return {key: _plain(each) for key, each in value._asdict().items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


async def test_how_far_the_prompt_is_read(editor: ActingEditor, engine: StandIn, tmp_path: Path) -> None:
    uri = opened(editor, tmp_path, GREETED)
    engine.answers, engine.read = [LOGGED], 400
    engine.hold.clear()
    asking = asyncio.ensure_future(ask(editor, request(editor, uri, 1, 1, instruction="use the logger")))
    await asyncio.sleep(2)  # longer than what is told stays
    engine.hold.set()
    _, parts = await asking
    assert "Reading 40% of 1,000 tokens" in [part.get("message") for part in parts]


async def test_in_the_users_own_words(editor: ActingEditor, engine: StandIn, tmp_path: Path) -> None:
    uri = opened(editor, tmp_path, GREETED)
    engine.answers, engine.pause = [LOGGED], 0.2  # longer in all than what is told stays
    result, parts = await ask(editor, request(editor, uri, 1, 1, instruction="use the logger"))
    assert result.title == "Edit `greet`"
    assert result.problem == ""
    assert "use the logger\n\nAnswer with the whole function in one code block" in engine.prompt
    assert made(editor, result) == GREETED.replace("print('hi', name)", "log.info('hi %s', name)")
    drafts = [part["edits"] for part in parts if "edits" in part]
    assert drafts, "what there is of it comes before the end"
    assert all(text["newText"] in made_of(LOGGED) for draft in drafts for text in draft)
    assert any(part.get("message", "").endswith("written") for part in parts)


def made_of(answer: str) -> str:
    return answer.removeprefix("```python\n").removesuffix("```")


async def test_what_it_is_about(editor: ActingEditor, engine: StandIn, tmp_path: Path) -> None:
    """The lines around the cursor, the line of a part that is selected, the selected lines."""
    text = "a = 1\nb = 2\n\nc = 3\n"
    engine.answers = ["```python\nx = 0\n```"]
    for number, (start, end, shown) in enumerate(
        [((1, 0), (1, 0), "a = 1\nb = 2"), ((1, 2), (1, 5), "b = 2"), ((1, 0), (4, 0), "b = 2\n\nc = 3")]
    ):
        uri = opened(editor, tmp_path, text, f"{number}.py")
        at = [{"line": line, "character": character} for line, character in (start, end)]
        params = request(editor, uri, 0, 0, instruction="change it") | {"range": {"start": at[0], "end": at[1]}}
        result, _ = await ask(editor, params)
        assert f"code:\n\n```python\n{shown}\n```" in engine.prompt
        assert made(editor, result) == text.replace(shown, "x = 0")


async def test_where_nothing_stands_yet(editor: ActingEditor, engine: StandIn, tmp_path: Path) -> None:
    uri = opened(editor, tmp_path, "import os\n\n\n")
    engine.answers = ["```python\nprint(os.getcwd())\n```"]
    result, _ = await ask(editor, request(editor, uri, 2, 2, instruction="print where we are"))
    assert "print where we are\n\nAnswer with the Python code for it in one code block" in engine.prompt
    assert made(editor, result) == "import os\n\nprint(os.getcwd())\n"


async def test_any_action_of_the_menu(editor: ActingEditor, engine: StandIn, tmp_path: Path) -> None:
    uri = opened(editor, tmp_path)
    engine.answers = [ANSWER]
    item = next(each for each in await editor.menu(uri, (0, 5)) if "Document" in each.title)
    result, _ = await ask(editor, item.data)
    assert '"""Add."""' in made(editor, result)
    engine.answers = ["It adds two numbers."]
    result, parts = await ask(editor, item.data | {"action": "explain"})
    assert (result.answer, result.edit) == ("It adds two numbers.", None)
    assert "".join(part.get("delta", "") for part in parts) == "It adds two numbers."


async def test_what_may_be_wrong_goes_along(editor: ActingEditor, engine: StandIn, tmp_path: Path) -> None:
    uri = opened(editor, tmp_path)
    engine.answers = ["```python\ndef add(a, b)\n    return a +\n```"]
    result, _ = await ask(editor, request(editor, uri, 0, 0, instruction="shorten"))
    assert result.problem == "With the model's answer the file would no longer parse."
    assert "return a +" in made(editor, result)


async def test_one_that_goes_in_circles_is_ended_and_said(
    editor: ActingEditor, engine: StandIn, tmp_path: Path
) -> None:
    uri = opened(editor, tmp_path)
    engine.answers = ["```python\ndef add(a, b):\n" + "    a = a + b\n" * 300]
    with pytest.raises(JsonRpcException, match="The model began to repeat itself, so its answer was ended"):
        await ask(editor, request(editor, uri, 0, 0, instruction="shorten"))


async def test_the_text_moves_on(editor: ActingEditor, engine: StandIn, tmp_path: Path) -> None:
    """The edit is for what was asked about: the client, which shows it in place, moves it along."""
    uri = opened(editor, tmp_path, GREETED)
    engine.answers = [LOGGED]
    engine.hold.clear()
    params = request(editor, uri, 1, 1, instruction="use the logger")
    asking = asyncio.ensure_future(editor.client.protocol.send_request_async("codellama/action", params))
    await editor.until(lambda: engine.asked)
    editor.type(uri, 0, "import log\n\n")
    engine.hold.set()
    change = _plain((await asking).edit)["documentChanges"][0]
    assert change["textDocument"]["version"] == editor.versions[uri] - 1
    assert change["edits"][0]["range"]["start"]["line"] == 1


async def test_refused(editor: ActingEditor, tmp_path: Path) -> None:
    uri = opened(editor, tmp_path)
    for change, code, said in (
        ({"partialResultToken": [1]}, -32602, "`partialResultToken` must be a text or a whole number."),
        ({"instruction": " "}, -32803, "Say what is to be changed."),
        ({"action": "planet"}, -32803, "There is no action 'planet'."),
        ({"range": None}, -32602, "This request needs an action, a uri and a range."),
    ):
        with pytest.raises(JsonRpcException) as refused:
            await ask(editor, request(editor, uri, 0, 0) | change)
        assert (refused.value.code, refused.value.message) == (code, said)
