"""A real session's messages, and what can be wrong with them. Everything is drawn from one `Random`, so it can be
repeated."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from random import Random
from typing import Any

TEXT = '''\
import os


def area(w, h):
    """The area."""
    return w * h


class A:
    def f(self):
        pass
'''
CAPABILITIES = {
    "workspace": {
        "configuration": True,
        "applyEdit": True,
        "workspaceEdit": {"documentChanges": True, "resourceOperations": ["create"]},
    },
    "window": {"workDoneProgress": True, "showDocument": {"support": True}},
    "general": {"positionEncodings": ["utf-16"]},
    "textDocument": {
        "codeAction": {
            "codeActionLiteralSupport": {"codeActionKind": {"valueSet": []}},
            "dataSupport": True,
            "disabledSupport": True,
            "resolveSupport": {"properties": ["edit"]},
        }
    },
}
TEXTS = (
    "", "x", "\0", "\ud800", "\udfff", "\u2028", "\ufeff", "é", "🙂", "\r", "\r\n", "\x1b[2J", "a" * 5000, "%00", "%",
    "file:///", "file:///nowhere/a.py", "file:", "untitled:a", "http://[", "../../..", "codellama.action", "null",
    "Content-Length: 5\r\n\r\n", "{}", "@", "/", "utf-16", "1", "-1",
)  # fmt: skip
NUMBERS = (
    0,
    1,
    -1,
    2,
    5,
    999,
    2**31 - 1,
    2**31,
    -(2**31),
    2**53,
    2**63,
    2**64,
    10**400,
    1.5,
    -0.5,
    1e308,
    -1e308,
    1e-320,
)
DEEP = "a text that stands for very deep lists"
OTHERS = (DEEP, None, True, False, [], {}, [[]], [None], {"": None}, [0] * 200, {"line": -1, "character": 1e300})


def at(line: int, character: int) -> dict[str, int]:
    return {"line": line, "character": character}


def session(root: Path) -> list[dict[str, Any]]:
    """What an editor sends from the beginning to the end. `root`: a folder with the files `a.py` and `b.py`."""
    file, draft = (root / "a.py").as_uri(), "untitled:draft"
    place = {"start": at(3, 0), "end": at(6, 0)}
    problem = {"range": place, "message": "This is wrong.", "severity": 1, "source": "lint", "code": "E1"}
    action = {"action": "document", "uri": file, "range": place, "version": 1}
    attachment = {"uri": file, "range": place, "kind": "selection"}
    talk = {"message": "/explain what does @b.py do?", "attachments": [attachment], "partialResultToken": "t"}
    initialize = {
        "processId": None,
        "clientInfo": {"name": "fuzz", "version": "1"},
        "rootUri": root.as_uri(),
        "workspaceFolders": [{"uri": root.as_uri(), "name": "work"}],
        "capabilities": CAPABILITIES,
        "initializationOptions": {"maxTokens": 16, "completionMenu": True},
    }

    def asks(method: str, params: Any) -> dict[str, Any]:
        return {"id": 0, "method": method, "params": params}

    def tells(method: str, params: Any) -> dict[str, Any]:
        return {"method": method, "params": params}

    def runs(command: str, *arguments: Any) -> dict[str, Any]:
        return asks("workspace/executeCommand", {"command": command, "arguments": list(arguments)})

    def opens(uri: str) -> dict[str, Any]:
        document = {"uri": uri, "languageId": "python", "version": 1, "text": TEXT}
        return tells("textDocument/didOpen", {"textDocument": document})

    def in_draft(**params: Any) -> dict[str, Any]:
        return {"textDocument": {"uri": draft}, **params}

    def in_file(**params: Any) -> dict[str, Any]:
        return {"textDocument": {"uri": file}, **params}

    changes = [{"range": {"start": at(5, 4), "end": at(5, 16)}, "text": "return "}, {"text": TEXT}]
    changed = {"textDocument": {"uri": draft, "version": 2}, "contentChanges": changes}
    menu = {"range": place, "context": {"diagnostics": [problem], "triggerKind": 1}}
    only = {"range": place, "context": {"diagnostics": [], "only": ["refactor"], "triggerKind": 2}}
    settings = {"codellama": {"maxTokens": 20, "disabledLanguages": ["c"], "multiline": "always"}, "other": {"x": 1}}
    own = {"codellama.actions": [{"title": "Sort", "instruction": "Sort it.", "appliesTo": ["selection"]}]}
    chats = [
        ("send", talk),
        ("preview", {"message": "hello", "languageId": "python"}),
        ("send", {"message": "again", "conversationId": "1", "editTurn": 0, "temperature": 0.5, "maxTokens": 9}),
        ("list", {"query": "area"}),
        ("get", {"conversationId": "1"}),
        ("rename", {"conversationId": "1", "title": "A title"}),
        ("export", {"conversationId": "1"}),
        ("stop", {"conversationId": "1"}),
        ("delete", {"conversationId": "1"}),
        ("commands", {}),
    ]
    return [
        asks("initialize", initialize),
        tells("initialized", {}),
        opens(draft),
        opens(file),
        asks("textDocument/inlineCompletion", in_draft(position=at(5, 11), context={"triggerKind": 2})),
        tells("textDocument/didChange", changed),
        asks("textDocument/inlineCompletion", in_file(position=at(4, 4), context={"triggerKind": 1})),
        asks("textDocument/completion", in_draft(position=at(5, 11), context={"triggerKind": 1})),
        asks("textDocument/codeAction", in_file(**menu)),
        asks("textDocument/codeAction", in_draft(**only)),
        asks("codeAction/resolve", {"title": "Document area", "kind": "refactor.rewrite", "data": action}),
        runs("codellama.action", {**action, "title": "x"}),
        runs("codellama.action", {**action, "action": "translate"}),
        asks("codellama/action", {**action, "action": "edit", "instruction": "sort it", "partialResultToken": "t"}),
        runs("codellama.explain", {"uri": file, "range": place}),
        runs("codellama.commitMessage", root.as_uri()),
        runs("codellama.restart"),
        tells("$/cancelRequest", {"id": 0}),
        tells("$/setTrace", {"value": "off"}),
        tells("workspace/didChangeConfiguration", {"settings": settings}),
        tells("workspace/didChangeConfiguration", {"settings": own}),
        tells("workspace/didChangeConfiguration", {"settings": None}),
        tells(
            "workspace/didChangeWorkspaceFolders",
            {"event": {"added": [{"uri": root.as_uri(), "name": "x"}], "removed": []}},
        ),
        tells("window/workDoneProgress/cancel", {"token": "t"}),
        *(asks(f"codellama/chat/{name}", params) for name, params in chats),
        {"id": "nobody asked", "result": None},
        tells("textDocument/didClose", {"textDocument": {"uri": draft}}),
        asks("shutdown", None),
        tells("exit", None),
    ]


def value(random: Random, depth: int = 0) -> Any:
    """Any JSON."""
    kind = random.randrange(8)
    if kind < 3:
        return random.choice(TEXTS)
    if kind < 6:
        return random.choice(NUMBERS)
    if kind == 6 or depth > 3:
        return copy.deepcopy(random.choice(OTHERS))
    return {random.choice(TEXTS): value(random, depth + 1) for _ in range(random.randrange(3))}


def mutated(message: dict[str, Any], random: Random, others: list[dict[str, Any]]) -> dict[str, Any]:
    """The message with one to three of its parts wrong."""
    message = copy.deepcopy(message)
    for _ in range(random.choice((1, 1, 2, 3))):
        places = _places(message)
        if not places:
            break
        holder, key = random.choice(places)
        how = random.randrange(8)
        if how == 0:
            del holder[key]
        elif how == 1 and isinstance(holder, dict):
            holder[random.choice((key.upper(), key + " ", "x", ""))] = holder.pop(key)
        elif how == 2 and isinstance(holder, list):
            holder[key:key] = [copy.deepcopy(holder[key])] * random.choice((1, 2, 50))
        elif how == 3:
            other, name = random.choice(_places(random.choice(others)))
            holder[key] = copy.deepcopy(other[name])
        elif how == 4 and isinstance(holder[key], str):
            text, cut = holder[key], random.randrange(len(holder[key]) + 1)
            holder[key] = text[:cut] + random.choice(TEXTS) + text[cut + random.randrange(3) :]
        elif how == 5 and isinstance(holder[key], (int, float)):
            holder[key] = random.choice(NUMBERS)
        else:
            holder[key] = value(random)
    return message


def _places(message: Any) -> list[tuple[Any, Any]]:
    """Every (object or list, key) in a message."""
    found: list[tuple[Any, Any]] = []
    waiting = [message]
    while waiting and len(found) < 500:
        each = waiting.pop()
        if isinstance(each, dict):
            found += [(each, key) for key in each]
            waiting += each.values()
        elif isinstance(each, list):
            found += [(each, index) for index in range(len(each))]
            waiting += each
    return found


def framed(message: Any, random: Random) -> bytes:
    """A frame, sometimes written otherwise than most do."""
    try:
        text = json.dumps(message, ensure_ascii=random.random() < 0.7)
    except (ValueError, RecursionError):
        text = "{}"
    depth = random.choice((20, 300, 900, 100_000))
    text = text.replace(json.dumps(DEEP), "[" * depth + "]" * depth)
    body = text.encode("utf-8", "surrogatepass")
    header = random.choice((b"Content-Length: %d\r\n\r\n",) * 9 + (b"content-length:%d\n\n",))
    return header % len(body) + body


def broken(data: bytes, random: Random) -> bytes:
    """Frames of which some bytes are wrong."""
    how = random.randrange(6) if data else 4
    cut = random.randrange(len(data) + 1)
    if how == 0:
        return data[:cut]
    if how == 1:
        return data[:cut] + random.randbytes(random.randrange(1, 9)) + data[cut:]
    if how == 2:
        return data[:cut] + data[cut + random.randrange(1, 40) :]
    if how == 3:
        return data.replace(b"Content-Length: ", random.choice((b"", b"Content-Length: 1", b"Content-Length: -")), 1)
    if how == 4:
        return random.randbytes(random.randrange(200))
    return data[:cut] + bytes([data[cut - 1] ^ 1 << random.randrange(8)]) + data[cut:]


def made(messages: list[dict[str, Any]], random: Random) -> bytes:
    """One input: some messages, in any order, and what is wrong with them."""
    chosen = [random.choice(messages) for _ in range(random.choice((1, 1, 1, 2, 4)))]
    if random.random() < 0.2:
        first = random.randrange(len(messages))
        chosen = messages[first : first + random.randrange(1, 6)]
    data = b""
    for each in chosen:
        if each.get("method") in ("shutdown", "exit") and random.random() < 0.9:
            continue  # or most sessions would be short
        message: dict[str, Any] = {"jsonrpc": "2.0", **each}
        if "id" in message:
            message["id"] = random.choice((random.randrange(10**9), random.randrange(3), random.choice(TEXTS)))
        if random.random() < 0.8:
            message = mutated(message, random, messages)
        data += framed(message, random)
    return broken(data, random) if random.random() < 0.1 else data
