"""HTTP on the engine's socket: uvicorn, with limits to what a connection may keep waiting, and errors in JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Generator

import h11
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from lsp_server.engine.serving import wire
from lsp_server.engine.serving.state import EngineState

# An editor window has a few connections, which it gives up when they are idle.
MOST_CONNECTIONS = 256
HEAD_SECONDS = 10.0


class Protocol(H11Protocol):
    """A connection, of which there are at most so many. It is closed where nothing is being answered and no whole head
    of a request comes for a while."""

    _waiting: asyncio.TimerHandle | None = None
    _one_too_many = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._one_too_many = len(self.connections) > MOST_CONNECTIONS
        self._wait()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._one_too_many:  # told now, since a connection that is closed before it is read from is lost
            self._refuse(503, f"The engine has {MOST_CONNECTIONS} connections, which is its limit; try again later.")
            return
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._wait()
        else:
            self._wait_no_more()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """End what nobody can wait for: a request that is still being sent, an answer that is not read."""
        super().shutdown()
        if self.cycle is not None and not self.cycle.response_complete:
            if self.flow.write_paused:
                self.transport.abort()
            elif self.cycle.more_body:
                self.transport.close()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    def _wait(self) -> None:
        if self._waiting is None:
            self._waiting = self.loop.call_later(HEAD_SECONDS, self._waited)

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _waited(self) -> None:
        self._refuse(408, f"No whole request came within {HEAD_SECONDS:.0f} seconds.")

    def _refuse(self, status: int, message: str) -> None:
        """Answer with an error, where an answer can be given, and close."""
        body = json.dumps(wire.error(message, status=status)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            with contextlib.suppress(h11.LocalProtocolError):
                for event in (
                    h11.Response(status_code=status, headers=[*headers, (b"connection", b"close")]),
                    h11.Data(data=body),
                    h11.EndOfMessage(),
                ):
                    self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class Server(uvicorn.Server):
    """Serves `state` by this application until `should_exit`. Signals are the process's matter."""

    def __init__(self, state: EngineState, application: Starlette) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http=Protocol,
                ws="none",
                log_config=None,  # what it logs goes where everything is logged
                log_level="warning",
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=2,
            )
        )
        self._state = state

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def listen(self, listener: socket.socket) -> None:
        """Serve what comes by another socket too, once it serves."""

        def connection() -> asyncio.Protocol:
            return Protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

        loop = asyncio.get_running_loop()
        self.servers.append(await loop.create_server(connection, sock=listener, backlog=self.config.backlog))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the answers that are under way first: connections are waited for."""
        if self._state.scheduler is not None:
            self._state.scheduler.close(seconds=0)
        await super().shutdown(sockets)
