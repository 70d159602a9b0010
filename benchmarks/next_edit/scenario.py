"""Scenarios of the next edit: files, what is done in them, and what should be offered then.

They are written as text, several in a file:

    === what it is about
    --- shapes.py             a file, and its text
    def area(w):
        return w * w
    --- edit shapes.py 1      line 1 becomes these lines (`2-4`: several, `1+`: they come behind it)
    def area(width):
    --- next shapes.py 2      right is: line 2 becomes this
        return width * width
    --- nothing               or: to offer nothing

Several `next` are several that are right.
"""

from __future__ import annotations

import dataclasses
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lsp_server.context.buffer import Buffer, split_lines
from lsp_server.context.journal import Journal
from lsp_server.context.languages import language
from lsp_server.next_edit.documents import Document, Situation, Trees
from lsp_server.next_edit.offering import offered
from lsp_server.next_edit.proposal import Proposal, applied

FOLDER = Path(__file__).parent / "scenarios"
# Between two edits of a user's.
SECONDS = 3.0


@dataclasses.dataclass(frozen=True)
class Change:
    """In a file the lines from `first` up to, not including, `last` become `text`, which ends in a line ending or is
    empty."""

    name: str
    first: int
    last: int
    text: str

    def made(self, text: str) -> str:
        lines = split_lines(text)
        return "".join([*lines[: self.first], self.text, *lines[self.last :]])


@dataclasses.dataclass(frozen=True)
class Scenario:
    """`wanted`: the edits that are right, none where nothing is to be offered."""

    title: str
    language: str
    files: dict[str, str]
    edits: tuple[Change, ...]
    wanted: tuple[Change, ...]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What was offered, whether that was right, and how long it took, of which processor time in ms."""

    scenario: Scenario
    offer: Proposal | None
    right: bool
    wall: float
    processor: float


def scenarios(folder: Path = FOLDER) -> list[Scenario]:
    """All of a folder, by the names of its files."""
    return [each for file in sorted(folder.glob("*.txt")) for each in read(file.read_text("utf-8"), file.stem)]


def read(text: str, name: str) -> list[Scenario]:
    """The scenarios of one file. Raises ValueError where one cannot be read."""
    found = []
    for part in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
        title, _, rest = part.partition("\n")
        files: dict[str, str] = {}
        edits: list[Change] = []
        wanted: list[Change] = []
        for block in re.split(r"^--- ", rest, flags=re.MULTILINE)[1:]:
            head, _, body = block.partition("\n")
            body = body.rstrip("\n") + "\n" if body.strip() else ""
            words = head.split()
            if words[0] in ("edit", "next"):
                (edits if words[0] == "edit" else wanted).append(_change(words, body))
            elif words[0] != "nothing":
                files[words[0]] = body
        if not files or not edits:
            raise ValueError(f"The scenario {title!r} has no file or no edit.")
        found.append(Scenario(title, name, files, tuple(edits), tuple(wanted)))
    return found


def _change(words: list[str], body: str) -> Change:
    _, name, where = words
    if where.endswith("+"):
        return Change(name, int(where[:-1]), int(where[:-1]), body)
    first, _, last = where.partition("-")
    return Change(name, int(first) - 1, int(last or first), body)


class Editor:
    """One that has the files of a scenario open. `padding` comes behind each text."""

    def __init__(self, scenario: Scenario, padding: str = "") -> None:
        self._clock = 0.0
        self._journal = Journal(lambda: self._clock)
        self._trees = Trees()
        self.buffers: dict[str, Buffer] = {}
        for name, text in scenario.files.items():
            uri, spoken = f"file:///work/{name}", language("", name).id
            self.buffers[name] = Buffer(uri, text + padding, version=1, language_id=spoken, encoding="utf-32")
            self._journal.opened(self.buffers[name])
            self._trees.now(uri, spoken, self.buffers[name].lines)

    def change(self, change: Change) -> None:
        """Make a change of the user's."""
        self._clock += SECONDS
        make(self.buffers[change.name], change)

    def offered(self, name: str, row: int) -> Proposal | None:
        """What is offered to the user who is there."""
        documents = {
            each.uri: Document(each.uri, each.language_id, list(each.lines), each.version, self._trees)
            for each in self.buffers.values()
        }
        steps = self._journal.steps
        return offered(Situation(documents, steps.recent(), self.buffers[name].uri, row, taken_back=steps.taken_back()))

    def accept(self, offer: Proposal) -> Proposal | None:
        """Make what is offered, and give what is offered then."""
        name = next(name for name, buffer in self.buffers.items() if buffer.uri == offer.uri)
        lines = self.buffers[name].lines[offer.row : offer.end_row + 1]
        made = applied([line.rstrip("\n") for line in self.buffers[name].lines], offer)
        assert made is not None
        count = len(lines) + offer.new.count("\n") - offer.old.count("\n")
        text = "".join(split_lines(made)[offer.row : offer.row + count])
        self.change(Change(name, offer.row, offer.end_row + 1, text))
        return self.offered(name, offer.row)


def played(scenario: Scenario, padding: str = "") -> Outcome:
    """A scenario, played: what is offered after its last edit. `padding` comes behind each text."""
    editor = Editor(scenario, padding)
    for change in scenario.edits[:-1]:
        editor.change(change)
        editor.offered(change.name, change.first)
    last = scenario.edits[-1]
    editor.change(last)
    wall, processor = time.perf_counter(), time.process_time()
    offer = editor.offered(last.name, last.first)
    wall, processor = 1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - processor)
    return Outcome(scenario, offer, is_right(scenario, editor.buffers, offer), wall, processor)


def accepted(scenario: Scenario, most: int) -> list[Proposal]:
    """What is offered one after the other where all is accepted, at most so many."""
    editor = Editor(scenario)
    for change in scenario.edits:
        editor.change(change)
    offer = editor.offered(scenario.edits[-1].name, scenario.edits[-1].first)
    found: list[Proposal] = []
    while offer is not None and len(found) < most:
        found.append(offer)
        offer = editor.accept(offer)
    return found


def make(buffer: Buffer, change: Change) -> None:
    """Make a change as an editor would tell it: no more than what differs."""
    old = "".join(buffer.lines[change.first : change.last])
    new = change.text
    start = next((at for at in range(min(len(old), len(new))) if old[at] != new[at]), min(len(old), len(new)))
    most = min(len(old), len(new)) - start
    end = next((at for at in range(most) if old[-1 - at] != new[-1 - at]), most)
    before = old[:start]
    first = SimpleNamespace(line=change.first + before.count("\n"), character=start - (before.rfind("\n") + 1))
    before = old[: len(old) - end]
    last = SimpleNamespace(line=change.first + before.count("\n"), character=len(before) - (before.rfind("\n") + 1))
    where: Any = SimpleNamespace(start=first, end=last)
    buffer.version = (buffer.version or 0) + 1
    buffer.apply_change(SimpleNamespace(range=where, text=new[start : len(new) - end]))


def is_right(scenario: Scenario, buffers: dict[str, Buffer], offer: Proposal | None) -> bool:
    """Whether one of the texts that are right comes out, or nothing where nothing is right."""
    if offer is None or not scenario.wanted:
        return offer is None and not scenario.wanted
    name = next(name for name, buffer in buffers.items() if buffer.uri == offer.uri)
    text = buffers[name].source
    made = applied([line.rstrip("\n") for line in buffers[name].lines], offer)
    return any(change.name == name and change.made(text) == made for change in scenario.wanted)
