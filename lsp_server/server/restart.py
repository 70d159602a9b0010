"""`codellama.restart`: the engine of this machine ends and is started anew, or the remote one is reached again."""

from __future__ import annotations

from typing import Any

from lsp_server.server.session import Session


async def restart(session: Session, *_: Any) -> None:
    session.model.restart()
