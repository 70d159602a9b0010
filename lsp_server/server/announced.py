"""What the server's capabilities say under `experimental`: the methods that are this program's own."""

from __future__ import annotations

from typing import Any

STATUS = "codellama/status"
COPIED = "codellama/copied"
NEXT_EDIT = "codellama/nextEdit"
NEXT_EDIT_OUTCOME = "codellama/nextEdit/outcome"
# As plugins for another server know it.
INLINE_EDIT, NEXT_EDIT_ACCEPTED = "textDocument/copilotInlineEdit", "codellama.nextEdit.accepted"
SHOWN = "codellama/shown"
ACTION = "codellama.action"
ACTING = "codellama/action"
ACCEPTED = "codellama.accepted"
CHAT = "codellama/chat/"
CHAT_METHODS = ("send", "stop", "preview", "list", "get", "rename", "delete", "export", "commands")


def experimental() -> dict[str, Any]:
    """The entry of the server's capabilities."""
    chat = {"methods": [CHAT + name for name in CHAT_METHODS]}
    return {"codellama/chat": chat, ACTING: {}, STATUS: {}, COPIED: {}, NEXT_EDIT: {}, SHOWN: {}}
