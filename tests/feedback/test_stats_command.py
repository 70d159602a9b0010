"""`codellama-ls stats`: what was counted, as text, as JSON and as a page."""

from __future__ import annotations

import datetime
import html.parser
import json
import stat
from pathlib import Path

import pytest

from lsp_server.cli import main
from lsp_server.commands import stats
from lsp_server.feedback.record import Record, Row

TODAY = datetime.date.today()
HOSTILE = "<script>alert(1)</script>"


def rows() -> list[Row]:
    """Thirty days: each with ten shown more than the one before, a third of which was taken."""
    found = []
    for ago in range(30):
        day = (TODAY - datetime.timedelta(days=ago)).isoformat()
        counts = {"shown": 300 - 10 * ago, "whole": 90 - 3 * ago, "part": 10, "kept": 80 - 2 * ago, "changed": 10}
        counts |= {"asked": 200, "known": 100, "ms 50": 100, "ms 150": 150, "ms 800": 50, "characters": 4000}
        counts |= {"tokens": 3000, "prompt tokens": 200_000, "reused tokens": 180_000}
        language, editor = ("python", "Visual Studio Code") if ago % 3 else ("typescript", "Neovim")
        found += [Row(day, language, editor, what, count) for what, count in counts.items()]
    return found


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Record:
    monkeypatch.setenv("CODELLAMA_LS_DATA", str(tmp_path))
    return Record(lambda: tmp_path)


def test_nothing_yet(counted: Record, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats"]) == 0
    assert capsys.readouterr().out.startswith("Nothing was counted in the last 30 days.")
    assert not counted.file.exists()


def test_in_the_terminal() -> None:
    first = TODAY - datetime.timedelta(days=29)
    said = stats.text(rows(), first, TODAY, 80)
    lines = said.split("\n")
    assert max(map(len, lines)) <= 80
    assert "  shown           4,650" in lines
    assert "  taken           1,695, 36%: 1,395 whole, 300 in part" in lines
    assert "  kept            84% of 1,830 were still there after a minute" in lines
    assert "  waited for      150 ms or less in half, 800 ms in 95%; 33% were known already" in lines
    assert "  tokens          90,000 written; of 6,000,000 read 90% were known from before" in lines
    assert next(line for line in lines if line.startswith(f"  {TODAY:%m-%d}")).split()[2:] == ["300", "33%"]
    assert sum("█" in line for line in lines) == 30
    assert next(line for line in lines if "Neovim" in line).split() == ["Neovim", "1,650", "36%", "84%", "150"]
    assert "█" not in stats.text(rows(), first, TODAY, 80, blocks=False)


def test_in_a_narrow_terminal() -> None:
    first = TODAY - datetime.timedelta(days=29)
    lines = stats.text(rows(), first, TODAY, 40).split("\n")
    assert [line for line in lines if len(line) > 40] == []
    assert "  taken           1,695, 36%: 1,395" in lines
    assert "                  whole, 300 in part" in lines
    assert next(line for line in lines if "Neovim" in line).split() == ["Neovim", "1,650", "36%", "84%", "150"]
    assert max(line.count("█") for line in lines) == 10


def test_as_json_and_as_a_page(counted: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counted.add(HOSTILE, HOSTILE, "shown", 7)
    counted.add("python", "Neovim", "shown", 3)
    counted.add("python", "Neovim", "whole", 2)
    counted.write()
    assert main(["stats", "--json", "--days", "7"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["all"]["shown"], said["languages"]["python"]["taken_share"], len(said["days"])) == (10, 0.667, 7)
    page = tmp_path / "page.html"
    assert main(["stats", "--page", str(page)]) == 0
    assert capsys.readouterr().out == f"{page} has the figures of 30 days; open it in a browser.\n"
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    seen = Tags()
    seen.feed(page.read_text(encoding="utf-8"))
    assert "script" not in seen.tags
    assert HOSTILE in seen.texts
    assert not seen.addresses, "nothing is fetched from elsewhere"
    assert main(["stats", "--forget"]) == 0
    assert counted.rows() == []


def test_a_file_that_is_none_is_said(counted: Record, capsys: pytest.CaptureFixture[str]) -> None:
    counted.file.write_bytes(b"no database" * 1000)
    assert main(["stats"]) == 1
    assert capsys.readouterr().err.strip().endswith("`stats --forget` begins anew.")


class Tags(html.parser.HTMLParser):
    """What a browser would see of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: set[str] = set()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attributes if name in ("src", "href", "data", "action")]

    def handle_data(self, data: str) -> None:
        self.texts.add(data)
