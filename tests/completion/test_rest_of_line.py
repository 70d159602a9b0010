"""Suggestions in the middle of a line end where the rest of it takes over, worked by hand.

`¦` marks the cursor; in an answer `⟂` marks what is kept of it, and all of it is where there is none.
"""

from __future__ import annotations

import pytest
from marked import at, is_never_stopped_too_early, split

from lsp_server.completion.filters import tidy
from lsp_server.completion.stopping import end_of

CASES = [
    # what fits goes in as it is
    ("python", "foo(¦, bar)\n", "a, b"),
    ("python", "x = a + ¦ + c\n", "b * (d - 1)"),
    ("python", "import ¦ as np\n", "numpy"),
    ("python", "x = ¦.strip()\n", 'f("a")'),
    ("python", "x = [1, ¦, 3]\n", "2"),
    ("html", "<a>¦</a>\n", "text"),
    ("c", "for (int i = 0; ¦; i++) {\n", "i < n"),
    # the rest of the line again
    ("python", "foo(¦, bar)\n", "a⟂, bar)"),
    ("python", "foo(¦, bar)\n", "a⟂,  bar )"),
    ("python", "foo(¦, bar)\n", "a⟂, bar)\nfoo(b, bar)\n"),
    ("python", "foo(¦, bar)\n", "a⟂, bar"),
    ("python", "foo(¦, bar)\n", "a⟂,"),
    ("python", "x = a + ¦ + c\n", "b⟂ + c"),
    ("python", "x = a + ¦ + c\n", "b⟂ + c\nprint(x)\n"),
    ("python", "x = a + ¦ + c\n", "b + count"),
    ("python", "import ¦ as np\n", "numpy⟂ as np\nimport pandas as pd"),
    ("python", "import ¦ as np\n", "numpy⟂ as"),
    ("python", "x = ¦  # comment\n", "1⟂  # comment\ny = 2"),
    ("python", "x = ¦ if a else b\n", "1⟂ if a else b"),
    ("python", "f(¦).strip()\n", "x⟂).strip()\n"),
    ("python", "x = f(¦())\n", "g⟂()"),
    ("html", "<a>¦</a>\n", "text⟂</a>"),
    ("typescript", "const f = (a: ¦) => a;\n", "number⟂) => a;\n"),
    ("go", "for i := 0; ¦; i++ {\n", "i < n⟂; i++ {\n"),
    ("rust", "let x: ¦ = vec![];\n", "Vec<i32>⟂ = vec![];"),
    ("sql", "SELECT ¦ FROM t\n", "a, b⟂ FROM t WHERE a"),
    # ... or what comes but once
    ("python", "from ¦ import path\n", "os⟂ import environ\n"),
    ("python", "x = ¦ if a else b\n", "1⟂ if c else 2"),
    ("python", "x = ¦ if a else b\n", "(1 if c else 2)"),
    ("python", "if ¦ == 3:\n", '__name__⟂ == "__main__":\n'),
    ("python", "if ¦ and b:\n", "a and c"),
    ("python", "x = a ¦ - 1\n", "- b - c"),
    ("cpp", "auto f() ¦ -> int;\n", "const⟂ -> long;\n"),
    ("python", "x: ¦ = 1\n", "int⟂ = 2\n"),
    ("rust", "let v: ¦ = Vec::new();\n", "Vec<u8>⟂ = vec![0; 1];\n"),
    ("sql", "SELECT ¦ FROM t\n", "a⟂ FROM u"),
    ("python", "# the ¦ of it\n", "end of the"),
    # ... in a string, a comment, prose
    ("python", 'x = "abc¦ def"\n', "xyz⟂ def"),
    ("python", 'f"{len(¦)} keys"\n', 'd⟂)} keys"'),
    ("python", 'f"{len(¦)} keys"\n', "d⟂)"),
    ("python", 'f"{len(¦)} keys"\n', "d)} of {len(e"),
    ("python", 'f"{¦} keys"\n', "len(d)⟂}"),
    ("python", 'f"{¦!r} keys"\n', "d⟂!r}"),
    ("javascript", "f(`${¦} of ${n}`);\n", "i⟂} of ${n}`);"),
    ("python", "# the ¦ of it\n", "end⟂ of it\nx = 1"),
    ("markdown", "The ¦ of it.\n", "end⟂ of it."),
    # the rest of it, behind what it opened itself, is its own
    ("python", "foo(¦)\n", "g()"),
    ("python", "foo([¦])\n", "g([1])"),
    ("python", "x = f(¦) + g(1)\n", "h(x) + g(2)"),
    # a bracket that the rest closes
    ("python", "foo(¦, bar)\n", "a⟂)\nprint(1)\n"),
    ("python", "foo(¦, bar)\n", "a⟂), foo(b), foo(c)"),
    ("python", "d[¦] = 3\n", '"k"⟂]'),
    ("python", "d[¦] = 3\n", '"k"⟂] = 4\n'),
    ("c", "if (¦) {\n", "x > 0⟂) {\n    y();\n}\n"),
    ("javascript", "foo((¦))\n", "a, b⟂)"),
    ("javascript", "foo((¦))\n", "a⟂))"),
    # ... and that it opens again
    ("python", "foo(¦)\n", "a, b) + bar(c"),
    ("python", "foo(¦)\n", "a, b) + bar(c⟂)"),
    ("python", "foo(¦)\n", "a, b) + bar(c⟂)\n"),
    ("python", "foo(¦)\n", "a, b⟂) + c\n"),
    ("python", "foo(¦, bar)\n", "a), foo(b"),
    ("python", "foo(¦, bar)\n", "a), foo(b⟂, bar)"),
    ("c", "if (¦) {\n", "x) && (y"),
    # one line
    ("python", "foo(¦, bar)\n", "a⟂\nb"),
    ("python", "x = ¦  # comment\n", "1⟂\ny = 2"),
    ("python", "foo(¦, bar)\n", "⟂\n    a,\n"),
    ("python", "    ¦foo(bar)\n", "⟂x = 1\n    "),
    # a comment of its own would take the rest in
    ("python", "foo(¦, bar)\n", "a⟂  # the first"),
    ("c", "foo(¦, bar);\n", "a⟂ // the first\n"),
    ("c", "foo(¦, bar);\n", "a /* the first */"),
    # the space in front of what follows at once is its own, and in front of a bracket or a space it is none
    ("python", "foo(a, ¦b)\n", "x, "),
    ("python", "foo(a, ¦b)\n", "x, ⟂b)"),
    ("python", "foo(a, ¦b)\n", "x, ⟂b"),
    ("python", 'foo(a, ¦"b")\n', "x, "),
    ("python", "return ¦x\n", "not "),
    ("python", "foo(¦)\n", "a⟂ "),
    ("python", "x = a + ¦ + c\n", "b⟂ "),
    # in a word
    ("python", "pri¦t_all(x)\n", "n⟂t_all(x)"),
    ("python", "pri¦t_all(x)\n", "n"),
    ("python", "x = ¦b\n", "a.b + "),
    ("python", "x = ¦b\n", "ver⟂b"),
]


@pytest.mark.parametrize(("language", "buffer", "answer"), CASES)
def test_what_is_left_of_an_answer(language: str, buffer: str, answer: str) -> None:
    kept, written = split(answer)
    here = at(buffer, language)
    assert tidy(written[: end_of(written, here)], here, finished=True)[0] == kept


@pytest.mark.parametrize(("language", "buffer", "answer"), CASES)
def test_it_is_never_stopped_too_early(language: str, buffer: str, answer: str) -> None:
    assert is_never_stopped_too_early(language, buffer, answer)


@pytest.mark.parametrize(
    ("language", "buffer", "written", "end"),
    [
        ("python", "foo(¦, bar)\n", "a, bar)", 1),
        ("python", "foo(¦, bar)\n", "a, bar", None),
        ("python", "foo(¦, bar)\n", "a)", None),
        ("python", "foo(¦, bar)\n", "a)\n", 1),
        ("python", "foo(¦, bar)\n", "[\n", 1),
        ("python", "x = a + ¦ + c\n", "b + c", None),
        ("python", "x = a + ¦ + c\n", "b + c ", 1),
        ("python", "import ¦ as np\n", "numpy as np\n", 5),
        ("python", "f(¦).strip()\n", "x).strip()", 1),
        ("python", "x = ¦  # one\n", "1  # o", 3),
        ("html", "<a>¦</a>\n", "text</a>", 4),
        ("python", "foo(¦)\n", "a, b) + bar(c", None),
    ],
)
def test_the_model_is_stopped_where_nothing_can_come_of_it(
    language: str, buffer: str, written: str, end: int | None
) -> None:
    assert end_of(written, at(buffer, language)) == end
