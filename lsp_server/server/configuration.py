"""Settings from the editor: with `initialize`, asked for, and when they change."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lsprotocol import types

from lsp_server import settings

if TYPE_CHECKING:
    from lsp_server.server.app import CodeLlamaServer

# An editor that was asked for its settings is waited for that long.
ASK_SECONDS = 10


def at_start(server: CodeLlamaServer, options: Any) -> None:
    """Take the settings that came with `initialize`; what is wrong with them is told once the editor listens."""
    read, server.status.problems = settings.read(_section(options))
    server.use(read)


def register(server: CodeLlamaServer) -> None:
    @server.feature(types.INITIALIZED)
    async def initialized(params: types.InitializedParams) -> None:
        # Not needed for the answer to `initialize`, which the editor waits for.
        from lsp_server.actions.wording import SLASH_COMMANDS
        from lsp_server.server import chat, choices  # noqa: F401  (loaded here, not at the first menu)

        chat.register(server, SLASH_COMMANDS)
        await _ask(server)
        server.configured = True
        if server.wanted:
            server.want_model()
        _tell_problems(server)

    @server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    async def changed(params: types.DidChangeConfigurationParams) -> None:
        sent = _section(params.settings)
        if sent:
            _take(server, sent)
        else:
            await _ask(server)
        _tell_problems(server)


def _tell_problems(server: CodeLlamaServer) -> None:
    """Say what is wrong with the settings, and which of the user's own actions cannot be used."""
    if server.settings.actions:
        from lsp_server.actions.catalog import own_actions

        server.status.problems += own_actions(server.settings.actions)[1]
    server.status.tell_problems()


async def _ask(server: CodeLlamaServer) -> None:
    """Ask the editor for its settings, where it answers such questions."""
    workspace = server.client_capabilities.workspace
    if workspace is None or not workspace.configuration:
        return
    item = types.ConfigurationItem(section=settings.SECTION)
    asking = server.workspace_configuration_async(types.ConfigurationParams(items=[item]))
    try:
        answer = await asyncio.wait_for(asking, ASK_SECONDS)
    except Exception as error:  # whatever an editor answers: the model is to start
        reason = "it did not answer" if isinstance(error, asyncio.TimeoutError) else str(error)
        server.status.problems.append(f"The editor did not send its settings: {reason}.")
        return
    if answer and answer[0]:
        _take(server, answer[0])


def _take(server: CodeLlamaServer, values: Any) -> None:
    read, problems = settings.read(values, server.settings)
    server.status.problems += problems
    server.use(read)


def _section(values: Any) -> Any:
    """The settings in what an editor sent: some wrap them in the name of their section, some do not."""
    if isinstance(values, Mapping) and settings.SECTION in values:
        return values[settings.SECTION]
    return values
