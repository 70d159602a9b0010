"""Inline completion over the wire: what the engine is asked, in every position encoding and with any line ending."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from actions.stand_in import StandIn
from editor import editor
from lsprotocol import types

from lsp_server.codellama import CodeLlamaTokenizer

pytestmark = pytest.mark.usefixtures("engines")

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "infill.json").read_text(encoding="utf-8"))["vectors"]
UNITS = {
    "utf-8": lambda text: len(text.encode("utf-8")),
    "utf-16": lambda text: len(text.encode("utf-16-le")) // 2,
    "utf-32": len,
}


def usable(vector: dict[str, object]) -> bool:
    """Whether an editor can be in this place: no line ending that it would change."""
    return "\r" not in str(vector["prefix"]) + str(vector["suffix"])


@pytest.mark.parametrize("layout", ["psm", "spm"])
async def test_the_engine_is_asked_exactly_what_metas_reference_would(
    layout: str, options: dict[str, object], engine: StandIn
) -> None:
    vectors = [vector for vector in VECTORS if usable(vector)]
    in_line = [vector for vector in vectors if vector["suffix"].partition("\n")[0].strip(")]}>\"'`;:, \t")]
    assert len(vectors) >= 32
    assert len(in_line) >= 10, "in the middle of a line"
    async with editor({**options, "layout": layout, "windowTokens": 16000, "relatedTokens": 0}) as window:
        for number, vector in enumerate(vectors):
            prefix = vector["prefix"]
            uri = window.open(f"untitled:{number}", prefix + vector["suffix"])
            await window.ready()
            line = prefix.count("\n")
            engine.asked.clear()
            await window.suggest(uri, line, UNITS["utf-16"](prefix.rpartition("\n")[2]))
            assert engine.asked[0]["temperature"] == 0
            for asked in engine.asked:  # more than one where nothing of the first answer fits
                assert asked["prompt"] == vector[f"safe_{layout}_ids"], vector["id"]
                assert 32010 in asked["stop_token_ids"]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
async def test_encodings_and_line_endings(
    encoding: str, ending: str, options: dict[str, object], engine: StandIn, tokenizer_folder: Callable[..., Path]
) -> None:
    before, line, after = "# é€😀\n\fdef f():\n", '    s = "😀é€" + ', "    return s\n# 😀 end"
    text = (before + line + "\n" + after).replace("\n", ending)
    async with editor({**options, "layout": "spm"}, encoding=encoding) as window:
        assert window.result.capabilities.position_encoding == encoding
        uri = window.open("untitled:a", text)
        await window.ready()
        # Typed over the wire: a change whose columns are in the units of the session.
        window.insert(uri, 2, UNITS[encoding](line), "😀x")
        column = UNITS[encoding](line + "😀x")
        (item,) = await window.suggest(uri, 2, column)
        expected = CodeLlamaTokenizer.from_pretrained(tokenizer_folder("7b")).infill_ids(
            before + line + "😀x", "\n" + after, "spm"
        )
        assert engine.asked[-1]["prompt"] == expected
        assert item.insert_text == "xanswer", "the typed word and what follows it"
        assert item.range.start.character == column - 1
        assert item.range.end.character == column


async def test_the_layout_by_where_the_cursor_is(options: dict[str, object], engine: StandIn) -> None:
    async with editor(options) as window:
        uri = window.open("untitled:a", "x = fo\ny = \n")
        await window.ready()
        await window.suggest(uri, 0, 6)
        assert engine.asked[-1]["prompt"][2] != 32008, "in a word: prefix first"
        await window.suggest(uri, 1, 4)
        assert engine.asked[-1]["prompt"][:3] == [1, 32007, 32008], "elsewhere: suffix first"


async def test_the_end_is_likelier_where_one_line_is_asked_for(
    options: dict[str, object], engine: StandIn, tokenizer_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """By what the checkpoint says, and not where several lines may come; Code Llama says nothing."""
    places = {"x = foo(a, \n": 1.5, "def f():\n    \n": None}
    biased = shutil.copytree(tokenizer_folder("7b"), tmp_path / "biased")
    own = {"prefix": "▁<PRE>", "suffix": "▁<SUF>", "middle": "▁<MID>", "end": "▁<EOT>", "one_line_bias": 1.5}
    (biased / "infilling.json").write_text(json.dumps(own), encoding="utf-8")
    for folder in (tokenizer_folder("7b"), biased):
        async with editor({**options, "tokenizer": str(folder)}) as window:
            for text, bias in places.items():
                uri = window.open(f"untitled:{text!r}", text)
                await window.ready()
                lines = text.split("\n")
                await window.suggest(uri, len(lines) - 2, len(lines[-2]))
                wanted = {"32010": bias} if bias and folder == biased else None
                assert engine.asked[-1].get("logit_bias") == wanted
    assert len(engine.asked) == 4


async def test_brackets_to_the_right_are_left_there(options: dict[str, object], engine: StandIn) -> None:
    engine.answers = ["a, b)"]
    async with editor(options) as window:
        uri = window.open("untitled:a", "print(f)\n")
        await window.ready()
        (item,) = await window.suggest(uri, 0, 7)
        assert item.insert_text == "a, b", "with text to the right, a pure insertion"
        assert item.range.start == item.range.end == types.Position(0, 7)


async def test_a_change_ends_the_request_and_the_engines_work(options: dict[str, object], engine: StandIn) -> None:
    engine.hold.clear()
    async with editor(options) as window:
        uri = window.open("untitled:a", "x = \n")
        await window.ready()
        asking = asyncio.ensure_future(window.suggest(uri, 0, 4))
        await window.until(lambda: engine.asked)
        window.insert(uri, 0, 4, "f")
        assert await asyncio.wait_for(asking, 60) == []
        await window.until(lambda: engine.ended == 1)
        engine.hold.set()
        assert await window.suggest(uri, 0, 5)


async def test_a_request_that_the_editor_cancels(options: dict[str, object], engine: StandIn) -> None:
    engine.hold.clear()
    async with editor(options) as window:
        uri = window.open("untitled:a", "x = \n")
        await window.ready()
        asking = asyncio.ensure_future(window.suggest(uri, 0, 4))
        await window.until(lambda: engine.asked)
        number = next(iter(window.client.protocol._request_futures))
        window.client.cancel_request(types.CancelParams(number))
        await window.until(lambda: engine.ended == 1)
        asking.cancel()


async def test_requests_for_two_documents_do_not_end_each_other(options: dict[str, object], engine: StandIn) -> None:
    engine.hold.clear()
    async with editor(options) as window:
        uris = [window.open(f"untitled:{name}", "x = \n") for name in "ab"]
        await window.ready()
        asking = [asyncio.ensure_future(window.suggest(uri, 0, 4)) for uri in uris]
        await window.until(lambda: len(engine.asked) == 2)
        engine.hold.set()
        assert all(await asyncio.gather(*asking))


async def test_typing_is_taken_in_while_the_model_is_asked(options: dict[str, object], engine: StandIn) -> None:
    """A hundred changes, each with a request: only the last one is answered with a suggestion, for the last text."""
    engine.hold.clear()
    async with editor(options) as window:
        uri = window.open("untitled:a", "\n")
        await window.ready()
        asking = []
        for column in range(100):
            window.insert(uri, 0, column, "a")
            asking.append(asyncio.ensure_future(window.suggest(uri, 0, column + 1)))
        await window.until(lambda: sum(task.done() for task in asking) == 99)
        engine.hold.set()
        answers = await asyncio.gather(*asking)
        assert [bool(items) for items in answers] == [False] * 99 + [True]
        assert answers[-1][0].insert_text == "a" * 100 + "answer"


async def test_the_settings_say_how_freely_suggestions_are_chosen(options: dict[str, object], engine: StandIn) -> None:
    async with editor({**options, "temperature": 0.6, "topP": 0.9, "seed": 3}) as window:
        uri = window.open("untitled:a", "x = \n")
        await window.ready()
        assert await window.suggest(uri, 0, 4, typed=True)
    assert [(asked["temperature"], asked["top_p"], asked["seed"]) for asked in engine.asked][:1] == [(0.6, 0.9, 3)]


async def test_without_debounce_only_when_asked_by_hand(options: dict[str, object], engine: StandIn) -> None:
    async with editor({**options, "debounceMs": 2000}) as window:
        uri = window.open("untitled:a", "x = \n")
        await window.ready()
        waiting = asyncio.ensure_future(window.suggest(uri, 0, 4, typed=True))
        await asyncio.sleep(0.3)
        assert engine.asked == []
        assert await asyncio.wait_for(window.suggest(uri, 0, 4), 1.5), "asked by hand: at once"
        assert await waiting == []
