"""The next edits of one session that a model writes which was trained for them (`nextEditModel`)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from lsp_server.context import masking
from lsp_server.context.surroundings import Surroundings
from lsp_server.errors import UserError
from lsp_server.model.access import Reached
from lsp_server.model.answering import Answer, Question
from lsp_server.model.client import PRIORITY_ACTION
from lsp_server.next_edit.documents import Situation
from lsp_server.next_edit.formats import Format, Part, format_of, ids_of
from lsp_server.next_edit.proposal import Proposal
from lsp_server.next_edit.region import Region, proposal_of, region_at

log = logging.getLogger(__name__)

# An offer that comes later is for a text that the user has left.
SECONDS = 5.0
# Tokens of an answer beside those of the region, and all of them; answers that are remembered.
MORE_TOKENS, MOST_TOKENS, MOST_KNOWN = 64, 1024, 20


class Rewriting:
    """Use from the event loop of the session. `around` has the model for next edits; `answered` waits until no
    suggestion is asked for: those go first, where one engine has both."""

    def __init__(self, around: Surroundings, answered: Callable[[], Awaitable[None]]) -> None:
        self._around = around
        self._answered = answered
        self._known: OrderedDict[tuple[Any, ...], Proposal | None] = OrderedDict()

    def is_reached(self) -> bool:
        """Whether there is such a model, within reach; one that is not yet is reached from now on."""
        if not self._around.settings.next_edit_model:
            return False
        self._around.want_model()
        return self._around.model.reached is not None

    async def at(self, here: Situation, column: int) -> Proposal | None:
        """What the model would change around a place, of the document as it is; None where it is nothing, or nothing
        that can be read. Cancelling ends the work in the engine as well."""
        settings, workspace = self._around.settings, self._around.workspace
        form = format_of(settings.next_edit_model, settings.next_edit_format)
        if form is None:
            log.warning("No next edit: the name of the model does not tell its format; set codellama.nextEditFormat.")
            return None
        model = self._around.model.reached
        if model is None or await workspace.hidden(here.uri):
            return None
        hidden = {uri for uri in {step.uri for step in here.steps} if await workspace.hidden(uri)}
        region = await asyncio.to_thread(
            region_at, here, column, form, workspace.name_of, lambda uri: uri not in hidden
        )
        if region is None:
            return None
        if self._around.model.settings.engine_url:  # another machine
            if masking.masked(region.text) != region.text:
                return None
            parts = tuple(each if each.ours else Part(masking.masked(each.text), False) for each in region.parts)
            region = Region(region.document, region.row, region.first, region.last, parts)
        key = form.name, region.document.uri, region.document.version, region.first, region.parts
        if key not in self._known:
            await self._answered()
            written = await self._written(model, form, region)
            found = None if written is None else proposal_of(region, written, here.steps)
            self._known[key] = found
            if len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        return self._known[key]

    async def _written(self, model: Reached, form: Format, region: Region) -> str | None:
        """The region as the model writes it; None, and why in the log, where that is not to be had."""
        try:
            ids = await asyncio.to_thread(ids_of, region.parts, model.tokenizer)
            most = min(MOST_TOKENS, len(model.tokenizer.encode_raw(region.text)) + MORE_TOKENS)
            if len(ids) + most > model.context_length:
                raise UserError("the prompt is too long for the model")
            answer = Answer(model, Question(ids, model.tokenizer.completion_stop_ids, most, priority=PRIORITY_ACTION))
            text = await asyncio.wait_for(_text(answer, form), SECONDS)
            if answer.finish_reason == "length" and not (form.end and form.end in text):
                raise UserError("the model wrote more than was asked for")
            found = form.region(text)
            if found is None:
                raise UserError("the answer is not in the format of the model")
        except (TimeoutError, asyncio.TimeoutError):
            log.info("No next edit: the model took more than %g s.", SECONDS)
            return None
        except UserError as error:
            log.info("No next edit: %s", error)
            return None
        return found


async def _text(answer: Answer, form: Format) -> str:
    """All that the model writes, up to where the region ends."""
    text = ""
    async with contextlib.aclosing(answer.parts()) as parts:
        async for part in parts:
            text += "".join(part)
            if form.end and form.end in text:
                break
            if any(stop in text for stop in form.stops):
                break
    return text
