"""What a question attaches, over the wire: nothing outside the workspace or hidden, by whatever link, no odd file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from lsp_server.codellama import CodeLlamaTokenizer

from .wire import Editor, Engine, editor

SECRET = "MUST-NOT-BE-SENT"


@pytest.fixture
async def window(
    load: Callable[[str], CodeLlamaTokenizer], tmp_path: Path, tokenizer_folder: Callable[..., Path]
) -> AsyncIterator[tuple[Editor, Engine]]:
    root, outside = tmp_path / "work", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "bashrc").write_text(SECRET)
    (outside / "lib.py").write_text(f"def reached():\n    return '{SECRET}'\n")
    (root / ".gitignore").write_text("private/\n")
    (root / "private").mkdir()
    (root / "private" / "a.py").write_text(f"def reached():\n    return '{SECRET}'\n")
    (root / ".env").write_text(SECRET)
    (root / "sub").mkdir()
    for name, target in {
        "notes.txt": "../outside/bashrc",
        "again.txt": "notes.txt",
        "sub/harmless.txt": "../.env",
        "linked": "../outside",
        "lib.py": "../outside/lib.py",
        "public": "private",
        "p.py": "private/a.py",
        "zero.py": "/dev/zero",
        "stdin.py": "/dev/stdin",
        "circle.py": "circle.py",
        "up": "..",
    }.items():
        os.symlink(target, root / name)
    os.mkfifo(root / "pipe.py")
    engine = Engine(load("inst"))
    with engine.running() as url:
        given = {"engineUrl": url, "tokenizer": str(tokenizer_folder("7b")), "chatFormat": "inst"}
        async with editor(tmp_path / "data", root, **given) as opened:
            yield opened, engine


NAMES = [
    "notes.txt",
    "again.txt",
    "sub/harmless.txt",
    "linked/bashrc",
    "lib.py",
    "public/a.py",
    "p.py",
    "zero.py",
    "stdin.py",
    "circle.py",
    "pipe.py",
    "up/outside/bashrc",
    "sub/../notes.txt",
    "../outside/bashrc",
    ".env",
]


@pytest.mark.timeout(90)
async def test_what_is_named_or_attached_does_not_lead_out(window: tuple[Editor, Engine], tmp_path: Path) -> None:
    opened, engine = window
    for name in NAMES:
        named = await asyncio.wait_for(opened.chat("send", message=f'Read @"{name}".'), 60)
        assert named["leftOut"], name
        uri = (tmp_path / "work").as_uri() + "/" + name
        attached = await asyncio.wait_for(opened.chat("send", message="Read.", attachments=[{"uri": uri}]), 60)
        (said,) = attached["leftOut"]
        assert "was not attached: " in said, name
    sent = [engine.tokenizer.shown(prompt) for prompt in engine.prompts]
    assert len(sent) == 2 * len(NAMES)
    assert not any(SECRET in prompt for prompt in sent)


@pytest.mark.timeout(60)
async def test_a_definition_is_not_looked_for_there_either(window: tuple[Editor, Engine]) -> None:
    opened, engine = window
    reply = await asyncio.wait_for(opened.chat("send", message="What does @reached do?"), 60)
    assert reply["leftOut"] == ["@reached names no file, function or class in the workspace; it was sent as text."]
    assert SECRET not in engine.tokenizer.shown(engine.prompts[-1])


@pytest.mark.timeout(60)
async def test_a_document_whose_name_can_be_none_disturbs_no_other(window: tuple[Editor, Engine]) -> None:
    opened, _ = window
    document = {"uri": "file:///w/a.py%00", "languageId": "python", "version": 1, "text": "x = 1\n"}
    opened.send("textDocument/didOpen", {"textDocument": document})
    reply = await asyncio.wait_for(opened.chat("send", message="What is in @linked/bashrc?"), 60)
    assert "lies outside the workspace" in reply["leftOut"][0]
