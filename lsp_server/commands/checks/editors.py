"""The clients in the editors that are here."""

from __future__ import annotations

from collections.abc import Iterator

from lsp_server import __version__
from lsp_server.commands import clients
from lsp_server.commands.checks import Check, fine, note

_SETUP = "codellama-ls setup"


def checks() -> Iterator[Check]:
    """Whether each has our client, and of this version."""
    for editor in clients.editors():
        if editor.version is None:
            yield note(editor.name, f"{editor.program} does not say which extensions it has", f"run it, then {_SETUP}")
        elif not editor.version:
            yield note(editor.name, "it is here without the client", _SETUP)
        elif editor.version != __version__:
            yield note(editor.name, f"its client is for version {editor.version}, not {__version__}", _SETUP)
        else:
            yield fine(editor.name, f"its client is for version {editor.version}")
