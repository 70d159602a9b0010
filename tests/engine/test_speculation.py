"""Guessed tokens: what is guessed, and that guesses change the number of passes but never the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from lsp_server.engine.generating.decoding import Generation
from lsp_server.engine.generating.kv_cache import CachePool
from lsp_server.engine.generating.request import Request, Sampling
from lsp_server.engine.generating.speculation import MOST, Guesses
from lsp_server.engine.passes.stock import TransformersModel

PROMPT = [7, 20, 100, 33, 41, 5, 90, 12, 11, 10]


def run(module: Any, request: Request, others: Sequence[Sequence[int]] = (), most_guesses: int = MOST) -> Generation:
    model = TransformersModel(module)
    generation = Generation(request, most_guesses=most_guesses)
    generation.begin(model.new_keys_values(), others)
    while generation.finish_reason is None:
        generation.step(model)
        assert generation.held_tokens == len(generation.ids) - 1
    return generation


def test_guesses_what_followed_the_last_time() -> None:
    assert Guesses([1, 2, 3, 4, 5, 1, 2]).next(3) == [3, 4, 5]
    assert Guesses([1, 2, 8, 1, 2, 9, 1, 2]).next(1) == [9]  # the last place counts
    assert Guesses([0, 1, 2, 8, 1, 2, 9, 0, 1, 2]).next(1) == [8]  # a longer agreement counts more
    assert Guesses([2, 3, 4, 2]).next(3) == []  # one token alone says nothing
    assert Guesses([1, 2]).next(3) == []
    assert Guesses([1, 2, 3, 1, 2]).next(0) == []


def test_guesses_from_other_sequences_after_its_own() -> None:
    assert Guesses([1, 2], [[5, 1, 2, 7, 8, 9]]).next(3) == [7, 8, 9]
    assert Guesses([1, 2], [[1, 2, 6], [1, 2, 7]]).next(1) == [6]
    assert Guesses([1, 2, 3, 1, 2], [[1, 2, 7]]).next(1) == [3]


def test_an_id_is_never_read_across_two() -> None:
    """0x02000100 0x03000200 hold the bytes of (1 << 16, 2 << 16), shifted by two."""
    assert Guesses([0x01000000, 0x02000000, 0x0100 << 8, 0x0200 << 8]).next(3) == []


def test_guesses_more_while_it_is_right() -> None:
    guesses = Guesses([*range(50), *range(25)])
    lengths = []
    for _ in range(4):
        lengths.append(len(guesses.next(100)))
        guesses.judge(lengths[-1], lengths[-1])
    assert lengths == [3, 6, 12, MOST]
    guesses.judge(MOST, 2)
    assert len(guesses.next(100)) == 3


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=0.8, top_p=0.9, seed=5)])
def test_answers_are_those_without_guesses(llama: Any, sampling: Sampling) -> None:
    # A random model soon repeats itself, so there is plenty to guess at, rightly and wrongly.
    request = Request(PROMPT, max_tokens=60, sampling=sampling)
    plain = run(llama, request, most_guesses=0)
    wrong = [*PROMPT, *[1] * 20]
    for others in ([], [wrong], [plain.ids], [wrong, plain.ids]):
        guessed = run(llama, request, others)
        assert guessed.ids == plain.ids
        assert guessed.counts.forward_passes <= plain.counts.forward_passes == 60
        assert guessed.counts.right_guesses == 60 - guessed.counts.forward_passes


def test_a_known_answer_takes_few_passes(llama: Any, generate: Callable[..., list[int]]) -> None:
    wanted = generate(PROMPT, 40)
    counts = run(llama, Request(PROMPT, max_tokens=40), [[*PROMPT, *wanted]]).counts
    assert counts.forward_passes <= 6  # 4 + 7 + 13 + 16 tokens
    assert counts.guessed_tokens == counts.right_guesses


def test_ends_where_it_would_end_without(model: Any) -> None:
    wanted = model.continuation(PROMPT, 12)
    stop = wanted[5]
    first = wanted.index(stop)
    generation = run(model, Request(PROMPT, max_tokens=12, stop_ids=frozenset({stop})), [[*PROMPT, *wanted]])
    assert generation.ids == [*PROMPT, *wanted[: first + 1]]
    assert generation.finish_reason == "stop"
    generation = run(model, Request(PROMPT, max_tokens=3), [[*PROMPT, *wanted]])
    assert generation.ids == [*PROMPT, *wanted[:3]]
    assert max(new for _, new in model.passes[-1:]) <= len(PROMPT) + 2  # never over the end of the answer


def test_what_is_kept_holds_no_guess(llama: Any) -> None:
    """The keys and values of wrong guesses must not be taken for those of the answer's tokens."""
    generation = run(llama, Request(PROMPT, max_tokens=30), [[*PROMPT, *[1] * 9]])
    assert generation.keys_values is not None
    pool = CachePool()
    pool.put(generation.ids[: generation.keys_values.length], generation.keys_values, 1000)
    kept = pool.take([*generation.ids, 9], 1000)
    assert kept is not None
    wrapped = TransformersModel(llama)
    fresh = wrapped.new_keys_values()
    again = wrapped.forward(generation.ids, fresh)
    assert torch.allclose(wrapped.forward(generation.ids[kept.length :], kept), again, atol=1e-4)
