"""HTTP to one server: each request with its answer runs in a task of its own, which nobody cancels.

httpx gives a connection back, or closes it, in the task that reads from it, and takes several steps for that. A task
that is cancelled meanwhile skips the rest, and the pool counts that connection as in use for ever. The requests of an
editor are cancelled all the time, and just when an answer ends: by the next key, and by the editor that no longer
waits. So who asks never touches the connection; leaving the block ends the task by a scope of anyio's, which httpx
knows, and which lets these steps be done.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from lsp_server import __version__
from lsp_server.errors import UserError
from lsp_server.logs import NAMED, requests
from lsp_server.model import network
from lsp_server.model.endpoint import Endpoint

if TYPE_CHECKING:  # imported when a model is first reached: an editor waits for `initialize`, not for HTTP
    import httpx

# An engine that is there takes a connection at once. It may be slow to say what it is while it loads, or while the
# machine is busy. How long an answer may take, its endpoint says.
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
# Of what is read as a whole: a list of models, or why something is refused.
CONTENT_BYTES = 4_000_000
# An idle connection is given up before the server does it, which most do after five seconds: a request that is sent
# while the server closes is lost.
IDLE_SECONDS = 4.0
CONNECTIONS = 32
# What comes after the end of an answer is the end of the connection's use: it takes no time, or is not worth it.
REST_SECONDS = 1.0
# Parts of an answer that may wait to be read; the server waits after that.
WAITING = 64


class EngineLost(UserError):
    """The engine is not there, or went away in the middle of an answer."""


class EngineRefused(UserError):
    """The engine answered that it will not do this; the message is its sentence."""


class EngineDenied(EngineRefused):
    """The server lets nobody in as the settings are, or has nothing there; the message names the setting."""


class EngineSilent(EngineRefused):
    """The server is there and has said nothing for longer than may be."""


class Exchange:
    """A request under way; its `status` and `retry_after`, a header, are there once `begun` has returned.

    Who reads sets `whole` where nothing of interest comes any more, though the content goes on, and calls `heard` where
    something came that was waited for: a server that sends nothing but signs of life is silent. `seconds`: how long it
    may be so at first.
    """

    def __init__(self, endpoint: Endpoint, seconds: float) -> None:
        import anyio

        self.status = 0
        self.retry_after = ""
        self.whole = False
        self.endpoint = endpoint
        self._seconds = seconds
        self._until = asyncio.get_running_loop().time() + seconds
        self._begins = True
        self._parts: asyncio.Queue[httpx.Response | bytes | Exception | None] = asyncio.Queue(WAITING)
        self._left = False
        self._waits_since: float | None = None
        self._scope = anyio.CancelScope()

    def waits(self, seconds: float) -> bool:
        """Whether the next part has been waited for so long."""
        return self._waits_since is not None and asyncio.get_running_loop().time() - self._waits_since >= seconds

    def heard(self, seconds: float | None = None) -> None:
        """Something came; the next may take `seconds`, which its endpoint says if they are not given."""
        self._seconds = self.endpoint.patience.between if seconds is None else seconds
        self._until = asyncio.get_running_loop().time() + self._seconds
        self._begins = False

    async def begun(self) -> None:
        """Wait for the head of the answer. Raises EngineLost, and EngineRefused also where it sends one on: a token is
        meant for the one that was asked."""
        head = await self._next()
        assert head is not None
        assert not isinstance(head, bytes)
        if head.is_redirect:
            raise EngineRefused(network.sent_on(self.endpoint, head.headers.get("Location", "")))
        self.status, self.retry_after = head.status_code, head.headers.get("Retry-After", "")

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The content, as it arrives. Raises EngineLost, EngineSilent."""
        while (part := await self._next()) is not None:
            assert isinstance(part, bytes)
            yield part

    async def content(self) -> bytes:
        """All of the content. Raises EngineLost, EngineSilent; EngineRefused where it is more than CONTENT_BYTES."""
        found, size = [], 0
        async for chunk in self.chunks():
            found.append(chunk)
            size += len(chunk)
            if size > CONTENT_BYTES:
                raise EngineRefused(
                    f"{self.endpoint.name} sent more than {CONTENT_BYTES // 1_000_000} MB where a short answer "
                    "belongs; check codellama.engineUrl."
                )
        return b"".join(found)

    async def run(self, http: httpx.AsyncClient, request: httpx.Request) -> None:
        """Send the request and read the answer; for the task of its own."""
        end: Exception | None = None
        with self._scope:
            try:
                response = await http.send(request, stream=True)
                try:
                    await self._put(response)
                    async for chunk in response.aiter_bytes():
                        await self._put(chunk)
                finally:
                    await response.aclose()
            except Exception as error:  # whatever it is, it belongs to who asked
                end = error
        await self._put(end)

    def end(self) -> None:
        """Close the connection, unless it has been given back; for who has left."""
        self._scope.cancel()

    def leave(self) -> None:
        """Say that nobody reads the rest."""
        self._left = True
        with contextlib.suppress(asyncio.QueueEmpty):
            while True:
                self._parts.get_nowait()

    async def _put(self, part: httpx.Response | bytes | Exception | None) -> None:
        if not self._left:
            await self._parts.put(part)

    async def _next(self) -> httpx.Response | bytes | None:
        loop = asyncio.get_running_loop()
        self._waits_since = loop.time()
        ending = loop.call_at(self._until, self._end_silence)  # `wait_for` may lose a cancellation
        try:
            part = await self._parts.get()
        finally:
            ending.cancel()
            self._waits_since = None
        if not isinstance(part, Exception):
            return part
        if isinstance(part, UserError):
            raise part
        import httpx

        if isinstance(part, httpx.PoolTimeout):
            raise EngineRefused(
                f"{self.endpoint.name} is busy with {CONNECTIONS} requests of yours; try again soon."
            ) from part
        if isinstance(part, httpx.DecodingError):
            raise EngineRefused(
                f"{self.endpoint.name} sent what cannot be unpacked, though nothing packed was asked for; check "
                "whether a proxy or gateway before it compresses answers."
            ) from part
        if isinstance(part, httpx.TransportError):
            raise EngineLost(network.failure(self.endpoint, part)) from part
        raise part

    def _end_silence(self) -> None:
        if self._parts.empty():
            self._parts.put_nowait(self._silent())

    def _silent(self) -> EngineLost | EngineSilent:
        if self.endpoint.ours:
            return EngineLost(self.endpoint.gone(f"silent for {self._seconds:.0f} s"))
        setting, when = (
            ("firstTokenSeconds", "") if self._begins else ("nextTokenSeconds", " in the middle of its answer")
        )
        return EngineSilent(
            f"{self.endpoint.name} was silent for {self._seconds:.0f} s{when}; it may be overloaded, and "
            f"codellama.{setting} lets it take longer."
        )


def load() -> None:
    """Load what the first request needs, which httpx itself does at the last moment. It takes a while: for a thread, as
    on the event loop it would hold up what is typed."""
    for name in ("httpx", "httpcore", "anyio.streams.tls", "anyio._backends._asyncio"):
        with contextlib.suppress(ImportError):  # another version may be made of other parts
            importlib.import_module(name)


class Connections:
    """Those to one server, at a Unix socket or a URL. Use from one event loop. Raises network.NoWay."""

    def __init__(self, endpoint: Endpoint) -> None:
        import httpx

        self._endpoint = endpoint
        self._query = f"?{endpoint.query}" if endpoint.query else ""
        limits = httpx.Limits(max_connections=CONNECTIONS, keepalive_expiry=IDLE_SECONDS)
        by = None if endpoint.ours else network.proxy(endpoint.url)
        self._http = httpx.AsyncClient(
            base_url=endpoint.url,
            transport=httpx.AsyncHTTPTransport(
                verify=network.authorities(endpoint), uds=endpoint.socket or None, limits=limits, proxy=by
            ),
            # What is compressed may become any number of bytes.
            headers={
                "Accept-Encoding": "identity",
                # The own engine tells whom it serves (`codellama-ls ps`).
                **({"User-Agent": f"codellama-ls/{__version__} ({os.getpid()})"} if endpoint.ours else {}),
                **({"Authorization": f"Bearer {endpoint.token}"} if endpoint.token else {}),
            },
            auth=endpoint.login,
        )
        self._running: set[asyncio.Task[None]] = set()
        self._read: set[Exchange] = set()
        self._closed = False

    @property
    def count(self) -> int:
        """Requests that hold a connection, or wait for one."""
        return len(self._running)

    @contextlib.asynccontextmanager
    async def exchange(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, seconds: float | None = None
    ) -> AsyncIterator[Exchange]:
        """A request whose answer has begun; `seconds`: how long that may take, which its endpoint says if they are not
        given. Leaving the block before the
        end of the answer closes the connection, which ends the work in the server.

        Raises EngineLost, EngineRefused.
        """
        import httpx

        if self._closed:
            raise EngineLost(self._endpoint.gone("it was let go"))
        content = None if body is None else json.dumps(body).encode()
        whole, begun = str(uuid.uuid4()), time.monotonic()  # some servers of others take no other name
        name = whole[:8]
        sent = name if self._endpoint.ours else whole
        headers = {} if body is None else {"Content-Type": "application/json", NAMED: sent}
        # Who reads knows how long is too long.
        timeout = httpx.Timeout(None, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS, write=ANSWER_SECONDS)
        request = self._http.build_request(
            method, f"{path}{self._query}", content=content, headers=headers, timeout=timeout
        )
        exchange = Exchange(self._endpoint, self._endpoint.patience.first if seconds is None else seconds)
        loop = asyncio.get_running_loop()
        task = loop.create_task(exchange.run(self._http, request))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        self._read.add(exchange)
        try:
            await exchange.begun()
            yield exchange
        finally:
            self._read.discard(exchange)
            exchange.leave()
            if body is not None:
                how = "" if exchange.whole else ", ended before its answer did"
                requests.info(
                    "request %s: %s, status %d, %.0f ms%s",
                    *(name, self._endpoint.name, exchange.status, (time.monotonic() - begun) * 1000, how),
                )
            if not exchange.whole:
                exchange.end()
            elif not task.done():  # the connection can be used again once the end has come
                loop.call_later(REST_SECONDS, exchange.end)

    def wait(self, seconds: float) -> bool:
        """Whether somebody has waited so long for the next part of an answer."""
        return any(exchange.waits(seconds) for exchange in self._read)

    async def aclose(self) -> None:
        """Close them once the requests under way have ended. Who asks later finds the server lost."""
        while self._running:
            await asyncio.wait(set(self._running))
        self._closed = True
        await self._http.aclose()
