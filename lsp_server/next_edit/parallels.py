"""One more of several was added in one place: where the others stand beside each other elsewhere, it follows.

`x`, `y` and now `z` are parameters: below `self.x = x` and `self.y = y` there will be `self.z = z`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lsp_server.context.steps import Step
from lsp_server.next_edit.documents import Document, Situation, touched
from lsp_server.next_edit.proposal import Proposal
from lsp_server.next_edit.tokens import Token, differences, tokens

# Characters of a line whose items are looked at: longer ones are generated.
LONGEST_LINE = 2000
# Lines around a place in which what follows there may be already.
NEAR = 12
_TYPE_FIRST = ("java", "c", "cpp", "cuda-cpp", "csharp")
# A line that gives a variable a value: the variable, and the value.
_GIVEN = re.compile(r"\s*(?:\w+ )?([\w.]+) *=(?![=>])(.*)")
_OPEN, _CLOSE = ("(", "[", "{"), (")", "]", "}")
_SELF = ("self", "cls", "this", "&self", "*")

Names = tuple[str, str, str]
"""Two that were there, the one next to the new one last, and the new one."""


def proposals(here: Situation, step: Step) -> Iterator[Proposal]:
    """What follows from a line or an item that a step added."""
    document = here.documents.get(step.uri)
    names = added(document, step) if document is not None else None
    if document is None or names is None or document.is_broken(step.row):
        return
    written = touched(here.since(step))
    for each in (names, _stems(names)):
        if each is not None:
            yield from _lines(document, each, written)
            yield from _items(document, each, written)


def _stems(names: Names) -> Names | None:
    """What names differ in that begin or end alike, as `on_open` and `on_close` do; None where that is all of them."""
    parts = [re.findall(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])", name) for name in names]
    whole = min(map(len, parts))
    head = next((at for at in range(whole) if len({each[at] for each in parts}) > 1), whole)
    tail = next((at for at in range(whole - head) if len({each[-1 - at] for each in parts}) > 1), whole - head)
    one, other, new = ("_".join(each[head : len(each) - tail]).lower() for each in parts)
    return (one, other, new) if head + tail and one and other and new else None


def added(document: Document, step: Step) -> Names | None:
    """The new name, and those of two beside it; None where nothing of this kind was added."""
    if len(step.after) == len(step.before) + 1:
        return _added_line(document, step)
    if len(step.after) == len(step.before) == 1:
        return _added_item(document, step)
    return None


def _added_line(document: Document, step: Step) -> Names | None:
    rows = [at for at, line in enumerate(step.after) if line not in step.before]
    if len(rows) != 1:
        return None
    row = step.row + rows[0]
    lines = document.lines
    new = lines[row] if row < len(lines) else ""
    around = [lines[at] if 0 <= at < len(lines) else "" for at in (row - 2, row - 1)]
    if any(_indent(line) != _indent(new) or not line.strip() for line in around):
        around = [lines[at] if 0 <= at < len(lines) else "" for at in (row + 2, row + 1)]
        if any(_indent(line) != _indent(new) or not line.strip() for line in around):
            return None
    first, second = _differing(around[0], around[1]), _differing(around[1], new)
    if first is None or second is None or first[1] != second[0]:
        return None
    return first[0], second[0], second[1]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _differing(one: str, other: str) -> tuple[str, str] | None:
    """The first words that differ in two lines which begin alike."""
    for mine, theirs in zip(tokens(one), tokens(other), strict=False):
        if mine.text != theirs.text:
            names = _bare(mine.text), _bare(theirs.text)
            return names if all(re.fullmatch(r"[^\W\d]\w*", name) for name in names) else None
    return None


def _bare(text: str) -> str:
    return text[1:-1] if text[:1] in "\"'" and len(text) > 2 else text


def _added_item(document: Document, step: Step) -> Names | None:
    found = differences(step.before, step.after)
    if len(found) != 1 or found[0].old or not any(token.text == "," for token in found[0].new):
        return None
    line = step.after[0]
    new = {token.column for token in found[0].new}
    for items in groups(line):
        at = next((at for at, item in enumerate(items) if all(token.column in new for token in item)), -1)
        names = [_name(item, document.spoken.id) for item in items]
        if at < 0 or not all(names[max(0, at - 2) : at + 1]):
            continue
        before = [name for name in names[:at] if name not in _SELF]
        return (before[-2], before[-1], names[at]) if len(before) > 1 else None
    return None


def _name(item: Sequence[Token], language_id: str) -> str:
    """What an item is called: a parameter, an element."""
    named: list[str] = []
    for token in item:
        if token.text in ("=", ":") and named:
            break
        if token.is_word or (token.text[:1] in "\"'" and len(item) == 1):
            named.append(_bare(token.text))
    return (named[-1] if language_id in _TYPE_FIRST else named[0]) if named else ""


def groups(line: str) -> list[list[Sequence[Token]]]:
    """What stands in each pair of brackets of a line, item by item."""
    there = tokens(line.rstrip("\r\n"))
    done: list[list[Sequence[Token]]] = []
    open_: list[list[int]] = []  # where the items begin, of each pair that is not closed yet
    for at, token in enumerate(there):
        if token.text in _CLOSE and open_:
            starts = open_.pop()
            ends = [*(start - 1 for start in starts[1:]), at]
            done.append([there[a:b] for a, b in zip(starts, ends, strict=True) if a < b])
        elif token.text == "," and open_:
            open_[-1].append(at + 1)
        elif token.text in _OPEN:
            open_.append([at + 1])
    return done


def _lines(document: Document, names: Names, written: set[int]) -> Iterator[Proposal]:
    one, other, new = names
    lines = document.lines
    for row in range(1, len(lines)):
        above, line = lines[row - 1], lines[row]
        if other not in line.lower() and other.lower() not in line.lower():
            continue
        if row in written or row - 1 in written or above == line or _indent(above) != _indent(line):
            continue
        comma = "," if above.rstrip().endswith(",") and not line.rstrip().endswith(",") else ""
        if substituted(above.rstrip(), one, other).removesuffix(comma or "\0") != line.rstrip():
            continue
        made = substituted(line.rstrip(), other, new)
        following = lines[row + 1] if row + 1 < len(lines) else ""
        if (
            made == line.rstrip()
            or _is_given_anew(line, made)
            or any(made.strip().rstrip(",") in each for each in lines[max(0, row - NEAR) : row + NEAR])
        ):
            continue
        if substituted(line.rstrip(), other, "\0") == substituted(following.rstrip(), new, "\0"):
            continue
        column = len(line.rstrip())
        text = f"{comma}\n{made}"
        yield Proposal(document.uri, document.version, row, column, row, column, "", text, "parallel", f"{new}")


def _is_given_anew(line: str, made: str) -> bool:
    """Whether two lines give the same variable a value, one after the other, and the second not of the first."""
    one, other = _GIVEN.match(line), _GIVEN.match(made)
    if one is None or other is None or one[1] != other[1]:
        return False
    return re.search(rf"(?<![\w.]){re.escape(one[1])}\b", other[2]) is None


def _items(document: Document, names: Names, written: set[int]) -> Iterator[Proposal]:
    one, other, new = names
    both = re.compile(rf"\b{re.escape(one)}\b.*\b{re.escape(other)}\b")
    there = re.compile(rf"\b{re.escape(new)}\b")
    for row, line in enumerate(document.lines):
        if row in written or len(line) > LONGEST_LINE or not both.search(line) or there.search(line):
            continue
        for items in groups(line):
            texts = [_text(line, item) for item in items]
            for at in range(1, len(texts)):
                if (
                    _bare(texts[at]) == other
                    or _is_prose(items[at])
                    or texts[at] == texts[at - 1]
                    or substituted(texts[at - 1], one, other) != texts[at]
                ):
                    continue
                column = items[at][-1].column + len(items[at][-1].text)
                text = f", {substituted(texts[at], other, new)}"
                yield Proposal(document.uri, document.version, row, column, row, column, "", text, "parallel", new)


def _is_prose(item: Sequence[Token]) -> bool:
    """Whether an item is a string of several words: what stands in it is no name."""
    return len(item) == 1 and item[0].text[:1] in "\"'`" and " " in item[0].text


def _text(line: str, item: Sequence[Token]) -> str:
    return line[item[0].column : item[-1].column + len(item[-1].text)]


def substituted(text: str, old: str, new: str) -> str:
    """A text with one name in the place of another, also as a part of longer names, in their ways of writing."""
    text = re.sub(rf"(?<![^\W_]){re.escape(old)}(?![^\W_])", lambda match: new, text)
    if len(old) < 3:
        return text
    for change in (_camel, str.upper, str.lower):
        one, other = change(old), change(new)
        if one != old and one != new:
            text = re.sub(rf"(?<![A-Za-z]){re.escape(one)}(?![a-z])|(?<=[a-z]){re.escape(one)}(?![a-z])", other, text)
    return text


def _camel(name: str) -> str:
    parts = name.lower().split("_") if "_" in name or name.isupper() else [name]
    return "".join(part[:1].upper() + part[1:] for part in parts)
