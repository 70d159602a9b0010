"""What a chat over HTTP asks the model: the ids of Meta's reference and of the model card."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.engine.generating.pace import Pace
from lsp_server.engine.generating.request import SchedulerClosed
from lsp_server.engine.serving.http import create_app
from lsp_server.engine.serving.state import EngineState

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "dialogs.json").read_text("utf-8"))["vectors"]


class Recorder:
    """Stands for a scheduler: remembers what it is to generate, and closes."""

    vocab_size, context_length, broken, idle_seconds = 32016, 4096, None, 0.0
    pace = Pace()

    def __init__(self) -> None:
        self.prompts: list[list[int]] = []

    def submit(self, wanted: Any) -> Any:
        self.prompts.append(list(wanted.ids))
        raise SchedulerClosed("The engine ends.")


@pytest.mark.parametrize(("kind", "key"), [("7b", "safe_ids_7b_13b"), ("70b", "safe_ids_70b")])
async def test_the_ids_are_the_references(tokenizer_folder: Callable[..., Path], kind: str, key: str) -> None:
    scheduler: Any = Recorder()
    codec: Any = CodeLlamaTokenizer.from_pretrained(tokenizer_folder(kind))
    state = EngineState("tiny", "/tiny", "1", "ready", context_length=4096, scheduler=scheduler, codec=codec)
    vectors = [v for v in VECTORS if not any("destination" in message for message in v["dialog"])]
    assert len(vectors) > 40
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(state)), base_url="http://localhost") as to:
        for vector in vectors:
            answer = await to.post("/v1/chat/completions", json={"messages": vector["dialog"]})
            assert answer.status_code == 503, answer.text
            assert scheduler.prompts[-1] == vector[key], vector["id"]
