"""The region around the cursor that a model for next edits writes anew: what it is shown, and what it made of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from lsp_server.context.steps import Step
from lsp_server.next_edit.documents import Document, Situation
from lsp_server.next_edit.formats import Format, Part
from lsp_server.next_edit.offering import MOST_LINES
from lsp_server.next_edit.proposal import Proposal
from lsp_server.next_edit.tokens import common_ends

# Changes that are shown, lines around one in its diff, and characters of a prompt.
MOST_EDITS, AROUND, MOST_CHARACTERS = 8, 3, 24_000


@dataclasses.dataclass(frozen=True)
class Region:
    """The lines of a document from `first` up to, not including, `last`, and what is asked of them."""

    document: Document
    row: int
    first: int
    last: int
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.document.lines[self.first : self.last])


def region_at(
    here: Situation, column: int, form: Format, name_of: Callable[[str], str], seen: Callable[[str], bool]
) -> Region | None:
    """What to ask at the row of a situation, in a column in characters; None where it cannot be put. `name_of`: what a
    document is called, and whether it may be `seen`, by its uri."""
    document = here.documents.get(here.uri)
    if document is None or here.row >= len(document.lines):
        return None
    lines, row = document.lines, here.row
    first, last = max(0, row - form.lines), min(len(lines), row + form.lines + 1)
    top, bottom = max(0, first - form.context), min(len(lines), last + form.context)
    values = {
        "path": name_of(here.uri),
        "above": "".join(f"{line}\n" for line in lines[top:first]),
        "below": "".join(f"\n{line}" for line in lines[last:bottom]),
        "before": "\n".join([*lines[first:row], lines[row][:column]]),
        "after": "\n".join([lines[row][column:], *lines[row + 1 : last]]),
        "original": _original(here, document, first, last),
    }
    edits = [_edit(step, name_of(step.uri)) for step in here.steps[-MOST_EDITS:] if seen(step.uri)]
    if not form.is_kept_by([*values.values(), *(text for each in edits for text in each.values())]):
        return None
    parts = form.parts(values, edits, starts=top == 0)
    if sum(len(each.text) for each in parts) > MOST_CHARACTERS:
        return None
    return Region(document, row, first, last, tuple(parts))


def _edit(step: Step, path: str) -> dict[str, str]:
    """One change: its lines before and after, and as a diff."""
    return {
        "path": path,
        "old": _plain(step.before),
        "new": _plain(step.after),
        "diff": _diff(step),
    }


def _plain(lines: Sequence[str]) -> str:
    return "\n".join(line.rstrip("\r\n") for line in lines)


def _diff(step: Step) -> str:
    """A unified diff without the names of the files, each line with its ending."""
    import difflib  # slow to load

    start, end = max(0, step.row - AROUND), step.row + len(step.before) + AROUND
    above, below = step.base[start : step.row], step.base[step.row + len(step.before) : end]
    old, new = [[line.rstrip("\r\n") for line in (*above, *each, *below)] for each in (step.before, step.after)]
    found = [*difflib.unified_diff(old, new, lineterm="", n=AROUND)][2:]
    shift = f"@@ -{start + 1},{len(old)} +{start + 1},{len(new)} @@"
    return "".join(f"{shift if line.startswith('@@') else line}\n" for line in found)


def _original(here: Situation, document: Document, first: int, last: int) -> str:
    """The lines of a region as they were before what was done in the document of late."""
    steps = [step for step in here.steps if step.uri == document.uri]
    base: Sequence[str] = document.lines
    for step in reversed(steps):
        grown, end = len(step.after) - len(step.before), step.row + len(step.after)
        if end <= first:
            first, last = first - grown, last - grown
        elif step.row < last:
            last -= grown
        base = step.base
    return _plain(base[max(0, first) : max(0, last)])


def proposal_of(region: Region, written: str, steps: Sequence[Step]) -> Proposal | None:
    """What a model made of a region, as the smallest edit: the change that is nearest to the cursor, where there are
    several; None where there is none, or one that takes back what was done."""
    import difflib

    # Of blank lines at the end models make too many or too few.
    ended = written.rstrip("\n") + region.text[len(region.text.rstrip("\n")) :]
    old, new = region.document.lines[region.first : region.last], ended.split("\n")
    changes = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    found = [(a, b, c, d) for tag, a, b, c, d in changes if tag != "equal"]
    if not found or not written.strip():
        return None
    a, b, c, d = min(found, key=lambda each: abs(region.first + each[0] - region.row))
    if b - a > MOST_LINES or any(_takes_back(step, region, old[a:b], new[c:d]) for step in steps):
        return None
    return _smallest(region, a, b, old, new[c:d])


def _takes_back(step: Step, region: Region, old: Sequence[str], new: Sequence[str]) -> bool:
    """Whether lines that became others become again what they were before a step of the user's."""
    before, after = ([line.rstrip("\r\n") for line in lines] for lines in (step.before, step.after))
    return step.uri == region.document.uri and (after, before) == (list(old), list(new))


def _smallest(region: Region, a: int, b: int, old: Sequence[str], new: Sequence[str]) -> Proposal:
    """Lines `a` to `b` of the region become `new`, with no more in the edit than what differs."""
    row = region.first + a
    if a == b or not new:  # lines come, or go
        before = "".join(f"\n{line}" for line in old[a:b]) if a else "".join(f"{line}\n" for line in old[a:b])
        after = "".join(f"\n{line}" for line in new) if a else "".join(f"{line}\n" for line in new)
        if a:
            start = row - 1, len(old[a - 1])
            end = (region.first + b - 1, len(old[b - 1])) if b > a else start
        else:
            start, end = (row, 0), (row + b - a, 0)
        return _made(region, start, end, before, after)
    before, after = "\n".join(old[a:b]), "\n".join(new)
    head, tail = common_ends(before, after)
    start = _place(row, before, head)
    end = _place(row, before, len(before) - tail)
    return _made(region, start, end, before[head : len(before) - tail], after[head : len(after) - tail])


def _place(row: int, text: str, offset: int) -> tuple[int, int]:
    return row + text.count("\n", 0, offset), offset - (text.rfind("\n", 0, offset) + 1)


def _made(region: Region, start: tuple[int, int], end: tuple[int, int], old: str, new: str) -> Proposal:
    document = region.document
    shown = [" ".join(text.split())[:30] for text in (old, new)]
    why = " → ".join(filter(None, shown)) if all(shown) else f"+ {shown[1]}" if shown[1] else f"- {shown[0]}"
    return Proposal(document.uri, document.version, *start, *end, old, new, "rewritten", why)
