"""From the counts of days to the figures that are shown."""

from __future__ import annotations

import dataclasses
import datetime
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from lsp_server.feedback.outcomes import bucket
from lsp_server.feedback.record import Row


@dataclasses.dataclass(frozen=True)
class Figures:
    """How often each thing happened; shares are None where there is nothing to share."""

    counts: Counter[str]

    @property
    def shown(self) -> int:
        return self.counts["shown"]

    @property
    def taken(self) -> int:
        """Those of which all or a part was taken."""
        return self.counts["whole"] + self.counts["part"]

    @property
    def taken_share(self) -> float | None:
        return _share(self.taken, self.shown)

    @property
    def looked_at(self) -> int:
        """Those taken that were looked at again after a minute."""
        return self.counts["kept"] + self.counts["changed"]

    @property
    def kept_share(self) -> float | None:
        return _share(self.counts["kept"], self.looked_at)

    @property
    def known_share(self) -> float | None:
        """Of the requests those for which no model was asked."""
        return _share(self.counts["known"], self.counts["known"] + self.counts["asked"])

    @property
    def reused_share(self) -> float | None:
        """Of the tokens of prompts those that were not computed again."""
        return _share(self.counts["reused tokens"], self.counts["prompt tokens"])

    def milliseconds(self, share: float) -> int | None:
        """Within which time so large a share of the suggestions came: the upper end of its class."""
        times = {int(what[3:]): count for what, count in self.counts.items() if _is_time(what)}
        left = share * sum(times.values())
        for end in sorted(times):
            left -= times[end]
            if left <= 0:
                return end
        return None

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "shown": self.shown,
            "whole": self.counts["whole"],
            "part": self.counts["part"],
            "taken_share": self.taken_share,
            "characters": self.counts["characters"],
            "looked_at": self.looked_at,
            "kept_share": self.kept_share,
            "median_ms": self.milliseconds(0.5),
            "p95_ms": self.milliseconds(0.95),
            "known_share": self.known_share,
            "tokens": self.counts["tokens"],
            "prompt_tokens": self.counts["prompt tokens"],
            "reused_share": self.reused_share,
        }


def of(rows: Iterable[Row]) -> Figures:
    """All rows together."""
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row.what] += row.count
    return Figures(counts)


def by(rows: Sequence[Row], key: Callable[[Row], str]) -> dict[str, Figures]:
    """The rows apart, those with most suggestions first."""
    apart: dict[str, list[Row]] = {}
    for row in rows:
        apart.setdefault(key(row), []).append(row)
    found = {name: of(each) for name, each in apart.items()}
    return dict(sorted(found.items(), key=lambda each: (-each[1].shown, each[0])))


def by_day(rows: Sequence[Row], first: datetime.date, last: datetime.date) -> dict[str, Figures]:
    """Each day from `first` to `last`, also those on which nothing happened."""
    found = by(rows, lambda row: row.day)
    days = [(first + datetime.timedelta(days=each)).isoformat() for each in range((last - first).days + 1)]
    return {day: found.get(day, Figures(Counter())) for day in days}


def sentences(found: Figures) -> dict[str, str]:
    """The figures in words, by their names."""
    count = found.counts
    said = {
        "shown": f"{found.shown:,}",
        "taken": f"{found.taken:,}, {percent(found.taken_share)}: {count['whole']:,} whole, {count['part']:,} in part",
        "characters": f"{count['characters']:,} taken",
        "kept": f"{percent(found.kept_share)} of {found.looked_at:,} were still there after a minute",
        "waited for": f"{found.milliseconds(0.5)} ms or less in half, {found.milliseconds(0.95)} ms in 95%; "
        f"{percent(found.known_share)} were known already",
        "tokens": f"{count['tokens']:,} written; of {count['prompt tokens']:,} read {percent(found.reused_share)} "
        "were known from before",
    }
    if not found.looked_at:
        del said["kept"]
    if found.milliseconds(0.5) is None:
        del said["waited for"], said["tokens"]
    return said


def percent(share: float | None) -> str:
    """A share in words; "" where there is none."""
    return "" if share is None else f"{100 * share:.0f}%"


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 3) if whole else None


def _is_time(what: str) -> bool:
    return what.startswith("ms ") and what[3:].isdecimal() and bucket(int(what[3:])) == int(what[3:])
