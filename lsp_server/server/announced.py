"""What the server's capabilities say under `experimental`: the methods that are this program's own."""

from __future__ import annotations

from typing import Any

STATUS = "codellama/status"
COPIED = "codellama/copied"
ACTION = "codellama.action"
ACTING = "codellama/action"
CHAT = "codellama/chat/"
CHAT_METHODS = ("send", "stop", "preview", "list", "get", "rename", "delete", "export", "commands")


def experimental() -> dict[str, Any]:
    """The entry of the server's capabilities."""
    return {"codellama/chat": {"methods": [CHAT + name for name in CHAT_METHODS]}, ACTING: {}, STATUS: {}, COPIED: {}}
