"""The next edits of which a part is the model's, in scenarios of their own (`scenarios/filled`): through the session,
as an editor would ask."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.next_edit.scenario import FOLDER, Outcome, Scenario, is_right, make, scenarios
from lsp_server.context.buffer import Buffer
from lsp_server.context.languages import language
from lsp_server.context.workspace import Workspace
from lsp_server.evaluation.asking import Desk
from lsp_server.next_edit.filling import Filling
from lsp_server.next_edit.offers import Offers
from lsp_server.settings import Settings


async def all_played(settings: Settings, padding: Callable[[Scenario], str] = lambda each: "") -> list[Outcome]:
    """All scenarios, with the model that the settings name. `padding`: what comes behind each text."""
    desk = Desk(settings)
    try:
        await desk.session.reach()
        return [await played(desk, each, padding(each)) for each in scenarios(FOLDER / "filled")]
    finally:
        desk.close()


async def played(desk: Desk, scenario: Scenario, padding: str = "") -> Outcome:
    """A scenario, played: what is offered after its last edit."""
    session, buffers = desk.session, {}
    for name, text in scenario.files.items():
        spoken = language("", name).id
        buffers[name] = Buffer(f"file:///work/{name}", text + padding, version=1, language_id=spoken, encoding="utf-32")
    session.workspace = Workspace((), lambda: [each.snapshot() for each in buffers.values()])
    for buffer in buffers.values():
        session.workspace.journal.opened(buffer)
    offers = Offers(lambda: session.workspace, lambda: None, Filling(session, session.suggestions.answered))
    for change in scenario.edits:
        make(buffers[change.name], change)
        wall, processor = time.perf_counter(), time.process_time()
        offer = await offers.at(buffers[change.name].snapshot(), change.first)
        wall, processor = 1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - processor)
    proposal = offer.proposal if offer is not None else None
    return Outcome(scenario, proposal, is_right(scenario, buffers, proposal), wall, processor)
