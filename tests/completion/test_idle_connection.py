"""The connection to an engine after a pause in typing."""

import asyncio

import pytest

from lsp_server.model import endpoint, exchange
from lsp_server.model.client import ModelClient

ANSWER = b'{"data": [{"id": "model", "max_model_len": 4096}]}'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER)


@pytest.fixture
async def server():
    """One that closes a connection when it is used again after a pause, as any does when the two cross."""
    opened = []

    async def handle(reader, writer):
        opened.append(asyncio.get_running_loop().time())
        last = opened[-1]
        while await reader.read(65536):
            if asyncio.get_running_loop().time() - last > 0.2:
                break
            writer.write(HEAD + ANSWER)
            last = asyncio.get_running_loop().time()
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1") as listening:
        listening.opened = opened
        yield listening


async def test_a_pause_in_typing_loses_no_request(server, monkeypatch):
    monkeypatch.setattr(exchange, "IDLE_SECONDS", 0.1)
    engine = ModelClient(endpoint.remote(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    for pause in (0, 0, 0.5):
        await asyncio.sleep(pause)
        assert await engine.served_model() == ("model", 4096)
    await engine.aclose()
    assert len(server.opened) == 2
