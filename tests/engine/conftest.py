"""Models, a tokenizer and an engine to test with: one model whose every token is known beforehand, and a tiny Llama."""

from __future__ import annotations

import codecs
import contextlib
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lsp_server.engine.generating.scheduler import Scheduler
from lsp_server.engine.passes.stock import TransformersModel
from lsp_server.engine.serving.http import create_app
from lsp_server.engine.serving.server import Server
from lsp_server.engine.serving.state import EngineState
from lsp_server.errors import UserError

VOCABULARY = 300


class KnownModel(torch.nn.Module):
    """Behaves like a model of transformers. Its keys and values are the ids themselves, and the next token depends on
    every id held and on its place: wrong keys and values give wrong tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = torch.nn.Embedding(VOCABULARY, 1)
        self.passes: list[tuple[int, int]] = []  # of each forward pass: the sequence's first id, the number of new ids
        self.next_id: Callable[[list[int]], int] = self.known
        self.before_pass: Callable[[], None] = lambda: None

    @staticmethod
    def known(ids: Sequence[int]) -> int:
        """Never 0 to 9, so that those can be stop ids."""
        return 10 + sum((place + 3) * (i + 7) for place, i in enumerate(ids)) % 283

    def continuation(self, ids: Sequence[int], count: int) -> list[int]:
        """The `count` ids that follow `ids`."""
        all_ids = list(ids)
        for _ in range(count):
            all_ids.append(self.next_id(all_ids))
        return all_ids[len(ids) :]

    def get_input_embeddings(self) -> torch.nn.Embedding:
        return self.embeddings

    def forward(
        self, input_ids: torch.Tensor, past_key_values: Any, use_cache: bool, logits_to_keep: int
    ) -> SimpleNamespace:
        assert use_cache
        self.before_pass()
        new = input_ids.double()[:, None, :, None]
        keys, values = past_key_values.update(new, new, 0)
        assert torch.equal(keys, values)
        ids = [int(i) for i in keys.flatten()]
        self.passes.append((ids[0], input_ids.shape[1]))
        logits = torch.zeros(1, logits_to_keep, VOCABULARY)
        for row in range(logits_to_keep):
            logits[0, row, self.next_id(ids[: len(ids) - logits_to_keep + row + 1])] = 5.0
        return SimpleNamespace(logits=logits)


class Gate:
    """Holds a model up before its pass number `at` (from 0), until the test lets it go on."""

    def __init__(self, model: KnownModel, at: int) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        self._model, self._at = model, at
        model.before_pass = self._wait

    def _wait(self) -> None:
        if len(self._model.passes) == self._at and not self.opened.is_set():
            self.reached.set()
            assert self.opened.wait(60)


class ByteDecoder:
    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, ids: Sequence[int]) -> str:
        return self._decoder.decode(bytes(i % 256 for i in ids))

    def flush(self) -> str:
        return self._decoder.decode(b"", final=True)


class ByteCodec:
    """Ids are the bytes of UTF-8; a dialog is its messages, each ended by byte 1."""

    vocab_size = VOCABULARY
    completion_stop_ids = frozenset({0})
    dialog_stop_ids = frozenset({1})
    dialog_bias: ClassVar = {2: -100.0}

    def completion_ids(self, text: str) -> list[int]:
        return list(text.encode())

    def dialog_ids(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        if messages[-1]["role"] != "user":
            raise UserError("The last message must be the user's.")
        return [i for message in messages for i in [*message["content"].encode(), 1]]

    def decoder(self) -> ByteDecoder:
        return ByteDecoder()


@pytest.fixture
def model() -> KnownModel:
    return KnownModel()


@pytest.fixture
def gate(model: KnownModel) -> Callable[[int], Gate]:
    return lambda at: Gate(model, at)


@pytest.fixture
def codec() -> ByteCodec:
    return ByteCodec()


@pytest.fixture
def make_scheduler(model: KnownModel) -> Iterator[Callable[..., Scheduler]]:
    """Makes schedulers, by default for `model` with a context of 1000 tokens and room for 2000; closes them."""
    made: list[Scheduler] = []

    def make(
        module: Any = model,
        *,
        context_length: int = 1000,
        kv_budget_tokens: int = 2000,
        patience: float = 1e9,
        **rest: Any,
    ) -> Scheduler:
        rest = {"most_guesses": 0, **rest}  # so that passes can be counted
        wrapped = TransformersModel(module)
        made.append(Scheduler(wrapped, context_length=context_length, kv_budget_tokens=kv_budget_tokens, **rest))
        made[-1].patience = patience
        return made[-1]

    yield make
    for scheduler in made:
        scheduler.close()


@pytest.fixture(scope="session")
def llama() -> LlamaForCausalLM:
    """A tiny Llama with random weights, large enough ones that its answers are not all the same token."""
    torch.manual_seed(0)
    torch.set_num_threads(1)  # what is this small only gets slower with more
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="session")
def generate(llama: LlamaForCausalLM) -> Callable[[Sequence[int], int], list[int]]:
    """What transformers' own greedy generation gives."""

    def run(ids: Sequence[int], count: int) -> list[int]:
        output = llama.generate(torch.tensor([list(ids)]), max_new_tokens=count, do_sample=False)
        return output[0, len(ids) :].tolist()

    return run


@contextlib.contextmanager
def served_on_a_socket(state: EngineState) -> Iterator[str]:
    """The engine behind uvicorn on a Unix socket: its path."""
    if sys.platform == "win32":
        pytest.skip("no Unix sockets")
    with tempfile.TemporaryDirectory() as folder:  # tmp_path can be too long for a socket
        path = str(Path(folder) / "engine.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        server = Server(state, create_app(state))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        until(lambda: server.started)
        yield path
        server.should_exit = True
        thread.join(10)


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.005)
