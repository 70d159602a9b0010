"""What runs next, as a plain value: no model, no threads."""

from __future__ import annotations

from lsp_server.engine.generating.choosing import Choice, Standing, choose


def test_nobody_waits() -> None:
    assert choose([], 100) == Choice()


def test_the_most_urgent_runs_and_of_equals_the_older() -> None:
    chat, first, second = Standing(10, 1, need=5), Standing(0, 2, need=5), Standing(0, 3, need=5)
    assert choose([chat, second, first], 100) == Choice(running=2)
    assert choose([chat, second], 100) == Choice(running=3)


def test_those_that_were_cancelled_end_and_never_run_nor_count() -> None:
    gone, chat = Standing(0, 1, held=90, need=95, cancelled=True), Standing(10, 2, held=50, need=60)
    assert choose([chat, gone], 100) == Choice(ended=(1,), running=2)
    assert choose([gone], 100) == Choice(ended=(1,))


def test_what_fits_is_left_alone() -> None:
    assert choose([Standing(0, 3, need=40), Standing(5, 1, held=30), Standing(9, 2, held=30)], 100) == Choice(
        running=3, held=60
    )


def test_the_least_urgent_makes_way_first_and_no_more_than_it_takes() -> None:
    paused = [Standing(5, 1, held=30), Standing(9, 2, held=30), Standing(9, 3), Standing(9, 4, held=20)]
    assert choose([Standing(0, 5, need=40), *paused], 100) == Choice(running=5, emptied=(4,), held=60)
    assert choose([Standing(0, 5, need=41), *paused], 100) == Choice(running=5, emptied=(4, 2), held=30)
    assert choose([Standing(0, 5, need=100), *paused], 100) == Choice(running=5, emptied=(4, 2, 1), held=0)


def test_what_the_one_that_runs_holds_itself_is_not_taken() -> None:
    assert choose([Standing(0, 1, held=70, need=80), Standing(1, 2, held=30)], 100) == Choice(
        running=1, emptied=(2,), held=0
    )


def test_one_that_is_overdue_has_its_turn_where_nobody_makes_way_for_it() -> None:
    key, chat = Standing(0, 3, held=40, need=45), Standing(10, 1, held=50, need=51, overdue=True)
    assert choose([key, chat], 100) == Choice(running=1, held=40)
    assert choose([key, chat], 90) == Choice(running=3, emptied=(1,), held=0)
    older = Standing(10, 0, need=5, overdue=True)
    assert choose([key, chat, older], 100) == Choice(running=0, held=90)


def test_equals_take_turns_as_long_as_both_have_room() -> None:
    first, second = Standing(10, 1, held=40, need=41, turns=3), Standing(10, 2, held=20, need=21, turns=2)
    assert choose([first, second], 100) == Choice(running=2, held=40)
    assert choose([first, second], 60) == Choice(running=1, emptied=(2,), held=0), "there is room for one alone"
    waiting = Standing(10, 2, need=50)
    assert choose([first, waiting], 80) == Choice(running=1), "the one that has begun is not made to begin again"
    assert choose([first, second, Standing(0, 3, need=9)], 100) == Choice(running=3, held=60)
