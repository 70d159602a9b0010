"""The figures of `stats` as a page that needs nothing else: no script, nothing from elsewhere."""

from __future__ import annotations

import datetime
import html
from collections.abc import Mapping, Sequence

from lsp_server.feedback import figures
from lsp_server.feedback.figures import Figures, percent, sentences
from lsp_server.feedback.outcomes import BUCKETS
from lsp_server.feedback.record import Row

WIDTH, HEIGHT = 720, 160
_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --quiet: #656d76; --line: #d0d7de; --bar: #b6c7e3; --part: #2f6feb; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --quiet: #8d96a0; --line: #3d444d; --bar: #33496b; --part: #6ea8fe; }
}
body { max-width: 760px; margin: 2rem auto; padding: 0 1rem; color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; } h2 { margin-top: 2rem; font-size: 1.05rem; }
p, figcaption { color: var(--quiet); }
dl { display: grid; grid-template-columns: 8rem 1fr; gap: .3rem 1rem; } dt { color: var(--quiet); } dd { margin: 0; }
figure { margin: 0; } svg { width: 100%; height: auto; } text { fill: var(--quiet); font-size: 11px; }
.all { fill: var(--bar); } .part { fill: var(--part); } .axis { stroke: var(--line); }
table { width: 100%; border-collapse: collapse; }
th, td { padding: .25rem .5rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; } th { color: var(--quiet); font-weight: 500; }
"""


def page(rows: Sequence[Row], first: datetime.date, last: datetime.date) -> str:
    """A whole page in HTML."""
    found, days = figures.of(rows), figures.by_day(rows, first, last)
    words = ((html.escape(name), html.escape(text)) for name, text in sentences(found).items())
    said = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in words)
    taken = [(day[5:], each.shown, each.taken) for day, each in days.items()]
    times = [(_milliseconds(end), found.counts[f"ms {end}"], 0) for end in (*BUCKETS, 2 * BUCKETS[-1])]
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Code Llama: suggestions</title>
<style>{_STYLE}</style>
<h1>Suggestions from {first:%Y-%m-%d} to {last:%Y-%m-%d}</h1>
<p>Counted on this machine and kept on it: numbers by day, language and editor, no text.</p>
<dl>{said}</dl>
<h2>By day</h2>
{_chart(taken, "Suggestions shown each day, and in front those that were taken, whole or in part.")}
<h2>How long they took</h2>
{_chart(times, "Suggestions by the milliseconds from the request to the answer, up to the number below.")}
<h2>By language</h2>
{_table(figures.by(rows, lambda row: row.language or "?"))}
<h2>By editor</h2>
{_table(figures.by(rows, lambda row: row.editor or "?"))}
</html>
"""


def _chart(bars: Sequence[tuple[str, int, int]], about: str) -> str:
    """Bars, each (name, how high, how much of it is the front part)."""
    most = max((high for _, high, _ in bars), default=0) or 1
    step = WIDTH / max(1, len(bars))
    every = -(-len(bars) // 15)  # names that have room
    drawn = []
    for at, (name, high, front) in enumerate(bars):
        left, wide = at * step + 0.1 * step, 0.8 * step
        title = f"<title>{html.escape(name)}: {high:,}{f', taken {front:,}' if front else ''}</title>"
        drawn.append(f"<g>{title}{_bar(left, wide, high / most, 'all')}{_bar(left, wide, front / most, 'part')}</g>")
        if at % every == 0:
            middle = f'x="{left + wide / 2:.1f}" y="{HEIGHT + 16}" text-anchor="middle"'
            drawn.append(f"<text {middle}>{html.escape(name)}</text>")
    axis = f'<line class="axis" x1="0" y1="{HEIGHT}" x2="{WIDTH}" y2="{HEIGHT}"/>'
    top = f'<text x="0" y="10">{most:,}</text>'
    box = f'viewBox="-14 0 {WIDTH + 28} {HEIGHT + 24}" role="img" aria-label="{html.escape(about)}"'
    return f"<figure><svg {box}>{''.join(drawn)}{axis}{top}</svg><figcaption>{html.escape(about)}</figcaption></figure>"


def _bar(left: float, wide: float, share: float, kind: str) -> str:
    high = (HEIGHT - 16) * share
    return f'<rect class="{kind}" x="{left:.1f}" y="{HEIGHT - high:.1f}" width="{wide:.1f}" height="{high:.1f}"/>'


def _table(apart: Mapping[str, Figures]) -> str:
    head = "".join(f"<th>{name}</th>" for name in ("", "shown", "taken", "kept", "median ms", "95% ms"))
    lines = []
    for name, each in apart.items():
        shares = percent(each.taken_share), percent(each.kept_share)
        cells = (f"{each.shown:,}", *shares, each.milliseconds(0.5) or "", each.milliseconds(0.95) or "")
        lines.append(f"<tr><td>{html.escape(name)}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"


def _milliseconds(end: int) -> str:
    return f"{end}" if end <= BUCKETS[-1] else "more"
