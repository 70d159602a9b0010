"""The front of the language server in this process: bytes to frames, messages and handlers, and a model that is told
what to say. Without a channel, so that there are some thousands of inputs in a second."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import time
import traceback
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.model.access import ModelState, Reached
from lsp_server.model.client import Piece
from lsp_server.server import app, shapes
from lsp_server.server.frames import BrokenFrame, Frames

from . import messages

# What a request may take: it is a fault if it takes longer, on any machine.
SECONDS = 60.0
ANSWERS = (
    "w * h\n",
    'return w\n```\n',
    "```python\ndef area(w, h):\n    return h * w\n```\nThat is all.",
    "Yes. \ud83d\ude42 It does.",
    "(((",
    "",
)  # fmt: skip


class Fault(AssertionError):
    """What the server must never do."""


class Scripted:
    """A `ModelAccess` whose model is there, and says what `random` draws."""

    tokenizer: CodeLlamaTokenizer
    random = Random(0)
    prefill_tokens_per_second = 400.0  # so that windows are short at first
    speed = None

    def __init__(self, settings: Any, on_state: Callable[[ModelState], None] = lambda state: None, **_: Any) -> None:
        self.settings = settings
        self.state = ModelState("ready", "It is ready.", 1.0)
        client: Any = self
        self.reached: Reached | None = Reached(client, self.tokenizer, 4096, "scripted", "", again=self.wait)

    async def known_tokens(self, prompt: Sequence[int]) -> int:
        return 0

    async def complete(self, prompt: Sequence[int], *, max_tokens: int, **_: Any) -> AsyncGenerator[Piece, None]:
        ids = self.tokenizer.encode_raw(self.random.choice(ANSWERS))[:max_tokens]
        for each in ids:
            await asyncio.sleep(0)
            yield Piece((each,))
        yield Piece(finish_reason="stop" if len(ids) < max_tokens else "length")

    async def wait(self) -> Reached:
        assert self.reached is not None
        return self.reached

    def start(self) -> None: ...

    def restart(self) -> None: ...

    def close(self) -> None: ...


class Front:
    """One session. `feed` raises Fault; what is found meanwhile comes into `wrong`."""

    def __init__(self, random: Random, wrong: list[str]) -> None:
        self.ended = False
        self.wrong = wrong
        self.random = random
        self._owed: Counter[Any] = Counter()  # answers, by id
        self._come = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._server = app.create()
        self._protocol: Any = self._server.protocol
        self._protocol.set_writer(self)
        self._probes = 0

    def write(self, data: bytes) -> None:
        """Take what the server says, as its editor."""
        header, _, body = data.partition(b"\r\n\r\n")
        if header != b"Content-Length: %d" % len(body):
            self.wrong.append(f"a frame with the header {header!r}")
        message = json.loads(body, parse_constant=_refused)
        if "method" not in message:
            self._owed[json.dumps(message["id"])] -= 1
            if "A fault of this program" in json.dumps(message.get("error")):
                self.wrong.append(f"answered with {message['error']}")
            self._come.set()
        elif "id" in message:
            self._loop.call_soon(self._answer, message)

    def close(self) -> None: ...

    def _answer(self, asked: dict[str, Any]) -> None:
        """Answer what the server asks, mostly in earnest."""
        actions = (asked["params"] or {}).get("actions") or [None]
        results = {
            "workspace/configuration": [{"maxTokens": 16}],
            "workspace/applyEdit": {"applied": True},
            "window/showMessageRequest": actions[0],
        }
        answer: dict[str, Any] = {"id": asked["id"], "result": results.get(asked["method"])}
        if self.random.random() < 0.2:
            answer = messages.mutated({**answer, "error": {"code": 1, "message": "no"}}, self.random, [asked])
            answer["id"] = asked["id"]
            answer.pop("method", None)
        if not self.ended:
            self._protocol.receive(json.dumps({"jsonrpc": "2.0", **answer}).encode())

    async def feed(self, data: bytes) -> None:
        """Give the server an input, and see that it does what it must."""
        frames = Frames()
        frames.feed(data)
        while not self.ended:
            try:
                body = frames.next()
            except BrokenFrame as error:
                if not str(error):
                    raise Fault("a broken frame without a reason") from error
                self.ended = True
                break
            if body is None:
                break
            self._expect(body)
            try:
                self._protocol.receive(body)
            except SystemExit:
                self.ended = True
            await asyncio.sleep(0)
        if self._protocol._begun and not self._protocol._initialized and not self.ended:
            self._protocol.receive(b'{"jsonrpc": "2.0", "method": "initialized"}')  # or the model is waited for in vain
        await self._settled()
        if not self.ended:
            await self._probe()

    def _expect(self, body: bytes) -> None:
        try:
            message = json.loads(body.decode("utf-8", "replace"), parse_constant=_refused)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            owed: Any = None
        elif "method" in message:
            if "id" not in message:
                return
            number = message["id"]
            if isinstance(number, float) and number.is_integer():
                message["id"] = int(number)
            usable = isinstance(message["id"], (int, str)) and not isinstance(message["id"], bool)
            if usable and message["method"] == "exit" and message.get("jsonrpc") == "2.0":
                return
            owed = message["id"] if usable else None
        elif "id" in message:
            return
        else:
            owed = None
        self._owed[json.dumps(owed)] += 1

    async def _settled(self) -> None:
        """Wait until everything is answered, once."""
        end = time.monotonic() + SECONDS
        for _ in range(20):
            if not any(self._owed.values()):
                break
            await asyncio.sleep(0)
        while any(self._owed.values()) and not self.ended:
            self._come.clear()
            try:
                await asyncio.wait_for(self._come.wait(), end - time.monotonic())
            except (TimeoutError, asyncio.TimeoutError):
                raise Fault(f"answers that are missing (or too many): {+self._owed} {-self._owed}") from None
        self._owed.clear()

    async def _probe(self) -> None:
        """A request that is always answered at once."""
        self._probes += 1
        number = f"probe {self._probes}"
        self._owed[json.dumps(number)] += 1
        self._protocol.receive(json.dumps({"jsonrpc": "2.0", "id": number, "method": "probe/this"}).encode())
        if any(self._owed.values()):
            raise Fault("a request is not answered at once")
        end = time.monotonic() + SECONDS
        while len(self._protocol._request_futures) > 3:  # notifications work on for a moment
            if time.monotonic() > end:
                raise Fault(f"requests are kept that are answered: {self._protocol._request_futures}")
            await asyncio.sleep(0.01)

    async def end(self) -> None:
        """The end of the session, after which nothing of it may run on."""
        self.ended = True
        await self._protocol.end(SECONDS)
        with contextlib.suppress(SystemExit):
            self._protocol.receive(b'{"jsonrpc": "2.0", "id": 1, "method": "shutdown"}')
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            running = asyncio.all_tasks() - {asyncio.current_task()}
            if not running:
                break
            await asyncio.wait(running, timeout=0.05)
            for each in running:
                each.cancel()
        else:
            raise Fault(f"tasks that do not end: {running}")
        if self._protocol._request_futures:
            raise Fault(f"requests that are kept: {self._protocol._request_futures}")


async def run(root: Path, random: Random, inputs: int) -> None:
    """One session and its inputs. Raises Fault, with the input."""
    wrong: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: wrong.append(_told(context)))
    Scripted.random = random
    with _faults_in(wrong):
        front, recorded = Front(random, wrong), messages.session(root)
        usual = recorded[: random.choice((0, 1, 2, 4, 4, 4, 4, 4))]
        data = b"".join(messages.framed({"jsonrpc": "2.0", **each}, random) for each in usual)
        for _ in range(inputs):
            try:
                await front.feed(data)
                if wrong:
                    raise Fault(wrong[0])
            except Exception as error:
                raise Fault(f"{type(error).__name__}: {error}\nthe input: {data!r}") from error
            if front.ended:
                await front.end()
                front, usual = Front(random, wrong), recorded[:4]
                data = b"".join(messages.framed({"jsonrpc": "2.0", **each}, random) for each in usual)
            else:
                data = messages.made(recorded, random)
        await front.end()
        if wrong:
            raise Fault(wrong[0])


@contextlib.contextmanager
def _faults_in(wrong: list[str]) -> Iterator[None]:
    """Keep what is logged as a fault."""

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            if record.exc_info or "A fault" in text or "Traceback" in text or "Chat failed" in text:
                wrong.append(self.format(record))

    kept, logger = Kept(logging.WARNING), logging.getLogger("lsp_server")
    logger.addHandler(kept)
    try:
        yield
    finally:
        logger.removeHandler(kept)


@contextlib.contextmanager
def scripted(tokenizer: CodeLlamaTokenizer) -> Iterator[None]:
    """Where sessions reach the scripted model; and the converter of messages is made once."""
    Scripted.tokenizer = tokenizer
    converter = functools.cache(shapes.converter)
    pygls = logging.getLogger("pygls")
    level = pygls.level
    pygls.setLevel(logging.CRITICAL + 1)
    with (
        mock.patch("lsp_server.model.roles.ModelAccess", Scripted),
        mock.patch("lsp_server.server.shapes.converter", converter),
    ):
        try:
            yield
        finally:
            pygls.setLevel(level)


def _told(context: dict[str, Any]) -> str:
    """What the event loop says of an exception that nobody has taken."""
    error = context.get("exception")
    return f"{context['message']}\n{''.join(traceback.format_exception(error)) if error else ''}"


def _refused(name: str) -> Any:
    raise ValueError(name)
