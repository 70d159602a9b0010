"""Where no suggestion comes of itself. `¦` marks the cursor; what is passed over has a clock of the test's own."""

from __future__ import annotations

import pytest

from lsp_server.completion.cache import Spot
from lsp_server.completion.stopping import place_at
from lsp_server.completion.unasked import PassedOver, why_none
from lsp_server.context.buffer import Buffer
from lsp_server.settings import Settings


def comes(text: str, settings: Settings, language: str = "python") -> bool:
    before, _, after = text.partition("¦")
    return not why_none(place_at(before, after, "auto", language_id=language), settings)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("pri¦nt(x)", False),
        ("x = a_¦b", False),
        ("x = é¦é", False),
        ("x = a1¦2", False),
        ("x = a¦.b", True),
        ("x = a.¦b", True),
        ("foo(¦bar)", True),
        ("foo(bar¦)", True),
        ("¦foo", True),
        ("foo¦\nbar", True),
    ],
)
def test_not_inside_a_word(line: str, wanted: bool) -> None:
    assert comes(line, Settings()) is wanted


@pytest.mark.parametrize(
    ("language", "line", "scope"),
    [
        ("python", "x = 1  # the ¦", "comment"),
        ("python", "# the ¦ of it", "comment"),
        ("c", "int x; /* ¦ */", "comment"),
        ("html", "<a></a><!-- ¦ -->", "comment"),
        ("python", 'x = "a ¦"', "string"),
        ("python", '    """The ¦', "string"),
        ("javascript", "x = `a ¦`", "string"),
        ("python", 'x = f"a{¦}"', ""),
        ("javascript", "x = `a ${¦}`", ""),
        ("python", 'x = ¦"a"', ""),
        ("python", 'x = "# a" + ¦', ""),
        ("markdown", "The ¦", ""),
    ],
)
def test_not_in_comments_or_strings_where_a_setting_says_so(language: str, line: str, scope: str) -> None:
    assert comes(line, Settings(), language)
    assert comes(line, Settings(in_comments=False), language) is (scope != "comment")
    assert comes(line, Settings(in_strings=False), language) is (scope != "string")


class Reader:
    """Someone before whom suggestions are shown."""

    def __init__(self) -> None:
        self.now = 0.0
        self.passed_over = PassedOver(lambda: self.now)

    def reads(self, text: str, suggestion: str, seconds: float = 2.0) -> None:
        self.passed_over.shown(*self._at(text), suggestion)
        self.now += seconds

    def gets(self, text: str, *, by_hand: bool = False) -> bool:
        """Whether one comes where the text is this."""
        return not self.passed_over.why_none(*self._at(text), by_hand=by_hand)

    def passes_over(self, times: int) -> None:
        for time in range(times):
            self.reads("x = " + "b" * time + "¦\n", "foo()")
            self.gets("x = " + "b" * (time + 1) + "¦\n")

    def _at(self, text: str) -> tuple[Buffer, Spot]:
        before, _, after = text.partition("¦")
        buffer = Buffer("untitled:a", before + after)
        return buffer, Spot.of(buffer, before.count("\n"), len(before.rpartition("\n")[2]))


def test_two_on_one_line() -> None:
    reader = Reader()
    reader.passes_over(1)
    assert reader.gets("x = b¦\n")
    reader.passes_over(2)
    assert not reader.gets("x = bb¦\n")
    assert not reader.gets("x = bbccccccc¦\n")
    assert reader.gets("x = bbcccccccc¦\n")


def test_who_types_on_at_once_has_not_read_it() -> None:
    reader = Reader()
    for count in range(9):
        reader.reads("x = " + "b" * count + "¦\n", "foo()", 0.3)
        assert reader.gets("x = " + "b" * (count + 1) + "¦\n")


def test_what_is_typed_along_or_taken_is_not_passed_over() -> None:
    for now in ("x = f¦\n", "x = foo()¦\n", "x = foo() ¦\n", "x = foo(¦)\n"):
        reader = Reader()
        reader.passes_over(1)
        reader.reads("x = ¦\n", "foo()")
        assert reader.gets(now)
        reader.reads("x = foo() ¦\n", "bar")
        assert reader.gets("x = foo() b¦\n"), "counted anew"


def test_a_cursor_that_moves_or_rests_passes_nothing_over() -> None:
    reader = Reader()
    for _ in range(3):
        reader.reads("x = ¦ + 1\n", "foo()")
        assert reader.gets("x ¦=  + 1\n")


def test_another_line_and_a_request_by_hand_begin_anew() -> None:
    reader = Reader()
    reader.passes_over(2)
    assert not reader.gets("x = bb¦\n")
    assert reader.gets("x = bb\n¦")
    reader.passes_over(2)
    assert reader.gets("x = bb¦\n", by_hand=True)
    assert reader.gets("x = bbb¦\n")
