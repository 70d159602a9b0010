"""The steps of an edit, by what a programmer did: one edit is one step, another place is another."""

from __future__ import annotations

from types import SimpleNamespace

from lsp_server.context.buffer import Buffer
from lsp_server.context.journal import Journal
from lsp_server.context.steps import MOST, SECONDS, Step

CODE = "def area(radius):\n    side = radius * 2\n    return side\n"


class Window:
    def __init__(self, text: str = CODE) -> None:
        self.now = 0.0
        self.journal = Journal(lambda: self.now)
        self.buffer = Buffer("file:///a.py", text)
        self.journal.opened(self.buffer)

    def put(self, row: int, start: int, end: int, text: str, last: int | None = None) -> None:
        self.now += 1
        first, stop = (SimpleNamespace(line=at, character=column) for at, column in ((row, start), (last or row, end)))
        self.buffer.apply_change(SimpleNamespace(range=SimpleNamespace(start=first, end=stop), text=text))

    def type(self, row: int, column: int, text: str) -> None:
        for at, letter in enumerate(text):
            self.put(row, column + at, column + at, letter)

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.journal.steps.recent()


def test_a_word_typed_over_another_is_one_step() -> None:
    window = Window()
    window.put(1, 4, 8, "w")
    window.now += 60  # thinks
    window.type(1, 5, "idth")
    (step,) = window.steps
    assert (step.row, step.before, step.after) == (1, ("    side = radius * 2\n",), ("    width = radius * 2\n",))
    assert "".join(step.base) == CODE


def test_another_place_is_another_step_also_in_lines_just_written() -> None:
    window = Window("\n")
    window.type(0, 0, "a = 1")
    window.put(0, 5, 5, "\n")
    window.type(1, 0, "print(a)")
    assert [step.after for step in window.steps] == [("a = 1\n", "print(a)\n")]
    window.put(0, 0, 1, "b")
    assert [step.after for step in window.steps][1:] == [("b = 1\n",)]
    assert "".join(window.steps[1].base) == "a = 1\nprint(a)\n"


def test_a_change_within_what_was_pasted_is_another_step() -> None:
    window = Window("\n")
    window.put(0, 0, 0, "print(a)\nprint(b)\n")
    window.put(0, 0, 5, "log")
    window.put(1, 0, 5, "log")
    assert [step.after[:1] for step in window.steps[1:]] == [("log(a)\n",), ("log(b)\n",)]


def test_what_is_undone_leads_nowhere() -> None:
    window = Window()
    window.put(1, 4, 8, "width")
    window.put(2, 11, 15, "width")
    window.put(2, 11, 16, "side")
    assert [step.row for step in window.steps] == [1]  # in the same word: as if it had not been
    window.put(0, 0, 0, "# note\n")
    window.put(2, 4, 9, "side")
    assert window.steps == ()


def test_what_was_put_back_is_known_where_it_is_now_until_it_changes_anew() -> None:
    window = Window()
    window.put(1, 4, 8, "width")
    assert window.journal.steps.taken_back() == ()
    window.put(2, 11, 15, "width")
    window.put(2, 11, 16, "side")
    window.put(0, 0, 0, "# note\n")
    (undone,) = window.journal.steps.taken_back()
    assert (undone.row, undone.before, undone.after) == (3, ("    return side\n",), ("    return width\n",))
    window.put(3, 4, 10, "yield")
    assert window.journal.steps.taken_back() == ()


def test_the_whole_text_replaced_a_closed_document_and_old_steps_are_forgotten() -> None:
    window = Window()
    window.put(1, 4, 8, "width")
    window.now += SECONDS + 1
    assert window.steps == ()
    window.put(2, 11, 15, "width")
    window.put(0, 0, 0, "# line\n" * 100)
    assert window.steps == ()
    window.put(101, 0, 0, "x")
    assert len(window.steps) == 1
    window.journal.closed(window.buffer.uri)
    assert window.steps == ()


def test_only_the_last_ones_are_kept() -> None:
    window = Window("\n" * 500)
    for row in range(0, 400, 4):
        window.put(row, 0, 0, "x")
    assert [step.row for step in window.steps] == list(range(0, 400, 4))[-MOST:]
