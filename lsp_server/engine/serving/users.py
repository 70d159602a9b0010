"""Which processes of this user ask the engine: windows of editors, and commands."""

from __future__ import annotations

import re
import time
from collections.abc import MutableMapping

from starlette.types import ASGIApp, Receive, Scope, Send

# As `lsp_server.model.exchange` names itself to an engine of its own.
_NAMED = re.compile(rb"codellama-ls/\S+ \((\d{1,9})\)")
_MOST = 100


class Users:
    """Notes in `users` when each process that names itself asked last: the seconds of `time.monotonic`, by its id."""

    def __init__(self, app: ASGIApp, users: MutableMapping[int, float]) -> None:
        self._app, self._users = app, users

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (named := _NAMED.fullmatch(dict(scope["headers"]).get(b"user-agent", b""))):
            self._users[int(named[1])] = time.monotonic()
            if len(self._users) > _MOST:
                del self._users[min(self._users, key=self._users.__getitem__)]
        await self._app(scope, receive, send)
