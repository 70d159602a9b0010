"""One of several was added in one place: where each of the others has a branch or an entry of its own elsewhere, the
new one lacks it. How that begins is known, what it says is not.

An operation `MUL` is added to `ADD` and `SUB`: below `if op is Op.ADD:` and `elif op is Op.SUB:`, each with its body,
an `elif op is Op.MUL:` is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lsp_server.context.steps import Step
from lsp_server.next_edit.documents import Document, Situation, touched
from lsp_server.next_edit.parallels import Names, added, substituted
from lsp_server.next_edit.proposal import GAP, Hole, Proposal
from lsp_server.next_edit.tokens import tokens

# Lines of the body of a branch, and of a block above and below one of them.
MOST_BODY, MOST_BLOCK = 4, 100
# What a branch may begin with that its neighbours do not, and what alone may close it.
_BEGINNING = re.compile(r"(?:\}\s*)?(?:else\s+if|elif|elsif|if|case)\b")
_CLOSING = re.compile(r"[)\]}]+[;,]?")


def holes(here: Situation, step: Step) -> Iterator[Hole]:
    """Where the new one of several lacks what the others have."""
    document = here.documents.get(step.uri)
    names = added(document, step) if document is not None else None
    if document is None or names is None or document.is_broken(step.row):
        return
    for each in (document, *here.others(step.uri, names[1])):
        if each.tree is not None:
            written = touched(here.since(step)) if each is document else set()
            yield from _in(each, names, written, "".join(step.after))


def _in(document: Document, names: Names, written: set[int], shown: str) -> Iterator[Hole]:
    _, other, new = names
    lines = document.lines
    for row, line in enumerate(lines):
        if row in written or not _has(line, other) or _has(line, new) or document.is_broken(row):
            continue
        hole = _branch(document, names, row) or _entry(document, names, row)
        if hole is None:
            continue
        end, text, count = hole
        following = lines[end + 1] if end + 1 < len(lines) else ""
        if end in written or end + 1 in written or _has(following, new) or _is_there(document, names, row):
            continue
        column = len(lines[end].rstrip())
        known = Proposal(document.uri, document.version, end, column, end, column, "", text, "filled", new)
        yield Hole(known, lines=count, shown=shown)


def _has(line: str, name: str) -> bool:
    likely = name.replace("_", "").lower() in line.replace("_", "").lower()  # which is soon told
    return likely and substituted(line, name, "\1") != line


def _is_there(document: Document, names: Names, row: int) -> bool:
    """Whether the new one has what it should in the block that a row is in."""
    mine = document.lines[row].strip()
    beginning = substituted(mine[: max(1, len(mine) // 2)], names[1], names[2])
    return any(_has(each, names[2]) and beginning in each for each in _block(document.lines, row))


def _block(lines: Sequence[str], row: int) -> Sequence[str]:
    """The lines around a row up to one that is indented less."""
    depth, first, last = _indent(lines[row]), row, row
    while first > 0 and row - first < MOST_BLOCK and _is_within(lines[first - 1], depth):
        first -= 1
    while last + 1 < len(lines) and last - row < MOST_BLOCK and _is_within(lines[last + 1], depth):
        last += 1
    return lines[first : last + 1]


def _is_within(line: str, depth: int) -> bool:
    return not line.strip() or _indent(line) >= depth


def _branch(document: Document, names: Names, row: int) -> tuple[int, str, int] | None:
    """(the last row of the branch of the second, the branch of the new one with a gap, lines of the gap)"""
    one, other, new = names
    lines, depth = document.lines, _indent(document.lines[row])
    end = _body_end(document, row)
    if end is None:
        return None
    above = row - 1
    while above >= 0 and row - above <= MOST_BODY + 2 and (not lines[above].strip() or _indent(lines[above]) > depth):
        above -= 1
    if above >= 0 and _CLOSING.fullmatch(lines[above].strip()) and _indent(lines[above]) == depth:
        above -= 1
        while above >= 0 and row - above <= MOST_BODY + 3 and _indent(lines[above]) > depth:
            above -= 1
    first = _body_end(document, above) if above >= 0 else None
    if first is None or _indent(lines[above]) != depth or first >= row:
        return None
    if _bare(substituted(lines[above], one, other)) != _bare(lines[row]):
        return None
    head = substituted(lines[row].rstrip(), other, new)
    body = lines[row + 1][: _indent(lines[row + 1])]
    closing = lines[end + 1].strip() if end + 1 < len(lines) and _indent(lines[end + 1]) == depth else ""
    count = max(end - row, first - above)
    opens = lines[row].rstrip().endswith(("{", "(", "["))
    if opens and _CLOSING.fullmatch(closing) and not lines[row].strip().startswith("}"):
        return end + 1, f"\n{head}\n{body}{GAP}\n{lines[end + 1].rstrip()}", count
    return end, f"\n{head}\n{body}{GAP}", count


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _bare(line: str) -> str:
    """The head of a branch without the word that it begins with."""
    return _BEGINNING.sub("", line.strip(), count=1).strip()


def _body_end(document: Document, row: int) -> int | None:
    """The last row of what is indented under a row; None where nothing is, or too much."""
    lines, depth = document.lines, _indent(document.lines[row])
    end = row
    while end + 1 < len(lines) and lines[end + 1].strip() and _indent(lines[end + 1]) > depth:
        end += 1
    return end if 0 < end - row <= MOST_BODY else None


def _entry(document: Document, names: Names, row: int) -> tuple[int, str, int] | None:
    """The same of an entry on a line of its own, such as one of a dictionary."""
    one, other, new = names
    lines = document.lines
    above, line = lines[row - 1].rstrip() if row else "", lines[row].rstrip()
    if _indent(above) != _indent(line) or not _has(above, one):
        return None
    likened = substituted(above, one, other)
    mine, theirs = tokens(line), tokens(likened)
    same = 0
    while same < min(len(mine), len(theirs)) and mine[same].text == theirs[same].text:
        same += 1
    if same < 2 or same >= len(mine) or not _has(line[: mine[same].column], other):
        return None
    comma = "," if above.endswith(",") and not line.endswith(",") else ""
    quote = mine[same].text[0] if mine[same].text[0] in "\"'" and theirs[same].text[:1] == mine[same].text[0] else ""
    ending = _ending(line, above) or comma
    if quote and not line.endswith(quote + ending):
        quote = ""
    head = substituted(line[: mine[same].column], other, new)
    return row, f"{comma}\n{head}{quote}{GAP}{quote}{ending}", 1


def _ending(line: str, above: str) -> str:
    """What both lines end with that is no code."""
    found = re.search(r"[)\]};,]*$", line)
    ends = found[0] if found else ""
    while ends and not above.endswith(ends):
        ends = ends[1:]
    return ends if ends.strip(";,") == "" else ends[len(ends.rstrip(";,")) :]
