from __future__ import annotations

from collections.abc import Callable

import pytest

from lsp_server.chat.conversation import TooLong
from lsp_server.chat.fitting import Counter, Exchange, fit
from lsp_server.chat.turns import Attachment
from lsp_server.codellama import CodeLlamaTokenizer

from .conftest import common

Load = Callable[[str], CodeLlamaTokenizer]
SYSTEM = "You are a helpful and honest code assistant."


def numbered(lines: int, named: tuple[int, int] | None = None, name: str = "a.py") -> Attachment:
    text = "".join(f"value_{number} = compute({number})\n" for number in range(1, lines + 1))
    return Attachment("file", name, f"file:///{name}", "python", text, 1, lines, named)


def talked(count: int, words: int = 30) -> list[Exchange]:
    return [Exchange(f"Question {n}: " + "why " * words, (), f"Answer {n}: " + "so " * words) for n in range(count)]


@pytest.mark.parametrize("chat_format", ["inst", "source-step"])
def test_what_fits_is_sent_whole(load: Load, chat_format: str) -> None:
    counter = Counter(load(chat_format))
    past, one = talked(3), numbered(5)
    fitted = fit(counter, SYSTEM, past, "And?", [one], budget=4096)
    expected = [{"role": "system", "content": SYSTEM}]
    for exchange in past:
        expected.append({"role": "user", "content": exchange.asked})
        expected.append({"role": "assistant", "content": exchange.answer})
    expected.append({"role": "user", "content": one.rendered() + "\n\nAnd?"})
    assert fitted.ids == load(chat_format).dialog_ids(expected)
    assert (fitted.first, fitted.left_out) == (0, ())


@pytest.mark.parametrize("chat_format", ["inst", "source-step"])
@pytest.mark.parametrize("budget", [300, 700, 1500])
def test_never_over_the_budget_and_never_silent(load: Load, chat_format: str, budget: int) -> None:
    counter = Counter(load(chat_format))
    for past in ([], talked(4), talked(40)):
        for attached in ([], [numbered(400)], [numbered(400, (200, 205)), numbered(3, name="b.py")]):
            fitted = fit(counter, SYSTEM, past, "And now?", attached, budget=budget)
            assert len(fitted.ids) <= budget
            shrunk = [one for one in fitted.attachments if one.kept]
            assert len(fitted.left_out) == len(shrunk) + (fitted.first > 0)
            assert len(fitted.ids) > budget * 0.4 or not fitted.left_out, "more was left out than had to be"


def test_attachments_shrink_around_what_is_named_before_the_past_goes(load: Load) -> None:
    counter = Counter(load("inst"))
    fitted = fit(counter, SYSTEM, talked(3), "And?", [numbered(400, (200, 205))], budget=1500)
    assert fitted.first == 0
    first, last = fitted.attachments[0].shown()
    assert first < 195
    assert last > 210
    assert abs((200 - first) - (last - 205)) <= 2
    assert fitted.left_out == (f"Of a.py only lines {first}-{last} of 1-400 were sent.",)
    assert f"File `a.py`, lines {first}-{last} of 400:" in fitted.messages[-1]["content"]
    # A small file next to a large one stays whole.
    fitted = fit(counter, SYSTEM, [], "And?", [numbered(400), numbered(4, name="b.py")], budget=1500)
    assert fitted.attachments[0].shown()[0] == 1
    assert fitted.attachments[0].kept
    assert fitted.attachments[1].kept is None


def test_the_past_makes_room_for_what_is_named(load: Load) -> None:
    counter = Counter(load("inst"))
    fitted = fit(counter, SYSTEM, talked(10), "And?", [numbered(400, (100, 130))], budget=1000)
    first, last = fitted.attachments[0].shown()
    assert first <= 100 <= 130 <= last or len(fitted.ids) > 700
    assert fitted.first > 0
    assert "oldest questions are no longer sent" in fitted.left_out[-1]
    # Even what is named is cut once nothing else is left to go: its end first.
    fitted = fit(counter, SYSTEM, [], "And?", [numbered(400, (100, 390))], budget=1000)
    assert fitted.attachments[0].shown()[0] == 100
    assert 110 < fitted.attachments[0].shown()[1] < 390


def test_what_was_attached_earlier_shrinks_before_its_question_goes(load: Load) -> None:
    counter = Counter(load("inst"))
    past = [Exchange("First?", (numbered(60, (10, 12)),), "Yes."), *talked(6)]
    whole = fit(counter, SYSTEM, past, "And?", [], budget=10_000)
    fitted = fit(counter, SYSTEM, past, "And?", [], budget=len(whole.ids) - 1)
    assert fitted.first == 0
    assert fitted.past[0].attachments[0].shown() == (10, 12)
    assert fitted.left_out == ("Of what was attached earlier only a part is sent: a.py.",)


def test_a_question_that_cannot_fit_is_refused_with_both_numbers(load: Load) -> None:
    with pytest.raises(TooLong, match=r"is \d+ tokens long, but the model has room for 300"):
        fit(Counter(load("inst")), SYSTEM, talked(3), "why " * 1000, [], budget=300)


@pytest.mark.parametrize("chat_format", ["inst", "source-step"])
def test_the_start_of_200_turns_moves_seldom_so_that_little_is_computed_anew(load: Load, chat_format: str) -> None:
    counter, budget = Counter(load(chat_format)), 2000
    past: list[Exchange] = []
    first, moved, before, recomputed = 0, 0, [], []
    for exchange in talked(200):
        fitted = fit(counter, SYSTEM, past, exchange.asked, [], budget=budget, first=first)
        assert len(fitted.ids) <= budget
        if fitted.first != first:
            moved += 1
        elif before:
            recomputed.append(len(fitted.ids) - common(before, fitted.ids))
        first, before = fitted.first, fitted.ids
        past.append(exchange)
    assert fitted.first > 150
    assert moved < 200 / 4, "the start must move in steps"
    # Otherwise a new prompt is the last one, the answer, and the new question.
    own = counter.exchange(past[-1])
    assert max(recomputed) <= 1.5 * own
