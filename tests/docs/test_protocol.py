"""The examples for authors of clients are what goes over the wire.

`RECORD=1 python -m pytest tests/docs/test_protocol.py` writes them anew.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actions.stand_in import stand_in

from lsp_server.server import announced

from .recording import Session

PAGE = Path(__file__).parents[2] / "docs" / "protocol.md"
EXAMPLE = re.compile(r"(?<=<!-- recorded: )([^>]+?)( -->\n```json\n)(.*?)(?=\n```)", re.DOTALL)
ADD = "def add(a, b):\n    "
PROGRESS = "$/progress"


async def recorded(tmp_path: Path, tokenizer: Path) -> dict[str, Any]:
    """A session in which everything is done once."""
    root = tmp_path / "work"
    root.mkdir()
    file = root / "sums.py"
    file.write_text(ADD, encoding="utf-8")
    document = {"uri": file.as_uri()}
    async with stand_in() as engine:
        settings = {"engineUrl": engine.url, "tokenizer": str(tokenizer), "chatFormat": "inst"}
        session = await Session.begin(tmp_path / "data", root, settings)
        opened = {**document, "languageId": "python", "version": 1, "text": ADD}
        session.tell("textDocument/didOpen", {"textDocument": opened})

        engine.answers = ["return a + b\n"]
        where = {"textDocument": document, "position": {"line": 1, "character": 4}}
        asked = {**where, "context": {"triggerKind": 1}}
        await session.ask("textDocument/inlineCompletion", asked)  # which loads the model
        await session.heard(lambda message: message.get("params", {}).get("kind") == "ready", as_="status")
        await session.ask("textDocument/inlineCompletion", asked, as_="suggestion")
        await session.heard(
            lambda message: (message.get("params", {}).get("suggestion") or {}).get("shown"),
            as_="status of a suggestion",
        )

        change = {"range": {"start": {"line": 1, "character": 4}, "end": {"line": 1, "character": 4}}}
        changes = [{**change, "text": "return a + b\n"}]
        session.tell("textDocument/didChange", {"textDocument": {**document, "version": 2}, "contentChanges": changes})
        cursor = {"start": {"line": 1, "character": 4}, "end": {"line": 1, "character": 4}}
        menu = await session.ask(
            "textDocument/codeAction", {"textDocument": document, "range": cursor, "context": {"diagnostics": []}}
        )
        chosen = next(item for item in menu if item["title"].startswith("Document"))
        engine.answers = ['```python\ndef add(a, b):\n    """Add."""\n    return a + b\n```']
        await session.ask("codeAction/resolve", chosen, as_="action")
        own = {"action": "edit", "instruction": "document it", "uri": file.as_uri(), "range": cursor, "version": 2}
        await session.ask(announced.ACTING, {**own, "partialResultToken": "t0"}, as_="act")
        parts = [message for message in session._heard if message.get("method") == PROGRESS]
        session._keep("act part", next(each for each in parts if "edits" in each["params"]["value"]))
        explain = next(item for item in menu if item["title"].startswith("Explain"))
        engine.answers = ["It adds two numbers."]
        await session.ask("workspace/executeCommand", explain["command"], as_="command")
        session.tell(announced.COPIED, {**document, "text": "return a + b"}, as_="copied")

        renamed = {"start": {"line": 0, "character": 8}, "end": {"line": 0, "character": 9}}
        changes = [{"range": renamed, "text": "one"}]
        session.tell("textDocument/didChange", {"textDocument": {**document, "version": 3}, "contentChanges": changes})
        asked = {"textDocument": document, "position": {"line": 0, "character": 11}}
        offer = await session.ask(announced.NEXT_EDIT, asked, as_="next edit")
        outcome = {"id": offer["edit"]["id"], "outcome": "accepted"}
        session.tell(announced.NEXT_EDIT_OUTCOME, outcome, as_="next edit outcome")

        engine.answers = ["It adds `a` and `b`."]
        attached = [{**document, "range": {"start": {"line": 0, "character": 0}, "end": {"line": 2, "character": 0}}}]
        asked = {"message": "What does this do?", "attachments": attached, "partialResultToken": "t1"}
        answer = await session.ask("codellama/chat/send", asked, as_="chat")
        parts = [message for message in session._heard if message.get("method") == PROGRESS]
        mine = [message for message in parts if message["params"]["token"] == "t1"]
        session._keep("chat part", mine[0])
        session._keep("chat text", mine[1])
        one = {"conversationId": answer["conversationId"]}
        await session.ask("codellama/chat/list", {}, as_="list")
        await session.ask("codellama/chat/get", one, as_="get")
        await session.ask("codellama/chat/preview", {"message": "And now?"}, as_="preview")
        await session.ask("codellama/chat/commands", {}, as_="commands")
        await session.ask("codellama/chat/stop", one, as_="stop")
        await session.ask("codellama/chat/delete", one, as_="delete")
        await session.end()
    return session.examples


async def test_the_examples_are_what_goes_over_the_wire(
    tmp_path: Path, tokenizer_folder: Callable[..., Path], engines: Path
) -> None:
    examples = await recorded(tmp_path, tokenizer_folder("7b"))
    text = PAGE.read_text(encoding="utf-8")
    if os.environ.get("RECORD"):
        text = EXAMPLE.sub(lambda found: found[1] + found[2] + json.dumps(examples[found[1]], indent=2), text)
        PAGE.write_text(text, encoding="utf-8")
    shown = {name: json.loads(example) for name, _, example in EXAMPLE.findall(text)}
    assert shown, "the page shows none"
    for name, example in shown.items():
        assert example == examples[name], name


def test_every_method_of_our_own_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    own = [
        announced.ACTING,
        announced.STATUS,
        announced.COPIED,
        announced.NEXT_EDIT,
        announced.NEXT_EDIT_OUTCOME,
        announced.INLINE_EDIT,
        *(announced.CHAT + name for name in announced.CHAT_METHODS),
    ]
    assert [name for name in own if f"`{name}`" not in text] == []
