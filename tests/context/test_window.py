"""The window around the cursor: within the budget, whole at its edges, and steady while one types."""

from __future__ import annotations

import pytest

from lsp_server.context import window
from lsp_server.context.buffer import split_lines


class Words:
    """A tokenizer for which one can count by eye: a token for each word and each line ending."""

    def __init__(self) -> None:
        self.characters = 0

    def encode_raw(self, text: str) -> list[int]:
        self.characters += len(text)
        return [0] * (len(text.split()) + text.count("\n"))


def lines(count: int) -> list[str]:
    return split_lines("".join(f"line {number} of the file\n" for number in range(count)))  # 6 tokens each


def test_everything_when_it_fits() -> None:
    text = "def f():\n    return 1\n\n\nprint(f())\n"
    view = window.fit(split_lines(text), 1, 11, 1000, Words(), with_suffix=True)
    assert view.prefix == "def f():\n    return "
    assert view.suffix == "1\n\n\nprint(f())\n"
    assert not view.cut_before
    assert not view.cut_after


@pytest.mark.parametrize("row", [0, 5, 16, 250, 499, 500])
def test_never_more_than_the_budget(row: int) -> None:
    words = Words()
    view = window.fit(lines(500), row, 0, 600, words, with_suffix=True)
    assert len(words.encode_raw(view.prefix)) + len(words.encode_raw(view.suffix)) <= 600
    assert view.cut_before == (not view.prefix.startswith("line 0 ") and row > 0)
    assert view.cut_after == (not view.suffix.endswith("line 499 of the file\n") and row < 500)


def test_the_edges_do_not_move_with_a_keystroke() -> None:
    text = lines(500)
    starts, ends = set(), set()
    for column in range(len("line 250 of the file")):
        view = window.fit(text, 250, column, 600, Words(), with_suffix=True)
        starts.add(view.prefix.split("\n", 1)[0])
        ends.add(view.suffix.rstrip("\n").rsplit("\n", 1)[-1])
    assert len(starts) == len(ends) == 1


def test_the_end_does_not_move_when_lines_are_added_above() -> None:
    before = window.fit(lines(500), 250, 0, 600, Words(), with_suffix=True)
    typed = lines(500)
    typed[250:250] = ["new line\n", "another\n"]
    after = window.fit(typed, 252, 0, 600, Words(), with_suffix=True)
    assert after.suffix == before.suffix


def test_the_start_moves_in_steps() -> None:
    text = lines(500)
    views = [window.fit(text, row, 0, 600, Words(), with_suffix=False) for row in range(200, 400)]
    starts = [view.prefix.split("\n", 1)[0] for view in views]
    assert len(set(starts)) <= 200 / window.STEP_LINES + 1


def test_the_cost_is_that_of_the_window_not_of_the_file() -> None:
    short, long = Words(), Words()
    window.fit(lines(300), 150, 0, 600, short, with_suffix=True)
    window.fit(lines(30_000), 15_000, 0, 600, long, with_suffix=True)
    assert long.characters < 2 * short.characters


def test_one_enormous_line() -> None:
    text = ["word " * 4_000_000]
    view = window.fit(text, 0, 10_000_000, 500, Words(), with_suffix=True)
    assert len(Words().encode_raw(view.prefix)) <= 500
    assert view.prefix == text[0][10_000_000 - len(view.prefix) : 10_000_000]
    assert view.suffix
    assert view.suffix == text[0][10_000_000 : 10_000_000 + len(view.suffix)]
    assert view.cut_before
    assert view.cut_after


def test_line_endings_and_what_is_no_character() -> None:
    view = window.fit(split_lines("a\r\nb\rc\ud800\0"), 2, 3, 100, Words(), with_suffix=True)
    assert view.prefix == "a\nb\nc\ufffd\0"


def test_what_one_side_leaves_the_other_takes() -> None:
    words = Words()
    view = window.fit(lines(500), 3, 0, 600, words, with_suffix=True)
    assert len(words.encode_raw(view.suffix)) > 600 // 4
