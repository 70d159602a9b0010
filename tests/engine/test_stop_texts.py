from __future__ import annotations

import random

import pytest

from lsp_server.engine.serving.stop_texts import StopTexts


def run(pieces: list[str], stops: list[str]) -> tuple[str, str | None]:
    cut = StopTexts(stops)
    text = "".join([cut.push(piece) for piece in pieces])
    return text + cut.flush(), cut.found


@pytest.mark.parametrize(
    ("text", "stops", "expected"),
    [
        ("hello", [], ("hello", None)),
        ("hello\n\nworld", ["\n\n"], ("hello", "\n\n")),
        ("hello\n", ["\n\n"], ("hello\n", None)),
        ("aaab", ["aab"], ("a", "aab")),
        ("xabcd", ["abcd", "bc"], ("xa", "bc")),
        ("xabc", ["bc", "abc"], ("x", "abc")),
        ("stop", ["stop"], ("", "stop")),
        ("é€", ["€"], ("é", "€")),
    ],
)
def test_the_same_however_the_text_is_cut(text: str, stops: list[str], expected: tuple[str, str | None]) -> None:
    assert run([text], stops) == expected
    assert run(list(text), stops) == expected
    cuts = random.Random(0)
    for _ in range(20):
        at = cuts.randint(0, len(text))
        assert run([text[:at], "", text[at:]], stops) == expected


def test_only_a_possible_beginning_is_held_back() -> None:
    cut = StopTexts(["END", "\n\n"])
    assert cut.push("a") == "a"
    assert cut.push("bE") == "b"
    assert cut.push("N") == ""
    assert cut.push("x") == "ENx"
    assert cut.push("\n") == ""
    assert cut.push("y") == "\ny"
    assert cut.push("END and more") == ""
    assert cut.push("more") == ""
    assert cut.flush() == ""
