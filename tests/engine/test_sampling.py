from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch

from lsp_server.engine.generating.request import Sampling
from lsp_server.engine.generating.sampling import Sampler

PROBABILITIES = torch.tensor([0.1, 0.4, 0.2, 0.3])
LOGITS = PROBABILITIES.log() + 3


def draw(count: int = 2000, **how: Any) -> Counter[int]:
    sampler = Sampler(Sampling(**{"temperature": 1.0, "seed": 0, **how}))
    return Counter(sampler.choose(LOGITS).id for _ in range(count))


def test_temperature_zero_is_greedy() -> None:
    assert draw(temperature=0.0) == {1: 2000}


def test_draws_follow_the_probabilities() -> None:
    drawn = draw()
    for index, probability in enumerate(PROBABILITIES.tolist()):
        assert drawn[index] / 2000 == pytest.approx(probability, abs=0.04)


def test_temperature_sharpens() -> None:
    expected = torch.softmax(LOGITS / 0.5, dim=-1)
    drawn = draw(temperature=0.5)
    assert drawn[1] / 2000 == pytest.approx(float(expected[1]), abs=0.04)


def test_a_tiny_temperature_is_greedy() -> None:
    assert draw(temperature=1e-40, count=50) == {1: 50}


def test_top_k_leaves_the_most_likely() -> None:
    assert set(draw(top_k=2)) == {1, 3}
    assert set(draw(top_k=1)) == {1}
    assert set(draw(top_k=99)) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("top_p", "left"), [(0.0, {1}), (0.39, {1}), (0.5, {1, 3}), (0.85, {1, 2, 3}), (1.0, {0, 1, 2, 3})]
)
def test_top_p_leaves_the_fewest_that_reach_it(top_p: float, left: set[int]) -> None:
    assert set(draw(top_p=top_p)) == left


def test_a_bias_is_added_and_a_great_one_rules_out() -> None:
    assert draw(temperature=0.0, logit_bias=((1, -100.0),)) == {3: 2000}
    assert draw(logit_bias=((1, -100.0), (3, -100.0))).keys() == {0, 2}
    # 0.1 becomes 0.4, beside which the others are as they were: 0.4 of 1.3
    drawn = draw(logit_bias=((0, math.log(4)),))
    assert drawn[0] / 2000 == pytest.approx(0.4 / 1.3, abs=0.04)


def test_a_seed_fixes_the_draws_and_another_changes_them() -> None:
    def run(seed: int | None) -> list[int]:
        sampler = Sampler(Sampling(temperature=1.0, seed=seed))
        return [sampler.choose(LOGITS).id for _ in range(30)]

    assert run(7) == run(7)
    assert run(7) != run(8)
    assert run(None) != run(None)


def test_logprobs_are_of_the_raw_logits() -> None:
    token = Sampler(Sampling(temperature=0.2, top_k=1, logprobs=2)).choose(LOGITS)
    assert token.id == 1
    assert token.logprob == pytest.approx(math.log(0.4), abs=1e-5)
    assert [i for i, _ in token.top] == [1, 3]
    assert [value for _, value in token.top] == pytest.approx([math.log(0.4), math.log(0.3)], abs=1e-5)
    token = Sampler(Sampling(logprobs=0)).choose(LOGITS)
    assert token.logprob is not None
    assert token.top == ()
    assert Sampler(Sampling()).choose(LOGITS).logprob is None


def test_half_precision_logits() -> None:
    assert Sampler(Sampling(temperature=1.0, seed=1)).choose(LOGITS.bfloat16()).id in range(4)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_nan_is_an_error(temperature: float) -> None:
    with pytest.raises(ArithmeticError, match="NaN"):
        Sampler(Sampling(temperature=temperature)).choose(torch.tensor([1.0, math.nan, 3.0]))
