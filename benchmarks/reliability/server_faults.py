"""Faults of a server elsewhere, each as long as it lasts: what the gateway in front of the engine does meanwhile."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import AsyncIterator

from faulty_answers import ANSWERS

from benchmarks.reliability.fault import Fault, Happens
from benchmarks.reliability.gateway import STREAM, Asked
from benchmarks.reliability.gateway import Fault as AtTheGateway
from benchmarks.reliability.scene import Scene

MEGABYTE = b"x" * 1_000_000
# Fields that some servers do not know, or refuse unless they were started with an option.
FIELDS = ("priority", "return_token_ids", "stop_token_ids", "logprobs", "seed", "logit_bias", "stream_options")


def at_gateway(fault: AtTheGateway, *, all_requests: bool = False) -> Happens:
    """What asks for a completion meets the fault, or everything does; at least one request, however long that takes."""

    @contextlib.asynccontextmanager
    async def happens(scene: Scene, chance: random.Random) -> AsyncIterator[None]:
        gateway = scene.gateway
        assert gateway is not None
        before = gateway.met

        async def met(asked: Asked) -> None:
            if not all_requests and not asked.is_completion:
                return await asked.pass_on()
            gateway.met += 1
            await fault(asked)

        gateway.fault = met
        yield
        if not await scene.until(lambda: gateway.met > before):
            scene.user.broken.append("no request met the fault")
        gateway.fault = None

    return happens


def answers(status: int, message: str, *more: str) -> Happens:
    return at_gateway(lambda asked: asked.refuse(status, message, *more), all_requests=True)


@contextlib.asynccontextmanager
async def gone(scene: Scene, chance: random.Random) -> AsyncIterator[None]:
    """Nobody listens, and what was under way is cut."""
    assert scene.gateway is not None
    await scene.gateway.stop()
    yield
    await scene.gateway.start()


@contextlib.asynccontextmanager
async def models_without_end(scene: Scene, chance: random.Random) -> AsyncIterator[None]:
    """The list of models, which is read when the server is met, has 600 MB."""

    async def fault(asked: Asked) -> None:
        if asked.is_completion:
            return await asked.pass_on()
        await asked.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for _ in range(600):
            await asked.send(MEGABYTE)

    async with at_gateway(fault, all_requests=True)(scene, chance):
        await scene.user.restart()
        yield


async def cut(asked: Asked) -> None:
    await asked.pass_on(random.randrange(1, 1500))
    asked.writer.transport.abort()


async def half_an_event(asked: Asked) -> None:
    await asked.pass_on(random.randrange(1, 1500))


async def hang_before(asked: Asked) -> None:
    await asked.reader.read()


async def hang_in_the_middle(asked: Asked) -> None:
    await asked.pass_on(random.randrange(200, 800))
    await asked.reader.read()


async def without_end(asked: Asked) -> None:
    event = b"data: %s\n\n" % json.dumps({"choices": [{"text": "x" * 100}]}).encode()
    await asked.send(STREAM)
    while True:
        await asked.send(event * 100)


async def comments_without_end(asked: Asked) -> None:
    await asked.send(STREAM)
    while True:
        await asked.send(b": still here\n\n" * 1000)


async def huge_event(asked: Asked) -> None:
    await asked.send(STREAM, b'data: {"choices": [{"text": "')
    for _ in range(150):
        await asked.send(MEGABYTE)


async def slow(asked: Asked) -> None:
    await asked.pass_on(pause=0.5)


async def nonsense(asked: Asked) -> None:
    text, _, _ = random.choice(list(ANSWERS.values()))
    await asked.send(STREAM, text.encode())


async def refuse_a_field(asked: Asked) -> None:
    """Of the fields that it was sent the first that it does not know."""
    unknown = next((name for name in FIELDS if name in asked.fields), "")
    await (asked.refuse(400, f"{unknown} is not supported by this server.") if unknown else asked.pass_on())


async def refuse_ids(asked: Asked) -> None:
    if isinstance(asked.fields.get("prompt"), list):
        return await asked.refuse(422, "prompt must be a string")
    await asked.pass_on()


LASTS = (1.0, 4.0)
FAULTS = [
    Fault("server gone: connection refused", gone, LASTS, remote=True),
    Fault("server cuts connections in mid-answer", at_gateway(cut), LASTS, remote=True),
    Fault("server ends answers in half an event", at_gateway(half_an_event), LASTS, remote=True),
    Fault("server silent before the first token", at_gateway(hang_before), (3.0, 9.0), remote=True),
    Fault("server silent in mid-answer", at_gateway(hang_in_the_middle), (3.0, 9.0), remote=True),
    Fault("server slow: half a second a part", at_gateway(slow), LASTS, remote=True),
    Fault("stream of text without end", at_gateway(without_end), LASTS, remote=True),
    Fault("stream of comments without end", at_gateway(comments_without_end), LASTS, remote=True),
    Fault("an event of 150 MB", at_gateway(huge_event), LASTS, remote=True),
    Fault("a list of models of 600 MB", models_without_end, LASTS, remote=True),
    Fault("answers that are no answers", at_gateway(nonsense), LASTS, remote=True),
    Fault("429, Retry-After: 2", answers(429, "Too many requests", "Retry-After: 2"), LASTS, remote=True),
    Fault("503", answers(503, "The model is busy"), LASTS, remote=True),
    Fault("500", answers(500, "Internal server error"), LASTS, remote=True),
    Fault("401", answers(401, "Invalid token"), LASTS, remote=True),
    Fault("404", answers(404, "Not found"), LASTS, remote=True),
    Fault("a field is refused (400)", at_gateway(refuse_a_field), LASTS, remote=True),
    Fault("token ids are refused (422)", at_gateway(refuse_ids), LASTS, remote=True),
]
