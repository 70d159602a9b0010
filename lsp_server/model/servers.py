"""The servers of one model: which of them is asked, and what becomes of a request that one cannot take now.

A request goes to the server that is there and has least to do. One that is busy, or fails, is let rest, for as long as
it says itself or longer each time; meanwhile the others are asked, and where there are none, who can wait waits and who
cannot, a suggestion, is told at once, without a request for each key.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from lsp_server.model.endpoint import Endpoint
from lsp_server.model.exchange import Connections, EngineLost, EngineRefused, EngineSilent, Exchange

# With these a server says that it cannot answer now; the same request may go well later, or elsewhere.
BUSY = frozenset({429, 500, 502, 503, 504, 529})
# How long one rests that does not say so itself, at first and at most; and the most of what it may say.
FIRST_SECONDS, MOST_SECONDS, SAID_SECONDS = 1.0, 30.0, 60.0
# One that is gone is asked again after so long, twice as long each time, where there are others.
GONE_SECONDS, MOST_GONE_SECONDS = 10.0, 300.0
# Who can wait does so for this long. A server that fails, and is not busy, most likely does it again.
WAIT_SECONDS, FAILURES = 300.0, 3


class EngineBusy(EngineRefused):
    """Every server is busy; none is asked until one has rested."""


class Rest:
    """When one server is to be asked again. It outlives the connections to it. Times are of `time.monotonic`."""

    def __init__(self) -> None:
        self.until = 0.0
        self.gone_until = 0.0
        self.status = 0
        self._times = self._times_gone = 0

    def begin(self, status: int, retry_after: str) -> None:
        """The server said that it cannot answer now."""
        own = min(MOST_SECONDS, FIRST_SECONDS * 2**self._times)
        said = _seconds(retry_after)
        self._times = min(self._times + 1, 10)
        self.status = status
        self.until = time.monotonic() + (own if said is None else min(max(said, FIRST_SECONDS), SAID_SECONDS))

    def gone(self) -> None:
        """The server was not there, or went away, or fell silent."""
        self.gone_until = time.monotonic() + min(MOST_GONE_SECONDS, GONE_SECONDS * 2**self._times_gone)
        self._times_gone = min(self._times_gone + 1, 10)

    def end(self) -> None:
        """The server answered."""
        self.until = self.gone_until = 0.0
        self._times = self._times_gone = 0


class Servers:
    """Those that are asked in turn. `rests`: by their URLs, what is known of them from before; it is kept up to date.

    `on_busy` is told that all of them are, or have fallen silent, in a sentence, and "" once one can be asked again, or
    has answered. Raises network.NoWay.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        rests: dict[str, Rest] | None = None,
        on_busy: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        rests = {} if rests is None else rests
        self.on_busy = on_busy
        self._models: dict[str, str] = {}
        self._all = [_Server(at, Connections(at), rests.setdefault(at.url, Rest())) for at in endpoints]
        self._told = ""
        self._untelling: asyncio.TimerHandle | None = None

    @property
    def endpoints(self) -> list[Endpoint]:
        return [each.endpoint for each in self._all]

    @property
    def models(self) -> Mapping[str, str]:
        """What those that have the model call it, by their URLs; empty where that was not asked, or is of no matter."""
        return self._models

    @property
    def missing(self) -> bool:
        """Whether one of them is asked for nothing, since it was not there or has another model."""
        return len(self._able()) < len(self._all)

    @contextlib.asynccontextmanager
    async def exchange(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        seconds: float | None = None,
        waits: bool = False,
    ) -> AsyncIterator[Exchange]:
        """A request whose answer has begun, as `Connections.exchange` has it, with the server that takes it.

        `waits`: who asks can wait until one can take it, up to WAIT_SECONDS. The answer may be a refusal, also one of
        those that are BUSY, where no other server is there to ask. Who finds one in the answer, as its `status`, sets
        it. Raises EngineLost, EngineRefused.
        """
        until, failures, tried = time.monotonic() + WAIT_SECONDS, 0, set[str]()
        while True:
            server = self._next(tried)
            if server is None:
                await self._wait(until, waits=waits)
                tried.clear()
                continue
            tried.add(server.endpoint.url)
            async with contextlib.AsyncExitStack() as stack:
                try:
                    exchange = await stack.enter_async_context(
                        server.connections.exchange(method, path, self._said(server, body), seconds=seconds)
                    )
                except (EngineLost, EngineSilent) as error:
                    server.rest.gone()
                    if self._next(tried) is None and not (waits and self._rests()):
                        self._tell_silent(error)
                        raise
                    continue
                if server.endpoint.ours or exchange.status not in BUSY:
                    server.rest.end()
                    self._tell("")
                else:
                    server.rest.begin(exchange.status, exchange.retry_after)
                    failures += exchange.status == 500
                    soon = server.rest.until <= until and failures < FAILURES
                    if self._next(tried) is not None or (waits and soon):
                        continue
                    self._tell_busy()
                began = exchange.status
                try:
                    yield exchange
                except (EngineLost, EngineSilent) as error:
                    server.rest.gone()
                    self._tell_silent(error)
                    raise
                if exchange.status != began and exchange.status in BUSY and not server.endpoint.ours:
                    server.rest.begin(exchange.status, "")
                    if self._next(set()) is None:
                        self._tell_busy()
                return

    async def each(
        self, path: str, seconds: float, *, able: bool = False
    ) -> list[tuple[Endpoint, int, bytes] | EngineLost | EngineRefused]:
        """What each of them, or of those that have the model (`able`), has at a path, asked at once: (server, status,
        content), or why there is nothing."""
        asked = self._able() if able else self._all
        return list(await asyncio.gather(*(self._get(each, path, seconds) for each in asked)))

    def go_on(self, at: Endpoint) -> None:
        """What a server said with one of those that are BUSY was about the request: it can be asked another way."""
        for each in self._all:
            if each.endpoint.url == at.url and each.rest.status == 500:
                each.rest.until = 0.0
                self._tell("")

    def use(self, models: dict[str, str]) -> None:
        """What those that have the model call it, by their URLs. The others are asked for nothing."""
        self._models = models

    def wait(self, seconds: float) -> bool:
        """Whether somebody has waited so long for the next part of an answer."""
        return any(each.connections.wait(seconds) for each in self._all)

    async def aclose(self) -> None:
        """Let go of them, once the requests under way have ended."""
        if self._untelling is not None:
            self._untelling.cancel()
        for each in self._all:
            await each.connections.aclose()

    def _next(self, tried: set[str]) -> _Server | None:
        """The server to ask; None where those that were not tried rest. One that went away is the last to be asked."""
        now = time.monotonic()
        ready = [each for each in self._able() if each.rest.until <= now and each.endpoint.url not in tried]
        return min(
            ready, key=lambda each: (each.rest.gone_until > now, each.connections.count, each.turn), default=None
        )

    def _able(self) -> list[_Server]:
        """Those that have the model, as far as is known."""
        return [each for each in self._all if not self._models or each.endpoint.url in self._models]

    def _rests(self) -> bool:
        """Whether one of them will be asked again."""
        return any(each.rest.until > time.monotonic() for each in self._able())

    async def _wait(self, until: float, *, waits: bool) -> None:
        """Wait until one of them has rested. Raises EngineBusy where that takes too long."""
        left = self._tell_busy()
        if left and (not waits or time.monotonic() + left > until):
            raise EngineBusy(self._told)
        await asyncio.sleep(left)

    def _tell_silent(self, error: EngineLost | EngineSilent) -> None:
        """Tell that the last of them to be asked says nothing; one that is gone is told of elsewhere."""
        if isinstance(error, EngineSilent):
            self._tell(str(error))

    def _tell_busy(self) -> float:
        """Tell that none of them can be asked; in how many seconds one can."""
        now = time.monotonic()
        resting = [each for each in self._able() if each.rest.until > now]
        if not resting:  # they have just rested
            return 0.0
        first = min(resting, key=lambda each: each.rest.until)
        left = first.rest.until - now
        how = "cannot answer now" if first.rest.status in (500, 502, 504) else "is busy"
        soon = f"it is asked again in {max(1, math.ceil(left))} s."
        self._tell(f"{first.endpoint.name} {how} (status {first.rest.status}); {soon}")
        self._untelling = asyncio.get_running_loop().call_later(left, self._tell, "")
        return left

    def _tell(self, sentence: str) -> None:
        if self._untelling is not None:
            self._untelling.cancel()
        if sentence != self._told:
            self._told = sentence
            self.on_busy(sentence)

    def _said(self, server: _Server, body: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """A request with the model as this server calls it."""
        name = self._models.get(server.endpoint.url)
        return {**body, "model": name} if body is not None and name and "model" in body else body

    async def _get(
        self, server: _Server, path: str, seconds: float
    ) -> tuple[Endpoint, int, bytes] | EngineLost | EngineRefused:
        try:
            async with server.connections.exchange("GET", path, seconds=seconds) as exchange:
                return server.endpoint, exchange.status, await exchange.content()
        except (EngineLost, EngineRefused) as error:
            if isinstance(error, (EngineLost, EngineSilent)):
                server.rest.gone()
            return error


class _Server:
    """One of them, with the connections to it. `turn`: where it stands among those that have as much to do. That is
    the same throughout a session, for the sake of what the server keeps of earlier prompts, and another in the next
    one's, so that not all of a team ask the first."""

    def __init__(self, endpoint: Endpoint, connections: Connections, rest: Rest) -> None:
        self.endpoint, self.connections, self.rest = endpoint, connections, rest
        self.turn = random.random()


def _seconds(retry_after: str) -> float | None:
    """What the header of that name says: seconds, or a date. Source: RFC 9110, 10.2.3."""
    try:
        said = float(retry_after)
        return said if math.isfinite(said) else None
    except ValueError:
        pass
    import email.utils  # an editor waits for `initialize`, not for HTTP

    try:
        return email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
