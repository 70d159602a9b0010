"""The function at the cursor: against Python's own parser, and by hand in the other languages."""

from __future__ import annotations

import argparse
import ast
import configparser
import random
import textwrap
import typing

import pytest

from lsp_server.context import trees
from lsp_server.context.languages import LANGUAGES, language
from lsp_server.context.related.outlines import outline_of
from lsp_server.context.syntax import Block, SyntaxCache, enclosing, errors, parse, selection, symbols

MODULES = [argparse, configparser, random, textwrap, typing]


def source(module: object) -> str:
    with open(module.__file__, encoding="utf-8", newline="") as file:  # type: ignore[attr-defined]
        return file.read()


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def definitions(text: str) -> list[Definition]:
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, Definition)]


def first_line(node: Definition) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_python_as_its_own_parser_sees_it(module: object) -> None:
    text = source(module)
    lines = text.split("\n")
    tree = parse(text, "python")
    found = definitions(text)
    assert len(found) >= 5
    for row, line in enumerate(lines):
        if not line.strip() or line.strip().startswith("#"):
            continue
        around = [node for node in found if first_line(node) <= row < (node.end_lineno or 0)]
        block = enclosing(text, "python", row, len(line), tree=tree)
        if not around:
            assert block is None, (row, line)
            continue
        inner = max(around, key=lambda node: (first_line(node), -(node.end_lineno or 0)))
        assert block is not None, (row, line)
        assert (block.name, block.first_line) == (inner.name, first_line(inner))
        end = inner.end_lineno or 0
        assert block.last_line >= end - 1  # comments at the end of the body belong to it
        assert all(line.strip().startswith("#") or not line.strip() for line in lines[end : block.last_line + 1])
        assert block.header_line == inner.lineno - 1
        assert block.kind == ("class" if isinstance(inner, ast.ClassDef) else "function")
        assert block.has_doc == (ast.get_docstring(inner) is not None)
        if block.docs is not None:
            assert block.docs == (inner.body[0].lineno - 1, (inner.body[0].end_lineno or 0) - 1)
        assert "\n".join(lines[inner.lineno - 1 :]).lstrip().startswith(block.signature)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_symbols_are_all_definitions(module: object) -> None:
    text = source(module)
    expected = sorted((node.lineno - 1, node.name) for node in definitions(text))
    assert sorted((block.header_line, block.name) for block in symbols(text, "python")) == expected


def at(text: str, language_id: str, mark: str, column: int = 0) -> Block | None:
    """The block at the first line that has `mark`."""
    row = next(index for index, line in enumerate(text.split("\n")) if mark in line)
    return enclosing(text, language_id, row, column)


def shape(block: Block | None) -> tuple[str, int, int, int] | None:
    return None if block is None else (block.path, block.first_line, block.header_line, block.last_line)


TYPESCRIPT = """\
@Component({ name: "a" })
export class Panel {
  /** Opens. */
  @Logged()
  open<T>(value: T): void {
    this.each((item) => {
      item.show(value);
    });
  }
  close = async () => { await this.done(); };
}

/** Adds. */
export const add = (a: number, b: number): number => a + b;
const one = 1, two = function () { return 2; };
describe("panel", () => {
  it("opens", () => { check(1); });
});
namespace Deep {
  export function inside() { return 1; }
}
"""
RUST = """\
/// Doubles.
#[inline]
#[must_use]
pub fn double<T: Add>(x: T) -> T {
    let f = |y| y + x;
    f(x)
}

impl<T> Show for Pair<T> {
    // not documentation
    fn show(&self) {}
}
mod inner {
    pub trait Named { fn name(&self) -> String; }
}
"""
GO = """\
// Tree is a tree.
type Tree[T any] struct {
\tleft *Tree[T]
}

// Walk walks.
func (t *Tree[T]) Walk(yield func(T)) {
\tfor {
\t\tgo func() {
\t\t\tyield(t.value)
\t\t}()
\t}
}

var hook = func() { println() }
"""
JAVA = """\
class Box {
    int size = 1; // the size

    /** Takes. */
    @Override
    @Named("take")
    public <T> T take(T value) {
        Runnable r = () -> { log(value); };
        return value;
    }

    Box() { size = 2; }
    record Point(int x, int y) { int sum() { return x + y; } }
}
"""
C = """\
typedef struct {
    int a;
} pair;

/* Adds both. */
static int *
sum(pair *p)
{
    return p->a;
}

struct node *next(struct node *n) { return n->next; }
"""


@pytest.mark.parametrize(
    ("language_id", "text", "mark", "expected"),
    [
        ("typescript", TYPESCRIPT, "@Component", ("Panel", 0, 1, 10)),
        ("typescript", TYPESCRIPT, "export class", ("Panel", 0, 1, 10)),
        ("typescript", TYPESCRIPT, "Opens", ("Panel.open", 2, 4, 8)),
        ("typescript", TYPESCRIPT, "@Logged", ("Panel.open", 2, 4, 8)),
        ("typescript", TYPESCRIPT, "item.show", ("Panel.open", 2, 4, 8)),
        ("typescript", TYPESCRIPT, "close =", ("Panel.close", 9, 9, 9)),
        ("typescript", TYPESCRIPT, "const add", ("add", 12, 13, 13)),
        ("typescript", TYPESCRIPT, "check(1)", None),
        ("typescript", TYPESCRIPT, "inside()", ("Deep.inside", 19, 19, 19)),
        ("typescriptreact", TYPESCRIPT, "item.show", ("Panel.open", 2, 4, 8)),
        ("rust", RUST, "/// Doubles", ("double", 0, 3, 6)),
        ("rust", RUST, "#[must_use]", ("double", 0, 3, 6)),
        ("rust", RUST, "let f", ("double", 0, 3, 6)),
        ("rust", RUST, "fn show", ("Pair.show", 10, 10, 10)),
        ("rust", RUST, "not documentation", ("Pair", 8, 8, 11)),
        ("rust", RUST, "fn name", ("inner.Named", 13, 13, 13)),
        ("go", GO, "left", ("Tree", 0, 1, 3)),
        ("go", GO, "Walk walks", ("Tree.Walk", 5, 6, 12)),
        ("go", GO, "yield(t", ("Tree.Walk", 5, 6, 12)),
        ("go", GO, "hook", ("hook", 14, 14, 14)),
        ("java", JAVA, "int size", ("Box", 0, 0, 13)),
        ("java", JAVA, "Takes", ("Box.take", 3, 6, 9)),
        ("java", JAVA, "@Named", ("Box.take", 3, 6, 9)),
        ("java", JAVA, "log(value)", ("Box.take", 3, 6, 9)),
        ("java", JAVA, "Box()", ("Box.Box", 11, 11, 11)),
        ("c", C, "int a;", ("pair", 0, 0, 2)),
        ("c", C, "Adds both", ("sum", 4, 5, 9)),
        ("c", C, "sum(pair", ("sum", 4, 5, 9)),
        ("c", C, "n->next", ("next", 11, 11, 11)),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_blocks(
    language_id: str, text: str, mark: str, expected: tuple[str, int, int, int] | None, newline: str
) -> None:
    row = next(index for index, line in enumerate(text.split("\n")) if mark in line)
    assert shape(enclosing(text.replace("\n", newline), language_id, row, 0)) == expected


def test_a_line_with_two_definitions_goes_by_the_column() -> None:
    line = "    record Point(int x, int y) { int sum() { return x + y; } }"
    assert shape(at(JAVA, "java", "record", 6)) == ("Box.Point", 12, 12, 12)
    assert shape(at(JAVA, "java", "record", line.index("return"))) == ("Box.Point.sum", 12, 12, 12)


def test_signature_and_body() -> None:
    block = at(C, "c", "Adds both")
    assert block is not None
    assert block.signature == "static int *\nsum(pair *p)"
    assert (block.body_first_line, block.docs, block.indent) == (8, (4, 4), "")
    text = "class A:\n    def f(\n        self,\n    ) -> int:  # why\n        # first\n        return 1\n"
    block = enclosing(text, "python", 4, 0)
    assert block is not None
    assert (block.path, block.signature, block.body_first_line) == ("A.f", "def f(\n        self,\n    ) -> int", 4)
    block = enclosing("interface A { f(): void; }\nabstract class B {\n  abstract g(): void;\n}\n", "typescript", 2, 3)
    assert block is not None
    assert block.body_first_line is None


def test_below_the_last_statement_of_a_python_function() -> None:
    text = "class A:\n    def f(self):\n        return 1\n        \n\nx = 1\n"
    assert shape(enclosing(text, "python", 3, 8)) == ("A.f", 1, 1, 2)
    assert enclosing(text, "python", 4, 0) is None


def test_columns_count_characters() -> None:
    text = "class 变 { m() { return '𝒳𝒳𝒳𝒳'; } n() { return 1; } }\n"
    block = enclosing(text, "javascript", 0, text.index("return 1"))
    assert block is not None
    assert block.path == "变.n"


@pytest.mark.parametrize(("row", "col"), [(-1, 0), (99, 0), (0, 99), (5, 5)])
def test_places_outside_the_text(row: int, col: int) -> None:
    for language_id in ("python", "kotlin", ""):
        enclosing("x = 1\n", language_id, row, col)
        enclosing("", language_id, row, col)


KOTLIN = """\
package a

/** Opens. */
@Test
fun open(
    door: Door,
) {
    if (door.closed) {
        door.turn()

    } else {
        door.push()
    }
}

class House(val doors: List<Door>)
{
    fun count(): Int {
        return doors.map {
            it.size
        }.sum()
    }
}
"""


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        ("package", None),
        ("Opens", ("open", 2, 4, 13)),
        ("@Test", ("open", 2, 4, 13)),
        ("door: Door,", ("open", 2, 4, 13)),
        ("door.turn", ("open", 2, 4, 13)),
        ("} else", ("open", 2, 4, 13)),
        ("class House", ("House", 15, 15, 22)),
        ("return doors", ("count", 17, 17, 21)),
    ],
)
def test_by_indentation(mark: str, expected: tuple[str, int, int, int] | None) -> None:
    assert parse(KOTLIN, "kotlin") is None
    assert shape(at(KOTLIN, "kotlin", mark)) == expected


def test_symbols_by_indentation() -> None:
    assert [block.name for block in symbols(KOTLIN, "kotlin")] == ["open", "House", "count"]


def test_a_grammar_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "_compiled", lambda module, function: None)
    text = "import os\n\n\nclass A:\n    def f(self):\n        if self:\n            return 1\n        return 2\n"
    text += "\n\nx = 1\n"
    assert errors(text, "python") is None
    assert shape(enclosing(text, "python", 6, 0)) == ("f", 4, 4, 7)
    assert shape(enclosing(text, "python", 3, 0)) == ("A", 3, 3, 7)
    assert enclosing(text, "python", 10, 0) is None


def test_errors() -> None:
    assert errors("def f():\n    return 1\n", "python") == 0
    assert errors("int f() { return 1; }\n", "c") == 0
    assert (errors("def f(:\n    return (1\n", "python") or 0) > 0
    assert (errors("int f() { return 1; \n", "c") or 0) > 0
    assert errors("anything (", "kotlin") is None


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    try:\n        x\n    except A:\n\ny = 1\n",
        "if x:\ny = 1\n",
        "class A:\n    # nothing\n",
        "def f():\n    return 1\n  x = 2\n",
        "x = 1\n    y = 2\n",
        "    x = 1\n",
        "def f():\n    a = 1\n      b = 2\n",
    ],
)
def test_errors_of_indentation(text: str) -> None:
    with pytest.raises(SyntaxError):
        ast.parse(text)
    assert (errors(text, "python") or 0) > 0


@pytest.mark.parametrize("module", [*MODULES, ast], ids=lambda module: module.__name__)
def test_no_errors_in_what_python_runs(module: object) -> None:
    assert errors(source(module), "python") == 0


def test_selection() -> None:
    block = selection("a\n\n  b\n  c\n\n", 1, 4)
    assert (block.kind, block.first_line, block.last_line, block.indent) == ("selection", 2, 3, "  ")


def test_the_table() -> None:
    assert language("python").is_called("PY3")
    assert language("unknown", "a/b.rs").id == "rust"
    assert language("brainfuck").name == "brainfuck"
    assert language("cpp").is_called("C++")
    for known in LANGUAGES.values():
        if known.grammar is not None:
            assert parse("", known.id) is not None, known.id


def test_a_kept_tree_is_that_of_a_whole_parse() -> None:
    chance = random.Random(7)
    text = source(textwrap)
    cache = SyntaxCache()
    pieces = ["\n", "é", "'", '"""', "(", "):\n    pass\n", "def f():\n    return 1\n", "\r\n", "    "]
    for _ in range(80):
        start = chance.randrange(len(text))
        text = text[:start] + chance.choice(pieces) + text[start + chance.randrange(20) :]
        kept, whole = cache.tree("a", text, "python"), parse(text, "python")
        assert kept is not None
        assert whole is not None
        assert str(kept.root) == str(whole.root)


@pytest.mark.parametrize("more", ["(" * 20_000, "{" * 20_000])
def test_what_becomes_no_code_has_no_tree_until_it_is_code_again(more: str) -> None:
    cache, code = SyntaxCache(), "int a;\n"
    assert cache.tree("a.cpp", code, "cpp") is not None
    assert cache.tree("a.cpp", code + more, "cpp") is None
    assert cache.tree("a.cpp", f"{code}int b;\n", "cpp") is not None


@pytest.mark.parametrize("begun", ["foo((", "if (", "["])
def test_code_that_is_begun_has_a_tree_however_long_the_file_is(begun: str) -> None:
    code = "def f(a, b=1):\n    return [a, b]\n\n\n" * 2000
    assert parse(f"{code}{begun}\n{code}", "python") is not None


def test_types_of_types_have_a_tree_and_so_have_many_comparisons() -> None:
    for code in ("A" + "<A" * 50 + ">" * 50 + " a;\n", "boolean b = 1 < 2;\n" * 3000):
        assert parse(f"class A {{\n{code}}}\n", "java") is not None


def test_the_cache_forgets() -> None:
    cache = SyntaxCache(size=2)
    for uri in "abc":
        cache.tree(uri, "x = 1\n", "python")
    assert list(cache._trees) == ["b", "c"]
    cache.tree("b", "x = 1\n", "plaintext")
    assert list(cache._trees) == ["c"]


def test_parsed_in_slices() -> None:
    """Beside other work a text is parsed in slices: into the same tree, wherever they cut it."""
    text = "".join(f"def é{n}(a):\r\n    return '😀' + a  # {'x' * (n % 90)}\r\n" for n in range(2000))
    whole, sliced = parse(text, "python"), parse(text, "python", gently=True)
    assert whole is not None
    assert sliced is not None
    assert str(sliced.root) == str(whole.root)
    assert [block.name for block in symbols(text, "python", tree=sliced)] == [f"é{n}" for n in range(2000)]


def test_what_was_parsed_in_slices_is_read_without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = parse("def f(a):\n    return a\n" * 500, "python", gently=True)
    pauses: list[float] = []
    monkeypatch.setattr(trees.time, "sleep", pauses.append)
    assert len(symbols("", "python", tree=tree)) == 500
    assert pauses == []


@pytest.mark.parametrize("receiver", ["[", "([x)", "()", "(*)", "([T])", "(("])
def test_a_method_of_go_whose_receiver_is_being_written(receiver: str) -> None:
    text = f"package a\n\nfunc {receiver} one() {{}}\n\nfunc two() {{}}\n"
    assert "two" in [each.name for each in symbols(text, "go")]
    tree = trees.parse(text, "go")
    assert tree is not None
    assert "two" in [each.name for each in outline_of(tree)]
