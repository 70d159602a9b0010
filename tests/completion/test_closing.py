"""What the editor has closed behind the cursor is not written twice, worked by hand.

`¦` marks the cursor; in an answer `⟂` marks what is kept of it, and all of it is where there is none.
"""

from __future__ import annotations

import pytest
from marked import at, is_never_stopped_too_early, split

from lsp_server.completion.filters import tidy
from lsp_server.completion.stopping import end_of

CLOSED = [
    # an answer that closes the quote and opens none again
    ("python", 'print("¦")\n', 'hello⟂")'),
    ("python", 'print("¦")\n', 'hello⟂"'),
    ("python", 'print("¦")\n', 'hello⟂", file=sys.stderr)'),
    ("python", 'print("¦")\n', 'hello⟂")\nprint("world")\n'),
    ("python", 'print("¦")', 'hello⟂")'),
    ("python", "name = input('¦')\n", "Your name: ⟂')"),
    ("python", "name = input('¦')\n", "Hi ⟂' + name"),
    ("python", 'user["¦"]\n', 'name⟂"'),
    ("python", 'user["¦"]\n', 'name⟂"]["first"]'),
    ("python", '{"¦"}\n', 'a⟂": 1}'),
    ("python", 'x = {"a": "¦"}\n', 'b⟂"}'),
    ("python", 'x = ["¦"],\n', 'b⟂"],'),
    ("python", 'ArgumentParser(description="¦")\n', 'Trains a model.⟂")\n    parser.add_argument("x")'),
    ("javascript", "console.log('¦');\n", "hello⟂');"),
    ("javascript", "console.log('¦');\n", "it\\'s⟂');"),
    ("javascript", "console.log(`¦`);\n", "hello ${name}⟂`);"),
    ("javascript", "console.log(`${¦}`);\n", "name⟂}`);"),
    ("javascript", "console.log(`a ${f(`¦`)}`);\n", "b⟂`)}`);"),
    ("typescriptreact", 'return <div className="¦">\n', 'box⟂">text</div>'),
    ("html", '<div class="¦">\n', 'box⟂">text</div>'),
    ("html", '<p>Don\'t</p><div class="¦">\n', 'box⟂"'),
    ("html", "<a onclick=\"go('¦')\">\n", "home⟂')\""),
    ("", 'print("¦")\n', 'hello⟂")'),
    ("", "print('¦')\n", "hello⟂')"),
    ("", "f(`¦`);\n", "hello⟂`);"),
    # closed, and opened again: the line is whole
    ("python", "name = input('¦')\n", "Hi ' + name + '"),
    ("python", 'print("¦")\n', 'hello" if a else "bye'),
    ("python", 'print("¦")\n', 'a", "b'),
    ("python", 'print("¦")\n', 'a" + b["c"] + "d'),
    ("javascript", "console.log('¦');\n", "a' + b('c') + 'd"),
    # ... as far as the last that it opens
    ("python", 'print("¦")\n', 'a", "b⟂", c)'),
    ("python", 'print("¦")\n', 'a⟂" + str(b["c"])'),
    ("python", 'print("¦")\n', 'a⟂" + f("b")'),
    # quotes of another kind, and those that are escaped
    ("python", 'print("¦")\n', "it's 'so'"),
    ("python", 'print("¦")\n', 'say \\"so\\"⟂")'),
    ("python", 'print("it\'s ¦")\n', 'so⟂")'),
    ("python", "print(\"say '¦'\")\n", "so⟂'\")"),
    ("python", 'print("(¦)")\n', 'a⟂)")'),
    # prefixes and slots
    ("python", 'print(f"¦")\n', '{name["a"]} and {x}⟂")'),
    ("python", 'print(f"{¦}")\n', 'name⟂}")'),
    ("python", 'print(f"{name}¦")\n', '!⟂")'),
    ("python", 're.compile(r"¦")\n', '\\d+⟂")'),
    ("csharp", 'Log($"{user.Name} ¦");\n', 'is here⟂");'),
    ("kotlin", 'println("${a} ¦")\n', '${b ?: "c"}⟂")'),
    ("ruby", 'puts "#{a} ¦"\n', 'b⟂"'),
    ("shellscript", 'echo "$(cat "$f") ¦"\n', 'done⟂"'),
    # three quotes, on the line and below
    ("python", '    """¦"""\n', 'Return the area.⟂"""'),
    ("python", 'def f():\n    """¦\n    """\n    return 1\n', 'Return one.⟂"""\n'),
    ("python", 'def f():\n    """Say ¦ so."""\n', 'it⟂ so."""'),
    # comments and prose
    ("python", '# say "¦"\n', 'hello⟂"'),
    ("python", "# don't say '¦'\n", "hello⟂'"),
    ("python", "# see (¦)\n", "the interval [0, 1) there⟂)"),
    ("c", "/* ¦ */\n", "Returns x.⟂ */"),
    ("markdown", 'It\'s said "¦"\n', "so, isn't it⟂\""),
    # words with an apostrophe are no strings
    ("rust", "fn f<'a>(s: &'a str) { g(\"¦\") }\n", 'a⟂")'),
    ("rust", "let c = f('¦');\n", "x⟂');"),
    ("haskell", 'f foldl\' "¦"\n', 'a⟂"'),
    # in the middle of a string
    ("python", 'x = "abc¦ def"\n', 'xyz⟂ def"'),
    ("python", 'x = "abc¦ def"\n', 'xyz⟂"'),
    # bare, and before other signs
    ("python", 'x = "¦"\n', 'hello⟂"\ny = "a"\n'),
    ("javascript", 'x = "¦";\n', 'hello⟂";'),
    ("json", '  "name": "¦",\n', 'value⟂",'),
    # the rest of the line again, which opens another string
    ("python", 'x = "a" + "¦" + "b"\n', 'so⟂" + "b"'),
    ("python", 'x = "a" + "¦" + "b"\n', 'so" + "c'),
    ("python", 'f("¦", "b")\n', 'a⟂", "b")\nf("c", "d")'),
    ("python", 'f("¦", "b")\n', 'a", "c⟂", "b")'),
    ("python", 'f("a¦c", "b")\n', 'b⟂c", "b")'),
    ("python", "if '¦' in d['x']:\n", "a⟂' in d['x']:\n    pass"),
    ("typescript", "let x: '¦' | 'b';\n", "a⟂' | 'b';"),
    ("typescriptreact", '<div className="¦" id="x">\n', 'box⟂" id="x">text</div>'),
    ("html", '<a href="¦" class="b">c</a>\n', '/home⟂" class="b">c</a>'),
    ("shellscript", 'if [ "¦" = "x" ]; then\n', '$1⟂" = "x" ]; then'),
    ("go", '\tA string `json:"¦" yaml:"a"`\n', 'a⟂" yaml:"a"`'),
    ("json", '{"a": "¦", "b": "c"}\n', 'd⟂", "b": "c"}'),
    ("json", '{"a": "¦"}\n', 'b", "c": "d⟂"}'),
    ("yaml", 'args: ["¦", "b"]\n', 'a⟂", "b"]'),
    ("toml", 'a = ["¦", "b"]\n', 'a⟂", "b"]'),
    # open still: the answer closes it
    ("python", 'print("¦\n', 'hello")'),
    ("python", 'def f():\n    """¦\n    return 1\n\n\ndef g():\n    """Doc."""\n', 'One."""'),
    # ... and what is seen of the text below ends in the midst of another one
    ("python", 'def f():\n    """One.\n    ¦\n    return 1\n\n\ndef g():\n    """Two.\n\n    Three.\n', '"""'),
    ("python", "print(¦)\n", '"hello"⟂)'),
]


@pytest.mark.parametrize(("language", "buffer", "answer"), CLOSED)
def test_what_is_shown(language: str, buffer: str, answer: str) -> None:
    kept, written = split(answer)
    here = at(buffer, language)
    end = end_of(written, here)
    assert tidy(written, here, finished=True)[0] == kept
    assert tidy(written[:end], here, finished=True)[0] == kept, "after it was stopped"


@pytest.mark.parametrize(("language", "buffer", "answer"), CLOSED)
def test_it_is_never_stopped_too_early(language: str, buffer: str, answer: str) -> None:
    assert is_never_stopped_too_early(language, buffer, answer)


@pytest.mark.parametrize(
    ("language", "buffer", "written", "end"),
    [
        ("python", 'print("¦")\n', 'hello")', 5),
        ("python", 'print("¦")\n', 'hello" + name\n', 5),
        ("python", 'user["¦"]\n', 'name"]', 4),
        ("javascript", "console.log('¦');\n", "hi')", 2),
        ("javascript", 'x = "¦";\n', 'hi";', 2),
        ("html", '<div class="¦">\n', 'box">', 3),
        ("python", 'x = "¦"\n', 'hi"\n', 2),
        ("python", 'print("¦")\n', 'hello"', None),
        ("python", 'print("¦")\n', 'hello" + name', None),
        ("python", 'print("¦")\n', 'hello" + name + "', None),
        ("python", 'print("¦"\n', 'hello")', 5),
    ],
)
def test_the_model_is_stopped_where_nothing_can_come_of_it(
    language: str, buffer: str, written: str, end: int | None
) -> None:
    assert end_of(written, at(buffer, language)) == end


def test_brackets_in_strings_and_comments_and_regular_expressions_are_none() -> None:
    for language, buffer, written in (
        ("javascript", "function f(s) {\n  ¦\n}\n", "return s.replace(/[(\\[]/g, '');"),
        ("javascript", "function f(s) {\n  ¦\n}\n", "return s.split(/\\)/).map((a) => a / 2);"),
        ("python", "def f(x):\n    ¦\n", "# the interval [0, 1)\n    return x"),
        ("c", "int f() {\n  ¦\n}\n", "// the interval [0, 1)\n  return x;"),
        ("c", "int f() {\n  ¦\n}\n", "/* a) first, b) then */\n  return x;"),
        ("sql", "SELECT ¦\n", "-- [0, 1)"),
        ("rust", "fn f() {\n    ¦\n}\n", "g('(', b']');"),
        ("python", "def f(x):\n    ¦\n", 'return re.sub(r"[(\\[]", "", x)'),
        ("python", "def f(x):\n    ¦\n", "x = '''(\n    [ '''\n    return x"),
        ("markdown", "# Lists\n\n¦\n", "The interval [0, 1) has a) no end, b) a start :)"),
    ):
        here = at(buffer, language)
        assert tidy(written, here, finished=True)[0] == written
        assert end_of(written, here) is None


def test_a_pattern_of_a_shells_case_is_closed_by_what_nothing_opened() -> None:
    for buffer, written in (
        ('case "$1" in\n  a) echo a ;;\n  ¦\nesac\n', "-v|--verbose) verbose=1 ;;"),
        ('f() {\n  case "$1" in\n    ¦\n  esac\n}\n', "start)\n      echo $(date)\n      ;;"),
        ("case $x in\n  -¦\nesac\n", "h) usage; exit 0;;"),
        ('f() ¦\n  case "$1" in\n    a) echo a ;;\n  esac\n}\n', "{"),
        ("echo $(¦)\n", "date⟂)"),
        ("x=(¦)\n", "a b⟂)"),
        ("x=$(¦\n", "date)"),
        ("f() {\n  ¦\n}\n", "echo a⟂ }"),
    ):
        kept, whole = split(written) if "⟂" in written else (written, written)
        assert tidy(whole, at(buffer, "shellscript"), finished=True)[0] == kept
