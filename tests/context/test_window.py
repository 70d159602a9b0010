"""The window around the cursor: within the budget, whole at its edges, and steady while one types."""

from __future__ import annotations

import itertools
import random

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
    assert len(set(starts)) <= 200 / 16 + 1


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


BUDGETS = [64, 150, 256, 777, 1024]


def code(count: int, longest: int, *, seed: int) -> list[str]:
    """Lines of up to so many words, some of them empty."""
    rng = random.Random(seed)
    made = (" ".join(["word"] * (rng.randint(0, longest) if rng.random() > 0.2 else 0)) for _ in range(count))
    return split_lines("".join(f"{line}\n" for line in made))


def used(view: window.Window) -> int:
    return len(Words().encode_raw(view.prefix)) + len(Words().encode_raw(view.suffix))


@pytest.mark.parametrize("longest", [3, 12, 60, 700])
@pytest.mark.parametrize("budget", BUDGETS)
def test_most_of_the_budget_is_used_wherever_the_cursor_is(budget: int, longest: int) -> None:
    """Short lines and long ones, up to such as no small budget holds; in a file that has more than the budget."""
    text = code(300, longest, seed=budget)
    whole = used(window.Window("".join(text), ""))
    for row in range(0, 301, 11):
        line = text[row] if row < len(text) else ""
        for column in {0, len(line.rstrip()) // 2, len(line.rstrip())}:
            for with_suffix in (True, False):
                view = window.fit(text, row, column, budget, Words(), with_suffix=with_suffix)
                there = whole if with_suffix else used(window.Window("".join(text[:row]) + line[:column], ""))
                assert min(there, 0.6 * budget) <= used(view) <= budget, (row, column, with_suffix)
                assert view.prefix + view.suffix in "".join(text)


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("row", [0, 1, 7, 150, 290, 299])
def test_both_edges_stay_for_many_keys_whatever_the_budget(budget: int, row: int) -> None:
    """Three lines typed in the middle of a file: the edges move now and then, by more than a key each time."""
    text = code(300, 12, seed=row)
    starts, ends, keys = [], [], 0
    for at in range(row, row + 3):
        text.insert(at, "\n")
        for column in range(1, 41):
            text[at] = "word " * (column // 5) + "word"[: column % 5] + "\n"
            view = window.fit(text, at, len(text[at]) - 1, budget, Words(), with_suffix=True)
            lines_before = "".join(text[:at]) + text[at][:-1]
            assert lines_before.endswith(view.prefix)
            starts.append(len(lines_before) - len(view.prefix))
            ends.append(len("".join(text)) - len(lines_before) - len(view.suffix))
            keys += 1
    moves = sum(a != b for edges in (starts, ends) for a, b in itertools.pairwise(edges))
    assert moves <= 8
    assert starts == sorted(starts), "the start never goes back and forth"


def test_a_line_longer_than_the_budget_keeps_its_edges_too() -> None:
    line = "".join(f"word{number} " for number in range(5000))
    starts, ends = set(), set()
    for typed in range(60):
        text = line[:20_000] + "x" * typed + line[20_000:]
        view = window.fit([text], 0, 20_000 + typed, 256, Words(), with_suffix=True)
        assert 0.6 * 256 <= used(view) <= 256
        starts.add(20_000 + typed - len(view.prefix))
        ends.add(len(text) - 20_000 - typed - len(view.suffix))
    assert (len(starts), len(ends)) == (1, 1)


def test_an_automatic_window_is_what_is_computed_in_a_second() -> None:
    """From 1,024 tokens up to 4,096, in whole thousands; servers of others are machines of their own."""
    speeds = [None, 80.0, 1900.0, 2100.0, 3500.0, 90_000.0]
    assert [window.automatic(speed, remote=False) for speed in speeds] == [1024, 1024, 1024, 2048, 3072, 4096]
    assert window.automatic(None, remote=True) == 2048
