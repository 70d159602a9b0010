"""The channel to the editor: messages on standard input and output.

The library reads standard input in threads, with three round trips for each message, and each of them waits for a
processor while the model has them all. Where standard input is a pipe or a socket, as editors make it, the event loop
reads it by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import sys
import threading

from pygls.io_ import StdinAsyncReader, StdoutWriter, run_async
from pygls.lsp.server import LanguageServer

LIMIT = 2**20  # bytes that are read ahead of what is handled


def speak(server: LanguageServer) -> int:
    """Handle messages until the editor ends the session or the channel. Returns the exit status: 1 if it ended the
    session without saying so before, as the protocol has it."""
    server.protocol.set_writer(StdoutWriter(sys.stdout.buffer))
    try:
        # An editor that was killed leaves half a message (EOFError) or takes no more of ours (BrokenPipeError).
        with contextlib.suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
            asyncio.run(_handle_messages(server))
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        server.shutdown()
    return 0


async def _handle_messages(server: LanguageServer) -> None:
    reader = await _reader(server)
    await run_async(threading.Event(), reader, server.protocol, error_handler=server.report_server_error)


class _Reader(asyncio.StreamReader):
    """Lets what one message began run, until it waits, before the next one is read."""

    async def readline(self) -> bytes:
        await asyncio.sleep(0)
        return await super().readline()


async def _reader(server: LanguageServer) -> StdinAsyncReader | asyncio.StreamReader:
    if not _can_be_polled():
        return StdinAsyncReader(sys.stdin.buffer, server.thread_pool)
    reader = _Reader(LIMIT)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    return reader


def _can_be_polled() -> bool:
    """Whether the event loop can read standard input, and may: from then on reading does not block, which must not hold
    for writing to standard output where that is the same terminal or socket."""
    if sys.platform == "win32":
        return False
    taken, given = os.fstat(sys.stdin.fileno()), os.fstat(sys.stdout.fileno())
    return (stat.S_ISFIFO(taken.st_mode) or stat.S_ISSOCK(taken.st_mode)) and not os.path.samestat(taken, given)
