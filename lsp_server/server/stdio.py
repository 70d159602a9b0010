"""The channel to the editor: messages on standard input and output.

The library reads standard input in threads, with three round trips for each message, and each of them waits for a
processor while the model has them all. Where standard input is a pipe or a socket, as editors make it, the event loop
reads it by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import select
import stat
import sys
import threading
from typing import TYPE_CHECKING

from lsp_server.server import lifetime
from lsp_server.server.frames import BrokenFrame, Frames

if TYPE_CHECKING:
    from lsp_server.server.protocol import Protocol

log = logging.getLogger(__name__)

# Bytes that are read ahead of what is handled.
MOST_AHEAD = 64 * 2**20
# Bytes that are kept for an editor which does not read; it does not live any more, most likely.
MOST_BEHIND = 64 * 2**20
# Half a message that does not go on: looked at after the first, given up after the second.
PAUSE_SECONDS, STALL_SECONDS = 1.0, 15.0
# How long an editor that does not read is waited for at the end.
LAST_SECONDS = 5.0
# What is written at once: where there is room at all, there is room for so much.
PIECE_BYTES = getattr(select, "PIPE_BUF", 512)


class Output:
    """Writes messages; the first that cannot be written says that nobody listens any more.

    Writing never waits: an editor may write a long message before it reads on, and this program must read it then. What
    the channel has no room for is kept. The channel stays as it was given, for it may be the editor's terminal too.
    """

    def __init__(self, descriptor: int) -> None:
        self.closed = asyncio.Event()
        self._descriptor = descriptor
        self._behind = bytearray()
        self._caught_up = asyncio.Event()
        self._caught_up.set()
        self._channel = None
        if hasattr(select, "poll"):
            self._channel = select.poll()
            self._channel.register(descriptor, select.POLLOUT)

    def write(self, data: bytes) -> None:
        if self.closed.is_set():
            return
        if not self._behind:
            data = data[self._take(data) :]
            if not data:
                return
            self._caught_up.clear()
            asyncio.get_running_loop().add_writer(self._descriptor, self._go_on)
        self._behind += data
        if len(self._behind) > MOST_BEHIND:
            self._end("It does not read them")

    def watch(self) -> None:
        """See also without a message to write that nobody listens any more. For a pipe or a socket of its own."""
        asyncio.get_running_loop().add_reader(self._descriptor, self._look)

    def close(self) -> None:
        """The library's word that no more will be written."""

    def end(self) -> None:
        """Nobody listens any more."""
        self._stop_writing()
        self.closed.set()

    async def catch_up(self) -> None:
        """Wait until all is written, as long as somebody reads."""
        before = None
        while self._behind and len(self._behind) != before:
            before = len(self._behind)
            with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                await asyncio.wait_for(self._caught_up.wait(), LAST_SECONDS)

    def _take(self, data: bytes | bytearray) -> int:
        """How many bytes of `data` are written, or need not be any more."""
        written, end = 0, ""
        with memoryview(data) as view:
            while written < len(data):
                if self._channel is not None and not self._channel.poll(0):
                    break
                piece = view[written:] if self._channel is None else view[written : written + PIECE_BYTES]
                try:
                    written += os.write(self._descriptor, piece)
                except BlockingIOError:  # who gave the channel made it so
                    break
                except OSError as error:
                    written, end = len(data), error.strerror or "It is closed"
        if end:
            self._end(end)
        return written

    def _go_on(self) -> None:
        del self._behind[: self._take(self._behind)]
        if not self._behind:
            self._stop_writing()

    def _look(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        if self._channel is not None and any(found & ~select.POLLOUT for _, found in self._channel.poll(0)):
            self._end("It is closed")

    def _end(self, why: str) -> None:
        log.info("The editor takes no more messages (%s).", why)
        self.end()

    def _stop_writing(self) -> None:
        if not self._caught_up.is_set():
            asyncio.get_running_loop().remove_writer(self._descriptor)
            self._behind.clear()
            self._caught_up.set()


class Input(asyncio.Protocol):
    """The messages that have come, in their order."""

    def __init__(self) -> None:
        self.ended = False  # no more will come
        self._frames = Frames()
        self._ahead = 0
        self._transport: asyncio.ReadTransport | None = None
        self._come = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.ReadTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._frames.feed(data)
        self._ahead += len(data)
        if self._transport is not None and self._ahead > MOST_AHEAD:
            self._transport.pause_reading()
        self._come.set()

    def eof_received(self) -> None:
        self.end()

    def connection_lost(self, exc: Exception | None) -> None:
        self.end()

    def end(self) -> None:
        """Nothing more will come: what waits is answered, but nobody is waited for."""
        if not self.ended:
            self.ended = True
            lifetime.end_soon(0)
        self._come.set()

    async def next(self) -> bytes | None:
        """The next message, None after the last. Raises BrokenFrame."""
        while (body := self._frames.next()) is None:
            if self.ended:
                return None
            if self._transport is not None:
                self._transport.resume_reading()
            self._ahead = 0
            self._come.clear()
            await self._more()
        return body

    async def _more(self) -> None:
        """Wait until there is more. Raises BrokenFrame where a message stops half-way for too long."""
        if not self._frames.is_half_way:
            await self._come.wait()
            return
        for seconds in (PAUSE_SECONDS, STALL_SECONDS):
            with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                await asyncio.wait_for(self._come.wait(), seconds)
                return
            if _is_json(self._frames.body_so_far()):
                raise BrokenFrame("a message is shorter than its header says")
        raise BrokenFrame(f"a message stopped half-way, for {STALL_SECONDS:.0f} s")


def speak(protocol: Protocol) -> int:
    """Handle messages until the editor ends the session or the channel, or is gone. Returns the exit status: 1 where
    the messages could not be followed, or where the editor ended the session without saying so before, as the protocol
    has it."""
    status = 0
    with contextlib.suppress(KeyboardInterrupt):
        status = asyncio.run(_handle_messages(protocol))
    lifetime.end_soon(status)
    return status


async def _handle_messages(protocol: Protocol) -> int:
    output = Output(sys.stdout.fileno())
    protocol.set_writer(output)
    loop = asyncio.get_running_loop()

    def gone() -> None:
        loop.call_soon_threadsafe(output.end)

    protocol.on_initialize = lambda process: lifetime.watch(process, gone)
    lifetime.watch_start(protocol.has_begun, gone)
    source = await _input()
    if _has_end(sys.stdout.fileno()) and not _same_channel():
        output.watch()
    reading = asyncio.ensure_future(_read(source, output, protocol))
    closed = asyncio.ensure_future(output.closed.wait())
    await asyncio.wait({reading, closed}, return_when=asyncio.FIRST_COMPLETED)
    closed.cancel()
    if not reading.done():
        lifetime.end_soon(1)
        reading.cancel()
    await protocol.end(lifetime.LAST_SECONDS)
    if reading.cancelled() or not reading.done():
        return 1
    await output.catch_up()
    return reading.result()


async def _read(source: Input, output: Output, protocol: Protocol) -> int:
    while not output.closed.is_set():
        try:
            body = await source.next()
        except BrokenFrame as broken:
            log.error("The messages of the editor cannot be followed: %s. The session ends.", broken)
            protocol.refuse_message(f"The messages cannot be followed: {broken}.")
            return 1
        if body is None:
            break
        try:
            protocol.receive(body)
        except SystemExit as end:  # of the library, at `exit`
            return int(end.code or 0)
        await asyncio.sleep(0)  # lets what a message began run, until it waits, before the next one is read
    return 0


async def _input() -> Input:
    source, loop = Input(), asyncio.get_running_loop()
    if _can_be_polled():
        await loop.connect_read_pipe(lambda: source, sys.stdin.buffer)
        return source

    def pump() -> None:
        with contextlib.suppress(RuntimeError, OSError):  # the loop is closed: the session has ended
            while data := os.read(sys.stdin.fileno(), 2**16):
                loop.call_soon_threadsafe(source.data_received, data)
            loop.call_soon_threadsafe(source.end)

    threading.Thread(target=pump, name="stdin", daemon=True).start()
    return source


def _can_be_polled() -> bool:
    """Whether the event loop can read standard input, and may: from then on reading does not block, which must not hold
    for writing to standard output where that is the same terminal or socket."""
    return _has_end(sys.stdin.fileno()) and not _same_channel()


def _has_end(descriptor: int) -> bool:
    """Whether it is a pipe or a socket, of which the event loop is told when the other end closes it."""
    mode = os.fstat(descriptor).st_mode
    return sys.platform != "win32" and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))


def _same_channel() -> bool:
    return os.path.samestat(os.fstat(sys.stdin.fileno()), os.fstat(sys.stdout.fileno()))


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True
