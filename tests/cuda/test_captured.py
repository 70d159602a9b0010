"""What is captured as a CUDA graph, run without one: it looks at no value and waits for nothing, and all that changes
from pass to pass is read from memory whose place does not."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from small import IDS, llama, on_card
from torch.utils._python_dispatch import TorchDispatchMode
from triton.runtime import interpreter

from lsp_server.engine.passes import cards, int4
from lsp_server.engine.passes.card_weights import stacked
from lsp_server.engine.passes.llama_cuda import LlamaOnCuda
from lsp_server.engine.passes.stretch import Few

# What torch may do there: say where a part of a buffer lies. Every other operation would be a kernel more or a wait.
VIEWS = {"aten::slice", "aten::select", "aten::view", "aten::detach", "aten::alias"}


class Watched(TorchDispatchMode):
    """Notes the operations of torch, but those by which the interpreter hands a kernel its tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        if not any(frame.filename == interpreter.__file__ for frame in traceback.extract_stack()):
            self.seen.append(func._schema.name)
        return func(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def model() -> Iterator[LlamaOnCuda]:
    with torch.inference_mode():
        yield on_card(llama(layers=2, dtype=torch.float16))


@pytest.mark.parametrize("bucket", [1, 4])
def test_it_does_nothing_but_launch(model: LlamaOnCuda, bucket: int) -> None:
    (stretch,) = model._stretches
    keys_values = model.new_keys_values()
    model.forward(IDS[:bucket], keys_values)  # which says where those lie
    with torch.inference_mode(), Watched() as watched:
        stretch.compute(bucket)
    assert set(watched.seen) <= VIEWS
    with torch.inference_mode(), Watched() as looking:  # the watch sees what must not be
        if int(stretch._logits.argmax()) >= 0:
            stretch._logits.nonzero()
    assert {"aten::item", "aten::nonzero"} <= set(looking.seen)


def test_nor_does_a_product_in_4_bits() -> None:
    given = stacked(int4.Int4Linear.rounded(torch.ones(32, 64)))
    x, out = torch.ones(3, 64, dtype=torch.float16), torch.zeros(1, 3, 32)
    with torch.inference_mode(), Watched() as watched:
        given.launch(x, out, cards.DEFAULT.four.few, 1)
    assert watched.seen == []
    assert torch.equal(out, torch.full_like(out, 64.0))


def test_a_pass_copies_once_in_and_once_out(model: LlamaOnCuda) -> None:
    keys_values = model.new_keys_values()
    model.forward(IDS[:3], keys_values)
    (stretch,) = model._stretches
    with torch.inference_mode():
        computed, stretch.compute = stretch.compute, lambda tokens: None  # type: ignore[method-assign]
        try:
            with Watched() as watched:
                model._few(Few.in_a_row(IDS[3:4], 3), keys_values)
        finally:
            stretch.compute = computed  # type: ignore[method-assign]
    moves = [
        name for name in watched.seen if name.removeprefix("aten::") in {"copy_", "_to_copy", "clone", "to", "item"}
    ]
    # Into the memory that the card reads from, to the card, and back.
    assert moves == ["aten::copy_", "aten::copy_", "aten::to"]


def test_the_same_memory_gives_other_logits_for_other_ids(model: LlamaOnCuda) -> None:
    (stretch,) = model._stretches
    with torch.inference_mode():
        one, other = model.new_keys_values(), model.new_keys_values()
        one.make_room(20)
        other.make_room(200)  # another capacity, at other addresses
        first = stretch.few(Few.in_a_row([5], 0), None, one.parts[0])
        kept, place = first.clone(), first.data_ptr()
        second = stretch.few(Few.in_a_row([6], 0), None, other.parts[0])
        assert second.data_ptr() == place
        assert not torch.equal(second, kept)
        again = stretch.few(Few.in_a_row([5], 0), None, other.parts[0])
        assert torch.equal(again, kept), "it does not matter where the keys and values lie"


def test_what_was_given_is_not_written_over(model: LlamaOnCuda) -> None:
    keys_values = model.new_keys_values()
    given = model.forward(IDS[:1], keys_values)
    kept = given.clone()
    model.forward(IDS[1:2], keys_values)
    assert torch.equal(given, kept)


def test_ids_of_another_length_give_what_they_do_alone(model: LlamaOnCuda) -> None:
    """Numbers of an earlier, longer pass are still in memory, and not read."""
    alone = model.forward(IDS[:2], model.new_keys_values(), last=2)
    model.branch(IDS[10:13], [[], [], []], model.new_keys_values(), 0)
    assert torch.equal(model.forward(IDS[:2], model.new_keys_values(), last=2), alone)
