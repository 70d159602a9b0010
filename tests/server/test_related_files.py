"""What a suggestion knows of files that are not open, over the wire: from the index of the workspace."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from actions.stand_in import StandIn
from editor import Editor, editor
from lsprotocol import types
from own_engine import engine as own_engine
from server.test_related import asked

pytestmark = pytest.mark.usefixtures("engines")

STORE = '''class Store:
    """Where parts are kept."""

    def put_away(self, part: str, shelf: int) -> bool:
        """Put a part on a shelf."""
        return len(part) > shelf
'''
MAIN = "from parts.store import Store\n\n\ndef tidy(store: Store) -> None:\n    store.\n"


@pytest.fixture
def engine(engine: StandIn, tokenizer_folder: Callable[..., Path]) -> StandIn:
    """One whose prompts can be read."""
    engine.tokenizer = tokenizer_folder("7b")
    return engine


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "parts").mkdir(parents=True)
    (folder / "parts" / "__init__.py").write_text("")
    (folder / "parts" / "store.py").write_text(STORE)
    (folder / "main.py").write_text(MAIN)
    (folder / ".gitignore").write_text("private/\n")
    (folder / "private").mkdir()
    (folder / "private" / "store.py").write_text("def put_away_secretly(store): ...\n")
    return folder


async def test_a_member_that_only_an_imported_file_defines(
    options: dict[str, object], engine: StandIn, project: Path
) -> None:
    async with editor(options, folder=project) as window:
        main = window.open(project / "main.py")
        await window.ready()
        prompt = await asked(window, engine, main, 4, lambda prompt: "put_away" in prompt, tries=30)
    assert "# Path: parts/store.py" in prompt
    assert "def put_away(self, part: str, shelf: int) -> bool" in prompt
    assert "secretly" not in prompt
    assert prompt.index("put_away") < prompt.index("def tidy")


async def test_the_members_that_there_are_are_told_to_the_engine(
    project: Path, tokenizer_folder: Callable[..., Path]
) -> None:
    """As far as it is the project's own, which knows what to do with them."""
    async with own_engine(tokenizer_folder("7b"), None) as own, editor({"prefetch": False}, folder=project) as window:
        main = window.open(project / "main.py")
        await window.ready()
        told = []
        for member in ("p", "pu", "put", "x", "put_a"):
            text = MAIN.replace("store.\n", f"store.{member}\n")
            window.change(main, types.TextDocumentContentChangeWholeDocument(text))
            for _ in range(30):
                await asyncio.wait_for(window.suggest(main, 4, 10 + len(member)), 60)
                told.append(own.asked[-1].get("names"))
                if told[-1] or "put_away".startswith(member) is False:
                    break
                await asyncio.sleep(0.2)  # the index is not made yet
        assert [each for each in told if each] == [{"ut_away": 12.0}, {"t_away": 12.0}, {"_away": 12.0}, {"way": 12.0}]
        assert told[-2] is None


async def test_what_is_saved_is_known(options: dict[str, object], engine: StandIn, project: Path) -> None:
    async with editor(options, folder=project) as window:
        main, store = window.open(project / "main.py"), window.open(project / "parts" / "store.py")
        await window.ready()
        await asked(window, engine, main, 4, lambda prompt: "put_away" in prompt)
        (project / "parts" / "store.py").write_text(STORE.replace("put_away", "stow_away"))
        window.client.text_document_did_save(types.DidSaveTextDocumentParams(types.TextDocumentIdentifier(store)))
        _close(window, store)
        prompt = await asked(window, engine, main, 4, lambda prompt: "def stow_away" in prompt)
        assert "def stow_away" in prompt


@pytest.mark.parametrize("switch", ["workspaceIndex", "relatedImports", "relatedTokens"])
async def test_it_can_be_switched_off(
    switch: str, options: dict[str, object], engine: StandIn, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = project.parent / "indexes"
    monkeypatch.setenv("CODELLAMA_LS_INDEX", str(kept))
    off = {switch: 0 if "Tokens" in switch else False, "relatedSimilar": False, "relatedCounterpart": False}
    async with editor({**options, **off}, folder=project) as window:
        main = window.open(project / "main.py")
        await window.ready()
        for _ in range(3):
            assert "put_away" not in await asked(window, engine, main, 4)
            await asyncio.sleep(1.1)
    assert kept.exists() == (switch != "workspaceIndex")


async def test_what_is_kept_is_private_and_holds_nothing_hidden(
    options: dict[str, object], engine: StandIn, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = project.parent / "indexes"
    monkeypatch.setenv("CODELLAMA_LS_INDEX", str(kept))
    (project / ".env.py").write_text("def put_key(store): ...\n")
    os.symlink(project / "private" / "store.py", project / "linked.py")
    async with editor(options, folder=project) as window:
        main = window.open(project / "main.py")
        await window.ready()
        await asked(window, engine, main, 4, lambda prompt: "put_away" in prompt)
    files = list(kept.iterdir())
    assert files
    assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    held = b"".join(each.read_bytes() for each in files)
    assert b"put_away" in held
    assert b"secretly" not in held


def _close(window: Editor, uri: str) -> None:
    window.client.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri)))
