"""Work on files in threads of its own, waited for no longer than a few seconds.

A file system over a network may never answer, and a thread that waits for it cannot be ended. So this is not done in
the threads that the rest of the program needs, and does not keep the program from ending. Nor does the same question,
asked again at each key, take more than one of them.
"""

from __future__ import annotations

import asyncio
import collections
import queue
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

from lsp_server.errors import UserError

T = TypeVar("T")
Work = tuple[Callable[[], Any], "Future[Any]", Hashable]

SECONDS = 5.0
# So many may hang before everything else is refused at once instead of after SECONDS.
MOST_THREADS = 8


class TooSlow(UserError):
    """The file system does not answer; the message is one sentence for the user."""


class Threads:
    """Up to `most` threads, made when they are needed, that end with the program whatever they do."""

    def __init__(self, most: int = MOST_THREADS) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._waiting: queue.SimpleQueue[Work] = queue.SimpleQueue()
        self._behind: dict[Hashable, collections.deque[Work]] = {}
        self._count = 0
        self._free = 0

    def begin(self, work: Callable[[], T], about: Hashable = None) -> Future[T]:
        """What `work()` will return. One that is cancelled before its turn is not done. `about`: of the works about the
        same thing one is done at a time; None: of no such thing."""
        future: Future[T] = Future()
        with self._lock:
            if about is not None and about in self._behind:
                waiting = (each for each in self._behind[about] if not each[1].cancelled())
                self._behind[about] = collections.deque([*waiting, (work, future, about)])
                return future
            if about is not None:
                self._behind[about] = collections.deque()
            self._free -= 1
            if self._free < 0 and self._count < self._most:
                self._count += 1
                self._free += 1
                threading.Thread(target=self._work, name="files", daemon=True).start()
        self._waiting.put((work, future, about))
        return future

    def _work(self) -> None:
        while True:
            given: Work | None = self._waiting.get()
            while given is not None:
                work, future, about = given
                if future.set_running_or_notify_cancel():
                    try:
                        future.set_result(work())
                    except BaseException as error:
                        future.set_exception(error)
                del work, future
                given = self._next(about)
            with self._lock:
                self._free += 1

    def _next(self, about: Hashable) -> Work | None:
        """The next work about the thing that one was just done about."""
        with self._lock:
            behind = self._behind.get(about)
            if behind:
                return behind.popleft()
            self._behind.pop(about, None)
            return None


_threads = Threads()


def in_time(work: Callable[[], T], what: str, seconds: float = SECONDS) -> T:
    """What `work()` returns. Raises what it raises, and TooSlow, which names `what`. Blocks: not for the event loop."""
    future = _threads.begin(work)
    try:
        return future.result(seconds)
    except TimeoutError:
        if future.done():  # its own
            raise
        raise _too_slow(what) from None
    finally:
        future.cancel()


async def soon(work: Callable[[], T], what: str, seconds: float = SECONDS, *, about: Hashable = None) -> T:
    """`in_time` for the event loop, which goes on meanwhile. `about`: see Threads."""
    future = asyncio.wrap_future(_threads.begin(work, about))
    try:
        await asyncio.wait([future], timeout=seconds)
        if not future.done():
            raise _too_slow(what)
        return future.result()
    finally:
        future.cancel()


def _too_slow(what: str) -> TooSlow:
    return TooSlow(f"{what} could not be looked at in time; check the disk or the network that it is on.")
