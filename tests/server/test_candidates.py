"""Over the wire: when the first line of a suggestion is chosen among several, and what is shown then."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from actions.stand_in import stand_in
from editor import Editor, editor
from own_engine import OwnEngine, engine, rest

from lsp_server.codellama import CodeLlamaTokenizer

pytestmark = pytest.mark.usefixtures("engines")

TEXT = "x = \nreturn x\n"
# What can be written: (text, how probable it is, and the text behind it in its place), the best together first.
LINES = [("fits", 0.1, 0.9), ("plain", 0.2, 0.01), ("other", 0.05, 0.01)]
DOUBTFUL = {"minProbability": 0.3}


@pytest.fixture
async def made(tokenizer_folder: Callable[..., Path]) -> AsyncIterator[OwnEngine]:
    """It writes `plain`, and where it may choose, what fits best."""
    async with engine(tokenizer_folder("7b"), None) as own:
        ids = CodeLlamaTokenizer.from_pretrained(own.folder).encode_raw

        def say(asked: dict[str, Any]) -> list[dict[str, Any]]:
            pending = ids("x = ")[-asked["heal"] :] if asked.get("heal") else []

            def choice(text: str, logprob: float) -> dict[str, Any]:
                written = [*pending, *ids(text)]
                return {"token_ids": written, "token_logprobs": [*[0.0] * (len(written) - 1), math.log(logprob)]}

            candidates = [
                {**choice(text, own_share), "follows": math.log(follows)} for text, own_share, follows in LINES
            ]
            chosen = candidates[0] if "candidates" in asked else choice("plain", 0.2)
            told = [{"text": "", "token_ids": [], "candidates": candidates}] if "candidates" in asked else []
            logprobs = {"logprobs": {"token_logprobs": chosen["token_logprobs"]}}
            return [*told, {"text": "", "token_ids": chosen["token_ids"], "finish_reason": "stop", **logprobs}]

        own.say = say
        yield own


def chose(made: OwnEngine) -> list[bool]:
    return ["candidates" in asked for asked in made.asked if asked["max_tokens"] > 1]


async def shown(window: Editor, uri: str, column: int = 4, *, by_hand: bool = False) -> list[str]:
    return [str(item.insert_text) for item in await window.suggest(uri, 0, column, typed=not by_hand)]


async def test_where_nothing_would_be_shown_the_next_request_finds_a_better_one(made: OwnEngine) -> None:
    """The one that fits what stands behind it: with that it is probable enough. No key waits for it."""
    async with editor({**DOUBTFUL, "prefetch": False}) as window:
        uri = window.open("untitled:a.py", TEXT)
        await window.ready()
        assert await shown(window, uri) == []
        assert "codellama.minProbability" in window.reason
        await window.until(lambda: chose(made) == [False, True] and len(made.done) == 2)
        assert [(asked["priority"], asked.get("candidates")) for asked in made.asked] == [(0, None), (20, 4)]
        await asyncio.sleep(0.2)
        assert await shown(window, uri) == ["fits"]
        follow = CodeLlamaTokenizer.from_pretrained(made.folder).decode(made.asked[1]["follow"])
        assert follow == "\nreturn x\n"
        window.insert(uri, 0, 4, "f")
        assert await shown(window, uri, 5) == ["fits"]
        assert len(made.asked) == 2, "it is known"
        window.insert(uri, 0, 5, "o")
        await shown(window, uri, 6)
        assert len(made.asked) > 2, "what was not shown is no answer"


async def test_what_is_probable_is_shown_at_once(made: OwnEngine) -> None:
    async with editor({"minProbability": 0.1, "prefetch": False}) as window:
        uri = window.open("untitled:a.py", TEXT)
        await window.ready()
        assert await shown(window, uri) == ["plain"]
        assert chose(made) == [False]


async def test_by_hand_all_of_them_come_at_once(made: OwnEngine) -> None:
    async with editor({"prefetch": False}) as window:
        uri = window.open("untitled:a.py", TEXT)
        await window.ready()
        assert await shown(window, uri, by_hand=True) == ["fits", "plain", "other"]
        assert await shown(window, uri, by_hand=True) == ["fits", "plain", "other"]
        window.insert(uri, 0, 4, "o")
        assert await shown(window, uri, 5) == ["other"], "typed along"
        assert chose(made) == [True]


async def test_by_hand_where_one_is_shown_it_stays_the_first(made: OwnEngine) -> None:
    async with editor({"prefetch": False}) as window:
        uri = window.open("untitled:a.py", TEXT)
        await window.ready()
        assert await shown(window, uri) == ["plain"]
        assert await shown(window, uri, by_hand=True) == ["plain", "fits", "other"]
        assert chose(made) == [False, True]


async def test_where_the_cursor_rests_the_better_one_is_made_ahead(made: OwnEngine) -> None:
    async with editor() as window:
        uri = window.open("untitled:a.py", TEXT)
        await window.ready()
        await rest(window, uri, 0, 4)
        await window.until(lambda: sum(chose(made)) == 1)
        assert {asked["priority"] for asked in made.asked} == {20}
        await asyncio.sleep(0.2)
        assert await shown(window, uri) == ["fits"]
        assert not any(asked["priority"] == 0 for asked in made.asked)


async def test_a_key_ends_what_is_chosen_ahead(made: OwnEngine) -> None:
    plainly = made.say

    def say(asked: dict[str, Any]) -> list[dict[str, Any]]:
        made.idle.clear()  # the next one made ahead of time is held
        return plainly(asked)

    made.say = say
    async with editor() as window:
        uri = window.open("untitled:a.py", TEXT)
        await window.ready()
        await rest(window, uri, 0, 4)
        await window.until(lambda: sum(chose(made)) == 1)
        window.insert(uri, 0, 4, "q")
        await shown(window, uri, 5)
        await window.until(lambda: made.ended)
        assert "candidates" in made.ended[0]


async def test_as_the_settings_choose_otherwise_it_is_not_chosen_among_several(made: OwnEngine) -> None:
    async with editor({**DOUBTFUL, "temperature": 0.5}) as window:
        uri = window.open("untitled:a.py", TEXT)
        await window.ready()
        await shown(window, uri)
        await shown(window, uri, by_hand=True)
        await rest(window, uri, 0, 4)
        assert not any(chose(made))


async def test_nobody_elses_server_is_asked_for_it(tokenizer_folder: Callable[..., Path]) -> None:
    async with stand_in() as theirs:
        theirs.answers = ["plain"]
        options = {"engineUrl": theirs.url, "tokenizer": str(tokenizer_folder("7b")), **DOUBTFUL}
        async with editor(options) as window:
            uri = window.open("untitled:a.py", TEXT)
            await window.ready()
            await shown(window, uri)
            await shown(window, uri, by_hand=True)
        assert theirs.asked
        assert not any({"candidates", "follow"} & asked.keys() for asked in theirs.asked)
