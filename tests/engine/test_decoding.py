from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from lsp_server.engine.generating.decoding import Generation
from lsp_server.engine.generating.kv_cache import CachePool
from lsp_server.engine.generating.request import Request
from lsp_server.engine.passes.stock import DynamicKeysValues, TransformersModel

PROMPT = list(range(20, 60))


def run(
    module: Any, request: Request, *, chunk_tokens: int = 256, keys_values: DynamicKeysValues | None = None
) -> Generation:
    generation = Generation(request, chunk_tokens=chunk_tokens, most_guesses=0)
    generation.begin(keys_values or DynamicKeysValues())
    model = TransformersModel(module)
    while generation.finish_reason is None:
        generation.step(model)
    return generation


def produced(generation: Generation) -> list[int]:
    return generation.ids[generation.counts.prompt_tokens :]


def test_one_pass_a_token_and_one_for_the_prompt(model: Any) -> None:
    generation = run(model, Request(PROMPT, max_tokens=5))
    assert produced(generation) == model.continuation(PROMPT, 5)
    assert generation.finish_reason == "length"
    assert [new for _, new in model.passes] == [40, 1, 1, 1, 1]
    counts = generation.counts
    assert (counts.prompt_tokens, counts.cached_tokens, counts.prefilled_tokens) == (40, 0, 40)
    assert (counts.generated_tokens, counts.forward_passes) == (5, 5)
    assert counts.first_token_seconds is not None
    assert counts.seconds_per_token is not None


def test_a_step_is_one_pass_and_a_long_prompt_takes_several(model: Any) -> None:
    generation = Generation(Request(PROMPT, max_tokens=2), chunk_tokens=16, most_guesses=0)
    generation.begin(DynamicKeysValues())
    wrapped = TransformersModel(model)
    tokens = []
    for passes in range(1, 5):
        tokens.append(generation.step(wrapped))
        assert len(model.passes) == passes
    assert [new for _, new in model.passes] == [16, 16, 8, 1]
    assert tokens[:2] == [[], []]
    assert [token.id for step in tokens for token in step] == model.continuation(PROMPT, 2)
    assert generation.counts.prefilled_tokens == 40


def test_a_stop_id_ends_it_and_is_the_last_token(model: Any) -> None:
    third = model.continuation(PROMPT, 3)[2]
    generation = run(model, Request(PROMPT, max_tokens=9, stop_ids=frozenset({third})))
    assert generation.finish_reason == "stop"
    assert produced(generation) == model.continuation(PROMPT, 3)


def test_no_step_after_the_end(model: Any) -> None:
    generation = run(model, Request(PROMPT, max_tokens=1))
    with pytest.raises(RuntimeError):
        generation.step(TransformersModel(model))


def test_taken_keys_and_values_are_computed_again(model: Any) -> None:
    generation = Generation(Request(PROMPT, max_tokens=6), chunk_tokens=16, most_guesses=0)
    wrapped = TransformersModel(model)
    generation.begin(DynamicKeysValues())
    while generation.counts.generated_tokens < 3:
        generation.step(wrapped)
    generation.keys_values = None
    generation.begin(DynamicKeysValues())
    while generation.finish_reason is None:
        generation.step(wrapped)
    assert produced(generation) == model.continuation(PROMPT, 6)
    assert generation.counts.prefilled_tokens == 40 + 43
    assert generation.counts.cached_tokens == 0


def test_the_vocabulary_is_the_models(model: Any, llama: Any) -> None:
    assert TransformersModel(model).vocab_size == 300
    assert TransformersModel(llama).vocab_size == 300


@pytest.mark.parametrize("chunk_tokens", [1, 7, 40, 256])
def test_llama_gives_what_transformers_gives(
    llama: Any, generate: Callable[[Sequence[int], int], list[int]], chunk_tokens: int
) -> None:
    expected = generate(PROMPT, 30)
    assert len(set(expected)) > 5
    assert produced(run(llama, Request(PROMPT, max_tokens=30), chunk_tokens=chunk_tokens)) == expected


def test_llama_with_kept_keys_and_values_gives_the_same(
    llama: Any, generate: Callable[[Sequence[int], int], list[int]]
) -> None:
    pool = CachePool()
    first = run(llama, Request(PROMPT, max_tokens=10))
    assert first.keys_values is not None
    pool.put(first.ids[: first.keys_values.length], first.keys_values, 1000)
    for prompt in ([*PROMPT, 99], [*PROMPT[:25], 7, 8, 9], [*PROMPT[:30], *range(5)], first.ids):
        kept = pool.take(prompt, 1000)
        assert kept is not None
        generation = run(llama, Request(prompt, max_tokens=10), keys_values=kept)
        assert generation.counts.cached_tokens >= 25
        assert produced(generation) == generate(prompt, 10)
        pool.put(generation.ids[: kept.length], kept, 1000)


def test_llama_runs_without_gradients(llama: Any) -> None:
    keys_values = DynamicKeysValues()
    logits = TransformersModel(llama).forward(PROMPT, keys_values)
    assert logits.shape == (1, 300)
    assert not logits.requires_grad
    assert keys_values.length == len(PROMPT)
    assert isinstance(logits, torch.Tensor)
