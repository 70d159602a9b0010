"""From a model's answer to the file: the file is compared whole with one made by other means."""

from __future__ import annotations

import argparse
import ast
import configparser
import dataclasses
import itertools
import pathlib
import random
import re
import subprocess
import textwrap
from collections.abc import Callable

import pytest

from lsp_server.actions.rewrite import Conflict, Edit, Rewrite, apply, edits, fit, rebase, rewrite
from lsp_server.context.buffer import split_lines
from lsp_server.context.syntax import enclosing, selection

FILES = pathlib.Path(__file__).parent / "files"
LANGUAGE = {".ts": "typescript", ".rs": "rust", ".go": "go", ".java": "java", ".c": "c", ".py": "python"}
COMMENT = {
    "typescript": "/** Said in one line. */",
    "rust": "/// Said in one line.",
    "go": "// Said in one line.",
    "java": "/** Said in one line. */",
    "c": "/* Said in one line. */",
    "python": '"""Said in one line."""',
}


@dataclasses.dataclass(frozen=True)
class Case:
    """A function of a file, and the same with one line of documentation, found without the code under test."""

    path: str
    text: str
    row: int  # of the header
    old: str  # the lines of the function
    new: str
    expected: str  # the file
    last: int  # the row of its last line

    @property
    def language_id(self) -> str:
        return LANGUAGE[pathlib.PurePath(self.path).suffix]


def load(name: str) -> str:
    """With Windows line endings in Java, and without one at the end in C."""
    text = (FILES / name).read_bytes().decode().replace("\r\n", "\n")
    if name.endswith(".java"):
        return text.replace("\n", "\r\n")
    return text.rstrip("\n") if name.endswith(".c") else text


# The header of each function, as its line begins, and how many lines above belong to it.
FUNCTIONS = [
    ("cart.ts", "export function round", 1),
    ("cart.ts", "export function groupBy", 0),
    ("cart.ts", "const total", 0),
    ("cart.ts", "  add(product", 4),
    ("cart.ts", "  async checkout", 0),
    ("cart.ts", "  get empty", 0),
    ("cart.ts", "export default function describe", 0),
    ("ring.rs", "    pub fn new", 0),
    ("ring.rs", "    pub fn push", 2),
    ("ring.rs", "    pub fn largest", 1),
    ("ring.rs", "    fn fmt", 0),
    ("ring.rs", "pub fn count", 0),
    ("ring.rs", "async fn fetch", 0),
    ("ring.rs", "    fn largest_of_three", 1),
    ("queue.go", "func (q *Queue[T]) Push", 1),
    ("queue.go", "func (q *Queue[T]) Pop", 0),
    ("queue.go", "func (q *Queue[T]) Close", 0),
    ("queue.go", "func Map", 0),
    ("queue.go", "func Run", 0),
    ("queue.go", "func usage", 0),
    ("Ledger.java", "    public Ledger(", 0),
    ("Ledger.java", "    public java.util.Iterator", 1),
    ("Ledger.java", "    public synchronized boolean book", 7),
    ("Ledger.java", "    public <R> List<R> map", 0),
    ("Ledger.java", "    static int checksum", 0),
    ("Ledger.java", "        boolean accepts", 0),
    ("strbuf.c", "static int", 1),
    ("strbuf.c", "strbuf *strbuf_new", 0),
    ("strbuf.c", "int strbuf_add", 0),
    ("strbuf.c", "static inline char", 0),
    ("strbuf.c", "void strbuf_free", 0),
    ("strbuf.c", "int main", 0),
]


def braced(name: str, header: str, above: int) -> Case:
    text = load(name)
    lines = split_lines(text)
    row = next(index for index, line in enumerate(lines) if line.startswith(header))
    indent = header[: len(header) - len(header.lstrip())]
    last = next(i for i in range(row + 1, len(lines)) if re.match(indent + r"\};?\s*$", lines[i]))
    newline = "\r\n" if "\r\n" in text else "\n"
    first = row - above
    comment = indent + COMMENT[LANGUAGE[pathlib.PurePath(name).suffix]] + newline
    old = lines[first : last + 1]
    expected = [*lines[:first], comment, *lines[first:]]
    return Case(name, text, row, "".join(old), comment + "".join(old), "".join(expected), last)


def python_cases() -> list[Case]:
    """Undocumented functions of the standard library, with a docstring where Python's own parser says it belongs."""
    cases = []
    for module in (argparse, configparser, random, textwrap):
        path = module.__file__ or ""
        text = pathlib.Path(path).read_bytes().decode().replace("\r\n", "\n")
        lines = split_lines(text)
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or ast.get_docstring(node) is not None:
                continue
            start = min([node.lineno, *(item.lineno for item in node.decorator_list)]) - 1
            end, body = node.end_lineno or 0, node.body[0]
            above = min([body.lineno, *(item.lineno for item in getattr(body, "decorator_list", []))]) - 1
            if above < node.lineno or end - start > 60 or any("#" in line for line in lines[end : end + 1]):
                continue
            doc = " " * body.col_offset + COMMENT["python"] + "\n"
            new = "".join([*lines[start:above], doc, *lines[above:end]])
            expected = "".join([*lines[:above], doc, *lines[above:]])
            cases.append(Case(path, text, node.lineno - 1, "".join(lines[start:end]), new, expected, end - 1))
    return cases


PYTHON = python_cases()
CASES = [braced(*function) for function in FUNCTIONS] + random.Random(1).sample(PYTHON, 15)


def dedented(text: str) -> str:
    """By the first line's indentation, as a model does that writes the function at the margin."""
    lines = split_lines(text)
    width = len(lines[0]) - len(lines[0].lstrip())
    return "".join(line[width:] if not line[:width].strip() and line.strip() else line for line in lines)


def unix(text: str) -> str:
    return text.replace("\r\n", "\n")


def shifted(text: str) -> str:
    inside = "`" in text or 'format!("GET' in text  # the text of a string would be moved with it
    return text if inside else "".join("   " + line if line.strip() else line for line in split_lines(text))


def in_tabs(text: str) -> str:
    """Four spaces as a tab; where things are aligned the model's own way would be another."""
    leads = [re.match(" *", line)[0] for line in split_lines(text) if line.strip()]  # type: ignore[index]
    if any(len(lead) % 4 for lead in leads) or "`" in text or 'format!("GET' in text:
        return text
    return re.sub(r"(?m)^( {4})+", lambda lead: "\t" * (len(lead[0]) // 4), dedented(text))


def in_spaces(text: str) -> str:
    return re.sub(r"(?m)^\t+", lambda lead: "    " * len(lead[0]), text) if "`" not in text else text


ANSWERS: dict[str, Callable[[str], str]] = {
    "as it was": lambda code: code,
    "fenced": lambda code: f"```\n{unix(code)}\n```\n",
    "in prose": lambda code: f"Sure! Here is the documented function:\n\n```\n{unix(code)}\n```\n\nI added a comment.",
    "in tildes": lambda code: f"Here:\n~~~\n{unix(code)}\n~~~",
    "Windows line endings": lambda code: unix(code).replace("\n", "\r\n"),
    "at the margin": lambda code: dedented(unix(code)),
    "first line at the margin": lambda code: code.lstrip(),
    "too deep": lambda code: shifted(unix(code)),
    "in tabs": lambda code: in_tabs(unix(code)),
    "in spaces": lambda code: in_spaces(code),
    "blank at line ends": lambda code: re.sub(r"(?m)([;{:])\n", r"\1  \n", unix(code)),
    "blank lines around": lambda code: f"\n\n{unix(code)}\n\n\n",
}


def rewritten(case: Case, answer: str, *, truncated: bool = False) -> tuple[Rewrite, str]:
    block = enclosing(case.text, case.language_id, case.row, 0)
    assert block is not None
    assert "".join(split_lines(case.text)[block.first_line : block.last_line + 1]) == case.old
    result = rewrite(answer, truncated, case.text, block, case.language_id, "code")
    return result, apply(split_lines(case.text), result.edits)


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{pathlib.PurePath(case.path).name}:{case.row + 1}")
def test_documented(case: Case, kind: str) -> None:
    result, text = rewritten(case, ANSWERS[kind](case.new))
    assert text == case.expected
    assert result.problem is None
    assert len(result.edits) == 1  # nothing else is touched
    assert result.edits[0].text.strip() == COMMENT[case.language_id]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{pathlib.PurePath(case.path).name}:{case.row + 1}")
def test_not_applied_silently(case: Case) -> None:
    half = case.new[: len(case.new) * 2 // 3]
    assert problem(case, half, truncated=True) == "truncated"
    assert problem(case, f"```\n{half}") == "truncated"
    assert problem(case, "I am sorry, but this function needs no comment.") == "no-code"
    assert problem(case, case.old) == "unchanged"
    lines = split_lines(case.new)
    # A line of the body is gone.
    doc = COMMENT[case.language_id]
    body = next(
        (
            index
            for index in range(len(lines) - 2, 0, -1)
            if re.match(r"\s*[\w*(&]+.*[;)\w]\s*$", lines[index]) and doc not in lines[index]
        ),
        None,
    )
    if body is not None and len(lines) > 5:
        assert problem(case, "".join(lines[:body] + lines[body + 1 :])) in ("dropped", "syntax", "truncated")


def problem(case: Case, answer: str, *, truncated: bool = False) -> str:
    result, _ = rewritten(case, answer, truncated=truncated)
    assert result.problem is not None, answer
    assert result.problem.sentence.strip().endswith((".", "`"))
    assert result.proposed
    return result.problem.kind


@pytest.mark.parametrize(
    "case", [c for c in CASES if not c.path.endswith(".py")], ids=lambda c: f"{c.path}:{c.row + 1}"
)
def test_a_half_that_does_not_say_so(case: Case) -> None:
    """The closing bracket of the function is missing."""
    answer = case.new.rstrip()
    assert answer.endswith(("}", "};"))
    assert problem(case, answer.rstrip("};")) in ("truncated", "syntax")


def python(text: str, answer: str, keep: str, row: int = 0, *, last: int | None = None) -> tuple[str | None, str]:
    block = enclosing(text, "python", row, 0) if last is None else selection(text, row, last)
    assert block is not None
    result = rewrite(answer, False, text, block, "python", keep)  # type: ignore[arg-type]
    return result.problem and result.problem.kind, apply(split_lines(text), result.edits)


AREA = "def area(width, height=1):\n    if width < 0:\n        raise ValueError\n    return width * height\n"


@pytest.mark.parametrize("mark", ["\f", "\ufeff", "\f\f"])
@pytest.mark.parametrize("body", ["width * height", "height * width * 1"])
def test_what_cannot_be_seen_before_a_definition_stays(mark: str, body: str) -> None:
    """A form feed between the pages of a file, and a byte order mark: no model writes them again."""
    documented = AREA.replace(":\n", ':\n    """The area."""\n', 1).replace("width * height", body)
    text = python(mark + AREA, documented, "signature")[1]
    assert text == mark + documented
    typed = documented.replace("width, height=1", "width: float, height: float = 1")
    assert python(mark + AREA, typed, "names")[1] == mark + typed


def test_a_form_feed_between_two_methods_stays() -> None:
    methods = "class A:\n    def a(self):\n        return 1\n\f\n    def b(self):\n        return 2\n"
    answer = "```python\n" + methods.replace("\f", "").replace("return 2", "return 3") + "```\n"
    assert python(methods, answer, "nothing")[1] == methods.replace("return 2", "return 3")
    indented = methods.replace("    def b", "\f    def b")
    assert python(indented, answer.replace("return 1", "return 5"), "nothing")[1] == indented.replace(
        "return 2", "return 3"
    ).replace("return 1", "return 5")


def test_types_are_added() -> None:
    typed = "def area(width: float, height: float = 1) -> float:\n" + AREA.partition("\n")[2]
    assert python(AREA, typed, "names") == (None, typed)
    assert python(AREA, typed.replace("return width * height", "return height"), "names")[0] == "dropped"
    assert python(AREA, typed.replace("*", "+"), "names")[0] == "dropped"
    assert python(AREA, typed.replace("raise ValueError", "pass"), "names")[0] == "dropped"
    assert python(AREA, typed.replace("area", "surface"), "names")[0] == "dropped"
    assert python(AREA, typed.replace("width * height", "width * height or 0"), "names")[0] == "dropped"


@pytest.mark.parametrize("keep", ["code", "names"])
def test_a_line_that_leaves_its_block(keep: str) -> None:
    text = "def f(a):\n    for x in a:\n        b = x\n        g(b)\n    return a\n"
    assert python(text, "# Why.\n" + text.replace("        g", "    g"), keep)[0] == "dropped"


def test_types_are_changed() -> None:
    old = "function f(a: any, b) {\n  let c: any = g(a);\n  return c + b;\n}\n"
    new = "function f(a: string, b: number): number {\n  let c: Map<string, number> = g(a);\n  return c + b;\n}\n"
    block = enclosing(old, "typescript", 0, 0)
    assert block is not None
    assert rewrite(new, False, old, block, "typescript", "names").problem is None
    worse = rewrite(new.replace("c + b", "b"), False, old, block, "typescript", "names").problem
    assert worse is not None
    assert worse.sentence == "The model changed more than types: `return c + b;`."


def test_the_signature_stays() -> None:
    shorter = "def area(width, height=1):\n    return abs(width) * height\n"
    assert python(AREA, shorter, "signature") == (None, shorter)
    assert python(AREA, shorter.replace("area", "size"), "signature")[0] == "dropped"
    assert python(AREA, shorter.replace("area", "size"), "nothing")[0] is None


def test_neighbours_stay() -> None:
    text = "def one():\n    return 1\n\n\ndef two():\n    return 2\n\n\ndef three():\n    return 3\n"
    both = "def one():\n    return 1.0\n\n\ndef two():\n    return 2.0\n"
    expected = text.replace("return 1", "return 1.0").replace("return 2", "return 2.0")
    assert python(text, both, "signature", 0, last=6) == (None, expected)
    assert python(text, both[: both.index("\n\n\n")], "signature", 0, last=6)[0] == "dropped"


def test_helpers_inside_a_function_may_go() -> None:
    text = "def one():\n    def helper():\n        return 1\n    return helper()\n"
    assert python(text, "def one():\n    return 1\n", "signature") == (None, "def one():\n    return 1\n")


def test_decorators_come_back() -> None:
    text = "class A:\n    @property\n    @cached(1)\n    def f(self):\n        return 1 + 1\n"
    assert python(text, "def f(self):\n    return 2\n", "signature", 3) == (None, text.replace("1 + 1", "2"))
    lost = "@property\ndef f(self):\n    return 2\n"
    assert python(text, lost, "signature", 3)[0] == "dropped"


def test_the_class_around_and_an_example_are_left_out() -> None:
    text = "class A:\n    x = 1\n\n    def f(self):\n        return 1 + 1\n\n    def g(self):\n        return 3\n"
    expected = text.replace("1 + 1", "2")
    assert python(text, "class A:\n    def f(self):\n        return 2\n", "signature", 3) == (None, expected)
    assert python(text, "def f(self):\n    return 2\n\n# Example usage\nprint(A().f())\n", "signature", 3) == (
        None,
        expected,
    )


@pytest.mark.parametrize(
    "remark", ["# ... rest of the code", "# ...", "# rest of the function stays the same", "# (existing code …)"]
)
def test_code_left_out(remark: str) -> None:
    answer = f"def area(width, height=1):\n    width = abs(width)\n    {remark}\n"
    assert python(AREA, answer, "nothing")[0] == "elided"


@pytest.mark.parametrize("remark", ["# leaves the rest unchanged", "# e.g. 1, 2, ...", "# wait for it..."])
def test_remarks_that_leave_nothing_out(remark: str) -> None:
    answer = AREA.replace("    return", f"    {remark}\n    return")
    assert python(AREA, answer, "code") == (None, answer)


def test_what_did_not_parse_before_need_not_parse_after() -> None:
    text = "x = = 1\n\n\n" + AREA
    new = AREA.replace("width * height", "height * width")
    assert python(text, new, "signature", 4) == (None, "x = = 1\n\n\n" + new)
    assert python(text, new.replace("raise", "raise raise ("), "signature", 4)[0] == "truncated"
    assert python(text, new.replace("raise", "raise raise ()"), "signature", 4)[0] == "syntax"


def test_strings_of_several_lines_are_not_moved() -> None:
    text = 'class A:\n    def f(self):\n        x = """\nselect 1\n  from 2\n"""\n        return x\n'
    answer = 'def f(self):\n    """Do."""\n    x = """\nselect 1\n  from 2\n"""\n    return x\n'
    expected = text.replace("self):\n", 'self):\n        """Do."""\n')
    assert python(text, answer, "code", 1) == (None, expected)


def test_no_grammar() -> None:
    text = "class A {\n    // about\n    fun f(a: Int): Int {\n        return a\n    }\n}\n"
    block = enclosing(text, "kotlin", 3, 0)
    assert block is not None
    good = "/** Gives a. */\nfun f(a: Int): Int {\n  return a\n}\n"
    result = rewrite(good, False, text, block, "kotlin", "code")
    assert result.problem is None
    assert apply(split_lines(text), result.edits) == text.replace("    // about\n", "    /** Gives a. */\n")
    for bad, kind in ((good.replace("return a", "return 1"), "dropped"), (good.rstrip("}\n"), "truncated")):
        problem = rewrite(bad, False, text, block, "kotlin", "code").problem
        assert problem is not None
        assert problem.kind == kind


def test_mixed_line_endings_stay_where_they_are() -> None:
    text = "def f():\r\n    a = 1\n    b = 2\r\n    return a + b\r\n"
    assert python(text, "def f():\n    a = 1\n    b = 3\n    return a + b\n", "nothing")[1] == text.replace("2", "3")


def test_fit_keeps_the_end_of_the_file() -> None:
    assert fit("x = 1\n", ["y = 1"], indent="", newline="\n") == "x = 1"
    assert fit("x = 1", ["y = 1\n"], indent="", newline="\n") == "x = 1\n"
    assert fit("x = 1\ny = 2", ["\ty = 1\r\n"], indent="\t", newline="\r\n") == "\tx = 1\r\n\ty = 2\r\n"


def test_a_selection_that_begins_deeper_than_it_ends() -> None:
    text = "def f(a):\n    if a:\n        b = 1\n    c = 2\n    return b\n"
    assert python(text, "        b = 10\n    c = 20\n", "nothing", 2, last=3) == (
        None,
        text.replace("= 1", "= 10").replace("= 2", "= 20"),
    )


def random_text(chance: random.Random, size: int, words: int) -> list[str]:
    ending = chance.choice(["\n", "\r\n"])
    lines = [f"line {chance.randrange(words)}{ending}" for _ in range(size)]
    return [*lines, chance.choice(["", "last"])]


def changed(chance: random.Random, lines: list[str], mark: str, times: int) -> list[str]:
    result = list(lines)
    for number in range(times):
        at = chance.randrange(len(result))
        new = [f"{mark} {number}.{index}\n" for index in range(chance.randrange(3))]
        result[at : min(at + chance.randrange(3), len(result) - 1)] = new
    return result


def test_edits_make_the_new_text() -> None:
    chance = random.Random(5)
    for _ in range(600):
        before = random_text(chance, chance.randrange(30), chance.choice([2, 5, 1000]))
        after = changed(chance, before, "new", chance.randrange(5))
        if chance.random() < 0.2:
            after = random_text(chance, chance.randrange(30), 5)
        made = edits(before, after)
        assert apply(before, made) == "".join(after)
        for one, other in itertools.pairwise(made):
            assert one.last_line < other.first_line
        kept = sum(edit.last_line - edit.first_line for edit in made)
        assert kept <= len(before)
        if before == after:
            assert made == []


def test_edits_touch_only_what_differs() -> None:
    before = ["a\n", "b\n", "c\n", "d\n", "e\n"]
    assert edits(before, ["a\n", "x\n", "c\n", "d\n", "y\n", "e\n"]) == [Edit(1, 2, "x\n"), Edit(4, 4, "y\n")]
    assert edits(before, before[:-1], shift=10) == [Edit(14, 15, "")]


def test_rebased_as_git_merges(tmp_path: pathlib.Path) -> None:
    chance = random.Random(11)
    outcomes = {True: 0, False: 0}
    for _ in range(150):
        base = [f"line {number}\n" for number in range(chance.randrange(3, 25))]
        mine, theirs = changed(chance, base, "mine", 2), changed(chance, base, "theirs", 2)
        for name, lines in (("base", base), ("mine", mine), ("theirs", theirs)):
            (tmp_path / name).write_text("".join(lines))
        merge = ["git", "merge-file", "-p", "mine", "base", "theirs"]
        merged = subprocess.run(merge, cwd=tmp_path, capture_output=True, text=True, check=False)
        rebased = rebase(edits(base, mine), base, theirs)
        conflict = isinstance(rebased, Conflict)
        same = mine in (theirs, base) or theirs == base
        if not same:
            outcomes[conflict] += 1
        if isinstance(rebased, Conflict):
            assert rebased.sentence.startswith("The document changed meanwhile")
            assert merged.returncode != 0 or same or next_to(base, mine, theirs)
        else:
            assert merged.returncode == 0
            assert apply(theirs, rebased) == merged.stdout
    assert min(outcomes.values()) > 20


def next_to(base: list[str], mine: list[str], theirs: list[str]) -> bool:
    """Whether both took out the same lines, or touch: git merges some of these, we ask."""
    gone = [{index for index, line in enumerate(base) if line not in side} for side in (mine, theirs)]
    return bool({near for index in gone[0] for near in (index - 1, index, index + 1)} & gone[1]) or bool(
        gone[0] ^ gone[1]
    )


def test_rebase_before_inside_and_after() -> None:
    base = [f"line {number}\n" for number in range(10)]
    edit = Edit(4, 6, "new\n")
    assert rebase([edit], base, ["first\n", *base]) == [Edit(5, 7, "new\n")]
    assert rebase([edit], base, [*base, "last\n"]) == [edit]
    assert rebase([edit], base, base[1:]) == [Edit(3, 5, "new\n")]
    assert rebase([edit], base, base) == [edit]
    for row in (3, 4, 5, 6):
        now = list(base)
        now[row] = "typed\n"
        found = rebase([edit], base, now)
        assert isinstance(found, Conflict), row
        assert found.sentence.endswith("where the edit belongs.")
    insert = Edit(5, 5, "new\n")
    assert isinstance(rebase([insert], base, [*base[:5], "typed\n", *base[5:]]), Conflict)
    assert rebase([insert], base, [*base[:3], "typed\n", *base[3:]]) == [Edit(6, 6, "new\n")]


@pytest.mark.parametrize(
    ("id", "old", "comment", "changed"),
    [
        ("jinja-html", "{% macro row(x) %}\n<td>{{ x }}</td>\n{% endmacro %}\n", "{# A cell. #}", "<th>{{ x }}</th>"),
        ("nasm", "add:\n    mov eax, edi\n    ret\n", "; Adds.", "    mov eax, esi"),
        ("asm", "add:\n    mov eax, edi\n    ret\n", "# Adds.", "    mov eax, esi"),
        ("vue", "<template>\n  <p>Hi</p>\n</template>\n", "<!-- Says hi. -->", "  <p>Ho</p>"),
        ("terraform", 'resource "a" "b" {\n  size = 1\n}\n', "# One.", "  size = 2"),
        ("vim", "function! Hi()\n  echo 1\nendfunction\n", '" Says hi.', "  echo 2"),
        ("ocaml", "let add a b =\n  a + b\n", "(* Adds. *)", "  a - b"),
        ("bat", "@echo off\ncopy a b\n", "REM Copies.", "copy b a"),
        ("a language of one's own", "begin it\n  do this\nend\n", "~~ Does this.", "  do that"),
    ],
)
def test_documented_in_any_language_that_has_comments(id: str, old: str, comment: str, changed: str) -> None:
    lines = old.splitlines(keepends=True)
    block = selection(old, 0, len(lines) - 1)
    made = rewrite(f"```\n{comment}\n{old}```", False, old, block, id, "code")
    assert made.problem is None
    assert apply(lines, made.edits) == f"{comment}\n{old}"
    other = old.replace(lines[1], changed + "\n")
    problem = rewrite(f"```\n{comment}\n{other}```", False, old, block, id, "code").problem
    assert problem is not None
    assert problem.kind == "dropped"
