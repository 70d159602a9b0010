"""Editors that never answer what they are asked: no request waits for them for ever."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from actions.stand_in import StandIn
from lsprotocol import types

from lsp_server.server import pygls_editor
from lsp_server.server.editor import NoAnswer
from lsp_server.server.pygls_editor import PyglsEditor

sys.path.append(str(Path(__file__).parents[1] / "actions"))

from acting_editor import ANSWER, acting_editor, capabilities, opened

SOON = """
from lsp_server.server import pygls_editor
pygls_editor.EDITOR_SECONDS = pygls_editor.EDIT_SECONDS = pygls_editor.USER_SECONDS = 0.5
"""

CONFIRMED = types.WorkspaceEdit(change_annotations={"it": types.ChangeAnnotation("look")})


async def never(*_: Any) -> None:
    await asyncio.Event().wait()


async def refuses(*_: Any) -> None:
    raise pygls_editor.JsonRpcException("not here", -32601)


def editor_that(answers: Callable[..., Awaitable[Any]]) -> PyglsEditor:
    asked = (
        "workspace_configuration_async",
        "window_show_message_request_async",
        "workspace_apply_edit_async",
    )
    progress = SimpleNamespace(create_async=answers, tokens={})
    return PyglsEditor(SimpleNamespace(**dict.fromkeys(asked, answers), work_done_progress=progress))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "ask",
    [
        lambda editor: editor.configuration("codellama"),
        lambda editor: editor.choose("Which?", ["this", "that"]),
        lambda editor: editor.apply(types.WorkspaceEdit(), "it"),
        lambda editor: editor.apply(CONFIRMED, "it"),
        lambda editor: editor.make_progress("token", lambda: None),
    ],
    ids=["configuration", "question", "edit", "edit to be confirmed", "progress"],
)
async def test_who_asks_is_told(ask: Callable[[PyglsEditor], Awaitable[Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EDITOR_SECONDS", "EDIT_SECONDS", "USER_SECONDS"):
        monkeypatch.setattr(pygls_editor, name, 0.01)
    with pytest.raises(NoAnswer, match=r"The editor did not .* within"):
        await asyncio.wait_for(ask(editor_that(never)), 60)
    with pytest.raises(NoAnswer, match=r"The editor did not .*: not here\."):
        await ask(editor_that(refuses))


async def test_the_user_has_longer_than_the_editor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pygls_editor, "EDIT_SECONDS", 0.01)
    with pytest.raises(NoAnswer):
        await editor_that(never).apply(types.WorkspaceEdit(), "it")
    for waiting in (editor_that(never).apply(CONFIRMED, "it"), editor_that(never).choose("Which?", ["this"])):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(waiting, 0.1)


async def test_an_edit_a_question_and_a_progress_that_nobody_answers(
    options: dict[str, Any], engine: StandIn, tmp_path: Path
) -> None:
    able = capabilities(resolves=False)
    async with acting_editor({**options, "chatFormat": "inst"}, tmp_path, able, prepared=SOON) as window:
        uri = opened(window, tmp_path)
        await window.ready()
        window.answers.clear()
        items = await window.menu(uri, (0, 5))
        engine.answers = [ANSWER]
        assert await asyncio.wait_for(window.choose(items, "Document"), 60) == {"applied": False}
        assert "did not say whether it applied the edit within" in window.messages[-1]
        assert await asyncio.wait_for(window.choose(items, "Translate"), 60) == {"applied": False}
        assert "did not say what was chosen within" in window.messages[-1]
        assert items == await window.menu(uri, (0, 5))
        window.answers.set()
