"""`codellama.logs`: where this program's logs are.

    codellama.logs  -> [{title, uri}]

The server's own, which those of all windows share, and those of the engines on this machine. A request has one name in
both.
"""

from __future__ import annotations

from typing import Any

from lsp_server import logs
from lsp_server.model import local
from lsp_server.server.session import Session


async def log_files(session: Session, *_: Any) -> list[dict[str, str]]:
    """Those that are there. Raises UserError where there is no place for them."""
    files = {"Language server": logs.server_file()}
    for settings in (session.models.suggestions.settings, session.models.chat.settings):
        if not settings.engine_url:
            files[f"Engine of {settings.model}"] = local.log_file(settings.model)
    return [{"title": title, "uri": file.as_uri()} for title, file in files.items() if file.exists()]
