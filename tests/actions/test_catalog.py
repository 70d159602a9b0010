"""Which actions a menu offers, where, and under which titles."""

from __future__ import annotations

import dataclasses

import pytest

from lsp_server.actions.catalog import ACTIONS, Diagnostic, Site, offers, own_actions
from lsp_server.actions.site import block_of, comment_at, is_stub, site_of
from lsp_server.codellama import Abilities
from lsp_server.context.buffer import Buffer, split_lines
from lsp_server.context.syntax import enclosing

CHAT = Abilities(True, "", ("psm",), True, "inst", "", 4096, "llama")
INFILL_ONLY = dataclasses.replace(CHAT, chat=False, chat_reason="This checkpoint has no chat template.")

PYTHON = '''\
import os


class Parser:
    # split at commas
    def fields(self, line):
        return line.split(",")

    def todo(self):
        """Nothing yet."""
        raise NotImplementedError
'''


def place(
    row: int, column: int = 8, *, end: tuple[int, int] | None = None, text: str = PYTHON, id: str = "python"
) -> Site:
    buffer = Buffer("file:///a.py", text, language_id=id)
    return site_of(buffer, (row, column), end or (row, column))


def ids(found: Site, **options: object) -> list[str]:
    return [offer.action.id for offer in offers(found, CHAT, **options)]  # type: ignore[arg-type]


def test_on_a_function() -> None:
    assert ids(place(6)) == ["document", "tests", "explain", "simplify", "types", "optimize", "translate"]
    assert [offer.title for offer in offers(place(6), CHAT)][:3] == [
        "Document `fields`",
        "Write tests for `fields`",
        "Explain `fields`",
    ]


def test_on_a_function_without_a_body() -> None:
    assert ids(place(10))[0] == "implement"
    assert offers(place(10), CHAT)[0].title == "Implement `todo`"


def test_on_a_comment() -> None:
    assert ids(place(4))[0] == "comment"


def test_on_a_selection() -> None:
    offered = offers(place(5, 0, end=(9, 3)), CHAT)
    assert offered[0].title == "Document the selection"


def test_a_selected_definition_is_that_definition() -> None:
    assert offers(place(5, 0, end=(7, 0)), CHAT)[0].title == "Document `fields`"
    assert offers(place(3, 0, end=(11, 0)), CHAT)[0].title == "Document `Parser`"


def test_nothing_outside_of_any_function() -> None:
    assert ids(place(1, 0)) == []


def test_diagnostics_are_offered_each() -> None:
    found = (Diagnostic("undefined name `x`", 6, 6, "pyflakes"), Diagnostic("line too long " * 20, 6, 6))
    offered = offers(dataclasses.replace(place(6), diagnostics=found), CHAT)
    fixes = [offer for offer in offered if offer.action.id == "fix"]
    assert [offer.diagnostic for offer in fixes] == [0, 1]
    assert fixes[0].title == "Fix: undefined name `x`"
    assert len(fixes[1].title) <= 66
    assert all(offer.action.kind == "quickfix" for offer in offered[:4])


@pytest.mark.parametrize(
    ("only", "some"),
    [
        (["refactor"], True),
        (["refactor.rewrite"], True),
        (["refactor.rewrite.other"], False),
        (["ref"], False),
        (["source"], False),
        (["quickfix"], False),
        ([""], True),
        (["source", "refactor"], True),
    ],
)
def test_only(only: list[str], some: bool) -> None:
    assert bool(ids(place(6), only=only)) is some


def test_only_quick_fixes_when_nobody_asked() -> None:
    found = (Diagnostic("wrong", 6, 6),)
    assert ids(dataclasses.replace(place(6), diagnostics=found), automatic=True) == ["fix", "explain-diagnostic"]
    assert ids(place(6), automatic=True) == []


def test_what_the_model_cannot_do() -> None:
    here = place(10)
    assert [offer.action.id for offer in offers(here, INFILL_ONLY)] == ["implement"]
    shown = offers(here, INFILL_ONLY, shows_disabled=True)
    assert {offer.action.id for offer in shown if not offer.disabled} == {"implement"}
    assert {offer.disabled for offer in shown} == {"", "This checkpoint has no chat template."}
    assert len(offers(here, None)) == len(offers(here, CHAT))


def test_types_only_where_they_may_be_missing() -> None:
    rust = place(1, text="fn main() {\n    let x = 1;\n}\n", id="rust")
    assert "types" not in ids(rust)
    assert "tests" in ids(rust)


@pytest.mark.parametrize(
    ("signature", "offered"),
    [
        ("def f(a, b: int) -> int", True),
        ("def f(a: int)", True),
        ("def f(*a, **b) -> None", True),
        ("async def f(a: int, /, *b: int, c: str = '') -> int", False),
        ("def f() -> None", False),
    ],
)
def test_types_only_where_some_are_missing(signature: str, offered: bool) -> None:
    assert ("types" in ids(place(1, text=f"{signature}:\n    return 1\n"))) is offered
    method = f"class A:\n    {signature.replace('(', '(self, ').replace(', )', ')')}:\n        return 1\n"
    assert ("types" in ids(place(2, text=method))) is offered


@pytest.mark.parametrize(
    ("id", "offered"),
    [
        ("jinja-html", True),
        ("htmldjango", True),
        ("nasm", True),
        ("dosini", True),
        ("vue", True),
        ("terraform", True),
        ("json", False),
        ("csv", False),
    ],
)
def test_documented_is_what_may_have_comments(id: str, offered: bool) -> None:
    assert ("document" in ids(place(0, 0, end=(1, 1), text="a b\nc d\n", id=id))) is offered


def test_nothing_is_made_faster_that_computes_nothing() -> None:
    found = ids(place(0, 0, end=(1, 1), text="a: 1\nb: 2\n", id="yaml"))
    assert found == ["document", "explain", "simplify"]


def test_a_function_without_a_body_is_written_first() -> None:
    assert ids(place(10)) == ["implement", "document", "explain", "types"]


def test_no_tests_for_tests() -> None:
    buffer = Buffer("file:///test_a.py", "def test_a():\n    assert 1\n", language_id="python")
    assert "tests" not in ids(site_of(buffer, (1, 4), (1, 4), path="tests/test_a.py"))


def test_a_commit_message_buffer_offers_its_message_alone() -> None:
    buffer = Buffer("file:///r/.git/COMMIT_EDITMSG", "\n# Please enter\n", language_id="gitcommit")
    offered = offers(site_of(buffer, (0, 0), (0, 0)), CHAT)
    assert [(offer.action.id, offer.action.kind) for offer in offered] == [("commit", "source")]


def test_own_actions() -> None:
    actions, problems = own_actions(
        [
            {"title": "Use our logger", "instruction": "Replace print by log.", "languages": ["python"]},
            {"title": "Review", "instruction": "Review this.", "result": "answer", "appliesTo": ["class"]},
            {"title": "", "instruction": "x"},
            {"title": "x", "instruction": "x", "appliesTo": ["planet"]},
            {"title": "x", "instruction": "x", "result": "song"},
        ]
    )
    assert [action.title for action in actions] == ["Use our logger", "Review"]
    assert len(problems) == 3
    assert "entry 3 needs a text as its `title`" in problems[0]
    assert ids(place(6), own=actions)[-1] == "own:Use our logger"
    assert ids(place(3, 0), own=actions)[-1] == "own:Review"


def test_titles_are_short_and_ids_unique() -> None:
    assert len({action.id for action in ACTIONS}) == len(ACTIONS)
    assert all(len(action.title) < 40 for action in ACTIONS)
    long = place(0, 0, text=f"def {'a' * 90}():\n    return 1\n")
    assert all(len(offer.title) < 75 for offer in offers(long, CHAT))


@pytest.mark.parametrize(
    ("id", "text", "stub"),
    [
        ("python", "def f(a):\n    ...\n", True),
        ("python", 'def f(a):\n    """Doc."""\n', True),
        ("python", "def f(a): pass\n", True),
        ("python", "def f(a):\n    # TODO: write\n    pass\n", True),
        ("python", "def f(a):\n    return a\n", False),
        ("python", "def f(a): return a\n", False),
        ("rust", "fn f() -> u8 {\n    todo!()\n}\n", True),
        ("rust", "fn f() -> u8 {\n    1\n}\n", False),
        ("rust", "fn f() -> u8 { todo!() }\n", True),
        ("typescript", "function f(): number {\n  throw new Error('not implemented');\n}\n", True),
        ("typescript", "function f(): number {\n}\n", True),
        ("go", 'func f() int {\n\tpanic("not implemented")\n}\n', True),
        ("java", "class A {\n  int f() {\n    throw new UnsupportedOperationException();\n  }\n}\n", True),
        ("c", "int f(void)\n{\n}\n", True),
        ("c", "int f(void)\n{\n    return 1;\n}\n", False),
    ],
)
def test_stubs(id: str, text: str, stub: bool) -> None:
    block = enclosing(text, id, 1 if id == "java" else 0, 5)
    assert block is not None
    assert is_stub(split_lines(text), block, id) is stub


def test_comments_by_language() -> None:
    assert comment_at(["# a\n", "# b\n", "x = 1\n"], 1, "python") == (0, 1)
    assert comment_at(["// a\n", "x = 1\n"], 1, "go") is None
    assert comment_at(["/* a\n", " * b */\n", "x\n"], 0, "c") == (0, 1)
    assert comment_at(["#include <a.h>\n"], 0, "c") is None


def test_part_of_a_line_is_no_selection() -> None:
    assert block_of(PYTHON, "python", (6, 15), (6, 19)).name == "fields"  # type: ignore[union-attr]
