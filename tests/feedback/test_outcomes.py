"""What becomes of a suggestion is found in what the editor tells and in the changes of the text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from lsp_server.context.buffer import Buffer
from lsp_server.feedback.outcomes import Change, Offer, Outcomes, bucket

URI = "file:///a.py"
TEXT = "def add(a, b):\n    "


class Scene:
    """A document with a cursor at (1, 4), and a clock that is turned by hand."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.buffers = {URI: Buffer(URI, TEXT, language_id="python")}
        self.waiting: list[Callable[[], object]] = []
        self.outcomes = Outcomes(self.count, self.buffers.get, lambda _, call: self.waiting.append(call))

    def count(self, language: str, what: str, count: int = 1) -> None:
        assert language == "python"
        self.counts[what] += count

    def offered(self, text: str, line: int = 1, character: int = 4) -> int:
        number = self.outcomes.offered(Offer(URI, "python", text, line, character))
        self.outcomes.shown(number)
        return number

    def inserted(self, text: str, line: int = 1, character: int = 4) -> None:
        self.outcomes.changed(URI, [Change((line, character), (line, character), text)])

    def a_minute_later(self, text: str) -> None:
        self.buffers[URI] = Buffer(URI, text, language_id="python")
        for each in self.waiting:
            each()


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_taken_whole_and_kept(scene: Scene) -> None:
    number = scene.offered("return a + b")
    scene.inserted("return a + b")
    scene.outcomes.accepted(number)  # which comes after the change, and counts nothing twice
    assert scene.counts == {"shown": 1, "whole": 1, "characters": 12}
    scene.a_minute_later("def add(a, b):\n\treturn  a + b\n")
    assert scene.counts["kept"] == 1


def test_an_editor_that_tells_only_that_it_was_taken(scene: Scene) -> None:
    scene.outcomes.accepted(scene.offered("return a + b"))
    scene.a_minute_later("def add(a, b):\n    return b\n")
    assert scene.counts == {"shown": 1, "whole": 1, "characters": 12, "changed": 1}


def test_the_typed_word_is_put_in_again(scene: Scene) -> None:
    scene.offered("turn a", 1, 6)
    scene.outcomes.changed(URI, [Change((1, 4), (1, 6), "return a")])
    assert scene.counts["whole"] == 1


def test_taken_word_by_word_and_then_left(scene: Scene) -> None:
    scene.offered("return a + b")
    scene.inserted("return")
    scene.offered(" a + b", 1, 10)  # the editor asks again, and it is the same suggestion
    scene.inserted(" a", 1, 10)  # two characters may be typed, or closed brackets
    scene.inserted("\n", 1, 12)
    assert scene.counts == {"shown": 1, "part": 1, "characters": 6}


def test_lines_are_followed(scene: Scene) -> None:
    scene.offered("x = 1\n    y = 2\n    z = 3")
    scene.inserted("x = 1\r\n    y = 2\r\n")
    scene.inserted("    z = 3", 3, 0)
    assert scene.counts == {"shown": 1, "whole": 1, "characters": 25}


def test_typing_along_takes_nothing(scene: Scene) -> None:
    scene.offered("abc")
    for at, letter in enumerate("abc"):
        scene.inserted(letter, 1, 4 + at)
    assert scene.counts == {"shown": 1}


@pytest.mark.parametrize(
    "change",
    [
        Change((1, 4), (1, 4), "pass"),
        Change((0, 0), (0, 0), "return"),
        Change((1, 0), (1, 4), ""),
        Change((0, 3), (1, 4), "return"),
    ],
)
def test_another_change_leaves_it(scene: Scene, change: Change) -> None:
    number = scene.offered("return a")
    scene.outcomes.changed(URI, [change])
    scene.inserted("return a")
    assert scene.counts == {"shown": 1}
    scene.outcomes.closed(URI)
    scene.outcomes.accepted(number + 1000)
    assert scene.counts == {"shown": 1}


def test_another_suggestion_takes_its_place(scene: Scene) -> None:
    scene.offered("return a")
    other = scene.outcomes.offered(Offer(URI, "python", "return b", 1, 4), first=False)
    scene.outcomes.accepted(other)  # chosen from several
    scene.offered("pass", 5, 0)
    assert scene.counts == {"shown": 2, "whole": 1, "characters": 8}


def test_what_an_editor_may_speak_of_is_bounded(scene: Scene) -> None:
    first = scene.outcomes.offered(Offer(URI, "python", "x" * 100, 0, 0))
    for each in range(100):
        scene.outcomes.offered(Offer(URI, "python", f"y{each}", each, 0))
    scene.outcomes.shown(first)
    assert scene.counts == {}


def test_costs(scene: Scene) -> None:
    usage = {"prompt_tokens_details": {"cached_tokens": 90}}
    scene.outcomes.answered("python", {"tokens": 7, "promptTokens": 100, "usage": usage}, 140.0)
    scene.outcomes.answered("python", {"known": True}, 3.0)
    costs = {"asked": 1, "known": 1, "ms 150": 1, "ms 50": 1}
    assert +scene.counts == {**costs, "tokens": 7, "prompt tokens": 100, "reused tokens": 90}
    assert (bucket(50), bucket(50.1), bucket(1e9)) == (50, 100, 20000)
