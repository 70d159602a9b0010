"""What of a suggestion is shown, worked by hand. `¦` marks the cursor."""

import pytest

from lsp_server.completion.filters import tidy
from lsp_server.completion.stopping import place_at


def shown(buffer: str, written: str, *, finished: bool = True, multiline: str = "auto", cut: bool = False) -> str:
    prefix, _, suffix = buffer.partition("¦")
    return tidy(written, place_at(prefix, suffix, multiline, cut_after=cut), finished=finished)[0]


@pytest.mark.parametrize(
    ("buffer", "written", "kept"),
    [
        ("x = ¦\n", "1 + 2", "1 + 2"),
        ("x = ¦\n", "1   \n", "1"),
        # brackets that stand right of the cursor
        ("print(¦)\n", "a, b)", "a, b"),
        ("print(¦)\n", "f(a))", "f(a)"),
        ("print(¦)\n", "f(a)", "f(a)"),
        ("print(f(¦))\n", "a))", "a"),
        ("x = [¦]\n", "1, 2]", "1, 2"),
        ("print(¦\n", "a)", "a)"),
        # a bracket of nobody's
        ("x = ¦\n", "a) + 1", "a"),
        ("x = ¦\n", ")", ""),
        # one it opened and did not close
        ("x = ¦\n", "f(a", ""),
        ("def f():¦\n", "\n    a = 1\n    b = [", "\n    a = 1"),
        ("if (a) {¦\n", "\n  b();\n}", "\n  b();\n}"),
        ("if (a) {¦\n}\n", "\n  b();\n}", "\n  b();"),
        # other text that stands there already
        ("x = a¦;\n", ".b;", ".b"),
        ('x = "¦"\n', 'abc"', "abc"),
        ("def f():\n    ¦\n    return a\n", "a = 1\n    return a", "a = 1"),
        ("def f():\n    ¦\n    return a\n", "return a", ""),
        ("def f():\n    ¦\n    a()\n    b()\n", "x()\n    a()\n    b()", "x()"),
        # circles
        ("    ¦\n", "a()\n    b()\n    b()\n    b()", "a()\n    b()"),
        ("    ¦\n", "a()\n    a()\n    a()", "a()"),
        ("    ¦\n", "a()\n    a()  \n    a()\t\n    a()", "a()"),
        ("    x = ¦\n", "1\n    x = 1\n    x = 1", "1"),
        ("    ¦\n", "a()\n    b()\n    a()\n    b()\n    a()\n    b()", "a()\n    b()"),
        ("    ¦\n", "x()\n    a()\n\n    b()" + "\n    a()\n\n    b()" * 2, "x()\n    a()\n\n    b()"),
        ("    ¦\n", "a()\n    b()\n    a()\n    b()\n    c()", "a()\n    b()\n    a()\n    b()\n    c()"),
        # ... of which the lines above the cursor, or its own, are the first round
        ("    a()\n    ¦\n", "a()\n    a()\n    a()", ""),
        ("    a()\n    ¦\n", "a()\n    b()", "a()\n    b()"),
        ("    a()\n    b()\n    ¦\n", "a()\n    b()\n    a()\n    b()", ""),
        ("    a()\n    ¦\n", "b()\n    a()\n    b()\n    a()\n    b()", "b()"),
        ("    a()¦\n", "\n    a()\n    a()", ""),
        ("    [0, 0],\n    [0, 0],\n    ¦\n", "[0, 0],", "[0, 0],"),
        ("x = ¦\n", "ab" * 30, ""),
        # what is no text
        ("x = ¦\n", "caf\ufffd", "caf"),
        ("x = ¦\n", "a\0b", "a"),
        # what nobody sees
        ("¦", "\ufeff" * 9, ""),
        ("x = ¦\n", "w\u200b * \u2060h\ufeff", "w * h"),
        ("x = ¦\n", "a\u200db\u202e", "ab"),
        ("x = ¦\n", "'\U0001f468\u200d\U0001f469'", "'\U0001f468\u200d\U0001f469'"),
        (
            "x = ¦\n",
            "'\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645'",
            "'\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645'",
        ),
        ("x = ¦\n", "   \n", ""),
    ],
)
def test_kept(buffer: str, written: str, kept: str) -> None:
    assert shown(buffer, written) == kept


@pytest.mark.parametrize(
    ("buffer", "written", "kept"),
    [
        # opened in this line: the next one is no part of it
        ("def f():\n    g(¦\n    return 1\n", "a, b)", "a, b)"),
        ("f(g(¦\nh()\n", "a))", "a))"),
        ("f(g(¦)\nh()\n", "a))", "a)"),
        ("f(¦\n", "a)", "a"),
        # opened above, or gone on with below: closed where nobody looks
        ("x = [\n    ¦\n    2,\n", "1]", "1"),
        ("x = [¦\n    2,\n    3,\n", "1]", "1"),
        ("x = [\n    f(¦\n    2,\n", "1)]", "1)"),
        # what it opens closes in sight, what stands around it does not
        ("class A {\n  f() {\n    if (a¦\n      b()\n    }\n  }\n\n  g()\n", ") {", ") {"),
        ("f() {\n  if (a) {\n    b()\n  ¦\n    c()\n  }\n}\n\ng() {\n", "} else {", "} else {"),
    ],
)
def test_kept_where_more_follows_than_is_seen(buffer: str, written: str, kept: str) -> None:
    assert shown(buffer, written, cut=True) == kept


def test_a_bracket_that_is_closed_in_sight_is_not_closed_twice() -> None:
    """What the one too many takes away may be closed where the text is cut, and then all that is seen parses."""
    above = (
        "    /// Of all folders.\n    fn f<'a>(\n    ) -> A<B<'a>> {\n        let (\n        ) = (C::D, C::D);\n"
        "            if a.is_none() {\n            }\n            if b.is_none() {\n            }\n"
        "            if c && !d && e.is_none() {\n            "
    )
    below = "\n                        .map(B::f);\n            }\n"
    assert not tidy("}", place_at(above, below, "auto", cut_after=True, language_id="rust"), finished=True)[0]


def test_what_the_tokens_ran_out_on_is_dropped() -> None:
    assert shown("x = ¦\n", "foo + some_lon", finished=False) == "foo +"
    assert shown("def f():¦\n", "\n    a = 1\n    b = comp", finished=False) == "\n    a = 1"
    assert shown("x = ¦\n", "some_lon", finished=False) == ""


def test_there_is_a_reason_when_nothing_is_left() -> None:
    for written in ("", ")", "ab" * 30):
        text, reason = tidy(written, place_at("x = ", "\n", "auto"), finished=True)
        assert text == ""
        assert reason.endswith(".")


@pytest.mark.parametrize(("written", "kept"), [("const = 5;", ""), ("const x = 5;", "const x = 5;")])
def test_what_stands_above_may_end_what_is_not_seen(written: str, kept: str) -> None:
    above = "class A {\n  first() {\n" + "    this.total = 1;\n" * 300 + "  }\n\n"
    here = place_at(above + "  next() {\n    ", "\n  }\n}\n", "auto", language_id="typescript")
    assert tidy(written, here, finished=True)[0] == kept
