"""Where a suggestion ends, worked by hand. `¦` marks the cursor in a buffer, `⟂` the end in what the model writes."""

import pytest

from lsp_server.completion.stopping import end_of, place_at


def at(buffer: str, multiline: str = "auto"):
    prefix, _, suffix = buffer.partition("¦")
    return place_at(prefix, suffix, multiline)


@pytest.mark.parametrize(
    ("buffer", "several"),
    [
        ("def f():¦\n", True),
        ("    ¦\n", True),
        ("¦", True),
        ("x = ¦\n", False),
        ("for (;;) {¦\n", True),
        ("f(¦)\n", False),
        ("if x then¦", True),
    ],
)
def test_one_line_or_several(buffer: str, several: bool) -> None:
    assert at(buffer).multiline is several
    assert at(buffer, "never").multiline is False


CASES = [
    # one line ends at its end
    ("x = ¦\ny = 2\n", "1⟂\ny = 3\n"),
    # ... but not inside a bracket that it opened
    ("x = ¦\n", "[\n    1,\n    2,\n]⟂\nz = 3\n"),
    ("x = ¦\n", "f(a,\n      b)⟂\nz\n"),
    # a body ends where the indentation does
    ("def f():¦\n", "\n    return 1⟂\ndef g():"),
    ("def f():\n    ¦\n", "a = 1\n    return a⟂\nx"),
    # ... or at a blank line
    ("def f():\n    ¦\n", "a = 1\n    b = 2⟂\n\n    c = 3\n"),
    # a deeper line is part of it
    ("def f():\n    ¦\n", "if a:\n        b()\n    c()⟂\n\n"),
    # the bracket that closes the block is part of it, and its end
    ("int f() {¦\n", "\n    return 1;\n}⟂\nint g() {\n"),
    ("    if (a) {¦\n", "\n        b();\n    }⟂\n    c();\n"),
    # the line that follows anyway is not written again
    ("def f():\n    ¦\n    return a\n", "a = 1⟂\n    return a\n    x"),
    # circles
    ("def f():\n    ¦\n", "a()\n    a()\n    a()⟂\n    a()\n    a()\n"),
]


@pytest.mark.parametrize(("buffer", "written"), CASES)
def test_end(buffer: str, written: str) -> None:
    end = written.index("⟂")
    text = written.replace("⟂", "")
    assert end_of(text, at(buffer)) == end


@pytest.mark.parametrize(("buffer", "written"), CASES)
def test_the_end_is_the_same_however_the_text_arrives(buffer: str, written: str) -> None:
    end = written.index("⟂")
    text = written.replace("⟂", "")
    found = next(found for stop in range(len(text) + 1) if (found := end_of(text[:stop], at(buffer))) is not None)
    assert found == end


def test_goes_on() -> None:
    assert end_of("", at("x = ¦\n")) is None
    assert end_of("foo(a, ", at("x = ¦\n")) is None
    assert end_of("\n    a = 1\n    b", at("def f():¦\n")) is None
    assert end_of("\n", at("def f():¦\n")) is None
