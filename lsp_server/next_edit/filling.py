"""The holes of one session, filled by the model of the suggestions: the nearest first, and no more than there is time
for."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence

from lsp_server.context.surroundings import Surroundings
from lsp_server.errors import UserError
from lsp_server.model.access import Reached
from lsp_server.next_edit.documents import Document
from lsp_server.next_edit.gaps import text_for
from lsp_server.next_edit.proposal import Hole, Proposal

log = logging.getLogger(__name__)

# Holes that the model is asked for at a time, and answers that are remembered.
MOST_TRIES, MOST_KNOWN = 2, 40


class Filling:
    """Use from the event loop of the session. `answered` waits until no suggestion is asked for: those go first."""

    def __init__(self, around: Surroundings, answered: Callable[[], Awaitable[None]]) -> None:
        self._around = around
        self._answered = answered
        self._known: OrderedDict[tuple[Hole, str], Proposal | None] = OrderedDict()

    def model(self) -> Reached | None:
        """The model, where it is there and may be asked."""
        if not self._around.settings.next_edit_fills:
            return None
        self._around.want_model()
        return self._around.model.reached

    async def first(
        self, holes: Sequence[Hole], read: Mapping[str, Document], is_sound: Callable[[Hole, str], Awaitable[bool]]
    ) -> Proposal | None:
        """The first of some holes that the model is sure how to fill, in a way that `is_sound`. `read`: the documents
        that they are in. Cancelling ends the work in the engine as well."""
        model = self.model()
        if model is None:
            return None
        for hole in holes[:MOST_TRIES]:
            document = read[hole.known.uri]
            if not await self._is_seen(document):
                continue
            key = hole, "".join(document.source)
            if key not in self._known:
                await self._answered()
                try:
                    text = await text_for(model, hole, document, self._around.settings)
                except UserError as error:
                    log.info("No next edit: %s", error)
                    return None
                self._known[key] = hole.filled(text) if text and await is_sound(hole, text) else None
                if len(self._known) > MOST_KNOWN:
                    self._known.popitem(last=False)
            if (found := self._known[key]) is not None:
                return found
        return None

    async def _is_seen(self, document: Document) -> bool:
        """Whether a model may see a document."""
        if document.language_id in self._around.settings.disabled_languages:
            return False
        return not await self._around.workspace.hidden(document.uri)
