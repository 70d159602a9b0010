"""A model over several cards: as many stretches on the one CPU that there is give the same, bit for bit."""

from __future__ import annotations

import copy

import pytest
import torch
import triton
from small import IDS, error, llama, on_card, run

from lsp_server.engine.passes import cards, choice, kernels, stretch
from lsp_server.engine.passes.llama_cuda import LlamaOnCuda
from lsp_server.engine.passes.threads import SharedThreads


def test_two_stretches_give_what_one_does() -> None:
    small = llama(layers=2, dtype=torch.float16)
    other = copy.deepcopy(small)
    cpu = torch.device("cpu")
    first, second = other.model.layers
    # As a plan may cut it: the embeddings alone, a layer each, and the head alone.
    runs = [cards.Run(cpu), cards.Run(cpu, [first]), cards.Run(cpu, [second]), cards.Run(cpu)]
    whole, cut = on_card(small), on_card(other, runs)
    assert cut.vocab_size == whole.vocab_size
    one, several = whole.new_keys_values(), cut.new_keys_values()
    for first_id, count in ((0, 18), (18, 1), (19, 3)):
        ids = IDS[first_id : first_id + count]
        assert torch.equal(cut.forward(ids, several), whole.forward(ids, one))
    assert several.nbytes == one.nbytes
    assert [part.nbytes for part in several.parts] == [0, one.nbytes // 2, one.nbytes // 2, 0]
    branched = whole.branch([7, 8], [[], [22]], one, 22)
    assert torch.equal(cut.branch([7, 8], [[], [22]], several, 22), branched)
    several.crop(22)
    assert error(run(cut, [7, 8], 1, several), branched) < 5e-3
    copied = several.copy(19)
    assert copied.length == 19
    assert torch.equal(cut.forward(IDS[19:22], copied), cut.forward(IDS[19:22], several.copy(19)))


def test_where_layers_lie_is_found_out() -> None:
    small = llama(layers=2)
    (run_of_all,) = cards.runs(small)
    assert run_of_all.device == torch.device("cpu")
    assert run_of_all.layers == list(small.model.layers)
    small.model.layers[1].to("meta")
    small.lm_head.to("meta")
    assert [(each.device.type, len(each.layers)) for each in cards.runs(small)] == [("cpu", 1), ("meta", 1)]


def test_without_graphs_it_goes_on_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def captured(launches: object, device: torch.device) -> None:
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nCompile with ...")

    monkeypatch.setattr(stretch, "captured", captured)
    monkeypatch.setattr(cards, "on_a_card", lambda model: True)
    monkeypatch.setattr(cards, "refusal", lambda model: None)
    model, remark = choice.chosen(llama(), SharedThreads(1), 40)
    assert remark == (
        "a token takes longer than it need, since this card takes no graphs "
        "(RuntimeError: CUDA error: operation not permitted when stream is capturing)"
    )
    assert model.forward(IDS[:3], model.new_keys_values()).shape == (1, 64)


def test_the_engine_takes_it_where_triton_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "on_a_card", lambda model: True)
    refusal = cards.refusal
    monkeypatch.setattr(cards, "refusal", lambda model: refusal(model, "cpu"))
    told: list[float] = []
    model, remark = choice.chosen(llama(), SharedThreads(1), 40, on_cards=told.append)
    assert isinstance(model, LlamaOnCuda)
    assert remark == ""
    assert told[0] == 0.0
    assert told[-1] == 1.0

    class Broken:
        def __getitem__(self, grid: object) -> object:
            raise RuntimeError("Failed to find C compiler.\nPlease install one")

    monkeypatch.setattr(kernels, "add_norm", Broken())
    assert stretch.trouble(cards.Run(torch.device("cpu"))) == (
        "Triton does not run here (RuntimeError: Failed to find C compiler.)"
    )
    small = llama(dtype=torch.bfloat16)
    other, remark = choice.chosen(small, SharedThreads(1), 40)
    assert not isinstance(other, LlamaOnCuda)
    assert remark.startswith("transformers' own pass computes it, since Triton does not run here")
    assert other.forward([5], other.new_keys_values()).shape == (1, 64), "its weights are still there"


def test_an_old_triton_is_not_given_4_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    eight, four = (cards.runs(llama(4, bits=bits))[0] for bits in (8, 4))
    assert stretch.trouble(four) is None
    monkeypatch.setattr(triton, "__version__", "3.2.0")
    assert stretch.trouble(four) == "Triton 3.2.0 does not compile the kernels for weights of 4 bits"
    assert stretch.trouble(eight) is None
