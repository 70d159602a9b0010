"""What a model wrote, and the text around it, is looked at beside the event loop, on which the next key comes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.completion import closing, stopping, suggest
from lsp_server.context.buffer import Buffer
from lsp_server.model.access import Reached
from lsp_server.model.reading import Piece
from lsp_server.settings import Settings


class Client:
    """A model that writes one line."""

    async def complete(self, ids: Any, **more: Any) -> AsyncIterator[Piece]:
        yield Piece(text="x = 1", finish_reason="stop")


@pytest.fixture
def model(tokenizer_folder: Callable[..., Path]) -> Reached:
    return Reached(Client(), CodeLlamaTokenizer.from_pretrained(tokenizer_folder("7b")), 4096, "", "")  # type: ignore[arg-type]


async def suggested(model: Reached) -> suggest.Suggestion:
    return await suggest.suggest(model, Buffer("untitled:a", "a = 2\n\n", language_id="python"), 1, 0, Settings())


async def test_the_loop_is_free_while_filters_work(model: Reached, monkeypatch: pytest.MonkeyPatch) -> None:
    key = threading.Event()

    def tidy(text: str, here: object, **more: object) -> tuple[str, str]:
        return (text, "") if key.wait(2) else ("", "no key came meanwhile")

    monkeypatch.setattr(suggest, "tidy", tidy)
    asyncio.get_running_loop().call_later(0.1, key.set)
    found = await suggested(model)
    assert (found.text, found.reason) == ("x = 1", "")


async def test_the_text_around_is_read_once_and_beside_the_loop(
    model: Reached, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[str, int]] = []

    def after_cursor(suffix: str, language_id: str, stack: Any, before: str) -> closing.After:
        read.append((suffix, threading.get_ident()))
        return closing.after_cursor(suffix, language_id, stack, before)

    monkeypatch.setattr(stopping, "after_cursor", after_cursor)
    assert (await suggested(model)).text == "x = 1"
    ((suffix, thread),) = read
    assert suffix == "\n"
    assert thread != threading.get_ident()
