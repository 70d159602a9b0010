"""Who may ask on a TCP port: those who carry its token, and no web page."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Guard:
    """Lets through requests that carry the token, where there is one, and were not made by a web page.

    A page can reach a loopback port. It cannot know the token; where there is none, and should one leak, a page still
    shows itself by its Origin, or by a Host that its own DNS points here. `hosts`: what this machine is called by those
    who mean it; None where others reach it, by names of their own, for which it has a token. `refuse` makes the answer
    of a sentence and a status.
    """

    def __init__(
        self, app: ASGIApp, token: str | None, refuse: Callable[[str, int], Response], hosts: Collection[str] | None
    ) -> None:
        self._app, self._refuse, self._hosts = app, refuse, hosts
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            is_known = self._hosts is None or _host(headers.get(b"host", b"")) in self._hosts
            if b"origin" in headers or not is_known:
                await self._refuse("Web pages are not served.", 403)(scope, receive, send)
                return
            given = headers.get(b"authorization", b"")
            if self._token is not None and not hmac.compare_digest(given, b"Bearer " + self._token):
                await self._refuse("The engine's token is missing or wrong.", 401)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _host(header: bytes) -> str:
    """The host that a Host header names, without its port."""
    host = header.decode("latin-1").lower()
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
