"""Anything at all, sent to the engine: every input gets an answer with a status, and errors in JSON; nothing hangs, and
nothing stays behind.

CODELLAMA_LS_FUZZ=5000 tries so many inputs of each kind, other ones each time; without it there are a few hundred, the
same each time.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from engine.conftest import ByteCodec, served_on_a_socket
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lsp_server.engine.generating.healing import Spellings
from lsp_server.engine.generating.scheduler import Scheduler
from lsp_server.engine.passes.stock import TransformersModel
from lsp_server.engine.serving.http import create_app
from lsp_server.engine.serving.state import EngineState

MOST = int(os.environ.get("CODELLAMA_LS_FUZZ", "0"))
pytestmark = pytest.mark.timeout(240 + MOST)
CONTEXT, BUDGET = 48, 120


def tries(fewest: int) -> Callable[[Any], Any]:
    return settings(
        max_examples=MOST or fewest,
        derandomize=not MOST,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


class Engine:
    """The real application, over a tiny Llama; `ask` gives the answer to one request and looks whether it is one."""

    def __init__(self, llama: Any, codec: Any) -> None:
        self.scheduler = Scheduler(
            TransformersModel(llama),
            context_length=CONTEXT,
            kv_budget_tokens=BUDGET,
            chunk_tokens=16,
            spellings=Spellings(lambda i: bytes([i]) if i < 256 else b"", codec.vocab_size),
        )
        self.state = EngineState(
            "tiny", status="ready", context_length=CONTEXT, scheduler=self.scheduler, codec=codec, longest_token=4
        )
        self.loop = asyncio.new_event_loop()
        self._app = create_app(self.state)

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, raise_app_exceptions=True)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
                return await asyncio.wait_for(client.request(method, path, content=body), 60)

        response = self.loop.run_until_complete(send())
        well_formed(response.status_code, response.headers.get("content-type", ""), response.content, method)
        self.is_quiet()
        return response

    def is_quiet(self) -> None:
        """Nothing is left of what was asked."""
        end = time.monotonic() + 60
        while self.scheduler.queued:
            assert time.monotonic() < end, "a request is left behind"
            time.sleep(0.001)
        assert self.scheduler.kv_tokens <= BUDGET
        assert self.scheduler.broken is None


def well_formed(status: int, kind: str, body: bytes, method: str = "POST") -> None:
    assert 200 <= status < 600
    assert status != 500, body
    if method == "HEAD":
        return
    if status != 200:
        error = json.loads(body)["error"]
        assert error["message"].strip()
        assert error["code"] == status
    elif kind.startswith("text/event-stream"):
        lines = body.decode().split("\n\n")
        assert lines[-2:] == ["data: [DONE]", ""]
        events = [json.loads(line.removeprefix("data: "), parse_constant=pytest.fail) for line in lines[:-2]]
        assert any("error" not in event for event in events)
    elif kind == "application/json":
        json.loads(body, parse_constant=pytest.fail)


@pytest.fixture(scope="module")
def engine(llama: Any) -> Iterator[Engine]:
    made = Engine(llama, ByteCodec())
    yield made
    made.scheduler.close()
    made.loop.close()


PATHS = ["/v1/completions", "/v1/chat/completions", "/options", "/health", "/metrics", "/v1/models", "/", "/infill"]
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "BREW"]
NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([0, -0.0, 1, -1, 2**31, 2**63, -(2**63) - 1, 10**30, 1e308, 5e-324, float("nan"), float("inf")]),
)
# Halves of a surrogate pair too, which JSON can write.
TEXTS = st.one_of(st.text(), st.text(st.characters(codec=None, categories=["Cs", "Cc", "Lu", "So"]), max_size=9))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(TEXTS, inner, max_size=5)),
    max_leaves=12,
)
IDS = st.lists(st.integers(-1, 301), max_size=60)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "prompt": st.one_of(IDS, TEXTS),
    "messages": st.lists(
        st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system", ""]), "content": TEXTS}),
        max_size=4,
    ),
    "model": st.sampled_from(["tiny", "", "other"]),
    "max_tokens": st.integers(-1, 20),
    "temperature": st.floats(-0.1, 2.1),
    "top_p": st.floats(0, 1),
    "top_k": st.integers(-2, 400),
    "seed": st.integers(),
    "priority": st.integers(-3, 3),
    "stop": st.one_of(TEXTS, st.lists(TEXTS, max_size=3)),
    "stop_token_ids": IDS,
    "stream": st.booleans(),
    "stream_options": st.fixed_dictionaries({"include_usage": st.booleans()}),
    "logprobs": st.one_of(st.booleans(), st.integers(-1, 21)),
    "top_logprobs": st.integers(0, 20),
    "logit_bias": st.dictionaries(st.one_of(st.integers(-1, 301).map(str), TEXTS), NUMBERS, max_size=4),
    "return_token_ids": st.booleans(),
    "ignore_eos": st.booleans(),
    "heal": st.integers(0, 6),
    "n": st.integers(0, 2),
    "suffix": TEXTS,
    "response_format": VALUES,
}


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A request as clients send them, with up to three fields that are anything."""
    chat = draw(st.booleans())
    names = draw(st.sets(st.sampled_from(sorted(FIELDS)), max_size=6))
    names = (names - {"messages", "prompt"}) | {"messages" if chat else "prompt"}
    fields = {name: draw(FIELDS[name]) for name in names}
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.one_of(st.sampled_from([*FIELDS, "tools", "user", "best_of"]), TEXTS))
        fields[name] = draw(VALUES)
    return "/v1/chat/completions" if chat else "/v1/completions", fields


@tries(250)
@given(requests())
def test_requests_with_a_few_fields_that_are_anything(engine: Engine, request_: tuple[str, dict[str, Any]]) -> None:
    path, fields = request_
    engine.ask("POST", path, json.dumps(fields).encode())


@tries(100)
@given(st.sampled_from(PATHS), VALUES)
def test_any_json(engine: Engine, path: str, value: Any) -> None:
    engine.ask("POST", path, json.dumps(value).encode())


@tries(100)
@given(st.sampled_from(METHODS), st.sampled_from(PATHS), st.binary(max_size=300))
def test_any_bytes_by_any_method(engine: Engine, method: str, path: str, body: bytes) -> None:
    engine.ask(method, path, body)


@tries(100)
@given(requests(), st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=3)), max_size=4))
def test_requests_with_bytes_that_were_changed(
    engine: Engine, request_: tuple[str, dict[str, Any]], changes: list[tuple[int, bytes]]
) -> None:
    path, fields = request_
    body = bytearray(json.dumps(fields).encode())
    for at, put in changes:
        body[at : at + len(put)] = put
    engine.ask("POST", path, bytes(body))


@tries(60)
@given(st.text("/.%?#;:@abv1é \n\x00", max_size=20).map(lambda text: "/" + text))
def test_any_path(engine: Engine, path: str) -> None:
    try:
        url = httpx.URL("http://localhost" + path)
    except httpx.InvalidURL:
        return
    engine.ask("GET", str(url), b"")


@tries(100)
@given(
    st.dictionaries(
        st.sampled_from(["contextLength", "idleMinutes", "threads", "infilling", "chatFormat", "logLevel", "model"]),
        VALUES,
        max_size=4,
    )
)
def test_any_options(engine: Engine, options: dict[str, Any]) -> None:
    engine.ask("POST", "/options", json.dumps(options).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 500_000,
        b'{"a":' * 200_000,
        b'{"prompt": [' + b"1," * 60_000 + b"1]}",
        b'{"seed": ' + b"9" * 100_000 + b"}",
    ],
    ids=["lists", "objects", "a long prompt", "a long number"],
)
def test_deep_and_long_ones(engine: Engine, body: bytes) -> None:
    assert engine.ask("POST", "/v1/completions", body).status_code == 400


# Bytes on the socket.


@pytest.fixture(scope="module")
def listening(engine: Engine) -> Iterator[str]:
    with served_on_a_socket(engine.state) as path:
        yield path


WHOLE = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 52\r\n\r\n" + (
    b'{"prompt": [5, 6], "max_tokens": 2, "stream": true }'
)


@st.composite
def wires(draw: st.DrawFn) -> bytes:
    """Bytes as they are, or a request with some of them changed, cut out or repeated."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=200))
    sent = bytearray(WHOLE * draw(st.integers(1, 2)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(sent)))
        sent[at : at + draw(st.integers(0, 5))] = draw(st.binary(max_size=5))
    return bytes(sent[: draw(st.integers(0, len(sent)))] if draw(st.booleans()) else sent)


@tries(150)
@given(wires())
def test_any_bytes_on_the_socket(engine: Engine, listening: str, sent: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(listening)
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            received = b"".join(iter(lambda: connection.recv(65536), b""))
        except (ConnectionResetError, BrokenPipeError):  # closed with bytes that nobody reads any more
            received = b""
    if received:
        assert received.startswith(b"HTTP/1.1 ")
        assert not received.startswith(b"HTTP/1.1 500")
    engine.is_quiet()


def test_it_serves_as_before(engine: Engine, listening: str) -> None:
    """After all of that; the last one in this file."""
    with httpx.Client(
        transport=httpx.HTTPTransport(verify=False, uds=listening), base_url="http://localhost", timeout=120
    ) as client:
        answer = client.post("/v1/completions", json={"prompt": [5, 6], "max_tokens": 3, "temperature": 0})
        assert answer.json()["usage"]["completion_tokens"] == 3
    engine.is_quiet()
