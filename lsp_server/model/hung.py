"""Whether an engine of this machine hangs: one that is stopped, or stuck, holds its socket and lock and says nothing.

Who asks it would wait for ever, and no other can be started beside it. An engine that works is told from it by two
things: it says how it is while it computes, which it does in a thread; and where even that has to wait, as while a
library is loaded from a slow disk, its process computes or reads.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from lsp_server.engine import address
from lsp_server.engine.address import Address
from lsp_server.model import endpoint, local
from lsp_server.model.client import ModelClient
from lsp_server.model.exchange import EngineLost

log = logging.getLogger(__name__)

# An answer that comes sooner makes no work; then it is asked how it is, and that is said at once.
WAIT_SECONDS, SAY_SECONDS = 1.0, 2.0
# So often without a word: a machine that slept, or is busy for a moment, makes one or two.
MOST_SILENT = 3


async def watch(at: Address, waits: Callable[[float], bool]) -> bool:
    """Look at an engine, as long as somebody `waits` for it (longer than so many seconds), until it hangs (True) or has
    ended (False)."""
    client = ModelClient(endpoint.local(at))
    silent: deque[tuple[float, int]] = deque(maxlen=MOST_SILENT)  # its work before each time that it said nothing
    try:
        while len(silent) < MOST_SILENT or local.has_worked(silent[0], local.work(at)):
            if not silent:
                await asyncio.sleep(WAIT_SECONDS)
                if not waits(WAIT_SECONDS):
                    continue
            silent.append(local.work(at))
            if await _says(client):
                silent.clear()
            elif not address.alive(at):
                return False
    finally:
        await client.aclose()
    log.warning("the engine (process %d) hangs", at.pid)
    return True


async def _says(client: ModelClient) -> bool:
    """Whether an engine says anything within SAY_SECONDS, be it a refusal; they pass if not."""
    loop = asyncio.get_running_loop()
    end = loop.time() + SAY_SECONDS
    asking = asyncio.ensure_future(client.health())
    try:
        await asyncio.wait({asking}, timeout=SAY_SECONDS)
        if asking.done() and not isinstance(asking.exception(), EngineLost):
            return True
        await asyncio.sleep(end - loop.time())
        return False
    finally:
        asking.cancel()
