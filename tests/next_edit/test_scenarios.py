"""What is offered in the scenarios of `benchmarks/next_edit`: no worse than it was, and as good as was promised."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.next_edit.figures import measured
from benchmarks.next_edit.scenario import FOLDER, Outcome, accepted, played, read, scenarios

# Offers of one scenario that follow on each other.
MOST_ACCEPTED = 8
BASELINE = json.loads((FOLDER.parent / "baseline.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return [played(each) for each in scenarios()]


def test_offers_are_right_and_there_are_none_where_nothing_is_right(outcomes: list[Outcome]) -> None:
    found = measured(outcomes)
    wrong = [f"{each.scenario.language}: {each.scenario.title}" for each in outcomes if not each.right]
    assert found.precision >= max(0.9, BASELINE["precision"]), wrong
    assert found.quiet >= max(0.97, BASELINE["quiet"]), wrong
    assert found.recall >= max(0.85, BASELINE["recall"]), wrong


def test_of_the_hard_ones_no_fewer_are_right_than_were() -> None:
    """Names that mean two things, members of other objects, words in strings, what is half written."""
    found = [played(each) for each in scenarios(FOLDER / "hard")]
    assert len(found) >= 1300
    assert sum(each.right for each in found) >= BASELINE["hard"]["right"]
    assert measured(found).quiet >= BASELINE["hard"]["quiet"]


def test_who_accepts_all_comes_to_an_end() -> None:
    """What was done is not offered anew, nor taken back."""
    for each in [*scenarios(), *scenarios(FOLDER / "hard")]:
        offers = accepted(each, MOST_ACCEPTED)
        assert len(offers) < MOST_ACCEPTED, each.title
        done = {(offer.uri, offer.row, offer.old, offer.new) for offer in offers}
        assert not any((uri, row, new, old) in done for uri, row, old, new in done), each.title


def test_there_are_enough_of_them_and_a_third_wants_nothing(outcomes: list[Outcome]) -> None:
    silent = [each for each in outcomes if not each.scenario.wanted]
    assert len(outcomes) >= 150
    assert len(silent) >= len(outcomes) / 3
    assert len({each.scenario.language for each in outcomes}) >= 6


def test_a_wrong_offer_counts() -> None:
    text = "=== t\n--- a.py\ndef f(a):\n    return a\n--- edit a.py 1\ndef f(b):\n"
    right, wrong, unwanted = (
        played(read(text + end, "python")[0])
        for end in ("--- next a.py 2\n    return b\n", "--- next a.py 2\n    return c\n", "--- nothing\n")
    )
    assert (right.right, wrong.right, unwanted.right) == (True, False, False)
    assert measured([right, wrong, unwanted]) == (1 / 3, 0.0, 0.5)


def test_a_long_chain_does_not_hold_the_user_up() -> None:
    """Each name in it stands as deep as the chain is long."""
    text = f"def f(x):\n    return x{'.m(x)' * 250}\n"
    scenario = read(f"=== t\n--- a.py\n{text}--- edit a.py 1\ndef f(y):\n--- nothing\n", "python")[0]
    assert played(scenario).processor < 1500


@pytest.mark.parametrize(
    ("name", "text", "edit"),
    [
        ("a.c", "enum { COUNT = 3 \ntic int all[COUNT];\n", "1\nenum { TOTAL = 3 }"),
        (
            "a.c",
            "struct p { int x; };\nstruct p q = { .x = 1, .y = 2{nt f(void) { return p.x; }\n",
            "1\nstruct p { int l; };",
        ),
        ("a.go", "package p\n\ntype S st(}\n\nfunc NewS() *S { return &S{} }\n", "5\nfunc MakeS() *S {"),
        (
            "a.ts",
            'class " {\n  constructor(a: string) {}\n}\nnew C("a");\n',
            "2\n  constructor(a: string, b: boolean) {}",
        ),
    ],
)
def test_what_is_broken_off_leads_nowhere(name: str, text: str, edit: str) -> None:
    where, _, line = edit.partition("\n")
    scenario = read(f"=== t\n--- {name}\n{text}--- edit {name} {where}\n{line}\n--- nothing\n", "t")[0]
    assert played(scenario).right


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no edit"):
        read("=== t\n--- a.py\nx = 1\n--- nothing\n", "python")
