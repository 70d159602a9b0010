"""Work that takes a while, shown as the editor's own progress, with its button to cancel."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from lsprotocol import types

from lsp_server.server.editor import Editor

# Reports closer together than this are left out: nobody reads them, and each is a message.
REPORT_SECONDS = 0.1


def pacer() -> Callable[[], bool]:
    """A function that says whether another report is due, and counts it as made then."""
    reported = 0.0

    def due() -> bool:
        nonlocal reported
        now = time.monotonic()
        is_due = now - reported >= REPORT_SECONDS
        reported = now if is_due else reported
        return is_due

    return due


@contextlib.asynccontextmanager
async def shown(editor: Editor, title: str, work: asyncio.Task[Any] | None) -> AsyncIterator[Callable[[str], None]]:
    """Show progress until the end of the block; gives a function that tells how far things are, in a few words.

    The user's cancelling cancels `work`. The work does not wait until the editor has made room for the progress, and
    goes on without it where the editor has none.
    """
    window = editor.capabilities.window
    if window is None or not window.work_done_progress:
        yield lambda message: None
        return
    token = secrets.token_hex(8)
    begun = False
    latest = ""
    due = pacer()

    async def begin() -> None:
        nonlocal begun
        await editor.make_progress(token, lambda: work.cancel() if work is not None else None)
        editor.show_progress(token, types.WorkDoneProgressBegin(title=title, cancellable=True, message=latest or None))
        begun = True

    def report(message: str) -> None:
        nonlocal latest
        latest = message
        if begun and due():
            editor.show_progress(token, types.WorkDoneProgressReport(cancellable=True, message=message))

    def end(opening: asyncio.Future[None]) -> None:
        # An error is the editor's refusal of the progress; that stops no work.
        if not opening.cancelled() and opening.exception() is None:
            editor.show_progress(token, types.WorkDoneProgressEnd())

    opening = asyncio.ensure_future(begin())
    try:
        yield report
    finally:
        if opening.done():
            end(opening)
        else:
            # Not to be cancelled: the editor may have made the progress, and would show it for ever.
            opening.add_done_callback(end)
