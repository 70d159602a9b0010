"""The project's own Llama pass on the CPU: against transformers' on the same rounded weights, in 32 bits."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import pytest
import torch
from small_llamas import IDS, LAYERS, random_llama, run
from transformers import LlamaForCausalLM

from lsp_server.engine.loading import sizes
from lsp_server.engine.passes import fused, linears, llama_cpu
from lsp_server.engine.passes.int8 import Int8Linear


def rounded(model: LlamaForCausalLM) -> tuple[LlamaForCausalLM, LlamaForCausalLM]:
    """(`model` in 8 bits, in float32 with those same rounded weights)."""
    model = model.to(torch.bfloat16)
    reference = copy.deepcopy(model)
    for mine, plain in zip(model.modules(), reference.modules(), strict=True):
        for name, child in list(mine.named_children()):
            if isinstance(child, torch.nn.Linear) and name != "lm_head":
                small = Int8Linear.rounded(child.weight)
                setattr(mine, name, small)
                getattr(plain, name).weight.data = small.weight.to(torch.bfloat16) * small.scale[:, None]
    return model, reference.float()


@pytest.mark.parametrize("product", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("heads", "kv_heads", "tied"), [(4, 4, False), (4, 2, True), (8, 1, True)])
def test_logits_are_those_of_transformers(
    heads: int, kv_heads: int, tied: bool, product: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`product`: on processors with and without bfloat16."""
    monkeypatch.setattr(linears, "PRODUCT", product)
    small, reference = rounded(random_llama(heads, kv_heads, tied=tied))
    with torch.inference_mode():
        wanted = reference(torch.tensor([IDS])).logits[0]
        half = copy.deepcopy(reference).to(torch.bfloat16)(torch.tensor([IDS])).logits[0].float()

    def error(logits: torch.Tensor) -> float:
        return float((logits.float() - wanted).norm() / wanted.norm())

    assert llama_cpu.can_take(small)
    model = llama_cpu.LlamaOnCpu(small)
    assert model.vocab_size == 300
    # The head is rounded to 8 bits too, which by itself costs this much.
    exact = reference.lm_head.weight.detach()
    head = Int8Linear.rounded(exact)
    head_error = float((head.weight * head.scale[:, None] - exact).norm() / exact.norm())
    allowed = 2 * error(half) + 2 * head_error
    assert allowed < 0.06
    for chunk in (450, 256, 17, 16, 3, 1):  # torch's products, the compiled functions; over a step's border
        keys_values = model.new_keys_values()
        assert error(run(model, IDS, chunk, keys_values)) < allowed
        assert keys_values.length == len(IDS)


def test_a_token_gives_the_same_whatever_it_is_computed_with() -> None:
    """So that guesses never change an answer."""
    model = llama_cpu.LlamaOnCpu(rounded(random_llama(4, 2, tied=True))[0])
    single = run(model, IDS[:150], 1, model.new_keys_values())
    threads = torch.get_num_threads()
    for chunk in (2, 3, 4, 7, fused.MOST_TOKENS):
        assert torch.equal(run(model, IDS[:150], chunk, model.new_keys_values()), single)
    try:
        torch.set_num_threads(1)
        assert torch.equal(run(model, IDS[:150], 5, model.new_keys_values()), single)
    finally:
        torch.set_num_threads(threads)


def test_long_prompts_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = llama_cpu.LlamaOnCpu(rounded(random_llama(4, 2, tied=True))[0])
    whole = run(model, IDS, 450, model.new_keys_values())
    monkeypatch.setattr(llama_cpu, "_SCORES_BYTES", 4 * 512 * 2 * 100)
    assert torch.allclose(run(model, IDS, 450, model.new_keys_values()), whole, atol=0.1, rtol=0.05)


def test_keys_and_values_can_be_cut_and_copied() -> None:
    model = llama_cpu.LlamaOnCpu(rounded(random_llama(4, 2, tied=True))[0])
    keys_values = model.new_keys_values()
    wanted = run(model, IDS[:200], 1, keys_values)
    run(model, IDS[200:], 100, keys_values)
    held = keys_values.nbytes
    copied = keys_values.copy(150)
    keys_values.crop(150)
    assert keys_values.length == copied.length == 150
    assert keys_values.nbytes == held
    keys_values.compact()
    assert keys_values.nbytes < held
    # Heads x size x (keys, values) x layers x 2 bytes a token, in whole steps.
    assert keys_values.nbytes == copied.nbytes == 2 * 16 * 2 * LAYERS * 2 * 256
    assert torch.equal(run(model, IDS[150:200], 1, copied), wanted[150:])
    assert torch.equal(run(model, IDS[150:200], 1, keys_values), wanted[150:])  # the copy shares nothing with it
    for action in (keys_values.crop, keys_values.copy):
        with pytest.raises(ValueError, match="201"):
            action(201)


def test_takes_only_what_it_computes() -> None:
    small, reference = rounded(random_llama(4, 2, tied=True))
    assert not llama_cpu.can_take(reference)  # not in 8 bits
    small.config.rope_parameters = {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0}
    assert not llama_cpu.can_take(small)


def test_a_branch_gives_what_its_tokens_would_in_a_row() -> None:
    """Two branches, of which one forks, in passes of all sizes; and each the same whatever is computed beside it."""
    model = llama_cpu.LlamaOnCpu(rounded(random_llama(4, 2, tied=True))[0])
    trunk, left, right = IDS[:150], IDS[150:170], IDS[200:220]

    def grown(*branches: Sequence[int]) -> list[torch.Tensor]:
        """The logits of each branch, of which each step runs one token."""
        keys_values = model.new_keys_values()
        run(model, trunk, 16, keys_values)
        paths: list[list[int]] = [[] for _ in branches]
        rows = []
        for ids in zip(*branches, strict=True):
            start = keys_values.length
            rows.append(model.branch(ids, paths, keys_values, len(trunk)))
            paths = [[*path, start + at] for at, path in enumerate(paths)]
        # What follows on the first branch, all of it in one pass, more than are computed at once.
        start = keys_values.length
        more = [[*paths[0], *range(start, start + at)] for at in range(20)]
        rows_of_more = model.branch(IDS[300:320], more, keys_values, len(trunk))
        keys_values.crop(len(trunk))
        assert torch.equal(run(model, left, 1, keys_values), in_a_row(left)), "the trunk is as it was"
        return [torch.cat((torch.stack([row[0] for row in rows]), rows_of_more)), *(
            torch.stack([row[at] for row in rows]) for at in range(1, len(branches))
        )]  # fmt: skip

    def in_a_row(ids: Sequence[int]) -> torch.Tensor:
        keys_values = model.new_keys_values()
        run(model, trunk, 16, keys_values)
        return run(model, ids, 1, keys_values)

    both = grown(left, right)
    assert torch.allclose(both[0], in_a_row([*left, *IDS[300:320]]), atol=1e-3, rtol=1e-3)
    assert torch.allclose(both[1], in_a_row(right), atol=1e-3, rtol=1e-3)
    assert torch.equal(both[0], grown(left)[0])
    five = grown(right, IDS[5:25], left, right, IDS[30:50])
    assert torch.equal(five[2], both[0][:20])
    assert torch.equal(five[3], both[1])


@pytest.mark.parametrize("by", [1, 16, 256])
def test_the_room_of_keys_and_values_is_within_what_is_planned(by: int) -> None:
    """Of the starter's 23,040 bytes a token, however its sequence grows."""
    kept = llama_cpu.FlatKeysValues(layers=30, heads=3, head_size=64)
    for length in range(1024, 4096, by):
        kept.make_room(length)
        kept.length = length
        assert 23_040 * length <= kept.nbytes <= sizes.HELD_IN_MEMORY * 23_040 * length
