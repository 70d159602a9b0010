"""What a suggestion knows of the user's other work, over the wire: what was edited, what is open elsewhere; and what is
never sent."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from actions.stand_in import StandIn
from editor import Editor, editor
from lsprotocol import types
from pygls.exceptions import JsonRpcException

pytestmark = pytest.mark.usefixtures("engines")


@pytest.fixture
def engine(engine: StandIn, tokenizer_folder: Callable[..., Path]) -> StandIn:
    """One whose prompts can be read."""
    engine.tokenizer = tokenizer_folder("7b")
    return engine


@pytest.fixture
def options(options: dict[str, object]) -> dict[str, object]:
    """Without an index, which finds in files what these tests look for in tabs."""
    return {**options, "workspaceIndex": False}


LIBRARY = "def fetch_user(number):\n    return number\n\n\ndef unrelated():\n    pass\n"
CODE = "import library\n\n\ndef greet(number):\n    return number\n"
SECRET = "hunter2-very-secret"
LONG = ", ".join(f"argument_{number}" for number in range(9))


def part(row: int, start: int, end: int, text: str) -> types.TextDocumentContentChangePartial:
    return types.TextDocumentContentChangePartial(
        types.Range(types.Position(row, start), types.Position(row, end)), text
    )


def close(window: Editor, uri: str) -> None:
    window.client.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri)))


def length(window: Editor, uri: str, row: int) -> int:
    return len(window.texts[uri].split("\n")[row])


async def asked(
    window: Editor,
    engine: StandIn,
    uri: str,
    row: int,
    until: Callable[[str], bool] = lambda prompt: True,
    tries: int = 6,
) -> str:
    """The prompt of a suggestion at the end of a row, where a letter is typed each time; after pauses, in which what
    goes with it is gathered, until it is as it should be."""
    for _ in range(tries):
        lines, column = window.texts[uri].split("\n"), length(window, uri, row)
        window.insert(uri, row, column, "z")
        lines[row] += "z"
        window.texts[uri] = "\n".join(lines)
        before = len(engine.asked)
        await asyncio.wait_for(window.suggest(uri, row, column + 1), 60)
        assert len(engine.asked) > before, window.reason
        if until(engine.prompt):
            break
        await asyncio.sleep(1.1)
    return engine.prompt


async def test_what_was_edited_elsewhere_is_in_the_prompt(
    options: dict[str, object], engine: StandIn, tmp_path: Path
) -> None:
    (tmp_path / "library.py").write_text(LIBRARY)
    (tmp_path / "main.py").write_text(CODE)
    shown = "# Path: library.py\n# -def fetch_user(number):\n# +def load_user(number):\n"
    async with editor(options, folder=tmp_path) as window:
        main = window.open(tmp_path / "main.py")
        await window.ready()
        assert "fetch_user" not in await asked(window, engine, main, 4)
        library = window.open(tmp_path / "library.py")
        for at, letter in enumerate("load_user"):  # a word of nine letters in the place of ten
            window.change(library, part(0, 4 + at, 5 + at, letter))
        window.change(library, part(0, 13, 14, ""))
        prompt = await asked(window, engine, main, 4, lambda prompt: shown in prompt)
        assert shown in prompt
        assert prompt.index("# Path:") < prompt.index("import library")
        window.change(library, part(0, 4, 13, "fetch_user"))  # undone
        assert "+def load_user" not in await asked(window, engine, main, 4, lambda prompt: shown not in prompt)


async def test_two_keys_share_the_whole_beginning(options: dict[str, object], engine: StandIn, tmp_path: Path) -> None:
    (tmp_path / "library.py").write_text(LIBRARY)
    (tmp_path / "main.py").write_text(CODE + "\n\nx = \ny = 1\n")
    async with editor({**options, "layout": "spm"}, folder=tmp_path) as window:
        main, library = window.open(tmp_path / "main.py"), window.open(tmp_path / "library.py")
        await window.ready()
        window.change(library, part(5, 4, 8, "return"))
        await asked(window, engine, main, 8, lambda prompt: "# Path: library.py" in prompt)
        engine.asked.clear()
        for column, letter in enumerate("fetch_us", 4):
            window.change(main, part(7, column, column, letter))
            engine.answers = [f"no {column} way"]
            await window.suggest(main, 7, column + 1, typed=True)
            # An edit elsewhere while one types here does not take away what is computed.
            window.change(library, part(0, 0, 0, "#"))
        assert len(engine.asked) == 8
        for one, two in zip(engine.asked, engine.asked[1:], strict=False):
            first, second = one["prompt"], two["prompt"]
            common = next((at for at, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), len(first))
            assert common >= len(first) - 4
        assert "# Path: library.py" in engine.prompt


async def test_what_an_open_tab_defines_and_the_line_uses(
    options: dict[str, object], engine: StandIn, tmp_path: Path
) -> None:
    (tmp_path / "library.py").write_text(LIBRARY)
    (tmp_path / "main.py").write_text("import library\n\nuser = fetch_user(\n")
    async with editor(options, folder=tmp_path) as window:
        library = window.open(tmp_path / "library.py")
        main = window.open(tmp_path / "main.py")
        await window.ready()
        shown = "# Path: library.py\n# def fetch_user(number):\n"
        prompt = await asked(window, engine, main, 2, lambda prompt: shown in prompt)
        assert shown in prompt
        assert "unrelated" not in prompt
        close(window, library)
        await asyncio.sleep(1.1)
        prompt = await asked(window, engine, main, 2, lambda prompt: shown in prompt)
        assert shown in prompt, "a file that was open is remembered"


@pytest.mark.parametrize("switch", ["relatedOpen", "relatedTokens"])
async def test_each_source_has_a_switch(
    switch: str, options: dict[str, object], engine: StandIn, tmp_path: Path
) -> None:
    (tmp_path / "library.py").write_text(LIBRARY)
    (tmp_path / "main.py").write_text("user = fetch_user(\n")
    async with editor({**options, switch: 0 if "Tokens" in switch else False}, folder=tmp_path) as window:
        window.open(tmp_path / "library.py")
        main = window.open(tmp_path / "main.py")
        await window.ready()
        assert "def fetch_user" not in await asked(window, engine, main, 0, lambda prompt: "def fetch" in prompt)


def plain(folder: Path) -> Path:
    (folder / ".env").write_text(f"def fetch_user(): return '{SECRET}'\n")
    return folder / ".env"


def linked(folder: Path) -> Path:
    plain(folder)
    os.symlink(".env", folder / "settings.py")
    return folder / "settings.py"


def outside(folder: Path) -> Path:
    path = folder.parent / "outside" / ".env"
    path.parent.mkdir()
    path.write_text(f"def fetch_user(): return '{SECRET}'\n")
    os.symlink(path, folder / "settings.py")
    return folder / "settings.py"


def ignored(folder: Path) -> Path:
    (folder / ".gitignore").write_text("local.py\n")
    (folder / "local.py").write_text(f"def fetch_user(): return '{SECRET}'\n")
    return folder / "local.py"


@pytest.mark.parametrize("made", [plain, linked, outside, ignored])
async def test_what_is_hidden_is_in_no_prompt(
    made: Callable[[Path], Path], options: dict[str, object], engine: StandIn, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "main.py").write_text("user = fetch_user(\n" * 50)
    hidden = made(folder)
    async with editor(options, folder=folder) as window:
        other = window.open(hidden)
        window.open("file://" + str(folder / "library.py"), LIBRARY)
        main = window.open(folder / "main.py")
        await window.ready()
        window.change(other, part(0, 0, 0, f"token = 1 # {SECRET}\n"))
        window.client.protocol.notify("codellama/copied", {"text": f"copied {SECRET}\nmore\n", "uri": other})
        for row in (0, 20, 45):
            await asked(window, engine, main, row)
            await asyncio.sleep(1.1)
        close(window, other)
        await asked(window, engine, main, 0, lambda prompt: "Path: library.py" in prompt)
    prompts = [engine.prompt_of(each) for each in engine.asked]
    assert "Path: library.py" in prompts[-1], "there was time to gather"
    assert not any(SECRET in prompt or f"Path: {hidden.name}" in prompt for prompt in prompts)


async def test_what_becomes_hidden_is_in_no_prompt_from_then_on(
    options: dict[str, object], engine: StandIn, tmp_path: Path
) -> None:
    (tmp_path / "library.py").write_text(LIBRARY)
    (tmp_path / "main.py").write_text("user = fetch_user(\n")
    async with editor(options, folder=tmp_path) as window:
        window.open(tmp_path / "library.py")
        main = window.open(tmp_path / "main.py")
        await window.ready()
        assert "def fetch_user" in await asked(window, engine, main, 0, lambda prompt: "def fetch_user" in prompt)
        (tmp_path / ".codellamaignore").write_text("library.py\n")
        assert "def fetch_user" not in await asked(window, engine, main, 0)


async def test_passwords_are_masked_for_another_machine(
    options: dict[str, object], engine: StandIn, tmp_path: Path
) -> None:
    """Here the engine is one of `engineUrl`."""
    (tmp_path / "library.py").write_text("def connect(password='tr0ub4dor&3'):\n    pass\n")
    (tmp_path / "main.py").write_text('password = "correct-horse-9"\nconnect()\n\n')
    async with editor(options, folder=tmp_path) as window:
        window.open(tmp_path / "library.py")
        main = window.open(tmp_path / "main.py")
        await window.ready()
        prompt = await asked(window, engine, main, 2, lambda prompt: "def connect" in prompt)
        assert "# def connect(password='***********'):" in prompt
        assert 'password = "***************"\nconnect()' in prompt


async def test_what_was_copied(options: dict[str, object], engine: StandIn, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def area(radius):\n    return radius * radius * 3\n")
    (tmp_path / "main.py").write_text("x = \n")
    async with editor(options, folder=tmp_path) as window:
        capabilities: Any = window.result.capabilities.experimental  # type: ignore[attr-defined]
        announced = capabilities if isinstance(capabilities, dict) else vars(capabilities)
        assert any("codellama/copied" in str(name) for name in announced)
        other, main = window.open(tmp_path / "a.py"), window.open(tmp_path / "main.py")
        await window.ready()
        for wrong in (None, [], {"text": 5}, {"uri": other}, {"text": "a b", "uri": 7}):
            window.client.protocol.notify("codellama/copied", wrong)
        copied = {"text": "    return radius * radius * 3\n", "uri": other, "languageId": "python"}
        window.client.protocol.notify("codellama/copied", copied)
        prompt = await asked(window, engine, main, 0, lambda prompt: "radius" in prompt)
        assert "# Path: a.py\n#     return radius * radius * 3\n\nx = " in prompt
        assert prompt.count("# Path:") == 1


async def test_the_editor_shows_what_would_be_sent(options: dict[str, object], engine: StandIn, tmp_path: Path) -> None:
    (tmp_path / "library.py").write_text(LIBRARY)
    (tmp_path / "long.py").write_text("".join(f"def long_{number}({LONG}):\n    pass\n" for number in range(400)))
    text = "user = fetch_user(\n" + "".join(f"long_{number}()\n" for number in range(9))
    (tmp_path / "main.py").write_text(text)
    async with editor({**options, "layout": "spm", "relatedTokens": 40}, folder=tmp_path) as window:
        for name in ("library.py", "long.py"):
            window.open(tmp_path / name)
        main = window.open(tmp_path / "main.py")
        await window.ready()
        place = {"uri": main, "position": {"line": 0, "character": 18}}

        async def shown() -> dict[str, Any]:
            params = types.ExecuteCommandParams("codellama.prompt", [place])
            return dict(await window.client.workspace_execute_command_async(params))

        await asked(window, engine, main, 0, lambda prompt: "def fetch_user" in prompt)
        place["position"] = {"line": 0, "character": length(window, main, 0)}
        answer = await shown()
        assert answer["ids"] == engine.asked[-1]["prompt"], "exactly what was sent"
        (piece,) = answer["related"]
        assert (piece["source"], piece["path"], piece["text"]) == ("open", "library.py", "def fetch_user(number):\n")
        assert 0 < piece["tokens"] == answer["tokens"]["related"] <= 40
        assert [each["path"] for each in answer["leftOut"]] == ["long.py"]
        assert "tokens" in answer["leftOut"][0]["reason"]
        assert f"library.py (open, defines what is used here): {piece['tokens']} tokens." in answer["report"]
        assert answer["text"] in answer["report"]
        before = len(engine.asked)
        await shown()
        assert len(engine.asked) == before, "nothing is asked of the model"


@pytest.mark.parametrize("place", [None, {}, {"uri": "untitled:a"}, {"uri": "untitled:no", "position": {}}])
async def test_no_prompt_is_shown_of_no_place(place: Any, options: dict[str, object]) -> None:
    async with editor(options) as window:
        params = types.ExecuteCommandParams("codellama.prompt", [place])
        with pytest.raises(JsonRpcException, match=r"codellama\.prompt takes"):
            await window.client.workspace_execute_command_async(params)
