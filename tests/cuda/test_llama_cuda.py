"""The project's own Llama pass on a CUDA card, in Triton's interpreter: against transformers' on the same rounded
weights in 32 bits, and against itself in passes of other sizes, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from small import IDS, SETTINGS, VOCABULARY, error, llama, on_card, reference, run

from lsp_server.engine.passes import cards
from lsp_server.engine.passes.card_keys_values import STEP, CardKeysValues
from lsp_server.engine.passes.kernels import FEW, PATH
from lsp_server.engine.passes.llama_cuda import LlamaOnCuda

PROMPT = 20  # tokens


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest) -> LlamaOnCuda:
    return on_card(llama(dtype=torch.float16, bits=getattr(request, "param", 8)))


@pytest.fixture(scope="module")
def prompt(model: LlamaOnCuda) -> CardKeysValues:
    """The keys and values of the first tokens: to be copied."""
    keys_values = model.new_keys_values()
    model.forward(IDS[:PROMPT], keys_values)
    return keys_values


@pytest.mark.parametrize(
    ("bits", "heads", "kv_heads", "layers", "dtype", "allowed"),
    [(8, 4, 2, 1, torch.float32, 5e-6), (8, 2, 2, 2, torch.float16, 5e-3), (4, 2, 1, 1, torch.float16, 5e-3)],
)
def test_logits_are_those_of_transformers(
    bits: int, heads: int, kv_heads: int, layers: int, dtype: torch.dtype, allowed: float
) -> None:
    small = llama(heads, kv_heads, layers=layers, dtype=dtype, bits=bits)
    with torch.inference_mode():
        wanted = reference(small)(torch.tensor([IDS])).logits[0]
    model = on_card(small)
    assert model.vocab_size == VOCABULARY
    keys_values = model.new_keys_values()
    start = 0
    # A prompt of two chunks, the second with a past; then passes of several sizes, over the border of a span.
    for count, last in ((17, 17), (18, 1), (1, 1), (3, 3), (11, 11)):
        logits = model.forward(IDS[start : start + count], keys_values, last=last)
        start += count
        assert logits.dtype == torch.float32
        assert error(logits, wanted[start - last : start]) < allowed
    assert keys_values.length == start == 50


@pytest.mark.parametrize("model", [8, 4], indirect=True)
def test_a_token_gives_the_same_whatever_it_is_computed_with(model: LlamaOnCuda, prompt: CardKeysValues) -> None:
    """So that guesses never change an answer; also after wrong ones were cut off, in a copy, and once it has grown."""
    single = run(model, IDS[20:36], 1, prompt.copy(PROMPT))  # over the border of a span, at 32
    fours, sixteens = prompt.copy(PROMPT), prompt.copy(PROMPT)
    assert torch.equal(run(model, IDS[20:36], 4, fours), single)
    assert torch.equal(run(model, IDS[20:36], 16, sixteens), single)
    sixteens.crop(27)
    copied = sixteens.copy(24)
    assert torch.equal(run(model, IDS[27:36], 9, sixteens), single[7:])  # filled up to sixteen
    assert torch.equal(run(model, IDS[24:26], 2, copied), single[4:6])  # filled up to four
    fours.crop(24)
    fours.compact()
    assert torch.equal(run(model, IDS[24:26], 1, fours), single[4:6])


def test_guesses_behind_a_prompt_change_nothing_of_it(model: LlamaOnCuda) -> None:
    for length in (14, 17):  # with three guesses the first is more than a captured pass takes
        alone = model.forward(IDS[:length], model.new_keys_values())
        guessed = model.forward([*IDS[:length], 5, 6, 7], model.new_keys_values(), last=4)
        assert torch.equal(guessed[0], alone[0])


def test_memory_grows_a_layer_at_a_time_and_keeps_what_is_there(model: LlamaOnCuda, prompt: CardKeysValues) -> None:
    wanted = run(model, IDS[20:22], 1, prompt.copy(PROMPT))
    grown = prompt.copy(PROMPT)
    before, held = [tensor.data_ptr() for tensor in grown.parts[0].keys], grown.nbytes
    # Keys and values of one layer of one head of 16 numbers, each of two bytes.
    assert held == 2 * 16 * 2 * STEP
    grown.make_room(STEP)  # and room behind them for a pass that is filled up
    assert grown.nbytes == 2 * held
    assert [tensor.data_ptr() for tensor in grown.parts[0].keys] != before
    assert torch.equal(run(model, IDS[20:22], 1, grown), wanted)
    assert grown.nbytes == held, "what is not needed any more is freed"


@torch.inference_mode()
def test_what_a_filled_up_pass_writes_is_never_read(model: LlamaOnCuda, prompt: CardKeysValues) -> None:
    """Passes of 3 and 5 tokens write behind them; before that, and after, memory there may hold anything."""
    clean, full = prompt.copy(PROMPT), prompt.copy(PROMPT)
    for first, count in ((20, 3), (23, 5), (28, 17)):
        for tensor in (*full.parts[0].keys, *full.parts[0].values):
            tensor[:, full.length :] = torch.nan
        ids = IDS[first : first + count]
        assert torch.equal(model.forward(ids, full), model.forward(ids, clean))
    for mine, other in zip(full.parts[0].keys, clean.parts[0].keys, strict=True):
        assert torch.equal(mine[:, :45], other[:, :45])
    assert full.length == 45


def test_keys_and_values_are_bounded(model: LlamaOnCuda, prompt: CardKeysValues) -> None:
    for action in (prompt.crop, prompt.copy):
        with pytest.raises(ValueError, match="21"):
            action(21)
    with pytest.raises(ValueError, match="at most"):
        model.forward([1] * (len(IDS) + FEW + PATH + 1), model.new_keys_values())
    with pytest.raises(ValueError, match="at most"):
        model.branch([1], [list(range(20, 20 + PATH))], prompt.copy(PROMPT), PROMPT)


def grown(model: LlamaOnCuda, prompt: CardKeysValues, *branches: Sequence[int]) -> list[torch.Tensor]:
    """The logits of each branch, of which each step runs one token."""
    keys_values = prompt.copy(PROMPT)
    paths: list[list[int]] = [[] for _ in branches]
    rows = []
    for ids in zip(*branches, strict=True):
        start = keys_values.length
        rows.append(model.branch(ids, paths, keys_values, PROMPT))
        paths = [[*path, start + at] for at, path in enumerate(paths)]
    return [torch.stack([row[at] for row in rows]) for at in range(len(branches))]


def test_branches_and_what_is_beside_them_do_not_touch_each_other(model: LlamaOnCuda, prompt: CardKeysValues) -> None:
    left, right = IDS[20:23], IDS[40:43]
    both = grown(model, prompt, left, right)
    for branch, logits in zip((left, right), both, strict=True):
        assert error(logits, run(model, branch, 3, prompt.copy(PROMPT))) < 5e-3
    five = grown(model, prompt, right, IDS[5:8], left, IDS[30:33], IDS[60:63])
    assert torch.equal(five[2], both[0])
    assert torch.equal(five[0], both[1])
    # More at once than a pass takes, all on one branch: each sees those before it.
    keys_values = prompt.copy(PROMPT)
    more = model.branch(IDS[20:38], [list(range(20, 20 + at)) for at in range(18)], keys_values, PROMPT)
    assert torch.equal(more[:3], both[0])
    keys_values.crop(PROMPT)
    assert torch.equal(run(model, left, 3, keys_values), run(model, left, 3, prompt.copy(PROMPT))), "as it was"


def test_several_sequences_take_turns(model: LlamaOnCuda, prompt: CardKeysValues) -> None:
    one, other = prompt.copy(PROMPT), prompt.copy(9)
    wanted = run(model, IDS[20:22], 1, prompt.copy(PROMPT))
    for at in range(2):
        assert torch.equal(model.forward([IDS[20 + at]], one)[0], wanted[at])
        model.forward([IDS[50 + at]], other)


def test_chunks_are_as_long_as_the_slowest_card_wants(model: LlamaOnCuda) -> None:
    assert model.chunk_tokens == SETTINGS.chunk_tokens == cards.Settings.chunk_tokens == 512
    assert (model.fewest_guesses, model.least_chunk) == (3, 1)
