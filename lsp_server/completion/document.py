"""What is asked, written and doubtful for one document: the states, and what leads from one to another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Literal, Protocol, TypeVar

from lsp_server.completion.cache import Spot
from lsp_server.completion.generation import Generation
from lsp_server.completion.unasked import PassedOver
from lsp_server.context.buffer import Buffer

T = TypeVar("T")

# How long a generation goes on after a change of the text until a request says where the cursor is now: some editors
# wait a moment with it.
GRACE_SECONDS = 0.15

State = Literal["idle", "waiting", "written", "doubtful"]


class Superseded(Exception):
    """A request ended before its answer: the text changed, or a newer request took its place."""


class Timer(Protocol):
    """Something that was put off, and can be given up."""

    def cancel(self) -> None: ...


Later = Callable[[float, Callable[[], object]], Timer]
"""Puts a call off for some seconds."""


def _later(seconds: float, call: Callable[[], object]) -> Timer:
    return asyncio.get_running_loop().call_later(seconds, call)


class DocumentSuggestions:
    """One document: at most one request waits, and at most one generation is under way.

        idle      no request, no generation.
        waiting   a request, that has no generation of its own yet: the model is loaded, or the user may type on.
        written   a request, and the generation it follows.
        doubtful  a generation that no request follows: the text changed since, or the cursor moved.

                  request    written, joined    changed     answered    cancelled by the editor   GRACE_SECONDS
        idle      waiting    -                  idle        -           -                         -
        waiting   waiting    written            idle (1)    idle (1)    idle                      -
        written   waiting    written            doubtful    idle        idle                      -
        doubtful  waiting    -                  doubtful    -           -                         idle

    A request, like a change, supersedes the one that waits. A generation that is doubtful when a request comes goes on
    until the request has joined it or begun another; (1) if it does neither, the document is doubtful again.
    """

    def __init__(self, later: Later = _later) -> None:
        self.generation: Generation | None = None
        self.passed_over = PassedOver()
        self._request: asyncio.Task[Any] | None = None
        self._is_followed = False
        self._doubt: Timer | None = None
        self._later = later

    @property
    def state(self) -> State:
        if self._request is not None:
            return "written" if self._is_followed else "waiting"
        return "idle" if self.generation is None else "doubtful"

    @property
    def under_way(self) -> list[asyncio.Task[Any]]:
        """What is asked and written now."""
        generation = [self.generation.task] if self.generation is not None else []
        return [task for task in (self._request, *generation) if task is not None and not task.done()]

    async def request(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, the one request of this document from now on. Raises Superseded, and what it raises.

        Cancelling ends the work, and the generation that it follows.
        """
        self.changed()
        task = self._request = asyncio.ensure_future(work)
        self._settle()
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise Superseded from None
            if self._request is task:  # else it is ended already, and its generation in doubt
                task.cancel()
                self.end_generation()
            raise
        finally:
            if self._request is task:
                self._request = None
                self._is_followed = False
                self._settle()

    def changed(self) -> None:
        """The text changed, or the cursor in it."""
        if self._request is not None:
            self._request.cancel()
            self._request = None
        self._is_followed = False
        self._settle()

    def leading_to(self, buffer: Buffer, now: Spot) -> Generation | None:
        """The generation under way, if what was typed since is what it writes."""
        generation = self.generation
        return generation if generation is not None and generation.leads_to(buffer, now) else None

    def follow(self, generation: Generation) -> None:
        """The request goes on with a generation, new or under way; another one ends."""
        if generation is not self.generation:
            self.end_generation()
            self.generation = generation
            generation.task.add_done_callback(lambda task: self._ended(generation))
        self._is_followed = True
        self._settle()

    def end_generation(self) -> None:
        if self.generation is not None:
            self.generation.task.cancel()
            self._ended(self.generation)

    def end(self) -> None:
        """End the request and the generation: the document is closed."""
        self.end_generation()
        self.changed()

    def _ended(self, generation: Generation) -> None:
        if self.generation is generation:
            self.generation = None
            self._is_followed = False
            self._settle()

    def _settle(self) -> None:
        """See that a generation is given up after a while exactly where it is doubtful."""
        if self.state != "doubtful":
            if self._doubt is not None:
                self._doubt.cancel()
            self._doubt = None
        elif self._doubt is None:
            self._doubt = self._later(GRACE_SECONDS, self.end_generation)
