"""Answers that are not applied unseen, and texts that change while the model works, over the wire."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from acting_editor import ADD, ANSWER, DOCUMENTED, ActingEditor, acting_editor, capabilities, opened
from lsprotocol import types
from stand_in import StandIn

# Answers that are not applied unseen


@pytest.mark.parametrize(
    ("answer", "finish_reason", "said"),
    [
        ("I would rather not.", "stop", "without code"),
        ("```python\ndef add(a, b):\n    return (a +\n", "length", "stops before its end"),
        ("```python\ndef add(a, b)\n    return a +\n```", "stop", ""),
        ("```python\ndef sub(a, b):\n    return a - b\n```", "stop", ""),
        (f"```python\n{ADD}```", "stop", "no change"),
        ("```python\ndef add(a, b):\n" + "    a = a + b\n" * 200, "length", "began to repeat itself"),
    ],
    ids=["prose", "truncated", "does not parse", "another function", "unchanged", "in circles"],
)
async def test_refused(
    editor: ActingEditor, engine: StandIn, tmp_path: Path, answer: str, finish_reason: str, said: str
) -> None:
    uri = opened(editor, tmp_path)
    engine.answers, engine.finish_reason = [answer], finish_reason
    resolved = await editor.choose(await editor.menu(uri, (0, 5)), "Simplify")
    assert resolved.edit is None
    assert editor.texts[uri] == ADD
    assert said in (await editor.until(lambda: editor.messages))[-1]
    assert set(engine.asked[-1]["logit_bias"]) == {"32007", "32008", "32009", "32010"}, "the infilling tokens"
    if said != "no change":
        await editor.until(lambda: editor.shown)
        assert editor.messages[-1].removeprefix("Code Llama: ") in editor.shown[0]
        assert answer.splitlines()[-1].strip("`") in editor.shown[0]


@pytest.mark.parametrize("resolves", [True, False])
async def test_the_client_asks_where_it_can(
    options: dict[str, Any], engine: StandIn, tmp_path: Path, resolves: bool
) -> None:
    async with acting_editor(options, tmp_path, capabilities(annotations=True, resolves=resolves)) as editor:
        uri = opened(editor, tmp_path)
        engine.answers = ["```python\ndef sub(a, b):\n    return a - b\n```"]
        await editor.choose(await editor.menu(uri, (0, 5)), "Simplify")
        assert [each.needs_confirmation for each in editor.annotations] == [True]
        assert editor.annotations[0].description
        assert editor.texts[uri] == "def sub(a, b):\n    return a - b\n"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("function total(cart: Cart): number {\n  return 0;\n}", "no longer parse"),
        ("total(): number {\n  return 0;\n}", "The model changed code, not only comments"),
    ],
)
async def test_documentation_that_brings_other_code_along_is_refused(
    options: dict[str, Any], engine: StandIn, tmp_path: Path, code: str, said: str
) -> None:
    """Also where the client could ask: nobody wants a method away who wants it documented."""
    cart = (
        "class Cart {\n  total(): number {\n    return this.items.reduce((sum, each) => sum + each.price, 0);\n  }\n}\n"
    )
    async with acting_editor(options, tmp_path, capabilities(annotations=True)) as editor:
        uri = opened(editor, tmp_path, cart, "cart.ts", "typescript")
        engine.answers = [f"```ts\n/** The total. */\n{code}\n```"]
        await editor.choose(await editor.menu(uri, (2, 6)), "Document")
        assert said in (await editor.until(lambda: editor.messages))[-1]
        assert editor.texts[uri] == cart


# The text changes while the model works


async def started(
    editor: ActingEditor, engine: StandIn, uri: str, row: int, title: str = "Document"
) -> asyncio.Task[Any]:
    """An action under way: the model was asked and has not answered yet."""
    engine.hold.clear()
    engine.answers = [ANSWER]
    choosing = asyncio.ensure_future(editor.choose(await editor.menu(uri, (row, 5)), title))
    await editor.until(lambda: engine.asked)
    return choosing


TWO = f"x = 1\n\n\n{ADD}\n\ny = 2\n"


@pytest.mark.parametrize(
    ("line", "typed", "expected"),
    [
        (0, "import os\nimport sys\n", f"import os\nimport sys\nx = 1\n\n\n{DOCUMENTED}\n\ny = 2\n"),
        (7, "z = 3\n", f"x = 1\n\n\n{DOCUMENTED}\n\nz = 3\ny = 2\n"),
    ],
    ids=["before", "after"],
)
@pytest.mark.parametrize("resolves", [True, False])
async def test_a_change_elsewhere(
    options: dict[str, Any], engine: StandIn, tmp_path: Path, line: int, typed: str, expected: str, resolves: bool
) -> None:
    async with acting_editor(options, tmp_path, capabilities(resolves=resolves)) as editor:
        uri = opened(editor, tmp_path, TWO)
        choosing = await started(editor, engine, uri, 3)
        editor.type(uri, line, typed)
        await editor.menu(uri, (0, 0))  # by its answer the server has taken in the change
        engine.hold.set()
        await choosing
        assert editor.texts[uri] == expected
        assert editor.messages == []


async def test_a_change_of_the_edited_lines(editor: ActingEditor, engine: StandIn, tmp_path: Path) -> None:
    uri = opened(editor, tmp_path, TWO)
    choosing = await started(editor, engine, uri, 3)
    editor.type(uri, 4, "    return b + a\n", remove=1)
    changed = editor.texts[uri]
    await editor.menu(uri, (0, 0))
    engine.hold.set()
    assert (await choosing).edit is None
    assert editor.texts[uri] == changed
    assert "changed meanwhile" in (await editor.until(lambda: editor.messages))[0]
    assert '"""Add."""' in (await editor.until(lambda: editor.shown))[0]


async def test_a_change_between_the_menu_and_the_choice(editor: ActingEditor, engine: StandIn, tmp_path: Path) -> None:
    uri = opened(editor, tmp_path, TWO)
    engine.answers = [ANSWER]
    items = await editor.menu(uri, (4, 5))
    editor.type(uri, 0, "import os\n")
    await editor.choose(items, "Document")
    assert editor.texts[uri] == f"import os\nx = 1\n\n\n{DOCUMENTED}\n\ny = 2\n"
    items = await editor.menu(uri, (6, 5))
    editor.type(uri, 6, "")
    editor.type(uri, 6, "    pass\n", remove=1)
    assert (await editor.choose(items, "Simplify")).edit is None
    assert "choose the action again" in (await editor.until(lambda: editor.messages))[0]


async def test_closed_meanwhile(editor: ActingEditor, engine: StandIn, tmp_path: Path) -> None:
    uri = opened(editor, tmp_path, TWO)
    choosing = await started(editor, engine, uri, 3)
    editor.client.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri)))
    await editor.menu(uri, (0, 0))
    engine.hold.set()
    assert (await choosing).edit is None
    assert "closed meanwhile" in (await editor.until(lambda: editor.messages))[0]


# Cancelling, and an engine that fails


@pytest.mark.parametrize("resolves", [True, False])
async def test_cancelled_by_request(options: dict[str, Any], engine: StandIn, tmp_path: Path, resolves: bool) -> None:
    async with acting_editor(options, tmp_path, capabilities(resolves=resolves)) as editor:
        uri = opened(editor, tmp_path)
        choosing = await started(editor, engine, uri, 0)
        for id in list(editor.client.protocol._request_futures):
            editor.client.cancel_request(types.CancelParams(id))
        await editor.until(lambda: engine.ended == 1)
        with pytest.raises(Exception, match=r"(?i)cancel"):
            await choosing
        assert editor.texts[uri] == ADD
        await _all_progress_ended(editor)


@pytest.mark.parametrize("resolves", [True, False])
async def test_cancelled_by_the_progress(
    options: dict[str, Any], engine: StandIn, tmp_path: Path, resolves: bool
) -> None:
    async with acting_editor(options, tmp_path, capabilities(resolves=resolves)) as editor:
        uri = opened(editor, tmp_path)
        choosing = await started(editor, engine, uri, 0)
        token = await editor.until(
            lambda: next(
                (
                    t
                    for t, all in editor.client.progress_reports.items()
                    if all and all[0].title.endswith("Document `add`")
                ),
                None,
            )
        )
        assert editor.client.progress_reports[token][0].cancellable
        editor.client.window_work_done_progress_cancel(types.WorkDoneProgressCancelParams(token))
        result = await choosing
        assert (result.edit if resolves else result["applied"]) in (None, False)
        await editor.until(lambda: engine.ended == 1)
        assert editor.messages == []
        await _all_progress_ended(editor)


async def test_the_engine_refuses(editor: ActingEditor, engine: StandIn, tmp_path: Path) -> None:
    uri = opened(editor, tmp_path)
    engine.error = "The queue is full."
    assert (await editor.choose(await editor.menu(uri, (0, 5)), "Document")).edit is None
    assert "The queue is full." in (await editor.until(lambda: editor.messages))[0]


async def test_no_engine(options: dict[str, Any], tmp_path: Path) -> None:
    async with acting_editor({**options, "engineUrl": "http://127.0.0.1:9"}, tmp_path) as editor:
        uri = opened(editor, tmp_path)
        assert (await editor.choose(await editor.menu(uri, (0, 5)), "Document")).edit is None
        assert "No engine answers" in (await editor.until(lambda: editor.messages))[-1]


async def test_code_that_does_not_fit(editor: ActingEditor, engine: StandIn, tmp_path: Path) -> None:
    uri = opened(editor, tmp_path, "def add():\n" + "    value = compute('something', 1234567)\n" * 2000)
    assert (await editor.choose(await editor.menu(uri, (0, 5)), "Document")).edit is None
    assert "select less of it" in (await editor.until(lambda: editor.messages))[0]
    assert engine.asked == []


async def _all_progress_ended(editor: ActingEditor) -> None:
    def ended() -> bool:
        mine = [all for all in editor.client.progress_reports.values() if all and all[0].title != "Code Llama"]
        return bool(mine) and all(each[-1].kind == "end" for each in mine)

    await editor.until(ended)


async def test_an_explanation_that_goes_in_circles_is_ended(
    editor: ActingEditor, engine: StandIn, tmp_path: Path
) -> None:
    uri = opened(editor, tmp_path)
    engine.answers, engine.finish_reason = ["It adds. " + "It returns the sum of both.\n" * 200], "length"
    await editor.choose(await editor.menu(uri, (0, 5)), "Explain")
    await editor.until(lambda: editor.shown)
    assert editor.shown[0].count("It returns the sum") < 60
    assert "ends here because the model began to repeat itself" in editor.shown[0]
