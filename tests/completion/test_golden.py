"""What is shown of what a model writes: the cases of `golden/`, as they come in pieces and are stopped."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from lsp_server.completion.filters import tidy
from lsp_server.completion.stopping import end_of, place_at

FOLDER = Path(__file__).with_name("golden")
PIECE = 7


@dataclasses.dataclass(frozen=True)
class Case:
    language: str
    name: str
    document: str
    answer: str
    finished: bool
    shown: str


def spelled(text: str) -> str:
    text = text.replace("⇥", "\t")
    return re.sub(r"\{U\+([0-9A-F]{4,6})\}", lambda found: chr(int(found[1], 16)), text)


def cases() -> list[Case]:
    found = []
    for path in sorted(FOLDER.glob("*.txt")):
        for part in re.split(r"^=== ", path.read_text("utf-8"), flags=re.MULTILINE)[1:]:
            name, rest = part.split("\n", 1)
            document, asked, kind, shown = re.fullmatch(
                r"(.*?\n)--- (answer.*?)\n--- (shown|nothing)(\n.*)?\n", rest, re.DOTALL
            ).groups()
            head, _, answer = asked.partition("\n")
            assert head in ("answer", "answer, cut off"), f"{path.name}: {name}"
            assert document.count("¦") == 1, f"{path.name}: {name}"
            assert (kind == "shown") is bool(shown), f"{path.name}: {name}"
            shown = spelled((shown or "")[1:])
            found.append(Case(path.stem, name, spelled(document), spelled(answer), head == "answer", shown))
    return found


CASES = cases()


def of(case: Case) -> tuple[str, str]:
    """(what is shown, the reason if nothing is), of an answer that comes in pieces."""
    prefix, _, suffix = case.document.partition("¦")
    here = place_at(prefix, suffix, "auto", language_id=case.language)
    for stop in range(PIECE, len(case.answer) + PIECE, PIECE):
        if (end := end_of(case.answer[:stop], here)) is not None:
            return tidy(case.answer[:end], here, finished=True)
    return tidy(case.answer, here, finished=case.finished)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.language}: {case.name}")
def test_what_is_right_is_shown(case: Case) -> None:
    shown, reason = of(case)
    assert shown == case.shown
    assert bool(reason) is not bool(shown)


def test_there_are_cases_of_many_languages() -> None:
    assert len(CASES) >= 200
    assert len({case.language for case in CASES}) >= 10
    assert len({(case.language, case.name) for case in CASES}) == len(CASES)
