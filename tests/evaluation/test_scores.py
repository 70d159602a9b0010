"""What an answer is worth: by the parser of each language, not by the product's own rules."""

from __future__ import annotations

import pytest

from lsp_server.evaluation.holes import Hole
from lsp_server.evaluation.scores import lone_brackets, scores


def hole(text: str, language: str = "python") -> Hole:
    """`text` with the hole between two bars."""
    prefix, middle, suffix = text.split("|")
    return Hole("rest", "", language, "a", prefix, middle, suffix)


def test_the_right_answer() -> None:
    found = scores(hole("def f(a):\n    return |g(a)|\n"), "g(a)")
    assert (found.exact, found.similarity, found.parses, found.repeats, found.unbalanced) == (
        True,
        1.0,
        True,
        False,
        False,
    )


@pytest.mark.parametrize(
    ("text", "language", "answer", "parses"),
    [
        ("x = |1|\n", "python", "(1", False),
        ("if x:\n    |pass|\n", "python", "for y in z:", False),
        ("x = |1|\n", "python", "'\\d'", True),  # a warning is no error
        ("x = |1|\ny = = 2\n", "python", "1", None),  # it did not parse before
        ("let x = |1|;\n", "javascript", "{ a: 1", False),
        ("let x = |1|;\n", "javascript", "f(1)", True),
        ("fn f() {\n    |g();|\n}\n", "rust", "let x = 1;", True),
        ("func f() {\n\t|g()|\n}\n", "go", "if x {", False),
        ("words |and| words", "plaintext", "(", None),
    ],
)
def test_whether_the_file_parses(text: str, language: str, answer: str, parses: bool | None) -> None:
    assert scores(hole(text, language), answer).parses is parses


@pytest.mark.parametrize(
    ("text", "answer", "repeats"),
    [
        ("a\n|b|\nc(1)\n", "b\nc(1)", True),
        ("a\n|b|\nc(1)\n", "c(1)", True),
        ("a\n    |b|\n    c(1)\n", "c(1)", True),
        ("a\n|b|\n\n\nc(1)\n", "b\nc(1)", True),  # blank lines between
        ("a\n|b|\nc(1)\n", "c(2)", False),
        ("a {\n|b|\n}\n", "b\n}", False),  # a bracket alone says nothing
        ("a\n|c(1)|\nc(1)\n", "c(1)", False),  # so it is there
        ("f(|a|, b)\n", "a, b)", True),
        ("f(|a|)\n", "a)", False),
    ],
)
def test_what_stands_behind_it_anyway(text: str, answer: str, repeats: bool) -> None:
    assert scores(hole(text), answer).repeats is repeats


@pytest.mark.parametrize(
    ("text", "language", "answer", "unbalanced"),
    [
        ("x = |f(a)|\n", "python", "f(a", True),
        ("x = |f(a)|\n", "python", "f(a))", True),
        ("x = f(|a)|\n", "python", "a", False),  # what is open was not opened by it
        ("x = f(|a|)\n", "python", "g(a", True),  # it takes the bracket of another
        ("x = f(|a|)\n", "python", "a)", True),
        ("x = |f(a)|\n", "python", "'(' # (", False),
        ("x = |f(a)|;\n", "javascript", "`${f(a)}`", False),
        ("fn f() {\n    |g();|\n}\n", "rust", "if x {", True),
        ("words |and| words", "plaintext", "(", None),
    ],
)
def test_brackets_of_its_own(text: str, language: str, answer: str, unbalanced: bool | None) -> None:
    assert scores(hole(text, language), answer).unbalanced is unbalanced


def test_what_is_replaced_behind_the_cursor() -> None:
    found = scores(hole("x = f(|a|)\n"), "a)", over=1)
    assert (found.exact, found.unbalanced, found.repeats) == (True, False, False)


def test_lone_brackets_are_counted_in_bytes() -> None:
    assert lone_brackets("é = (\n", "python") == [5]
