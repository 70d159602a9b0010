"""A model that says what it is told, with the real tokenizer in front of it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from lsp_server.chat.chats import Chats, Environment
from lsp_server.chat.store import Store
from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.context.workspace import Workspace
from lsp_server.engine.generating.request import Prefill
from lsp_server.engine.generating.speed import Speed
from lsp_server.model.access import Reached
from lsp_server.model.client import EngineLost, Piece
from lsp_server.settings import Settings

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ '### Instruction:' if m.role == 'user' else '### Response:' }}\n"
    "{{ m.content }}\n{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}### Response:\n"
)


@pytest.fixture(scope="session")
def load(tokenizer_folder: Callable[..., Path]) -> Callable[[str], CodeLlamaTokenizer]:
    """load("inst" | "source-step"): the real tokenizer of 7B or 70B."""

    @functools.cache
    def loaded(chat_format: str) -> CodeLlamaTokenizer:
        kind = "70b" if chat_format == "source-step" else "7b"
        return CodeLlamaTokenizer.from_pretrained(tokenizer_folder(kind), chat_format=chat_format)  # type: ignore[arg-type]

    return loaded


class Script:
    """Stands for an engine: says `answers` in turn, token by token, and remembers what it was asked."""

    url = "http://scripted"
    speed: Speed | None = None

    def __init__(self, tokenizer: CodeLlamaTokenizer, *answers: str) -> None:
        self.tokenizer, self.answers = tokenizer, list(answers)
        self.prompts: list[list[int]] = []
        self.generated: list[list[int]] = []
        self.limits: list[int] = []
        self.closed = 0
        self.cached: list[int] = []
        self.pause = 0.0
        self.lose_after: int | None = None
        self.group = 1

    async def known_tokens(self, prompt: Sequence[int]) -> int:
        past = [one + two for one, two in zip(self.prompts, self.generated, strict=True)]
        return max((common(one, prompt) for one in past), default=0)

    async def complete(self, prompt: Sequence[int], *, max_tokens: int, **_: Any) -> AsyncGenerator[Piece, None]:
        past = [one + two for one, two in zip(self.prompts, self.generated, strict=True)]
        self.prompts.append(list(prompt))
        self.limits.append(max_tokens)
        self.cached.append(max((common(one, prompt) for one in past), default=0))
        yield Piece(prefill=Prefill(len(prompt), len(prompt) - 1, self.cached[-1]))
        text = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        source_step = self.tokenizer.abilities.chat_format == "source-step"
        ids = self.tokenizer.encode_raw(text if source_step else " " + text)[:max_tokens]
        self.generated.append([])
        try:
            for at in range(0, len(ids), self.group):
                if self.lose_after is not None and at >= self.lose_after:
                    self.lose_after = None
                    raise EngineLost("The engine went away.")
                await asyncio.sleep(self.pause)
                self.generated[-1] += ids[at : at + self.group]
                yield Piece(tuple(ids[at : at + self.group]))
            yield Piece(finish_reason="stop", usage={"prompt_tokens_details": {"cached_tokens": self.cached[-1]}})
        except (GeneratorExit, asyncio.CancelledError):
            self.closed += 1
            raise


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the beginning that both share."""
    at = 0
    while at < min(len(one), len(other)) and one[at] == other[at]:
        at += 1
    return at


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data")


@pytest.fixture
def talk(
    store: Store, tmp_path: Path, load: Callable[[str], CodeLlamaTokenizer]
) -> Callable[..., tuple[Chats, Script]]:
    """talk(*answers, format="inst", context=4096): chats with a scripted model, over the files in tmp_path / "work"."""
    (tmp_path / "work").mkdir()

    def made(*answers: str, format: str = "inst", context: int = 4096, **more: Any) -> tuple[Chats, Script]:
        script = Script(load(format), *(answers or ("Yes.",)))

        async def reach() -> Reached:
            return reached

        reached = Reached(script, script.tokenizer, context, "scripted", "", again=reach)  # type: ignore[arg-type]

        around = Environment(
            settings=lambda: Settings(),
            workspace=lambda: Workspace((tmp_path / "work",), more.get("buffers", tuple)),
            reach=more.get("reach", reach),
        )
        return Chats(store, around, more.get("instructions")), script

    return made
