"""Unmatched brackets, worked by hand."""

import pytest

from lsp_server.completion.brackets import unmatched
from lsp_server.completion.scanner import steps


@pytest.mark.parametrize(
    ("code", "closers", "openers"),
    [
        ("", [], []),
        ("f(a[1], {})", [], []),
        ("f(a[1]", [], [1]),
        ("a) + (b", [1], [5]),
        ("print(')')", [], []),
        ('x = "([{" + y]', [13], []),
        ("don't (stop", [], [6]),
        ("&'a str)", [7], []),
        ("'\\')' )", [6], []),
        ("({)", [2], [0, 1]),
    ],
)
def test_unmatched(code: str, closers: list[int], openers: list[int]) -> None:
    assert unmatched(steps(code, "")) == (closers, openers)
