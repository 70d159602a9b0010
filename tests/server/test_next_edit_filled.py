"""Over the wire: what of a next edit the model writes, and when nothing is offered then."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from actions.stand_in import StandIn
from editor import Editor, editor
from lsprotocol import types
from server.next_edits import ask, put, tell

pytestmark = pytest.mark.usefixtures("engines")

CALL = (
    "def listen(host):\n    return bind(host)\n\n\ndef run(args):\n    print(args.port)\n    return listen(args.host)\n"
)
BRANCH = """\
class Op:
    ADD = 1
    SUB = 2


def apply(op, a, b):
    if op == Op.ADD:
        return a + b
    if op == Op.SUB:
        return a - b
"""
INSERT = """\
def load(path):
    return path.read()


def save(path):
    return path.write()


def drop(path):
    return path.unlink()
"""


async def add_parameter(window: Editor, uri: str = "untitled:a") -> str:
    """A call that lacks an argument."""
    uri = window.open(uri, CALL)
    await window.ready()
    put(window, uri, 0, 15, 15, ", port")
    return uri


async def test_the_argument_that_a_call_lacks(options: dict[str, object], engine: StandIn) -> None:
    engine.answers, engine.probability = ["args.port"], 0.9
    async with editor(options) as window:
        uri = await add_parameter(window)
        edit = (await ask(window, uri, 0))["edit"]
        assert (edit["oldText"], edit["newText"], edit["kind"]) == ("args.host", "args.host, args.port", "filled")
        assert edit["title"] == "listen(host, port)"
        assert edit["textDocument"] == {"uri": uri, "version": 2}
        assert edit["range"] == {"start": {"line": 6, "character": 18}, "end": {"line": 6, "character": 27}}
        engine.tokenizer = Path(str(options["tokenizer"]))
        assert "def listen(host, port):" in engine.prompt
        assert "return listen(args.host, " in engine.prompt
        assert (await ask(window, uri, 1))["edit"]["newText"] == "args.host, args.port"
        assert len(engine.asked) == 1, "the same is not asked twice"


async def test_the_branch_of_one_more_case(options: dict[str, object], engine: StandIn) -> None:
    engine.answers, engine.probability = ["return a * b"], 0.9
    async with editor(options) as window:
        uri = window.open("untitled:a", BRANCH)
        await window.ready()
        put(window, uri, 2, 11, 11, "\n    MUL = 3")
        edit = (await ask(window, uri, 3))["edit"]
        assert edit["newText"] == "\n    if op == Op.MUL:\n        return a * b"
        assert edit["range"]["start"] == {"line": 10, "character": 20}


async def test_what_was_put_in_twice(options: dict[str, object], engine: StandIn) -> None:
    engine.answers, engine.probability = ["dropping"], 0.9
    async with editor(options) as window:
        uri = window.open("untitled:a", INSERT)
        await window.ready()
        put(window, uri, 0, 15, 15, '\n    log("loading", path)')
        assert await ask(window, uri, 1) == {"edit": None}, "once is no example"
        put(window, uri, 5, 15, 15, '\n    log("saving", path)')
        edit = (await ask(window, uri, 6))["edit"]
        assert edit["newText"] == '\n    log("dropping", path)'
        assert edit["range"]["start"] == {"line": 10, "character": 15}


QUIET = {
    "not sure enough": ("args.port", 0.2),
    "it does not say how sure it is": ("args.port", None),
    "two arguments": ("args.port, 5", 0.9),
    "a name that is nowhere": ("number_of_port", 0.9),
    "a bracket too many": ("args.port) + f(1", 0.9),
    "another line": ("(args.port,\n        args.host)", 0.9),
    "no expression": ("port if", 0.9),
    "the one beside it again": ("args.host", 0.9),
    "nothing": ("", 0.9),
}


@pytest.mark.parametrize("why", QUIET)
async def test_what_is_not_offered(options: dict[str, object], engine: StandIn, why: str) -> None:
    (answer, engine.probability) = QUIET[why]
    engine.answers = [answer]
    async with editor(options) as window:
        uri = await add_parameter(window)
        assert await ask(window, uri, 0) == {"edit": None}
        assert len(engine.asked) == 1


async def test_what_follows_by_itself_goes_first(options: dict[str, object], engine: StandIn) -> None:
    engine.answers, engine.probability = ["args.port"], 0.9
    async with editor(options) as window:
        uri = window.open("untitled:a", CALL.replace("run(args)", "run(args, port)"))
        await window.ready()
        put(window, uri, 0, 15, 15, ", port")
        assert (await ask(window, uri, 0))["edit"]["kind"] == "call"
        assert not engine.asked


@pytest.mark.parametrize("off", [{"nextEditFills": False}, {"disabledLanguages": ["python"]}, {"nextEdit": False}])
async def test_a_setting_switches_it_off(options: dict[str, object], engine: StandIn, off: dict[str, object]) -> None:
    engine.answers, engine.probability = ["args.port"], 0.9
    async with editor(options) as window:
        uri = await add_parameter(window)
        changed = types.DidChangeConfigurationParams({"codellama": {**options, **off}})
        window.client.workspace_did_change_configuration(changed)
        assert await ask(window, uri, 0) == {"edit": None}
        assert not engine.asked


async def test_a_hidden_file_is_not_sent(options: dict[str, object], engine: StandIn, tmp_path: Path) -> None:
    engine.answers, engine.probability = ["args.port"], 0.9
    (tmp_path / ".gitignore").write_text("hidden.py\n", encoding="utf-8")
    (tmp_path / "hidden.py").write_text(CALL, encoding="utf-8")
    async with editor(options, folder=tmp_path) as window:
        assert await ask(window, await add_parameter(window, (tmp_path / "hidden.py").as_uri()), 0) == {"edit": None}
        assert not engine.asked


async def test_who_types_on_ends_what_is_written(options: dict[str, object], engine: StandIn) -> None:
    engine.answers, engine.probability = ["args.port"], 0.9
    async with editor(options) as window:
        uri = await add_parameter(window)
        engine.hold.clear()
        asked = asyncio.ensure_future(ask(window, uri, 0))
        await window.until(lambda: engine.asked)
        put(window, uri, 5, 0, 0, " ")
        assert await asyncio.wait_for(asked, 10) == {"edit": None}
        await window.until(lambda: engine.ended)


async def test_a_newer_request_ends_an_older_one(options: dict[str, object], engine: StandIn) -> None:
    engine.answers, engine.probability = ["args.port"], 0.9
    async with editor(options) as window:
        uri = await add_parameter(window)
        engine.hold.clear()
        first = asyncio.ensure_future(ask(window, uri, 0))
        await window.until(lambda: engine.asked)
        second = asyncio.ensure_future(ask(window, uri, 1))
        assert await asyncio.wait_for(first, 10) == {"edit": None}
        engine.hold.set()
        assert (await asyncio.wait_for(second, 10))["edit"]["newText"] == "args.host, args.port"


async def test_a_suggestion_at_the_cursor_goes_first(options: dict[str, object], engine: StandIn) -> None:
    engine.answers, engine.probability = ["args.port"], 0.9
    async with editor(options) as window:
        uri = await add_parameter(window)
        engine.hold.clear()
        shown = asyncio.ensure_future(window.suggest(uri, 5, 20, typed=True))
        await window.until(lambda: engine.asked)
        asked = asyncio.ensure_future(ask(window, uri, 0))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(asked), 0.5)
        assert len(engine.asked) == 1, "the next edit waits"
        engine.hold.set()
        await shown
        assert (await asyncio.wait_for(asked, 10))["edit"]["newText"] == "args.host, args.port"


async def test_a_server_that_refuses_is_logged_and_quiet(options: dict[str, object], engine: StandIn) -> None:
    engine.error = "no room"
    async with editor(options) as window:
        uri = await add_parameter(window)
        assert await ask(window, uri, 0) == {"edit": None}
        assert not window.messages


async def test_rejected_twice_it_is_quiet(options: dict[str, object], engine: StandIn) -> None:
    engine.answers, engine.probability = ["args.port"], 0.9
    async with editor(options) as window:
        for name in ("one", "two"):
            uri = window.open(f"untitled:{name}", CALL.replace("listen", name))
            await window.ready()
            put(window, uri, 0, 12, 12, ", port")
            tell(window, (await ask(window, uri, 0))["edit"]["id"], "rejected")
            assert await ask(window, uri, 0) == {"edit": None}
        uri = window.open("untitled:six", CALL.replace("listen", "six"))
        put(window, uri, 0, 12, 12, ", port")
        assert await ask(window, uri, 0) == {"edit": None}
