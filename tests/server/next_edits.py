"""What tests of the next edit say to a server, and read from it."""

from __future__ import annotations

from typing import Any

from editor import Editor
from lsprotocol import types


def put(window: Editor, uri: str, row: int, start: int, end: int, text: str) -> None:
    where = types.Range(types.Position(row, start), types.Position(row, end))
    window.change(uri, types.TextDocumentContentChangePartial(where, text))


async def ask(window: Editor, uri: str, row: int, method: str = "codellama/nextEdit") -> Any:
    params = {"textDocument": {"uri": uri}, "position": {"line": row, "character": 0}}
    return plain(await window.client.protocol.send_request_async(method, params))


def plain(value: Any) -> Any:
    if isinstance(value, list):
        return [plain(each) for each in value]
    if hasattr(value, "_asdict"):
        return {key: plain(each) for key, each in value._asdict().items()}
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return value


def tell(window: Editor, id: str, outcome: str) -> None:
    window.client.protocol.notify("codellama/nextEdit/outcome", {"id": id, "outcome": outcome})
