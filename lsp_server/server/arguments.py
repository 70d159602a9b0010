"""What the library leaves to do for commands: arguments as plain values, and an end when they are cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsp_server.server.app import CodeLlamaServer


async def ended_with_request(server: CodeLlamaServer, work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a command's work, which ends when the client cancels the command's request: the library itself only
    forgets the answer."""
    task = asyncio.ensure_future(work)
    requests = server.protocol._request_futures
    request = requests.get(server.protocol.msg_id)
    if request is not None:
        request.add_done_callback(lambda future: task.cancel() if future.cancelled() else None)
    return await task


def plain(value: Any) -> Any:
    """What a client sent as anything, as dicts and lists: the library makes objects of it."""
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return [plain(each) for each in value]
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if hasattr(value, "_asdict"):
        return {key: plain(each) for key, each in value._asdict().items()}
    return value
