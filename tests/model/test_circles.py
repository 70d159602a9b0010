"""A model that says the same again and again is told from one that writes a table, a list, or data."""

from __future__ import annotations

import json
import random
import re
import typing
from pathlib import Path

import pytest

from lsp_server.model.circles import LOOKED_AT, Circles, goes_in_circles

SENTENCE = "The `*` operator is used to unpack the function body into multiple arguments. "


@pytest.mark.parametrize(
    "round",
    [SENTENCE, "\n    return x\n", "    self.a = a\n    self.b = b\n    self.c = c\n", "no no ", "is is the the\n",
     "- It takes two numbers.\n- It returns their sum.\n\n", "die Länge, die Länge, "],
)  # fmt: skip
def test_what_comes_twenty_times_more_than_it_should(round: str) -> None:
    text = "It adds two numbers.\n" + round * (20 + 400 // len(round))
    assert goes_in_circles(text)
    assert goes_in_circles(text + round[: len(round) // 2])


def test_a_list_whose_numbers_go_up() -> None:
    assert goes_in_circles("".join(f"{number}. It takes two numbers and adds them up.\n" for number in range(1, 30)))


@pytest.mark.parametrize(
    "text",
    [
        SENTENCE * 3,
        "\n}\n    }\n        }\n" * 3,
        "| a | b |\n" + "| --- | --- |\n" + "-" * 200 + "\n" + "=" * 200,
        "matrix = [\n" + "    [0, 0, 0, 0],\n" * 16 + "]\n",
        "".join(f"assert add({number}, {number * 7 % 5}) == {number + number * 7 % 5}\n" for number in range(60)),
        "".join(f"{number}. The {word} is read and kept.\n" for number, word in enumerate("abcdefghijklmnopqrst")),
        json.dumps({f"key{number}": number for number in range(200)}, indent=1),
    ],
)
def test_what_repeats_itself_as_it_should(text: str) -> None:
    assert not goes_in_circles(text)


def test_real_code_never_does() -> None:
    for module in (typing, re, json, random):
        text = Path(module.__file__ or "").read_text(encoding="utf-8")
        assert not [at for at in range(LOOKED_AT, len(text), 256) if goes_in_circles(text[:at])], module.__name__


def test_piece_by_piece_it_is_noticed_soon() -> None:
    circles, pieces = Circles(), 0
    while not circles.closed_by(" the"):
        pieces += 1
        assert pieces < 120
