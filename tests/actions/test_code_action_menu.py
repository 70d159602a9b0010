"""The menu of code actions over the wire, and clients that can do less or more than others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from acting_editor import ANSWER, DOCUMENTED, ActingEditor, acting_editor, capabilities, diagnostic, opened
from lsprotocol import types
from stand_in import StandIn

# The menu


async def test_the_menu_asks_no_model(editor: ActingEditor, engine: StandIn, tmp_path: Path) -> None:
    uri = opened(editor, tmp_path)
    items = await editor.menu(uri, (1, 6), diagnostics=[diagnostic(1)])
    assert [item.title for item in items][:4] == [
        "Fix: This is wrong. (Code Llama)",
        "Explain: This is wrong. (Code Llama)",
        "Document `add` (Code Llama)",
        "Write tests for `add` (Code Llama)",
    ]
    assert [item.diagnostics is not None for item in items[:3]] == [True, True, False]
    assert {item.kind for item in items} == {"quickfix", "refactor.rewrite"}
    assert engine.asked == []
    provider = editor.result.capabilities.code_action_provider  # type: ignore[attr-defined]
    assert provider.resolve_provider
    assert list(provider.code_action_kinds) == ["quickfix", "refactor.rewrite", "source"]


async def test_only_and_automatic(editor: ActingEditor, tmp_path: Path) -> None:
    uri = opened(editor, tmp_path)
    found = [diagnostic(1)]
    assert {item.kind for item in await editor.menu(uri, (1, 6), diagnostics=found, only=["refactor"])} == {
        "refactor.rewrite"
    }
    assert {item.kind for item in await editor.menu(uri, (1, 6), diagnostics=found, only=["quickfix"])} == {"quickfix"}
    assert await editor.menu(uri, (1, 6), only=["source.organizeImports"]) == []
    assert await editor.menu(uri, (1, 6), automatic=True) == []
    assert {item.kind for item in await editor.menu(uri, (1, 6), diagnostics=found, automatic=True)} == {"quickfix"}


async def test_nothing_for_files_that_are_hidden(editor: ActingEditor, tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("ignored.py\n")
    assert await editor.menu(opened(editor, tmp_path, name=".env"), (0, 5)) == []
    assert await editor.menu(opened(editor, tmp_path, name="ignored.py"), (0, 5)) == []
    assert await editor.menu((tmp_path / "closed.py").as_uri(), (0, 5)) == []


@pytest.mark.parametrize("shows", [True, False])
async def test_what_the_model_cannot_do(options: dict[str, Any], tmp_path: Path, shows: bool) -> None:
    del options["chatFormat"]  # this tokenizer comes without a chat template
    async with acting_editor(options, tmp_path, capabilities(disabled=shows)) as editor:
        uri = opened(editor, tmp_path, "def add(a, b):\n    pass\n")
        await editor.ready()
        items = await editor.menu(uri, (0, 5))
        assert [item.title for item in items if item.disabled is None] == ["Implement `add` (Code Llama)"]
        assert any("no chat template" in item.disabled.reason for item in items if item.disabled) is shows


async def test_an_action_with_nothing_to_resolve_is_returned(
    editor: ActingEditor, engine: StandIn, tmp_path: Path
) -> None:
    uri = opened(editor, tmp_path)
    explain = next(item for item in await editor.menu(uri, (0, 5)) if item.title.startswith("Explain"))
    assert await editor.client.code_action_resolve_async(explain) == explain
    foreign = types.CodeAction("Of another server", data={"id": 7})
    assert await editor.client.code_action_resolve_async(foreign) == foreign
    assert engine.asked == []


# Clients that can do less, or more


async def test_a_client_that_cannot_resolve(options: dict[str, Any], engine: StandIn, tmp_path: Path) -> None:
    async with acting_editor(options, tmp_path, capabilities(resolves=False)) as editor:
        uri = opened(editor, tmp_path)
        engine.answers = [ANSWER]
        result = await editor.choose(await editor.menu(uri, (0, 5)), "Document")
        assert result["applied"]
        assert len(editor.applied_edits) == 1
        assert editor.texts[uri] == DOCUMENTED


async def test_a_client_that_only_knows_commands(options: dict[str, Any], engine: StandIn, tmp_path: Path) -> None:
    async with acting_editor(options, tmp_path, capabilities(literals=False)) as editor:
        uri = opened(editor, tmp_path)
        engine.answers = [ANSWER]
        items = await editor.menu(uri, (0, 5))
        assert all(isinstance(item, types.Command) for item in items)
        await editor.choose(items, "Document")
        assert editor.texts[uri] == DOCUMENTED


async def test_a_client_without_document_changes(options: dict[str, Any], engine: StandIn, tmp_path: Path) -> None:
    async with acting_editor(options, tmp_path, capabilities(document_changes=False, creates=False)) as editor:
        uri = opened(editor, tmp_path)
        engine.answers = [ANSWER]
        resolved = await editor.choose(await editor.menu(uri, (0, 5)), "Document")
        assert list(resolved.edit.changes) == [uri]
        assert editor.texts[uri] == DOCUMENTED
        resolved = await editor.choose(await editor.menu(uri, (0, 5)), "Write tests")
        assert list(resolved.edit.changes) == [(tmp_path / "tests/test_a.py").as_uri()]


async def test_a_client_that_opens_no_documents(options: dict[str, Any], engine: StandIn, tmp_path: Path) -> None:
    async with acting_editor(options, tmp_path, capabilities(shows=False, progress=False)) as editor:
        uri = opened(editor, tmp_path)
        engine.answers = ["It adds."]
        await editor.choose(await editor.menu(uri, (0, 5)), "Explain")
        assert any("It adds." in message for message in editor.messages)
        assert editor.client.progress_reports == {}
        said = len(editor.messages)
        engine.answers = ["```python\ndef sub(a, b):\n    return a - b\n```"]
        await editor.choose(await editor.menu(uri, (0, 5)), "Simplify")
        await editor.choose(await editor.menu(uri, (0, 5)), "Simplify")
        # What was not applied is not told at length.
        assert editor.messages[said:] == ["Code Llama: The model's answer drops the function `add`."] * 2


async def test_answers_are_private_files(editor: ActingEditor, engine: StandIn, tmp_path: Path) -> None:
    uri = opened(editor, tmp_path)
    engine.answers = ["It adds."]
    answer = await editor.choose(await editor.menu(uri, (0, 5)), "Explain")
    path = Path(answer["uri"].removeprefix("file://"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.read_text() == "# Explain `add`\n\nIt adds.\n"


async def test_what_a_model_makes_is_tagged(options: dict[str, Any], tmp_path: Path) -> None:
    able = capabilities()
    assert able.text_document is not None
    assert able.text_document.code_action is not None
    able.text_document.code_action.tag_support = types.CodeActionTagOptions([types.CodeActionTag.LlmGenerated])
    async with acting_editor(options, tmp_path, able) as editor:
        items = await editor.menu(opened(editor, tmp_path), (1, 6))
        assert {tuple(item.tags) for item in items} == {(types.CodeActionTag.LlmGenerated,)}
