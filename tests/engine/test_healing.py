"""Token healing: against a vocabulary small enough to list by hand, and with the starter model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.engine.generating.decoding import Generation
from lsp_server.engine.generating.healing import Spellings
from lsp_server.engine.generating.names import Names
from lsp_server.engine.generating.request import Request
from lsp_server.engine.loading import plan, weights
from lsp_server.engine.loading.checkpoint import validate
from lsp_server.engine.passes import int8, llama_cpu
from lsp_server.engine.passes.stock import TransformersModel

PIECES = [b"", b"r", b"re", b"ret", b"return", b"returns", b" ", b"  ", b"   x", b"s", b"(", b"re", b"t"]


def spellings() -> Spellings:
    return Spellings(lambda i: PIECES[i], len(PIECES))


def test_fitting_tokens() -> None:
    assert sorted(spellings().fitting(b"ret")) == [1, 2, 3, 4, 5, 11]
    assert sorted(spellings().fitting(b"return")) == [1, 2, 3, 4, 5, 11]
    assert sorted(spellings().fitting(b"returns(")) == [1, 2, 3, 4, 5, 11]
    assert sorted(spellings().fitting(b"  ")) == [6, 7, 8]
    assert spellings().fitting(b"z") == []


class Ranked(torch.nn.Module):
    """A model whose logits are the same everywhere: it likes its first tokens best."""

    def __init__(self, *best: int) -> None:
        super().__init__()
        self.logits = torch.zeros(len(PIECES))
        for rank, token in enumerate(best):
            self.logits[token] = 10.0 - rank
        self.embeddings = torch.nn.Embedding(len(PIECES), 2)
        self.rows: list[int] = []

    def get_input_embeddings(self) -> torch.nn.Embedding:
        return self.embeddings

    def forward(self, input_ids: Any, past_key_values: Any, use_cache: bool, logits_to_keep: int) -> Any:
        new = input_ids.double()[:, None, :, None]
        past_key_values.update(new, new, 0)
        self.rows.append(input_ids.shape[1])
        return SimpleNamespace(logits=self.logits.expand(1, logits_to_keep, -1))


def answer(
    module: Ranked, ids: list[int], heal: int, max_tokens: int = 3, names: Mapping[str, float] | None = None
) -> Generation:
    model = TransformersModel(module)
    generation = Generation(Request(ids, max_tokens, heal=heal, names=names or {}), spellings=spellings())
    generation.begin(model.new_keys_values())
    while generation.finish_reason is None:
        generation.step(model)
    return generation


def test_the_likeliest_spelling_is_taken() -> None:
    # "(" is likeliest, but the text "re" + "t" must be spelled first: by "return", which runs beyond it.
    module = Ranked(10, 4, 3)
    assert answer(module, [6, 2, 12], heal=2).ids == [6, 4, 10, 10]
    # A token that is only a part of it leaves the rest to be spelled.
    assert answer(Ranked(10, 1, 5), [6, 5], heal=1).ids[:2] == [6, 1]


def test_tokens_that_were_right_cost_no_pass() -> None:
    module = Ranked(3, 10)
    generation = answer(module, [6, 3], heal=1, max_tokens=1)
    assert generation.ids == [6, 3]
    module = Ranked(3, 10)
    generation = answer(module, [6, 6, 3], heal=1, max_tokens=2)
    assert module.rows == [3]  # two of the prompt, and the healed one as a guess that was right
    assert generation.ids[:3] == [6, 6, 3]
    assert generation.counts.prompt_tokens == 3


def test_tokens_that_keep_to_names() -> None:
    def keeping(names: list[bytes], vocabulary: Spellings | None = None) -> list[int]:
        kept = Names(tuple((name, 1.0) for name in names))
        return sorted((vocabulary or spellings()).keeping_to(kept)[0].tolist())

    assert keeping([b"returns"]) == [1, 2, 3, 4, 5, 11]
    assert keeping([b"re", b"t"]) == [1, 2, 11, 12]  # and not "ret", which goes on
    assert keeping([b""]) == [0, 6, 7, 8, 10]  # the end of the answer, spaces and signs, and no letters
    assert keeping([b"s", b""]) == [0, 6, 7, 8, 9, 10]
    assert keeping([b"z"]) == []
    few = [b"a", b"a(", b"ab", "aé".encode(), b" a.", b" a"]
    assert keeping([b"a"], Spellings(lambda i: few[i], 6)) == [0, 1]
    assert keeping([b" a"], Spellings(lambda i: few[i], 6)) == [4, 5]
    quoted = [b" ", b" (", b" a", b"(", b"a"]
    assert keeping([b" "], Spellings(lambda i: quoted[i], 5)) == [0, 1]  # a space to be spelled, and no name


def test_an_answer_keeps_to_the_names_until_one_is_written() -> None:
    # "s" is likeliest, "returns" is not, but the only name; behind it a letter would go on with it, the sign does not.
    assert answer(Ranked(9, 10, 5), [6], heal=0, max_tokens=4, names={"returns": 20.0}).ids == [6, 5, 10, 9, 9]
    # They stand behind what is healed.
    assert answer(Ranked(9, 10, 5), [6, 2], heal=1, max_tokens=3, names={"turns": 20.0}).ids == [6, 5, 10, 9]
    # A name can be the beginning of another one.
    assert answer(Ranked(9, 4, 10), [6], heal=0, max_tokens=3, names={"return": 20.0, "returns": 20.0}).ids == [
        6,
        4,
        9,
        10,
    ]


def test_a_model_that_is_surer_of_another_name_writes_it() -> None:
    module = Ranked(9)
    module.logits[9] = 5.0
    assert answer(module, [6], heal=0, max_tokens=2, names={"return": 4.9}).ids == [6, 9, 9]
    assert answer(module, [6], heal=0, max_tokens=1, names={"return": 5.1}).ids != [6, 9]


def test_of_several_names_each_gains_as_much_as_is_asked_for() -> None:
    ids, nats = spellings().keeping_to(Names(((b"returns", 3.0), (b"ret", 2.0), (b"s", 1.0), (b"", 0.5))))
    gains: dict[int, float] = {}
    for each, gain in zip(ids.tolist(), nats.tolist(), strict=True):
        gains[each] = max(gain, gains.get(each, 0.0))
    assert gains == {1: 3.0, 2: 3.0, 11: 3.0, 3: 3.0, 4: 3.0, 5: 3.0, 9: 1.0, 0: 0.5, 6: 0.5, 7: 0.5, 8: 0.5, 10: 0.5}
    assert len(ids) == len(set(ids.tolist()))  # nothing is added twice


def test_guesses_do_not_change_what_names_do() -> None:
    prompt = [6, 9, 9, 9, 6, 9, 9, 9, 6]  # what is guessed is no name
    module = Ranked(9, 10, 5)
    assert answer(module, prompt, heal=0, max_tokens=4, names={"returns": 20.0}).ids[-4:] == [5, 10, 9, 9]


@pytest.fixture(scope="module")
def tokenizer(starter: Path) -> CodeLlamaTokenizer:
    return CodeLlamaTokenizer.from_pretrained(starter)


@pytest.fixture(scope="module")
def model(starter: Path) -> llama_cpu.LlamaOnCpu:
    checkpoint = validate(starter)
    loaded = weights.load(checkpoint, plan.make(checkpoint.config, plan.devices(), 1024), lambda progress: None)
    int8.replace_linears(loaded.model)
    return llama_cpu.LlamaOnCpu(loaded.model)


@pytest.mark.parametrize(
    "text", ["def area(width, height):\n    retur", "import os\n\nfor name in os.list", "x = {\n    "]
)
def test_the_starter_heals(tokenizer: CodeLlamaTokenizer, model: llama_cpu.LlamaOnCpu, text: str) -> None:
    ids = tokenizer.completion_ids(text)
    vocabulary = Spellings(tokenizer.vocabulary.bytes_of, tokenizer.vocab_size)
    generation = Generation(Request(ids, 8, heal=2), spellings=vocabulary)
    generation.begin(model.new_keys_values())
    while generation.finish_reason is None:
        generation.step(model)
    made = tokenizer.decode(generation.ids)
    assert made.startswith(text)
    assert len(made) > len(text)
