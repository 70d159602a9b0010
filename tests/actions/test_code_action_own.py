"""The user's own actions, from the setting `actions`, over the wire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from acting_editor import ADD, ANSWER, DOCUMENTED, acting_editor, opened
from stand_in import StandIn

LOGGER = {"title": "Use our logger", "instruction": "Replace every print by `log.info`."}
REVIEW = {"title": "Review", "instruction": "Say what a reviewer would say.", "result": "answer"}
OF_CLASSES = {"title": "Make it a dataclass", "instruction": "Make this a dataclass.", "appliesTo": ["class"]}
OF_GO = {"title": "Wrap the errors", "instruction": "Wrap every error with %w.", "languages": ["go"]}
OF_SELECTIONS = {"title": "Sort", "instruction": "Sort these lines.", "appliesTo": ["selection"]}
OWN = [LOGGER, REVIEW, OF_CLASSES, OF_GO, OF_SELECTIONS]


def titles(items: list[Any]) -> list[str]:
    own = {f"{each['title']} (Code Llama)" for each in OWN}
    assert all(item.kind == "refactor.rewrite" for item in items if item.title in own)
    return [item.title.removesuffix(" (Code Llama)") for item in items if item.title in own]


async def test_offered_where_they_apply(options: dict[str, Any], tmp_path: Path) -> None:
    async with acting_editor({**options, "actions": OWN}, tmp_path) as editor:
        uri = opened(editor, tmp_path, f"class A:\n    x = 1\n\n\n{ADD}")
        assert titles(await editor.menu(uri, (0, 7))) == ["Use our logger", "Review", "Make it a dataclass"]
        assert titles(await editor.menu(uri, (4, 5))) == ["Use our logger", "Review"]
        assert titles(await editor.menu(uri, (1, 0), (4, 9))) == ["Use our logger", "Review", "Sort"]
        assert titles(await editor.menu(uri, (4, 5), only=["refactor"])) == ["Use our logger", "Review"]
        assert titles(await editor.menu(uri, (4, 5), only=["quickfix"])) == []
        go = opened(editor, tmp_path, "package a\n\nfunc b() {\n\treturn\n}\n", "a.go", "go")
        assert titles(await editor.menu(go, (2, 6))) == ["Use our logger", "Review", "Wrap the errors"]
        assert editor.messages == []


async def test_run(options: dict[str, Any], engine: StandIn, tmp_path: Path) -> None:
    async with acting_editor({**options, "actions": OWN}, tmp_path) as editor:
        uri = opened(editor, tmp_path, f"import os\n\n\n{ADD}\n\nx = 1\n")
        engine.answers = [ANSWER, "Rename it."]
        await editor.choose(await editor.menu(uri, (3, 5)), "Use our logger")
        assert editor.texts[uri] == f"import os\n\n\n{DOCUMENTED}\n\nx = 1\n"
        assert "Replace every print by `log.info`." in engine.prompt
        answer = await editor.choose(await editor.menu(uri, (3, 5)), "Review")
        assert answer["answer"] == "Rename it."
        assert editor.shown == ["# Review\n\nRename it.\n"]
        assert "Say what a reviewer would say." in engine.prompt


async def test_on_a_selection(options: dict[str, Any], engine: StandIn, tmp_path: Path) -> None:
    async with acting_editor({**options, "actions": OWN}, tmp_path) as editor:
        uri = opened(editor, tmp_path, "b = 2\na = 1\nc = 3\n")
        engine.answers = ["```python\na = 1\nb = 2\n```"]
        await editor.choose(await editor.menu(uri, (0, 0), (2, 0)), "Sort")
        assert editor.texts[uri] == "a = 1\nb = 2\nc = 3\n"


async def test_two_of_one_title(options: dict[str, Any], engine: StandIn, tmp_path: Path) -> None:
    more = {**LOGGER, "instruction": "Replace fmt.Print by slog.", "languages": ["go"]}
    first = {**LOGGER, "languages": ["python"]}
    async with acting_editor({**options, "actions": [first, more]}, tmp_path) as editor:
        go = opened(editor, tmp_path, "package a\n\nfunc b() {\n\treturn\n}\n", "a.go", "go")
        engine.answers = ["```go\nfunc b() {\n\tslog.Info(1)\n}\n```"]
        await editor.choose(await editor.menu(go, (2, 6)), "Use our logger")
        assert "Replace fmt.Print by slog." in engine.prompt
        assert editor.texts[go] == "package a\n\nfunc b() {\n\tslog.Info(1)\n}\n"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("Use our logger", "is not an object"),
        ({"title": "No instruction"}, "needs a text as its `instruction`"),
        ({**REVIEW, "title": " "}, "needs a text as its `title`"),
        ({**REVIEW, "appliesTo": ["file"]}, "has 'file' in `appliesTo`, which may have function, class, selection"),
        ({**REVIEW, "appliesTo": "function"}, "needs a list of texts as its `appliesTo`"),
        ({**REVIEW, "languages": [3]}, "needs a list of texts as its `languages`"),
        ({**REVIEW, "result": "song"}, "has a `result` other than edit and answer"),
        ({**REVIEW, "applies_to": ["class"]}, "has 'applies_to', which is none of title, instruction, appliesTo,"),
    ],
)
async def test_a_malformed_entry(
    options: dict[str, Any], engine: StandIn, tmp_path: Path, entry: Any, said: str
) -> None:
    async with acting_editor({**options, "actions": [OF_CLASSES, entry, LOGGER]}, tmp_path) as editor:
        uri = opened(editor, tmp_path)
        (message,) = await editor.until(lambda: editor.messages)
        assert message.startswith(f"Code Llama: `codellama.actions`: entry 2 {said}")
        assert message.endswith("; it is left out.")
        engine.answers = [ANSWER]
        await editor.choose(await editor.menu(uri, (0, 5)), "Use our logger")
        assert editor.texts[uri] == DOCUMENTED


async def test_no_list_at_all(options: dict[str, Any], tmp_path: Path) -> None:
    async with acting_editor({**options, "actions": LOGGER}, tmp_path) as editor:
        uri = opened(editor, tmp_path)
        (message,) = await editor.until(lambda: editor.messages)
        assert message.startswith("Code Llama: `codellama.actions` must be a list of objects, not an object.")
        assert titles(await editor.menu(uri, (0, 5))) == []
