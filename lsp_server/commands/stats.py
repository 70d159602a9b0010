"""`stats`: what became of the suggestions of the last days, from what was counted on this machine."""

from __future__ import annotations

import argparse
import datetime
import os
import shutil
import sqlite3
import textwrap
from collections.abc import Mapping
from pathlib import Path

from lsp_server import places, printing
from lsp_server.commands import stats_page
from lsp_server.commands.console import output
from lsp_server.errors import UserError
from lsp_server.feedback import figures
from lsp_server.feedback.figures import Figures, percent, sentences
from lsp_server.feedback.record import Record, Row

# Where it is no terminal, and at most.
WIDTH, MOST_WIDTH = 80, 100
_EIGHTHS = " ▏▎▍▌▋▊▉█"
NOTHING = (
    "Nothing was counted in the last {days} days. Suggestions are counted while you work in an editor, unless "
    "codellama.keepStatistics is off."
)


def run(options: argparse.Namespace) -> int:
    """Print the figures, or write them as a page."""
    record = Record(places.data_folder)
    if options.forget:
        record.forget()
        printing.say("All that was counted is deleted.")
        return 0
    last = datetime.date.today()
    first = last - datetime.timedelta(days=options.days - 1)
    try:
        rows = record.rows(first.isoformat())
    except sqlite3.Error as error:
        raise UserError(f"{record.file} cannot be read ({error}); `stats --forget` begins anew.") from error
    if options.json:
        printing.as_json(_plain(rows, first, last), indent=2)
    elif not rows:
        printing.say(NOTHING.format(days=options.days))
    elif options.page is not None:
        written = _write(Path(options.page), stats_page.page(rows, first, last))
        printing.say(f"{written} has the figures of {options.days} days; open it in a browser.")
    else:
        printing.say(text(rows, first, last, _width(), blocks=_has_blocks()))
    return 0


def text(rows: list[Row], first: datetime.date, last: datetime.date, width: int, *, blocks: bool = True) -> str:
    """The figures for a terminal of so many columns. `blocks`: it shows parts of a block."""
    all_of_it = figures.of(rows)
    lines = [_folded(f"Suggestions from {first:%Y-%m-%d} to {last:%Y-%m-%d}", width, 0), ""]
    lines += [_folded(f"  {name:<16}{value}", width, 18) for name, value in sentences(all_of_it).items()]
    lines += ["", "By day: shown, and what share was taken", ""]
    days = figures.by_day(rows, first, last)
    most = max(each.shown for each in days.values())
    room, names = max(8, width - 30), max(10, min(22, width - 30))
    for day, each in _from_first(days).items():
        bar = _bar(room * each.shown / most if most else 0, blocks=blocks)
        lines.append(f"  {day[5:]}  {bar:<{room}}  {each.shown:>6,}  {percent(each.taken_share):>4}".rstrip())
    for heading, apart in (
        ("By language", figures.by(rows, lambda row: row.language or "?")),
        ("By editor", figures.by(rows, lambda row: row.editor or "?")),
    ):
        lines += ["", f"{heading:<{names + 2}}{'shown':>8}{'taken':>7}{'kept':>6}{'ms':>7}", ""]
        for name, each in apart.items():
            shares = f"{percent(each.taken_share):>7}{percent(each.kept_share):>6}{each.milliseconds(0.5) or '':>7}"
            lines.append(f"  {printing.one_line(name)[: names - 1]:<{names}}{each.shown:>8,}{shares}")
    return "\n".join(lines)


def _folded(line: str, width: int, indent: int) -> str:
    return textwrap.fill(line, max(width, 2 * indent), subsequent_indent=" " * indent, drop_whitespace=True)


def _from_first(days: Mapping[str, Figures]) -> dict[str, Figures]:
    """The days from the first on which something was shown."""
    names = list(days)
    begin = next((at for at, name in enumerate(names) if days[name].shown), 0)
    return {name: days[name] for name in names[begin:]}


def _bar(length: float, *, blocks: bool) -> str:
    if not blocks:
        return "#" * round(length)
    whole = int(length)
    return "█" * whole + _EIGHTHS[int(8 * (length - whole))].strip()


def _plain(rows: list[Row], first: datetime.date, last: datetime.date) -> dict[str, object]:
    def apart(found: Mapping[str, Figures]) -> dict[str, object]:
        return {name: each.plain() for name, each in found.items()}

    return {
        "first": first.isoformat(),
        "last": last.isoformat(),
        "all": figures.of(rows).plain(),
        "languages": apart(figures.by(rows, lambda row: row.language)),
        "editors": apart(figures.by(rows, lambda row: row.editor)),
        "days": apart(figures.by_day(rows, first, last)),
    }


def _width() -> int:
    return min(MOST_WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns) if output.is_terminal else WIDTH


def _has_blocks() -> bool:
    try:
        _EIGHTHS.encode(output.encoding)
    except UnicodeEncodeError:
        return False
    return True


def _write(file: Path, page: str) -> Path:
    """Write a page for this user alone. Raises OSError."""
    with open(file, "w", encoding="utf-8", opener=places.private) as out:
        out.write(page)
    return Path(os.path.abspath(file))
