from __future__ import annotations

import datetime
import stat
from pathlib import Path

import pytest

from lsp_server.feedback.record import Record, Row

TODAY = datetime.date.today().isoformat()


def test_several_servers_add_up(tmp_path: Path) -> None:
    one, other = Record(lambda: tmp_path), Record(lambda: tmp_path)
    assert one.rows() == []
    one.add("python", "Neovim", "shown", 3)
    other.add("python", "Neovim", "shown")
    other.add("python", "Neovim", "tokens", 0)
    one.write()
    other.write()
    one.write()
    assert one.rows() == [Row(TODAY, "python", "Neovim", "shown", 4)]
    assert one.rows(since="9999-01-01") == []
    one.forget()
    assert one.rows() == []


def test_it_is_for_this_user_alone(tmp_path: Path) -> None:
    record = Record(lambda: tmp_path)
    record.add("python", "x" * 1000, "shown")
    record.write()
    assert stat.S_IMODE(record.file.stat().st_mode) == 0o600
    assert len(record.rows()[0].editor) == 40


def test_what_cannot_be_written_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    record = Record(lambda: tmp_path)
    record.file.write_bytes(b"no database" * 1000)
    record.add("python", "Neovim", "shown")
    record.write()
    assert "not written" in caplog.text
