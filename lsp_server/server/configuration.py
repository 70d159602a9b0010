"""Settings from the editor: with `initialize`, asked for, and when they change; under them the configuration file's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lsprotocol import types

from lsp_server import settings_file, settings_sent
from lsp_server.server import preload
from lsp_server.server.editor import NoAnswer
from lsp_server.server.session import Session
from lsp_server.settings import SECTION


def at_start(session: Session, options: Any) -> None:
    """Take the settings that came with `initialize`; what is wrong with them is told once the editor listens."""
    session.given = settings_sent.section_in(options, alone=True)
    _take(session, {})


async def ask(session: Session) -> None:
    """Ask the editor for its settings, where it answers such questions; whatever it answers, the model may start."""
    await _ask(session)
    await session.preload.module(preload.MENU)  # which is asked for sooner than a model can be there
    session.configured()
    await _tell_problems(session)


async def changed(session: Session, params: types.DidChangeConfigurationParams) -> None:
    sent = settings_sent.section_in(params.settings)
    if not sent and _may_ask(session):
        await _ask(session)
    elif params.settings is not None:
        _take(session, {} if sent is None else sent)
    await _tell_problems(session)


async def _tell_problems(session: Session) -> None:
    """Say what is wrong with the settings, and which of the user's own actions cannot be used."""
    if session.settings.actions:
        catalog = await session.preload.module(preload.CATALOG)
        session.status.problems += catalog.own_actions(session.settings.actions)[1]
    session.status.tell_problems()


def _may_ask(session: Session) -> bool:
    workspace = session.editor.capabilities.workspace
    return workspace is not None and bool(workspace.configuration)


async def _ask(session: Session) -> None:
    if not _may_ask(session):
        return
    try:
        answer = await session.editor.configuration(SECTION)
    except NoAnswer as error:
        session.status.problems.append(str(error))
        return
    _take(session, settings_sent.section_in({} if answer is None else answer, alone=True))


def _take(session: Session, values: Any) -> None:
    """Use what an editor sent, which is all of its settings each time: what is not among them any more is again as it
    came with `initialize`, as the file says, or has its default."""
    file = settings_file.read()
    given, problems_given = settings_sent.read(session.given, file.settings)
    read, problems = settings_sent.read(values, given)
    session.status.problems += [*file.problems, *problems_given, *problems]
    if isinstance(values, Mapping):
        session.use(read)
