"""The whole way with the starter model, as tests/e2e/test_language_server.py has it: tests that share one engine."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from e2e.typed_file import row_of
from editor import ALONE, editor
from lsprotocol import types

from lsp_server.engine import address

pytestmark = pytest.mark.usefixtures("shared_engines")

COUNT = """def count_lines(path):
    count = 0
    with open(path) as file:
        ¦
            count += 1
    return count
"""
LOAD = """import json


def load_settings(path):
    with open(path) as file:
        ¦
    return settings["editor"]
"""


@pytest.mark.parametrize("layout", ["spm", "psm"])
async def test_what_follows_the_cursor_counts(starter: Path, tmp_path: Path, layout: str) -> None:
    """The starter infills: only the lines below the cursor tell what is missing."""
    async with editor({"layout": layout, "prefetch": False}) as window:
        for name, text, missing in (
            ("count.py", COUNT, "for line in file:"),
            ("load.py", LOAD, "settings = json.load"),
        ):
            (tmp_path / name).write_text(text.replace("¦", ""))
            uri = window.open(tmp_path / name)
            await window.ready()
            before = text.partition("¦")[0].split("\n")
            item, *_ = await window.suggest(uri, len(before) - 1, len(before[-1]))
            assert item.insert_text.startswith(missing)


async def test_the_socket_is_of_this_user_alone(starter: Path, real_file: Path, shared_engines: Path) -> None:
    async with editor() as window:
        window.open(real_file)
        await window.ready()
        files = address.files("starter")
        assert files.sockets()[0].stat().st_mode & 0o777 == 0o600
        assert files.address.stat().st_mode & 0o777 == 0o600
        assert shared_engines.stat().st_mode & 0o777 == 0o700


async def test_the_log_has_neither_the_buffer_nor_the_warnings_of_libraries(starter: Path, real_file: Path) -> None:
    async with editor({"logLevel": "debug"}) as window:
        uri = window.open(real_file)
        await window.ready()
        row = row_of(real_file)
        assert await window.suggest(uri, row, 20)
    log = address.files("starter").log.read_text()
    assert "MatMul8bitLt" not in log
    assert "TextWrapper" not in log


async def test_the_language_server_stays_light(starter: Path, real_file: Path) -> None:
    async with editor(command=ALONE) as window:
        uri = window.open(real_file)
        await window.ready()
        row = row_of(real_file)
        await window.suggest(uri, row, 20)
        process = psutil.Process(window.pid)
        assert process.memory_info().rss < 150e6
        assert not any("libtorch" in mapped.path for mapped in process.memory_maps())


async def test_the_menu_offers_the_same_suggestion_when_switched_on(starter: Path, real_file: Path) -> None:
    async with editor({"completionMenu": True}) as window:
        assert window.result.capabilities.completion_provider is not None
        uri = window.open(real_file)
        await window.ready()
        row = row_of(real_file)
        item, *_ = await window.suggest(uri, row, 20)
        where = types.CompletionParams(types.TextDocumentIdentifier(uri), types.Position(row, 20))
        menu = await window.client.text_document_completion_async(where)
        assert menu.items[0].text_edit.new_text == item.insert_text
    async with editor() as window:
        assert window.result.capabilities.completion_provider is None
