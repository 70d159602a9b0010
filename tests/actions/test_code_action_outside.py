"""Links and odd files where tests would go: nothing outside the workspace is read or edited, and nothing hangs."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from acting_editor import ADD, acting_editor, opened
from stand_in import StandIn

TESTS = "```python\nfrom a import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n```"
SECRET = "def test_outside():\n    password = 'outside'\n"


def file_outside(root: Path, outside: Path) -> None:
    os.symlink(outside / "test_a.py", root / "tests" / "test_a.py")


def link_to_link(root: Path, outside: Path) -> None:
    os.symlink(outside / "test_a.py", root / "between")
    os.symlink("../between", root / "tests" / "test_a.py")


def folder_outside(root: Path, outside: Path) -> None:
    shutil.rmtree(root / "tests")
    os.symlink(outside, root / "tests")


def nothing_yet_outside(root: Path, outside: Path) -> None:
    os.symlink(outside / "new.py", root / "tests" / "test_a.py")


def hidden(root: Path, outside: Path) -> None:
    (root / ".env.py").write_text(SECRET)
    os.symlink("../.env.py", root / "tests" / "test_a.py")


def zero(root: Path, outside: Path) -> None:
    os.symlink("/dev/zero", root / "tests" / "test_a.py")


def pipe(root: Path, outside: Path) -> None:
    os.mkfifo(root / "tests" / "test_a.py")


def circle(root: Path, outside: Path) -> None:
    os.symlink("test_a.py", root / "tests" / "test_a.py")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "made", [file_outside, link_to_link, folder_outside, nothing_yet_outside, hidden, zero, pipe, circle]
)
async def test_writing_tests_edits_nothing_outside(
    made: Callable[[Path, Path], None], options: dict[str, Any], engine: StandIn, tmp_path: Path
) -> None:
    root, outside = tmp_path / "work", tmp_path / "outside"
    (root / "tests").mkdir(parents=True)
    (root / "tests" / "test_b.py").write_text("def test_b():\n    assert True\n")
    outside.mkdir()
    (outside / "test_a.py").write_text(SECRET)
    made(root, outside)
    engine.answers = [TESTS]
    async with acting_editor(options, root) as editor:
        uri = opened(editor, root, ADD)
        resolved = await asyncio.wait_for(editor.choose(await editor.menu(uri, (0, 5)), "Write tests"), 60)
        assert resolved.edit is None
        assert editor.created == editor.applied_edits == []
        (said,) = editor.messages
        assert any(words in said for words in ("outside the workspace", "secrets", "regular file", "nowhere"))
        assert not any("outside" in engine.prompt_of(asked) for asked in engine.asked)
    assert (outside / "test_a.py").read_text() == SECRET
    assert sorted(path.name for path in outside.iterdir()) == ["test_a.py"]


@pytest.mark.timeout(60)
async def test_a_project_full_of_odd_files_still_gets_its_tests(
    options: dict[str, Any], engine: StandIn, tmp_path: Path
) -> None:
    root = tmp_path / "work"
    root.mkdir()
    os.symlink("/dev/zero", root / "package.json")
    os.symlink("/dev/zero", root / "test_zero.py")
    os.mkfifo(root / "pyproject.toml")
    os.symlink("..", root / "up")
    os.symlink("setup.cfg", root / "setup.cfg")
    (tmp_path / "tox.ini").write_text("[pytest]\n")
    os.symlink("../tox.ini", root / "tox.ini")
    engine.answers = [TESTS]
    async with acting_editor(options, root) as editor:
        uri = opened(editor, root, ADD)
        await asyncio.wait_for(editor.choose(await editor.menu(uri, (0, 5)), "Write tests"), 60)
        assert editor.messages == []
        assert [created.rpartition("/work/")[2] for created in editor.created] == ["tests/test_a.py"]
        assert "unittest" in engine.prompt, "a tox.ini outside, reached by a link, says nothing"


async def test_a_file_outside_that_is_open_is_edited_but_gets_no_tests_beside_it(
    options: dict[str, Any], engine: StandIn, tmp_path: Path
) -> None:
    root, outside = tmp_path / "work", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    engine.answers = [TESTS]
    async with acting_editor(options, root) as editor:
        uri = opened(editor, outside, ADD)
        resolved = await editor.choose(await editor.menu(uri, (0, 5)), "Write tests")
        assert resolved.edit is None
        assert "outside the workspace" in editor.messages[0]
        engine.answers = ['```python\ndef add(a, b):\n    """Add."""\n    return a + b\n```']
        await editor.choose(await editor.menu(uri, (0, 5)), "Document")
        assert '"""Add."""' in editor.texts[uri]
