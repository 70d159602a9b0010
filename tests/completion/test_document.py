"""One document: what is asked, written and doubtful, step by step. Generations say what the test has them say, and time
passes only when the test says so."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable

import pytest

from lsp_server.completion.cache import Spot
from lsp_server.completion.document import GRACE_SECONDS, DocumentSuggestions, Superseded
from lsp_server.completion.generation import Generation, begin
from lsp_server.completion.suggest import Suggestion
from lsp_server.context.buffer import Buffer


@dataclasses.dataclass
class Timer:
    seconds: float
    call: Callable[[], object]
    given_up: bool = False

    def cancel(self) -> None:
        self.given_up = True


class Clock:
    """Calls that were put off, made when the test lets the time pass."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def later(self, seconds: float, call: Callable[[], object]) -> Timer:
        self.timers.append(Timer(seconds, call))
        return self.timers[-1]

    def pass_by(self, seconds: float) -> None:
        for timer in self.timers:
            timer.seconds -= seconds
            if timer.seconds <= 0 and not timer.given_up:
                timer.given_up = True
                timer.call()


class Writer:
    """The model: writes `x = foo(1, 2)` at the end of `x = `, as far as the test says."""

    def __init__(self) -> None:
        self.buffer = Buffer("untitled:a", "x = \n", version=1)
        self.goes_on, self.broken_off = asyncio.Event(), False
        self.generation = begin(Spot.of(self.buffer, 0, 4), self._write)

    async def _write(self, on_text: Callable[[str], None]) -> Suggestion:
        self.say = on_text
        try:
            await self.goes_on.wait()
        except asyncio.CancelledError:
            self.broken_off = True
            raise
        return Suggestion(0, 4, "foo(1, 2)")


async def turns(count: int = 5) -> None:
    """Let everything that can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def document(clock: Clock) -> DocumentSuggestions:
    return DocumentSuggestions(clock.later)


@pytest.fixture
async def writer() -> Writer:
    made = Writer()
    await turns()
    return made


def asked(document: DocumentSuggestions, generation: Generation) -> asyncio.Task[Suggestion]:
    """A request that is answered with what a generation writes."""

    async def work() -> Suggestion:
        document.follow(generation)
        return await asyncio.shield(generation.task)

    return asyncio.ensure_future(document.request(work()))


async def test_from_asked_to_answered(document: DocumentSuggestions, writer: Writer) -> None:
    assert document.state == "idle"
    loaded = asyncio.Event()

    async def work() -> str:
        await loaded.wait()
        document.follow(writer.generation)
        return (await asyncio.shield(writer.generation.task)).text

    request = asyncio.ensure_future(document.request(work()))
    await turns()
    assert document.state == "waiting"
    loaded.set()
    await turns()
    assert document.state == "written"
    writer.goes_on.set()
    assert await request == "foo(1, 2)"
    await turns()
    assert document.state == "idle"
    assert document.generation is None


async def test_a_change_answers_the_request_and_gives_the_generation_a_while(
    document: DocumentSuggestions, writer: Writer, clock: Clock
) -> None:
    request = asked(document, writer.generation)
    await turns()
    document.changed()
    with pytest.raises(Superseded):
        await request
    assert document.state == "doubtful"
    clock.pass_by(GRACE_SECONDS / 2)
    document.changed()  # a further key gives it no more time
    await turns()
    assert not writer.broken_off
    clock.pass_by(GRACE_SECONDS / 2)
    await turns()
    assert writer.broken_off
    assert document.state == "idle"


async def test_the_next_request_goes_on_with_what_is_typed_along(
    document: DocumentSuggestions, writer: Writer, clock: Clock
) -> None:
    first = asked(document, writer.generation)
    await turns()
    document.changed()
    await turns()
    typed = Buffer("untitled:a", "x = f\n", version=2)
    now = Spot.of(typed, 0, 5)
    writer.say("fo")
    assert document.leading_to(typed, now) is writer.generation
    second = asked(document, writer.generation)
    await turns()
    assert document.state == "written"
    clock.pass_by(10 * GRACE_SECONDS)
    writer.goes_on.set()
    assert (await second).text == "foo(1, 2)"
    assert not writer.broken_off
    assert isinstance(first.exception(), Superseded)


async def test_what_is_typed_otherwise_is_not_led_to(document: DocumentSuggestions, writer: Writer) -> None:
    request = asked(document, writer.generation)
    await turns()
    writer.say("fo")
    typed = Buffer("untitled:a", "x = z\n", version=2)
    assert document.leading_to(typed, Spot.of(typed, 0, 5)) is None
    request.cancel()


async def test_while_a_request_waits_its_document_is_given_time(
    document: DocumentSuggestions, writer: Writer, clock: Clock
) -> None:
    """What is written may be what it will ask for: it ends when the request has gone another way."""
    asked(document, writer.generation).add_done_callback(lambda task: task.exception())
    await turns()
    document.changed()
    decided = asyncio.Event()
    second = asyncio.ensure_future(document.request(decided.wait()))
    await turns()
    clock.pass_by(10 * GRACE_SECONDS)
    await turns()
    assert document.state == "waiting"
    assert not writer.broken_off
    decided.set()
    await second
    assert document.state == "doubtful", "answered without it"
    clock.pass_by(GRACE_SECONDS)
    await turns()
    assert writer.broken_off


async def test_another_generation_ends_the_older(document: DocumentSuggestions, writer: Writer) -> None:
    first = asked(document, writer.generation)
    await turns()
    other = Writer()
    second = asked(document, other.generation)
    await turns()
    assert writer.broken_off
    assert document.generation is other.generation
    other.goes_on.set()
    assert (await second).text == "foo(1, 2)"
    assert isinstance(first.exception(), Superseded)


async def test_at_most_one_request_waits(document: DocumentSuggestions) -> None:
    never = asyncio.Event()
    requests = [asyncio.ensure_future(document.request(never.wait())) for _ in range(20)]
    await turns()
    assert [request.done() for request in requests] == [True] * 19 + [False]
    document.changed()
    await turns()
    assert all(isinstance(request.exception(), Superseded) for request in requests)
    assert document.state == "idle"


async def test_the_editors_cancelling_ends_the_generation(document: DocumentSuggestions, writer: Writer) -> None:
    request = asked(document, writer.generation)
    await turns()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    await turns()
    assert writer.broken_off
    assert document.state == "idle"


async def test_a_cancelling_that_comes_after_the_change_ends_nothing(
    document: DocumentSuggestions, writer: Writer
) -> None:
    """Editors change the text and then cancel the request for the older one, in one go."""
    request = asked(document, writer.generation)
    await turns()
    document.changed()
    request.cancel()
    await turns()
    assert isinstance(request.exception(), Superseded)
    assert document.state == "doubtful"
    assert not writer.broken_off
    document.end()


async def test_a_closed_document_ends_everything(document: DocumentSuggestions, writer: Writer, clock: Clock) -> None:
    request = asked(document, writer.generation)
    await turns()
    document.end()
    with pytest.raises(Superseded):
        await request
    await turns()
    assert writer.broken_off
    assert document.state == "idle"
    assert all(timer.given_up for timer in clock.timers)


async def test_what_fails_fails_the_request(document: DocumentSuggestions) -> None:
    async def write(on_text: Callable[[str], None]) -> Suggestion:
        raise ValueError("lost")

    buffer = Buffer("untitled:a", "x = \n", version=1)
    with pytest.raises(ValueError, match="lost"):
        await asked(document, begin(Spot.of(buffer, 0, 4), write))
    await turns()
    assert document.state == "idle"


async def test_following_ends_where_the_generation_goes_another_way(writer: Writer) -> None:
    typed = Buffer("untitled:a", "x = f\n", version=2)
    following = asyncio.ensure_future(writer.generation.followed(typed, Spot.of(typed, 0, 5)))
    await turns()
    writer.say("f")
    await turns()
    assert not following.done()
    writer.say("f")
    writer.say("g")
    await turns()
    assert following.done()
    writer.generation.task.cancel()
