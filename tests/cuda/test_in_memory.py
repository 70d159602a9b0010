"""Layers in memory beside a card: with a few tokens the processor's own compiled layers compute them, with more the
kernels, from a copy. Both against transformers on the same rounded weights, and against themselves bit for bit."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import checkpoints
import pytest
import torch
from accelerate import dispatch_model
from small import IDS, SETTINGS, error, llama, on_card, reference, run

from lsp_server.engine.loading import plan, weights
from lsp_server.engine.loading.checkpoint import validate
from lsp_server.engine.passes import cards, choice, stretch, stretch_in_memory
from lsp_server.engine.passes.card_keys_values import STEP, CardKeysValues
from lsp_server.engine.passes.llama_cuda import LlamaOnCuda
from lsp_server.engine.passes.stretch_in_memory import StretchInMemory
from lsp_server.engine.passes.threads import SharedThreads

CPU = torch.device("cpu")
PROMPT = 20  # tokens
# Keys and values are bfloat16 in memory.
ALLOWED = 2e-2


def runs(model: Any, places: str) -> list[cards.Run]:
    """Its embeddings, its layers and its head in order, each "c" on a card and each "m" in memory."""
    found: list[cards.Run] = []
    for place, layer in zip(places, (None, *model.model.layers, None), strict=True):
        if not found or found[-1].in_memory != (place == "m"):
            found.append(cards.Run(CPU, in_memory=place == "m"))
        if layer is not None:
            found[-1].layers.append(layer)
    return found


def mixed(model: Any, places: str) -> LlamaOnCuda:
    return on_card(model, runs(model, places))


@pytest.fixture(scope="module")
def model() -> LlamaOnCuda:
    """What the card gives to memory, and what it gets back, with nothing between that takes long here."""
    return mixed(llama(dtype=torch.float16), "cmc")


@pytest.fixture(scope="module")
def prompt(model: LlamaOnCuda) -> CardKeysValues:
    keys_values = model.new_keys_values()
    model.forward(IDS[:PROMPT], keys_values)
    return keys_values


# More layers in memory than the card has room for at a time; and a card between two parts of memory, and behind them.
@pytest.mark.parametrize(("places", "kv_heads", "bits"), [("cmmmm", 1, 8), ("mcmc", 2, 8), ("cmc", 1, 4)])
def test_logits_are_those_of_transformers(places: str, kv_heads: int, bits: int) -> None:
    dtype = torch.float32 if bits == 8 else torch.float16
    small = llama(2, kv_heads, layers=len(places) - 2, bits=bits, dtype=dtype)
    with torch.inference_mode():
        wanted = reference(small)(torch.tensor([IDS])).logits[0]
    model = mixed(small, places)
    keys_values = model.new_keys_values()
    start = 0
    # A prompt, one of a few tokens, and a third with both of them before it; then a token, and guesses.
    for count, last in ((17, 17), (3, 3), (18, 1), (1, 1), (6, 6)):
        logits = model.forward(IDS[start : start + count], keys_values, last=last)
        start += count
        assert logits.dtype == torch.float32
        assert error(logits, wanted[start - last : start]) < ALLOWED
    assert keys_values.length == start == 45


def test_few_and_many_leave_the_same_keys_and_values(model: LlamaOnCuda, prompt: CardKeysValues) -> None:
    """But for what is lost by rounding on two ways."""
    few = model.new_keys_values()
    run(model, IDS[:PROMPT], 4, few)
    (_, here, _), (_, there, _) = few.parts, prompt.parts
    for mine, other in ((here.keys[0], there.keys[0]), (here.values[0], there.values[0])):
        assert mine.dtype == torch.bfloat16
        assert error(mine[:, :PROMPT], other[:, :PROMPT]) < 1e-2
        assert float(mine[:, :PROMPT].float().norm()) > 1


def test_a_token_gives_the_same_whatever_it_is_computed_with(model: LlamaOnCuda, prompt: CardKeysValues) -> None:
    """So that guesses never change an answer; also after wrong ones were cut off, in a copy, and once it has grown."""
    single = run(model, IDS[20:36], 1, prompt.copy(PROMPT))
    fours, sixteens = prompt.copy(PROMPT), prompt.copy(PROMPT)
    assert torch.equal(run(model, IDS[20:36], 4, fours), single)
    assert torch.equal(run(model, IDS[20:36], 16, sixteens), single)
    sixteens.crop(27)
    copied = sixteens.copy(24)
    assert copied.parts[1].keys[0].mT.is_contiguous(), "as what is compiled takes it"
    assert torch.equal(run(model, IDS[27:36], 9, sixteens), single[7:])
    assert torch.equal(run(model, IDS[24:26], 2, copied), single[4:6])
    held = fours.nbytes
    fours.crop(24)
    fours.make_room(STEP)
    assert fours.nbytes == 2 * held, "in memory as on the card"
    assert torch.equal(run(model, IDS[24:26], 1, fours), single[4:6])
    assert fours.nbytes == held


def test_guesses_behind_a_prompt_change_nothing_of_it(model: LlamaOnCuda) -> None:
    for length in (14, 17):
        alone = model.forward(IDS[:length], model.new_keys_values())
        guessed = model.forward([*IDS[:length], 5, 6, 7], model.new_keys_values(), last=4)
        assert torch.equal(guessed[0], alone[0])


def test_branches_and_what_is_beside_them_do_not_touch_each_other(model: LlamaOnCuda, prompt: CardKeysValues) -> None:
    def grown(*branches: Sequence[int]) -> list[torch.Tensor]:
        """The logits of each branch, of which each step runs one token."""
        keys_values, paths, rows = prompt.copy(PROMPT), [list[int]() for _ in branches], []
        for ids in zip(*branches, strict=True):
            start = keys_values.length
            rows.append(model.branch(ids, paths, keys_values, PROMPT))
            paths = [[*path, start + at] for at, path in enumerate(paths)]
        return [torch.stack([row[at] for row in rows]) for at in range(len(branches))]

    left, right = IDS[20:23], IDS[40:43]
    both = grown(left, right)
    for branch, logits in zip((left, right), both, strict=True):
        assert error(logits, run(model, branch, 3, prompt.copy(PROMPT))) < ALLOWED
    five = grown(right, IDS[5:8], left, IDS[30:33], IDS[60:63])
    assert torch.equal(five[2], both[0])
    assert torch.equal(five[0], both[1])


def test_nobody_waits_for_many_guesses_or_copies_for_few_tokens(model: LlamaOnCuda) -> None:
    assert model.fewest_guesses == 1, "as on a processor alone"
    assert model.chunk_tokens == cards.COPIED_CHUNK > SETTINGS.chunk_tokens
    assert model.least_chunk == cards.LEAST_COPIED_CHUNK


def test_the_card_waits_for_each_copy_and_each_copy_for_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    model = mixed(llama(layers=3, dtype=torch.float16), "cmmmm")
    log: list[str] = []

    class Stream:
        def __init__(self, name: str) -> None:
            self.name = name

        def wait_stream(self, other: Stream) -> None:
            log.append(f"{self.name} waits for {other.name}")

    _, in_memory = model._stretches
    assert isinstance(in_memory, StretchInMemory)
    assert in_memory._card is not None
    in_memory._card._copying = Stream("copying")  # type: ignore[assignment]
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: Stream("computing"))
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext(log.append("copy")))
    many = in_memory._card.many

    def computed(*given: Any) -> torch.Tensor:
        log.append("compute")
        return many(*given)

    monkeypatch.setattr(in_memory._card, "many", computed)
    model.forward(IDS[:PROMPT], model.new_keys_values())
    begin, arrived = ["copying waits for computing", "copy"], ["computing waits for copying"]
    # The next is copied beside the computing; its place is that of the one before, which is computed by then.
    assert log == [*begin, *2 * [*arrived, *begin, "compute"], *arrived, "compute"]


def test_the_card_reads_memory_where_it_lies_or_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Runtime:
        refuses = False
        registered: dict[int, int] = {}  # noqa: RUF012

        def cudaHostRegister(self, address: int, size: int, flags: int) -> int:
            self.registered[address] = size
            return int(self.refuses)

        def cudaHostUnregister(self, address: int) -> None:
            del self.registered[address]

    def check(code: int) -> None:
        if code:
            raise RuntimeError("CUDA error: operation not supported\nCompile with ...")

    runtime = Runtime()
    monkeypatch.setattr(torch.cuda, "cudart", lambda: runtime)
    monkeypatch.setattr(torch.cuda, "check_error", check)
    (layer,) = llama().model.layers
    held = stretch_in_memory._Held(stretch.Layer(layer))
    # Of two heads of 16 numbers and one of keys and values: 64 rows and 32 of depth 32, three times 48 x 32.
    assert held.numbers.nbytes == (64 + 32) * 32 + 3 * 48 * 32
    assert stretch_in_memory._pinned(held) == ""
    assert runtime.registered == {held.numbers.data_ptr(): held.numbers.nbytes}
    del held
    gc.collect()
    assert runtime.registered == {}
    runtime.refuses = True
    (layer,) = llama().model.layers
    asked: list[object] = []

    def zeros(*size: int, **where: object) -> None:
        asked.append(where["device"])
        check(1)

    held = stretch_in_memory._Held(stretch.Layer(layer))
    monkeypatch.setattr(torch, "zeros", zeros)
    assert stretch_in_memory._pinned(held) == "RuntimeError: CUDA error: operation not supported"
    assert asked == ["cuda"], "what comes upon the same error once more"


def test_the_engine_takes_it_and_tries_kernels_on_cards_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    small, tried = llama(dtype=torch.float16), list[cards.Run]()
    placed = runs(small, "cmm")
    monkeypatch.setattr(cards, "on_a_card", lambda model: True)
    monkeypatch.setattr(cards, "refusal", lambda model: None)
    monkeypatch.setattr(cards, "runs", lambda model: placed)
    monkeypatch.setattr(stretch, "trouble", tried.append)
    made = stretch_in_memory._OnCard.__init__

    def unpinned(self: Any, *given: Any) -> None:
        made(self, *given)
        self.remark = "no"

    monkeypatch.setattr(stretch_in_memory._OnCard, "__init__", unpinned)

    class Threads(SharedThreads):
        adapted = 0

        def adapt(self) -> None:
            self.adapted += 1

    threads = Threads(1)
    model, remark = choice.chosen(small, threads, 40)
    assert isinstance(model, LlamaOnCuda)
    assert remark == "a prompt takes longer than it need, since the card does not read memory (no)"
    assert tried == placed[:1]
    before = threads.adapted
    model.forward(IDS[:3], model.new_keys_values())
    assert threads.adapted == before + 1


def test_a_checkpoint_as_the_loader_leaves_it(tmp_path: Path) -> None:
    """In 8 bits of bitsandbytes and behind accelerate's hooks, as what both compute with it."""
    checkpoint = validate(checkpoints.random_checkpoint(tmp_path, layers=2, initializer_range=0.1))
    loaded: Any = weights.load(
        checkpoint, plan.make(checkpoint.config, plan.devices(), 1024), lambda progress: None
    ).model
    layers = [f"model.layers.{number}" for number in range(2)]
    places = dict.fromkeys(("model.embed_tokens", *layers, "model.norm", "model.rotary_emb", "lm_head"), CPU)
    dispatch_model(loaded, places, force_hooks=True)
    layer = loaded.model.layers[1].mlp.up_proj
    assert type(layer).__name__ == "Linear8bitLt"
    assert hasattr(layer, "_hf_hook")
    ids = [1, *range(500, 520)]
    with torch.inference_mode():
        wanted = loaded(torch.tensor([ids])).logits[0].float()
    for parameter in loaded.parameters():  # the interpreter cannot compute with bfloat16
        if parameter.dtype == torch.bfloat16:
            parameter.data = parameter.data.half()
    model = LlamaOnCuda(loaded, 64, settings=SETTINGS, runs=runs(loaded, "cmmm"))
    keys_values = model.new_keys_values()
    logits = torch.cat([model.forward(part, keys_values, len(part)) for part in (ids[:18], ids[18:])])
    # bitsandbytes rounds what it multiplies to 8 bits as well.
    assert error(logits, wanted) < 0.05
