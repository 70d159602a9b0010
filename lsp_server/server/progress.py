"""Work that takes a while, shown as the editor's own progress, with its button to cancel."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from lsprotocol import types

if TYPE_CHECKING:
    from lsp_server.server.app import CodeLlamaServer

# Reports closer together than this are left out: nobody reads them, and each is a message.
REPORT_SECONDS = 0.1


@contextlib.asynccontextmanager
async def shown(
    server: CodeLlamaServer, title: str, work: asyncio.Task[Any] | None
) -> AsyncIterator[Callable[[str], None]]:
    """Show progress until the end of the block; gives a function that tells how far things are, in a few words.

    The user's cancelling cancels `work`. The work does not wait until the editor has made room for the progress, and
    goes on without it where the editor has none.
    """
    window = server.client_capabilities.window
    if window is None or not window.work_done_progress:
        yield lambda message: None
        return
    token, progress = secrets.token_hex(8), server.work_done_progress
    begun = False
    reported = 0.0
    latest = ""

    async def begin() -> None:
        nonlocal begun
        await progress.create_async(token)
        progress.tokens[token].add_done_callback(
            lambda future: work.cancel() if work is not None and future.cancelled() else None
        )
        progress.begin(token, types.WorkDoneProgressBegin(title=title, cancellable=True, message=latest or None))
        begun = True

    def report(message: str) -> None:
        nonlocal reported, latest
        latest = message
        now = time.monotonic()
        if begun and now - reported >= REPORT_SECONDS:
            reported = now
            progress.report(token, types.WorkDoneProgressReport(cancellable=True, message=message))

    opening = asyncio.ensure_future(begin())
    try:
        yield report
    finally:
        if begun:
            progress.end(token, types.WorkDoneProgressEnd())
            progress.tokens.pop(token, None)
        elif opening.done():
            opening.cancelled() or opening.exception()  # the editor refused the progress; that stops no work
        else:
            # Not to be cancelled: the editor may have made the progress, and would show it for ever.
            opening.add_done_callback(lambda done: _end(server, token, done))


def _end(server: CodeLlamaServer, token: str, opening: asyncio.Future[None]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        server.work_done_progress.end(token, types.WorkDoneProgressEnd())
    server.work_done_progress.tokens.pop(token, None)
