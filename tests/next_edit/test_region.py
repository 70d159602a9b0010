"""What a model is shown of a region, and the smallest edit in what it wrote."""

from __future__ import annotations

import pytest

from benchmarks.next_edit.scenario import Change, make
from lsp_server.context.buffer import Buffer
from lsp_server.context.journal import Journal
from lsp_server.next_edit.documents import Document, Situation
from lsp_server.next_edit.formats import SWEEP, ZETA
from lsp_server.next_edit.proposal import Proposal, applied
from lsp_server.next_edit.region import Region, proposal_of, region_at

TEXT = "".join(f"line_{number} = {number}\n" for number in range(40))


def situation(row: int, *edits: Change) -> Situation:
    journal = Journal(lambda: 0.0)
    buffer = Buffer("file:///w/a.py", TEXT, version=1, language_id="python", encoding="utf-32")
    journal.opened(buffer)
    for edit in edits:
        make(buffer, edit)
    document = Document(buffer.uri, "python", list(buffer.lines), buffer.version)
    return Situation({buffer.uri: document}, journal.steps.recent(), buffer.uri, row)


def shown(here: Situation, form: object = SWEEP) -> str:
    region = region_at(here, 4, form, lambda uri: "a.py", lambda uri: True)  # type: ignore[arg-type]
    assert region is not None
    return "".join(each.text for each in region.parts)


def test_the_lines_around_the_cursor_as_they_were_and_are() -> None:
    """Ten lines on either side, also where lines have come above them since."""
    here = situation(22, Change("a.py", 2, 2, "new = 1\n"), Change("a.py", 20, 21, "nineteen = 19\n"))
    text = shown(here)
    _, _, rest = text.partition("<|file_sep|>original/a.py\n")
    original, _, rest = rest.partition("\n<|file_sep|>current/a.py\n")
    current, _, end = rest.partition("\n<|file_sep|>updated/a.py")
    assert end == ""
    assert original.split("\n") == [f"line_{number} = {number}" for number in range(11, 32)]
    assert current.split("\n") == [each.replace("line_19", "nineteen") for each in original.split("\n")]
    assert text.startswith("<|file_sep|>a.py.diff\noriginal:\n\nupdated:\nnew = 1\n<|file_sep|>a.py.diff\n")


def test_a_change_as_a_diff() -> None:
    text = shown(situation(22, Change("a.py", 20, 21, "twenty = 20\n")), ZETA)
    assert "User edited a.py:\n```diff\n@@ -18,7 +18,7 @@\n line_17 = 17\n line_18 = 18\n line_19 = 19\n" in text
    assert "-line_20 = 20\n+twenty = 20\n line_21 = 21\n line_22 = 22\n line_23 = 23\n\n```\n" in text
    assert "line_14 = 14\nline" in text.partition("<|editable_region_start|>")[2]
    assert "line_2<|user" not in text
    assert "\nline<|user_cursor_is_here|>_22 = 22\n" in text
    assert "<|start_of_file|>" not in text


def written(text: str, row: int = 1) -> Proposal | None:
    lines = ["a = one(1)", "b = one(2)", "", "c = 3"]
    document = Document("file:///w/a.py", "python", [f"{each}\n" for each in lines], 1)
    proposal = proposal_of(Region(document, row, 0, 4, ()), text, ())
    if proposal is not None:
        made = applied(document.lines, proposal)
        assert made is not None
        assert proposal.old != proposal.new
    return proposal


@pytest.mark.parametrize(
    ("answer", "old", "new", "start"),
    [
        ("a = one(1)\nb = two(2)\n\nc = 3", "one", "two", (1, 4)),
        ("a = one(1)\nb = one(2)\nd = 4\n\nc = 3", "", "\nd = 4", (1, 10)),
        ("zero = 0\na = one(1)\nb = one(2)\n\nc = 3", "", "zero = 0\n", (0, 0)),
        ("a = one(1)\n\nc = 3", "\nb = one(2)", "", (0, 10)),
        ("a = one(1)\nb = one(2)\n\nc = 4", "3", "4", (3, 4)),
        ("a = two(1)\nb = one(2)\n\nc = 4", "one", "two", (0, 4)),
    ],
)
def test_the_smallest_edit(answer: str, old: str, new: str, start: tuple[int, int]) -> None:
    proposal = written(answer)
    assert proposal is not None
    assert (proposal.old, proposal.new, (proposal.row, proposal.column)) == (old, new, start)


def test_the_same_text_is_no_edit() -> None:
    assert written("a = one(1)\nb = one(2)\n\nc = 3") is None


def test_nothing_is_no_edit_and_so_is_much_less() -> None:
    assert written("") is None
    here = situation(20)
    document = here.documents[here.uri]
    assert proposal_of(Region(document, 20, 0, 40, ()), "line_0 = 0\nline_39 = 39", ()) is None


def test_what_takes_the_users_change_back_is_none() -> None:
    here = situation(20, Change("a.py", 20, 21, "twenty = 20\n"))
    region = region_at(here, 0, SWEEP, lambda uri: "a.py", lambda uri: True)
    assert region is not None
    assert proposal_of(region, region.text.replace("twenty = 20", "line_20 = 20"), here.steps) is None
    assert proposal_of(region, region.text.replace("twenty = 20", "twenty = 21"), here.steps) is not None
