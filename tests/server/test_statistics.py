"""Over the wire: what an editor tells of a suggestion is counted, and none of its text is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from actions.stand_in import StandIn
from editor import editor
from lsprotocol import types

from lsp_server.feedback.record import Record

pytestmark = pytest.mark.usefixtures("engines")

SECRET = "correct_horse_battery"


async def test_what_becomes_of_suggestions_is_counted(
    options: dict[str, object], engine: StandIn, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    engine.answers = [f"return {SECRET}\n"]
    async with editor(options) as window:
        uri = window.open("untitled:one", "def f():\n    ")
        await window.ready()
        [item, *_] = await window.suggest(uri, 1, 4)
        assert item.command.command == "codellama.accepted"
        window.client.protocol.notify("codellama/shown", item.command.arguments[0])
        window.client.protocol.notify("codellama/shown", {"suggestion": "none"})
        window.insert(uri, 1, 4, "return")
        [rest, *_] = await window.suggest(uri, 1, 10)
        window.client.protocol.notify("codellama/shown", rest.command.arguments[0])
        window.insert(uri, 1, 10, rest.insert_text)
        accepted = types.ExecuteCommandParams(rest.command.command, rest.command.arguments)
        await window.client.workspace_execute_command_async(accepted)
    counts = {(row.language, row.what): row.count for row in Record(lambda: data).rows()}
    assert (counts["python", "shown"], counts["python", "whole"]) == (1, 1)
    assert counts["python", "characters"] == len(f"return {SECRET}")
    assert counts["python", "asked"] >= 1
    assert SECRET.encode() not in b"".join(each.read_bytes() for each in data.rglob("*") if each.is_file())


async def test_one_setting_switches_it_off(options: dict[str, object], engine: StandIn, tmp_path: Path) -> None:
    async with editor({**options, "keepStatistics": False}) as window:
        uri = window.open("untitled:one", "x = ")
        await window.ready()
        [item, *_] = await window.suggest(uri, 0, 4)
        window.client.protocol.notify("codellama/shown", item.command.arguments[0])
    assert not (tmp_path / "data").exists()
