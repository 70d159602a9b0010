"""`codellama.restart`: the engines of this machine end and are started anew, and remote ones are reached again."""

from __future__ import annotations

from typing import Any

from lsp_server.server.session import Session


async def restart(session: Session, *_: Any) -> None:
    session.models.restart()
