"""Requests in turn through one model, and within how much memory.

One worker thread owns the model. Before every forward pass it takes the most urgent request (`choosing`), so that an
inline completion waits for at most one pass of a chat answer, which then goes on where it was.
"""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import torch

from lsp_server.engine import priority
from lsp_server.engine.generating.beam import most_tokens
from lsp_server.engine.generating.choosing import Standing, choose
from lsp_server.engine.generating.decoding import Generation
from lsp_server.engine.generating.handle import Event, Handle
from lsp_server.engine.generating.healing import Spellings
from lsp_server.engine.generating.kv_cache import CachePool
from lsp_server.engine.generating.pace import Pace
from lsp_server.engine.generating.request import (
    FinishReason,
    Prefill,
    PromptTooLong,
    QueueFull,
    Request,
    Result,
    SchedulerClosed,
    Totals,
)
from lsp_server.engine.generating.speculation import MOST as MOST_GUESSES
from lsp_server.engine.passes.model import Model
from lsp_server.errors import UserError
from lsp_server.logs import requests

_log = logging.getLogger(__name__)

# After this many failures in a row (other than for lack of memory) the model itself is taken to be lost: some errors of
# a GPU make every later operation fail, and only a new process helps.
_FAILURES_TO_BROKEN = 3


# Requests as little urgent as that are computed ahead of time: nobody waits, and somebody who does may come.
_AHEAD = 20

# Where more urgent requests never end, as when several people type, a chat still has a pass after so many times as long
# as its last one took: a tenth of the model. Suggestions are the most urgent, and served one after the other.
_SHARE, _SUGGESTION = 9, 0
PATIENCE_SECONDS = 0.2
# So long does one of several equals have the model, where they are no suggestions: those are short, and best one after
# the other.
TURN_SECONDS = 0.2

# Sequences of earlier requests in which the next tokens are looked for.
_SEQUENCES_TO_GUESS_FROM = 4


@dataclasses.dataclass(eq=False)
class _Job:
    """A request as the worker sees it; its `Handle` is what the caller sees."""

    number: int
    generation: Generation
    loop: asyncio.AbstractEventLoop
    # Not bounded by itself, so that a slow reader never holds up the worker; max_tokens bounds it.
    events: asyncio.Queue[Event]
    patience: float  # seconds that it waits at least until it is overdue
    had: float = 0.0  # seconds of the model, counted from what the one of its equals had that had least when it came
    cancelled: bool = False
    seconds: float = 0.0  # that its passes have taken until the first token
    last_pass: float = 0.0  # seconds
    since: float = dataclasses.field(default_factory=time.monotonic)  # when that ended, or it came

    def cancel(self) -> None:
        self.cancelled = True

    def deliver(self, event: Event) -> None:
        try:
            self.loop.call_soon_threadsafe(self.events.put_nowait, event)
        except RuntimeError:  # the loop is closed: nobody is left to read
            self.cancelled = True

    @property
    def standing(self) -> Standing:
        generation = self.generation
        held = generation.held_tokens
        # A request that has none yet may be given the keys and values of all but its last token.
        need = held + generation.next_tokens if generation.keys_values is not None else len(generation.ids)
        turns = int(self.had / TURN_SECONDS) if self.is_patient else 0
        return Standing(generation.request.priority, self.number, held, need, self.cancelled, self._is_overdue, turns)

    @property
    def is_patient(self) -> bool:
        """Whether somebody waits for it who reads what comes: a chat, or an action."""
        return _SUGGESTION < self.generation.request.priority < _AHEAD

    @property
    def _is_overdue(self) -> bool:
        waited = time.monotonic() - self.since
        return self.is_patient and waited > max(self.patience, _SHARE * self.last_pass)


class Scheduler:
    """Serves requests from a loaded model.

    context_length: most tokens of prompt and answer together; lowered to `kv_budget_tokens` if that is less.
    kv_budget_tokens: most tokens whose keys and values exist at any time: those of the running request, of paused ones,
    and those kept from earlier ones. max_queued: most requests at once, running and paused ones included.
    chunk_tokens: most tokens of a prompt in one forward pass, which is the longest that an urgent request waits;
    without it as many as the model says.
    most_guesses: tokens guessed at in one pass at most; 0 runs one token at a time.
    spellings: the vocabulary's, without which no prompt can be healed. pace: as measured with this model. patience:
    attribute, seconds after which a request that is no suggestion has a pass, at the earliest, whatever is more urgent.
    """

    def __init__(
        self,
        model: Model,
        *,
        context_length: int,
        kv_budget_tokens: int,
        max_queued: int = 64,
        chunk_tokens: int | None = None,
        most_guesses: int = MOST_GUESSES,
        spellings: Spellings | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.pace = pace or Pace()
        self.patience = PATIENCE_SECONDS
        self.context_length = min(context_length, kv_budget_tokens)
        if self.context_length < 2:
            raise UserError(f"A context of {self.context_length} tokens has no room for a prompt and an answer.")
        self.vocab_size = model.vocab_size
        self.kv_budget_tokens = kv_budget_tokens
        self.totals = Totals()
        self.broken: str | None = None  # why no request can be served any more
        self._model = model
        self._max_queued = max_queued
        self._chunk_tokens = chunk_tokens or model.chunk_tokens
        self._most_guesses = most_guesses
        self._spellings = spellings
        self._pool = CachePool()
        self._jobs: dict[int, _Job] = {}  # by number; others submit meanwhile, so the worker goes through copies
        self._submitted = 0
        self._failures = 0
        self._last_end = time.monotonic()
        self._closed = False
        self._calls: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._worker = threading.Thread(target=self._run, name="model", daemon=True)
        self._worker.start()

    def submit(self, request: Request) -> Handle:
        """Queue `request`, from the running event loop, with `max_tokens` cut to what the context has room for.

        Raises PromptTooLong, QueueFull, SchedulerClosed, or ValueError for an empty prompt, no tokens to generate, or
        more to heal than can be.
        """
        if not request.ids or request.max_tokens < 1:
            raise ValueError("a request needs a prompt and at least one token to generate")
        if request.heal and (self._spellings is None or request.heal >= len(request.ids)):
            raise ValueError("only a part of the prompt can be healed, and only where the vocabulary is known")
        room = self.context_length - len(request.ids)
        if room < 1:
            raise PromptTooLong(
                f"The prompt has {len(request.ids)} tokens; the context of {self.context_length} tokens takes a prompt "
                f"of at most {self.context_length - 1}."
            )
        request = dataclasses.replace(request, max_tokens=min(request.max_tokens, room))
        if len(request.ids) + most_tokens(request.candidates) > self.kv_budget_tokens:
            request = dataclasses.replace(request, candidates=1)
        with self._changed:
            if self._closed:
                raise SchedulerClosed("The engine is shutting down.")
            if len(self._jobs) >= self._max_queued:
                raise QueueFull(f"The engine already has {len(self._jobs)} requests to serve, which is its limit.")
            self._submitted += 1
            chunk_tokens = self._chunk_tokens
            if request.priority >= _AHEAD:
                chunk_tokens = self.pace.short_pass(chunk_tokens)
            generation = Generation(
                request,
                chunk_tokens=chunk_tokens,
                fewest_guesses=self._model.fewest_guesses,
                most_guesses=self._most_guesses,
                spellings=self._spellings,
            )
            job = _Job(self._submitted, generation, asyncio.get_running_loop(), asyncio.Queue(), self.patience)
            equals = (each for each in self._jobs.values() if each.generation.request.priority == request.priority)
            job.had = min((each.had for each in equals), default=0.0)
            self._tell_prefill(job)
            self._jobs[job.number] = job
            self._changed.notify()
        return Handle(job.events, generation.counts, job.cancel)

    def close(self, seconds: float | None = None) -> None:
        """End all requests as cancelled, and the worker. Waits for a forward pass that is under way, at most so long;
        who waits for an answer is told at once."""
        with self._changed:
            self._closed = True
            for job in self._jobs.values():
                job.deliver(Result("cancelled", dataclasses.replace(job.generation.counts)))
            self._changed.notify()
        self._worker.join(seconds)

    def between(self, call: Callable[[], None]) -> None:
        """Have the worker call this before its next forward pass: some of torch's settings are a thread's own."""
        self._calls.append(call)

    def known(self, ids: Sequence[int]) -> int:
        """How many of the ids of a prompt are computed already, in what is kept. From any thread."""
        return self._pool.known(ids)

    @property
    def queued(self) -> int:
        """Requests that have not ended, running and paused ones included."""
        return len(self._jobs)

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last request ended; 0 while there is one."""
        return 0.0 if self._jobs else time.monotonic() - self._last_end

    @property
    def kv_tokens(self) -> int:
        """Tokens whose keys and values exist now."""
        return self._pool.tokens + sum(job.generation.held_tokens for job in list(self._jobs.values()))

    def _tell_prefill(self, job: _Job) -> None:
        """Tell who asked how far the prompt is computed, if they want to know."""
        if job.generation.request.tells_prefill:
            others = sum(each.is_patient for each in list(self._jobs.values()) if each is not job)
            counts, held = job.generation.counts, job.generation.held_tokens
            job.deliver(Prefill(counts.prompt_tokens, held, counts.cached_tokens, others))

    # Below here: the worker thread.

    def _run(self) -> None:
        while True:
            if not self._jobs:
                priority.let_go()
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._jobs)
                jobs = dict(self._jobs)
            if self._closed:
                for job in jobs.values():
                    self._end(job, "cancelled")
                return
            while self._calls:
                self._calls.popleft()()
            choice = choose([job.standing for job in jobs.values()], self.kv_budget_tokens)
            for number in choice.ended:
                self._end(jobs[number], "cancelled")
            for number in choice.emptied:
                jobs[number].generation.keys_values = None
            if choice.running is not None:
                self._take_turn(jobs[choice.running])
                self._advance(jobs[choice.running], choice.held)

    def _take_turn(self, job: _Job) -> None:
        """What the user's other engines on this machine may do beside `job`, and this one beside them."""
        if job.generation.request.priority == _SUGGESTION:
            priority.go_first()
        else:
            priority.let_go()
            priority.stand()

    def _advance(self, job: _Job, others: int) -> None:
        """One forward pass for `job`, and what follows from it; the other requests hold `others` tokens."""
        generation = job.generation
        failure = None
        try:
            if generation.keys_values is None:
                kept = self._pool.take(generation.ids, self.kv_budget_tokens - others)
                generation.begin(kept or self._model.new_keys_values(), self._pool.recent(_SEQUENCES_TO_GUESS_FROM))
            self._pool.shrink(self.kv_budget_tokens - others - generation.held_tokens - generation.next_tokens)
            place, reading = generation.held_tokens, generation.is_reading
            started, begun = time.monotonic(), generation.counts.generated_tokens > 0
            tokens = generation.step(self._model)
            job.since = time.monotonic()
            job.last_pass = job.since - started
            job.had += job.last_pass
            if reading:
                self.pace.note_pass(place, generation.held_tokens - place, job.last_pass)
                job.seconds += job.last_pass
                if not generation.is_reading:
                    self.pace.note(generation.counts.prefilled_tokens, job.seconds)
        except Exception as error:
            failure = _sentence(error)
            _log.error("A request failed: %s", failure)
            out_of_memory = _is_out_of_memory(error)
        # Outside of the handler, whose traceback keeps the failed pass's tensors alive.
        if failure is not None:
            generation.keys_values = None  # some layers may have been extended, others not
            if out_of_memory:
                self._drop_all()
            else:
                self._failures += 1
            self._end(job, "error", failure)
            return
        if reading and generation.is_reading:
            self._tell_prefill(job)
        if tokens and not begun:
            for candidate in generation.candidates:
                job.deliver(candidate)
        for token in tokens:
            job.deliver(token)
        if generation.finish_reason is not None:
            self._end(job, generation.finish_reason)

    def _end(self, job: _Job, reason: FinishReason, message: str = "") -> None:
        generation = job.generation
        keys_values = generation.release()
        others = sum(other.generation.held_tokens for other in list(self._jobs.values()) if other is not job)
        if keys_values is not None:
            # Kept also when cancelled half-way: the next keystroke's prompt begins the same.
            try:
                self._pool.put(generation.ids[: keys_values.length], keys_values, self.kv_budget_tokens - others)
            except Exception as error:  # it may copy, for which memory may be short; the answer is whole all the same
                _log.warning("Nothing is kept for later requests: %s", _sentence(error))
                self._drop_all()
        if reason in ("stop", "length"):
            self._failures = 0
        elif self._failures >= _FAILURES_TO_BROKEN:
            self.broken = message
        result = Result(reason, dataclasses.replace(generation.counts), message)
        self.totals.add(result)
        requests.info("request %s: %s", generation.request.name, result)
        with self._changed:
            self._last_end = time.monotonic()
            del self._jobs[job.number]
        job.deliver(result)

    def _drop_all(self) -> None:
        """Free all keys and values; paused requests compute theirs again."""
        self._pool.clear()
        for job in list(self._jobs.values()):
            job.generation.keys_values = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out: on a GPU, in Python, in the system, or in torch's allocator for the CPU, which has no
    type for it, and other words on each system."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "DefaultCPUAllocator" in str(error)


def _sentence(error: Exception) -> str:
    first_line = str(error).strip().split("\n")[0]
    if _is_out_of_memory(error):
        return f"Memory ran out while generating; ask for less, or give the engine a shorter context. ({first_line})"
    return f"The model failed while generating: {type(error).__name__}: {first_line}"
