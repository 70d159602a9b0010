"""Two models on one machine: with real engines, on tiny checkpoints."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import checkpoints
import psutil
import pytest

from lsp_server.engine import priority
from lsp_server.engine.address import Address
from lsp_server.model import local
from lsp_server.model.access import Reached
from lsp_server.model.answering import Answer, Question
from lsp_server.model.roles import Models
from lsp_server.settings import Settings

MIB = 2**20

pytestmark = [
    pytest.mark.usefixtures("engines", "copied_engines"),
    pytest.mark.skipif(sys.platform == "win32", reason="engines that end in order"),
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folders = tmp_path_factory.mktemp("suggests"), tmp_path_factory.mktemp("chats")
    for each in folders:
        checkpoints.random_checkpoint(each, layers=1, hidden=64)
    return folders


@pytest.fixture
async def told() -> list[tuple[str, str]]:
    """The kinds of states that were told, each with the role of its model."""
    return []


@pytest.fixture
def settings(tiny: tuple[Path, Path]) -> Settings:
    return Settings(model=str(tiny[0]), chat_model=str(tiny[1]), context_length=1024)


@pytest.fixture
async def models(settings: Settings, told: list[tuple[str, str]]) -> AsyncIterator[Models]:
    made = Models(settings, lambda role, state: told.append((role, state.kind)) if state is not None else None)
    made.begin()
    made.want("suggestions")
    yield made
    made.close()
    for each in (settings.model, settings.chat_model):
        await local.end(each)


async def answers(model: Reached) -> bool:
    return bool([part async for part in Answer(model, Question([1, 500], [2], 2)).parts()])


def engines(settings: Settings) -> list[Address]:
    found = [local.running(each) for each in (settings.model, settings.chat_model)]
    return [each for each in found if each is not None]


async def test_both_answer_and_that_of_chat_gives_way(models: Models, settings: Settings) -> None:
    reached = await models.suggestions.wait(), await models.chat.wait()
    assert [await answers(each) for each in reached] == [True, True]
    nice = [psutil.Process(each.pid).nice() for each in engines(settings)]
    assert nice == [psutil.Process().nice(), priority.NICE]
    await asyncio.sleep(1.5)
    for each in engines(settings):  # keys and values come with use
        assert 10 * MIB < each.reserved["cpu"] < 2000 * MIB


async def test_after_their_idle_end_each_has_its_place_again(
    models: Models, settings: Settings, told: list[tuple[str, str]]
) -> None:
    suggestions = await models.suggestions.wait()
    await models.chat.wait()
    assert await answers(suggestions)  # not idle, however long the other one took
    first = engines(settings)[0].pid
    models.use(dataclasses.replace(settings, idle_minutes=0.15))
    await models.suggestions.wait()
    assert all(each.pid == first for each in engines(settings)[:1]), "the same engine was given the new time"
    chat = await models.chat.wait()
    for _ in range(900):
        if not engines(settings):
            break
        await asyncio.sleep(0.1)
    assert not engines(settings), "they are idle"
    told.clear()
    assert await asyncio.wait_for(answers(chat), 120)
    assert told.index(("suggestions", "ready")) < told.index(("chat", "loading")), "nobody typed"
    assert ("chat", "failed") not in told
