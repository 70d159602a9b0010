"""Known suggestions, worked by hand. `¦` marks the cursor in a buffer."""

from __future__ import annotations

import pytest

from lsp_server.completion.cache import CHARACTERS_BEFORE, KEPT, Known, Spot
from lsp_server.completion.suggest import Suggestion
from lsp_server.context.buffer import Buffer


def at(text: str, uri: str = "untitled:a") -> tuple[Buffer, int, int]:
    before, _, after = text.partition("¦")
    row, column = Buffer(uri, before).lines, len(Buffer(uri, before).lines[-1])
    return Buffer(uri, before + after), len(row) - 1, column


def known(text: str, suggestion: str, reason: str = "") -> Known:
    made = Known()
    buffer, row, column = at(text)
    made.add(Spot.of(buffer, row, column), Suggestion(row, column, suggestion, reason))
    return made


def found_at(made: Known, text: str, uri: str = "untitled:a") -> list[Suggestion]:
    buffer, row, column = at(text, uri)
    return made.find(buffer, Spot.of(buffer, row, column))


def found(made: Known, text: str) -> str | None:
    suggestions = found_at(made, text)
    return suggestions[0].text if suggestions else None


BODY = "def f(a):\n    ¦\n\nprint(f(1))\n"


@pytest.mark.parametrize(
    ("typed", "rest"),
    [
        ("", "if a:\n        return a\n    return 0"),
        ("if ", "a:\n        return a\n    return 0"),
        ("if a:\n        re", "turn a\n    return 0"),
        ("if a:\n        return a\n    return ", "0"),
        ("if a:\n        return a\n    return 0", None),  # nothing is left: what comes next is not known
        ("if b", None),
        ("If", None),
    ],
)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_what_is_left_when_one_types_along(typed: str, rest: str | None, ending: str) -> None:
    made = known(BODY.replace("\n", ending), "if a:\n        return a\n    return 0")
    assert found(made, BODY.replace("¦", typed + "¦").replace("\n", ending)) == rest


def test_deleted_back_to_where_it_was_made() -> None:
    made = known("x = ¦\n", "foo(1)")
    assert found(made, "x = fx¦\n") is None
    assert found(made, "x = f¦\n") == "oo(1)"
    assert found(made, "x = ¦\n") == "foo(1)"
    assert found(made, "x =¦\n") is None


@pytest.mark.parametrize(
    "changed",
    [
        "y = 1\nx = ¦\nprint(x)\n",  # before the cursor
        "x = ¦\nprint(x + 1)\n",  # after it
        "x = ¦\nprint(x)\nmore\n",
        "x = ¦y\nprint(x)\n",
        "\nx = ¦\nprint(x)\n",
    ],
)
def test_not_where_the_text_around_it_changed(changed: str) -> None:
    made = known("x = ¦\nprint(x)\n", "foo(1)")
    assert found(made, "x = ¦\nprint(x)\n")
    assert found(made, changed) is None


def test_not_in_another_document() -> None:
    made = known("x = ¦\n", "foo(1)")
    assert found_at(made, "x = ¦\n", "untitled:b") == []


def test_text_far_away_may_change() -> None:
    far = "# one\n" + "a = 1\n" * (CHARACTERS_BEFORE // 6 + 1)
    made = known(far + "x = ¦\n", "foo(1)")
    assert found(made, far.replace("one", "two") + "x = f¦\n") == "oo(1)"
    assert found(made, far[:-2] + "2\n" + "x = f¦\n") is None


@pytest.mark.parametrize(
    ("suggestion", "now", "rest"),
    [
        ("f(a, b)", "x = f(¦)\n", "a, b"),  # the editor has put the closing bracket there
        ("f(a, b) + 1", "x = f(¦)\n", "a, b"),
        ("f(a[1])", "x = f(a[¦])\n", "1"),
        ('g"a"', 'x = g"¦"\n', "a"),
        ('f("a")', 'x = f("¦")\n', "a"),
        ("f()", "x = f(¦)\n", None),
        # ... and the closing quote, wherever the suggestion closes its own
        ('print("hello")', 'x = print("¦")\n', "hello"),
        ('print("hello", file=log)', 'x = print("¦")\n', "hello"),
        ('print("hello" + name)', 'x = print("¦")\n', "hello"),
        ('print("a" + b + "c")', 'x = print("¦")\n', 'a" + b + "c'),
        ("f('it is ' + b)", "x = f('it¦')\n", " is "),
        ('a["b"]["c"]', 'x = a["¦"]\n', "b"),
        ('f({"a": g["b"]})', 'x = f({"a": g["¦"]})\n', "b"),
        ("f(`a ${b}`);", "x = f(`a ${¦}`)\n", "b"),
        ('"""Doc."""', 'x = """¦"""\n', "Doc."),
        ("Vec<int>", "x = Vec<¦>\n", "int"),
        ("f(a)", "x = f(¦;\n", None),
    ],
)
def test_brackets_that_the_editor_closes(suggestion: str, now: str, rest: str | None) -> None:
    assert found(known("x = ¦\n", suggestion), now) == rest


def test_that_there_is_none_is_known_for_the_very_place_alone() -> None:
    made = known("x = ¦\n", "", "The model had nothing to add here.")
    (same,) = found_at(made, "x = ¦\n")
    assert (same.text, same.reason) == ("", "The model had nothing to add here.")
    assert found(made, "x = f¦\n") is None


def test_the_newest_counts_and_the_oldest_goes() -> None:
    made = known("x = ¦\n", "old")
    buffer, row, column = at("x = ¦\n")
    made.add(Spot.of(buffer, row, column), Suggestion(row, column, "new"))
    assert found(made, "x = ¦\n") == "new"
    assert found(made, "x = o¦\n") == "ld"
    for number in range(KEPT):
        other, row, column = at(f"y{number} = ¦\n")
        made.add(Spot.of(other, row, column), Suggestion(row, column, "1"))
    assert found(made, "x = ¦\n") is None
    made.clear()
    assert found(made, f"y{KEPT - 1} = ¦\n") is None


def test_several_are_known_once_each_and_the_newest_is_the_first() -> None:
    made = known("x = ¦\n", "foo(1)")
    buffer, row, column = at("x = ¦\n")
    for text in ("bar", "foo(2)", "foo(1)"):
        made.add(Spot.of(buffer, row, column), Suggestion(row, column, text))
    assert [each.text for each in found_at(made, "x = ¦\n")] == ["foo(1)", "foo(2)", "bar"]
    assert [each.text for each in found_at(made, "x = foo(¦\n")] == ["1)", "2)"]
