"""How a model is reached, and what is told of it, whatever happens to its engine: with engines that are real processes
but have no model."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys

import psutil
import pytest

from lsp_server.model import access, hung, local
from lsp_server.model.access import ModelAccess, ModelUnavailable
from lsp_server.model.answering import Answer, Question
from lsp_server.model.client import PRIORITY_AHEAD
from lsp_server.model.exchange import EngineLost
from lsp_server.settings import Settings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the engine without a model listens on a Unix socket")


@pytest.fixture
async def reach():
    """reach(): a window's access to the model, with the list of all its states."""
    made = []

    def one():
        states = []
        made.append(ModelAccess(Settings(model="fake"), states.append))
        return made[-1], states

    yield one
    for each in made:
        each.close()


async def text_of(model, **more):
    answer = Answer(model, Question([1, 2], [2], 8, **more))
    text = ""
    async with contextlib.aclosing(answer.parts()) as parts:
        async for part in parts:
            text += "".join(part)
    return text


async def until(condition):
    for _ in range(1500):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("waited in vain")


async def ended(pid):
    await until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def told(states):
    """Everything that the user was told."""
    return " ".join(state.message for state in states)


async def test_an_engine_is_started_and_seen_to_load(fakes, reach):
    fakes.script({"loading": 1.0, "says": "yes in deed"})
    window, states = reach()
    model = await window.wait()
    assert list(dict.fromkeys(state.kind for state in states)) == ["starting", "loading", "ready"]
    progress = [state.progress for state in states if state.kind == "loading"]
    assert progress == sorted(progress)
    assert len(set(progress)) > 2
    assert (model.heals, model.shared, model.context_length) == (True, False, 4096)
    assert await text_of(model) == "yesindeed"


async def test_two_windows_share_one_engine(fakes, reach):
    (one, _), (other, _) = reach(), reach()
    await one.wait()
    await other.wait()
    assert len(fakes.started) == 1


async def test_windows_of_two_versions_do_not_end_each_others_engine(fakes, reach, monkeypatch):
    """The later version's engine is for both, as long as both have a window."""
    monkeypatch.setattr(local, "__version__", "0.0.9")
    (earlier, _), (later, _) = reach(), reach()
    fakes.version("0.0.9")
    await earlier.wait()
    monkeypatch.setattr(local, "__version__", "0.0.10")
    fakes.version("0.0.10")
    model = await later.wait()
    assert len(fakes.started) == 2
    monkeypatch.setattr(local, "__version__", "0.0.9")
    assert await text_of(await earlier.wait()) == "yes"
    assert await text_of(model) == "yes"
    assert fakes.asked == [fakes.started[1]] * 2
    assert len(fakes.started) == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_question_after_the_engines_end_is_answered_by_the_next(fakes, reach, number, at_once):
    window, states = reach()
    model = await window.wait()
    os.kill(fakes.started[0], number)
    if not at_once:
        await ended(fakes.started[0])
    assert await asyncio.wait_for(text_of(model), 60) == "yes"
    assert fakes.asked[-1:] == fakes.started[1:] or at_once
    assert "localhost" not in told(states)
    assert number == signal.SIGKILL or "unexpectedly" not in told(states), "it ended in good order"
    assert number == signal.SIGTERM or at_once or any(state.lost for state in states), "the user is told of a crash"


async def test_a_question_that_the_engine_dies_of_before_its_first_word_is_asked_again(fakes, reach):
    fakes.script({"hold": 30}, {"loading": 0.5, "says": "better"})
    window, states = reach()
    asking = asyncio.ensure_future(text_of(await window.wait()))
    await until(lambda: fakes.asked)
    os.kill(fakes.started[0], signal.SIGKILL)
    assert await asyncio.wait_for(asking, 60) == "better"
    assert "The engine ended unexpectedly; starting it again." in told(states)


async def test_an_engine_that_dies_of_an_answer_is_told_in_a_plain_sentence(fakes, reach):
    fakes.script({"says": "so far", "pause": 30})
    window, _ = reach()
    parts = Answer(await window.wait(), Question([1, 2], [2], 8)).parts()
    assert "".join(await anext(parts)) == "so"
    os.kill(fakes.started[0], signal.SIGKILL)
    with pytest.raises(EngineLost, match=r"^The engine broke off in the middle of its answer; ask again\.$"):
        await asyncio.wait_for(anext(parts), 60)


HUNG = "The engine hung and was ended; starting it again."


@pytest.fixture
def impatient(monkeypatch):
    """A hang is noticed soon, so that these tests are."""
    monkeypatch.setattr(hung, "WAIT_SECONDS", 0.1)
    monkeypatch.setattr(hung, "SAY_SECONDS", 0.7)


async def test_a_question_to_an_engine_that_is_stopped_is_answered_by_the_next(fakes, reach, impatient):
    fakes.script({"hold": 30}, {"says": "better"})
    window, states = reach()
    model = await window.wait()
    asking = asyncio.ensure_future(text_of(model))
    await until(lambda: fakes.asked)
    os.kill(fakes.started[0], signal.SIGSTOP)
    assert await asyncio.wait_for(asking, 60) == "better"
    assert any(state.lost and state.message == HUNG for state in states)
    await ended(fakes.started[0])


@pytest.mark.parametrize("loading", [0, 30])
async def test_a_new_window_finds_the_engine_stopped(fakes, reach, impatient, loading):
    """Also one that was stopped while it loaded."""
    fakes.script({"loading": loading}, {})
    (other, _), (window, states) = reach(), reach()
    other.start()
    await until(lambda: fakes.started and other.state.kind == ("loading" if loading else "ready"))
    other.close()
    os.kill(fakes.started[0], signal.SIGSTOP)
    assert await asyncio.wait_for(text_of(await window.wait()), 60) == "yes"
    assert any(state.lost and state.message == HUNG for state in states)
    assert len(fakes.started) == 2


async def test_a_stopped_engine_ends_when_the_user_starts_it_anew(fakes, reach):
    window, states = reach()
    await window.wait()
    os.kill(fakes.started[0], signal.SIGSTOP)
    window.restart()
    assert await asyncio.wait_for(text_of(await window.wait()), 60) == "yes"
    assert not any(state.lost for state in states)


async def test_an_engine_that_works_and_says_nothing_is_left_alone(fakes, reach, impatient):
    fakes.script({"busy": 5, "says": "at last"})
    window, states = reach()
    assert await asyncio.wait_for(text_of(await window.wait()), 60) == "atlast"
    assert len(fakes.started) == 1
    assert not any(state.lost for state in states)


async def test_an_engine_that_goes_on_soon_is_left_alone(fakes, reach, impatient):
    """As after the machine slept."""
    fakes.script({"hold": 4})
    window, states = reach()
    model = await window.wait()
    asking = asyncio.ensure_future(text_of(model))
    await until(lambda: fakes.asked)
    for _ in range(2):
        os.kill(fakes.started[0], signal.SIGSTOP)
        await asyncio.sleep(1.0)
        os.kill(fakes.started[0], signal.SIGCONT)
        await asyncio.sleep(0.5)
    assert await asyncio.wait_for(asking, 60) == "yes"
    assert len(fakes.started) == 1
    assert not any(state.lost for state in states)


@pytest.mark.parametrize("setting", ["model", "tokenizer"])
@pytest.mark.parametrize(
    "name", ["/a\0b", "a\ud800", "a" * 200_000, "/" + "a/" * 3000, "/tmp/" + "é" * 200, "o/" + "m" * 300]
)
async def test_what_no_checkpoint_can_be_called_is_told_in_a_sentence(engines, setting, name):
    states = []
    window = ModelAccess(Settings(**{setting: name}), states.append)
    with pytest.raises(ModelUnavailable, match=rf"^codellama\.{setting} is .*; give a hub id .*\.$") as caught:
        await window.wait()
    assert len(str(caught.value)) < 300
    window.restart()
    with pytest.raises(ModelUnavailable, match=rf"^codellama\.{setting} is "):
        await window.wait()
    window.close()


async def test_what_was_shown_is_not_written_anew(fakes, reach):
    fakes.script({"says": "a b c d", "pause": 0.5}, {})
    window, _ = reach()
    model = await window.wait()
    parts = Answer(model, Question([1], [2], 8)).parts()
    assert await anext(parts) == ["a"]
    os.kill(fakes.started[0], signal.SIGKILL)
    with pytest.raises(EngineLost) as caught:
        await anext(parts)
    assert "localhost" not in str(caught.value)
    assert (await window.wait()) is not model, "the next engine is started all the same"


async def test_work_ahead_of_time_starts_no_engine(fakes, reach):
    window, _ = reach()
    model = await window.wait()
    os.kill(fakes.started[0], signal.SIGTERM)
    await ended(fakes.started[0])
    with pytest.raises(EngineLost):
        await text_of(model, priority=PRIORITY_AHEAD)
    assert window.reached is model
    assert await text_of(model) == "yes"
    assert len(fakes.started) == 2


async def test_why_a_model_cannot_be_loaded_is_told_until_the_user_starts_it_again(fakes, reach):
    fakes.script({"fail": "The checkpoint has no shards."}, {})
    window, states = reach()
    for _ in range(2):
        with pytest.raises(ModelUnavailable, match=r"^The checkpoint has no shards\.$"):
            await window.wait()
    assert len(fakes.started) == 1, "not again for each request"
    window.restart()
    assert await text_of(await window.wait()) == "yes"
    assert len(fakes.started) == 2
    assert not any(state.lost for state in states)


async def test_an_engine_that_always_dies_while_it_loads(fakes, reach):
    fakes.script({"loading": 0.2, "die": True})
    window, _ = reach()
    with pytest.raises(ModelUnavailable, match="ended 3 times while it loaded"):
        await window.wait()
    assert len(fakes.started) == access.LOSSES


async def test_an_engine_that_is_lost_too_often(fakes, reach):
    window, _ = reach()
    model = await window.wait()
    for _ in range(access.LOSSES - 1):
        os.kill(fakes.started[-1], signal.SIGKILL)
        await ended(fakes.started[-1])
        assert await text_of(model) == "yes"
        model = await window.wait()
    os.kill(fakes.started[-1], signal.SIGKILL)
    await ended(fakes.started[-1])
    with pytest.raises(ModelUnavailable, match="ended 3 times within"):
        await text_of(model)


@pytest.mark.parametrize("linger", [0, 1.5])
async def test_a_restart_waits_for_the_end_of_the_old_engine_and_is_no_crash(fakes, reach, linger):
    fakes.script({"linger": linger}, {})
    (window, states), (other, others) = reach(), reach()
    model, theirs = await window.wait(), await other.wait()
    window.restart()
    window.restart()
    assert await text_of(await window.wait()) == "yes"
    assert await text_of(model) == "yes", "one who has the old model too"
    assert await text_of(theirs) == "yes"
    assert len(fakes.started) == 2
    assert fakes.asked == [fakes.started[1]] * 3
    assert "unexpectedly" not in told(states) + told(others)


async def test_who_closes_lets_the_engine_go_on_and_starts_none(fakes, reach):
    (window, _), (other, _) = reach(), reach()
    model = await window.wait()
    await other.wait()
    window.close()
    assert await text_of(await other.wait()) == "yes"
    os.kill(fakes.started[0], signal.SIGTERM)
    await ended(fakes.started[0])
    with pytest.raises((EngineLost, ModelUnavailable)):
        await text_of(model)
    with pytest.raises(ModelUnavailable, match="settings changed"):
        await window.wait()
    assert len(fakes.started) == 1


async def test_what_is_no_error_of_ours_is_told_in_one_sentence_and_logged(fakes, reach, caplog):
    (fakes.tokenizer.parent / "broken").mkdir(exist_ok=True)
    fakes.tokenizer = fakes.tokenizer.parent / "broken"
    fakes.script({})
    window, _ = reach()
    with pytest.raises(ModelUnavailable) as caught:
        await window.wait()
    assert "\n" not in str(caught.value)
