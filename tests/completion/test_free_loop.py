"""What a model wrote is looked at beside the event loop, on which the next key comes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.completion import suggest
from lsp_server.context.buffer import Buffer
from lsp_server.model.access import Reached
from lsp_server.model.reading import Piece
from lsp_server.settings import Settings


class Client:
    """A model that writes one line."""

    async def complete(self, ids: Any, **more: Any) -> AsyncIterator[Piece]:
        yield Piece(text="x = 1", finish_reason="stop")


async def test_the_loop_is_free_while_filters_work(
    monkeypatch: pytest.MonkeyPatch, tokenizer_folder: Callable[..., Path]
) -> None:
    key = threading.Event()

    def tidy(text: str, here: object, **more: object) -> tuple[str, str]:
        return (text, "") if key.wait(2) else ("", "no key came meanwhile")

    monkeypatch.setattr(suggest, "tidy", tidy)
    tokenizer = CodeLlamaTokenizer.from_pretrained(tokenizer_folder("7b"))
    model = Reached(Client(), tokenizer, 4096, "", "")  # type: ignore[arg-type]
    asyncio.get_running_loop().call_later(0.1, key.set)
    found = await suggest.suggest(model, Buffer("untitled:a", "a = 2\n\n", language_id="python"), 1, 0, Settings())
    assert (found.text, found.reason) == ("x = 1", "")
